/**
 * A child process that speaks lines: its own process group, stdin that can be ended, stdout as bounded lines, stderr
 * drained and its end kept. Closing the scope ends it and all of its group within a bound. Source: spec 4 §3.4 and §3.6.
 */
import {
  type ChildProcess,
  type ChildProcessWithoutNullStreams,
  spawn as spawnChild
} from "node:child_process"
import { stat } from "node:fs/promises"
import * as Chunk from "effect/Chunk"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { AgentUnavailable } from "../Agent.ts"
import * as Sandbox from "../Sandbox.ts"
import * as Guard from "./Guard.ts"
import * as LineSplitter from "./LineSplitter.ts"
import * as OutputTail from "./OutputTail.ts"
import { ProcessRegistry } from "./ProcessRegistry.ts"
import * as ProcessTable from "./ProcessTable.ts"

export type ProcessExit =
  | { readonly _tag: "Code"; readonly code: number }
  | { readonly _tag: "Signal"; readonly signal: string }

export const describeExit = (exit: ProcessExit): string =>
  exit._tag === "Code" ? `exit code ${exit.code}` : `signal ${exit.signal}`

/** The process has ended or its stdin is closed: nothing can be written any more. */
export class ProcessGone extends Data.TaggedError("ProcessGone")<{ readonly detail: string }> {}

/** Time that a process has at each step of its end. */
export interface Grace {
  /** After the end of input, before SIGTERM. Default 3 s. */
  readonly endOfInput: Duration.DurationInput
  /** After SIGTERM, before SIGKILL to the group. Default 3 s. */
  readonly terminate: Duration.DurationInput
}
export const defaultGrace: Grace = { endOfInput: "3 seconds", terminate: "3 seconds" }

/** After the process has ended, its stdout may stay open in other hands; it is read for this much longer. */
const afterExit = Duration.seconds(2)

/** Of stderr, this many of its last bytes are kept. Source: spec 4 §3.6. */
export const STDERR_TAIL_BYTES = 64 * 1024

/** The variable that marks an agent's process and its descendants. */
export const RUN_ID = "CAUSEWAY_RUN_ID"

export interface ProcessSpec {
  /** Its name in errors. */
  readonly agent: string
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly cwd: string
  /** The whole environment; nothing is inherited. */
  readonly env: { readonly [name: string]: string }
  readonly grace?: Grace | undefined
  /** The sandbox that it is started in, and what it needs there. */
  readonly within?: Within | undefined
}

/** A sandbox with what one program needs of it; the working directory is the program's. */
export interface Within {
  readonly sandbox: Sandbox.Sandbox
  readonly needs?: Omit<Sandbox.Needs, "cwd"> | undefined
}

/** A program and its arguments as they are started. */
export const invocation = ({
  args,
  command,
  cwd,
  within
}: Pick<ProcessSpec, "args" | "command" | "cwd" | "within">): readonly [string, ReadonlyArray<string>] =>
  within === undefined
    ? [command, args]
    : [
        within.sandbox.program,
        [...Sandbox.wrapping(within.sandbox, { ...within.needs, cwd }), command, ...args]
      ]

/** Signals a program alone: in a sandbox the one that it was started for, which ends the sandbox with it. */
const tell = (child: ChildProcess, name: NodeJS.Signals, { within }: ProcessSpec): void => {
  const inner = within === undefined ? undefined : ProcessTable.grandchild(child.pid ?? 0)
  if (inner === undefined) child.kill(name)
  else ProcessTable.signal(inner, name)
}

export interface AgentProcess {
  readonly pid: number
  /**
   * Lines of stdout, in order, until the process has ended and its pipe is empty. One consumer. What it does not pull
   * stays in the pipe and holds the process up.
   */
  readonly lines: Stream.Stream<LineSplitter.Line>
  /** Writes one line; returns when the pipe has taken it. */
  readonly write: (line: string) => Effect.Effect<void, ProcessGone>
  /** Whoever calls it has waited for what follows: the scope's end comes with SIGTERM then. */
  readonly endInput: Effect.Effect<void>
  /** Signals the process alone; SIGKILL goes to its whole group. */
  readonly signal: (name: "SIGINT" | "SIGTERM" | "SIGKILL") => Effect.Effect<void>
  readonly exit: Effect.Effect<ProcessExit>
  /** The last 64 KiB of stderr so far. */
  readonly stderr: Effect.Effect<string>
}

/** The system did not start the process. */
class StartFailed extends Data.TaggedError("StartFailed")<{
  readonly code: string | undefined
  readonly detail: string
}> {}

const startFailed = (cause: unknown): StartFailed =>
  new StartFailed({
    code: cause instanceof Error && "code" in cause ? String(cause.code) : undefined,
    detail: cause instanceof Error ? cause.message : String(cause)
  })

/**
 * Failures that pass in a moment: the program is just being replaced (an update), or the system has no room for one
 * more process, file or page.
 */
const PASSING: ReadonlySet<string> = new Set([
  "ENOENT",
  "EACCES",
  "ETXTBSY",
  "ENOEXEC",
  "EAGAIN",
  "EMFILE",
  "ENFILE",
  "ENOMEM"
])

/** Again after 0.1, 0.2, 0.4, 0.8, 1.6 and 3.2 s: within 7 s an update has put the program back. */
export const startAgain = Schedule.intersect(Schedule.exponential("100 millis"), Schedule.recurs(6))

const requireDirectory = (spec: ProcessSpec): Effect.Effect<void, AgentUnavailable | StartFailed> => {
  const missing = new AgentUnavailable({
    agent: spec.agent,
    reason: "DirectoryMissing",
    detail: `${spec.cwd} is not a directory; give an existing one`
  })
  return Effect.tryPromise({
    try: () => stat(spec.cwd),
    catch: (cause) => {
      const failed = startFailed(cause)
      return failed.code === "EMFILE" || failed.code === "ENFILE" ? failed : missing
    }
  }).pipe(Effect.flatMap((found) => (found.isDirectory() ? Effect.void : Effect.fail(missing))))
}

/** A failed start for a person who has waited: what is wrong, and what to do. */
const unavailable = (spec: ProcessSpec, { code, detail }: StartFailed): AgentUnavailable => {
  const failed = (reason: AgentUnavailable["reason"], detail: string) =>
    new AgentUnavailable({ agent: spec.agent, reason, detail })
  switch (code) {
    case "ENOENT":
      return failed("NotFound", `${spec.command} was not found; install it or give its path`)
    case "EACCES":
      return failed("NotExecutable", `${spec.command} may not be executed (permission denied)`)
    case "ENOEXEC":
      return failed("NotExecutable", `${spec.command} is not a program`)
    case "ETXTBSY":
      return failed("NotExecutable", `${spec.command} is being written to; wait for its update to end`)
    case "EMFILE":
    case "ENFILE":
      return failed(
        "Unknown",
        `${spec.command} cannot be started: too many files are open (${code}); allow more (ulimit -n, LimitNOFILE= of a service) or run fewer sessions at once (--capacity)`
      )
    case "EAGAIN":
    case "ENOMEM":
      return failed(
        "Unknown",
        `${spec.command} cannot be started: the system has no room for another process (${code}); end some, or allow more (ulimit -u, TasksMax= of a service, memory)`
      )
    case "E2BIG":
      return failed(
        "Unknown",
        `${spec.command} cannot be started: its arguments and environment are too long (${code})`
      )
    default:
      return failed("Unknown", `${spec.command}: ${detail}`)
  }
}

/** Without its pipes a child is none: with too many files open Node gives one that never starts. */
const hasPipes = (child: ChildProcess): child is ChildProcessWithoutNullStreams =>
  child.stdin != null && child.stdout != null && child.stderr != null

/** Starts the process; returns when the system has started it. */
const start = (spec: ProcessSpec): Effect.Effect<ChildProcessWithoutNullStreams, StartFailed> =>
  Effect.async((resume) => {
    let child: ChildProcess
    try {
      // Detached: a session and a process group of its own, so that the terminal's Ctrl-C does not reach it and its
      // children can be signalled together.
      child = spawnChild(...invocation(spec), {
        cwd: spec.cwd,
        env: { ...spec.env },
        stdio: ["pipe", "pipe", "pipe"],
        detached: true
      })
    } catch (cause) {
      resume(startFailed(cause))
      return
    }
    // Before anything else: an error without a listener ends this whole process.
    child.on("error", (cause) => resume(startFailed(cause)))
    if (!hasPipes(child)) return
    const started = child
    // After the start: errors of a broken pipe come with the write that met them, or mean no more than the exit does.
    for (const each of [child.stdin, child.stdout, child.stderr]) each.on("error", () => undefined)
    // Without a listener that stays, Node throws away what is in the pipe when the process ends between two pulls.
    child.stdout.on("readable", () => undefined)
    child.once("spawn", () => resume(Effect.succeed(started)))
  })

/** One pull of stdout: the next bytes, or nothing when it has ended. Interrupting it leaves the pipe as it is. */
const pull = (child: ChildProcessWithoutNullStreams): Effect.Effect<Option.Option<Buffer>> =>
  Effect.async((resume) => {
    const { stdout } = child
    const settle = (value: Option.Option<Buffer>): void => {
      stdout.off("readable", read).off("end", done).off("close", done)
      resume(Effect.succeed(value))
    }
    const read = (): void => {
      const chunk: unknown = stdout.read()
      if (Buffer.isBuffer(chunk)) settle(Option.some(chunk))
      else if (stdout.readableEnded || stdout.destroyed) settle(Option.none())
    }
    const done = (): void => settle(Option.none())
    stdout.on("readable", read).on("end", done).on("close", done)
    read()
    return Effect.sync(() => stdout.off("readable", read).off("end", done).off("close", done))
  })

/**
 * The lines until the pipe has ended, or until a pull has found nothing for a while after the process had ended: a
 * descendant may hold the pipe open for ever. The pace of the consumer does not count: what is in the pipe is read.
 */
const linesOf = (
  child: ChildProcessWithoutNullStreams,
  exited: Effect.Effect<unknown>
): Stream.Stream<LineSplitter.Line> =>
  Stream.suspend(() => {
    const splitter = LineSplitter.make()
    let ended = false
    const abandoned = Effect.as(Effect.zipRight(exited, Effect.sleep(afterExit)), Option.none<Buffer>())
    return Stream.repeatEffectChunkOption(
      Effect.suspend((): Effect.Effect<Chunk.Chunk<LineSplitter.Line>, Option.Option<never>> => {
        if (ended) return Effect.fail(Option.none())
        return Effect.map(Effect.raceFirst(pull(child), abandoned), (bytes) => {
          if (Option.isSome(bytes)) return Chunk.unsafeFromArray(splitter.push(bytes.value))
          ended = true
          child.stdout.destroy()
          return Chunk.unsafeFromArray(splitter.end())
        })
      })
    )
  })

/** Of what an agent said before it ended, this many characters go into an error for people. */
const LAST_WORDS = 2000

/** The failure of an agent that ended before it was ready, with what it `said` and the end of its stderr. */
export const endedAtOnce = (
  process: AgentProcess,
  { agent, command }: Pick<ProcessSpec, "agent" | "command">,
  said: ReadonlyArray<string>
): Effect.Effect<never, AgentUnavailable> =>
  Effect.gen(function* () {
    const exit = describeExit(yield* process.exit)
    const words = [said.join("\n").slice(0, LAST_WORDS), (yield* process.stderr).trim().slice(-LAST_WORDS)]
    const all = words.filter((text) => text !== "").join("\n")
    return yield* new AgentUnavailable({
      agent,
      reason: "ExitedAtOnce",
      detail: `${command} ended at once (${exit}): ${all === "" ? "it said nothing" : all}`
    })
  })

/** Starts a child process. Fails when the system cannot start it; what it does afterwards its lines and exit tell. */
export const spawn = (spec: ProcessSpec): Effect.Effect<AgentProcess, AgentUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const exited = yield* Deferred.make<ProcessExit>()
    const grace = spec.grace ?? defaultGrace
    const runId = spec.env[RUN_ID]
    const registry = yield* ProcessRegistry

    const begin = Effect.gen(function* () {
      yield* requireDirectory(spec)
      const child = yield* start(spec)
      // Here and not later: the release waits for it, also when it comes right after the start.
      child.once("exit", (code, signal) => {
        Deferred.unsafeDone(
          exited,
          Effect.succeed(
            signal === null ? { _tag: "Code" as const, code: code ?? 0 } : { _tag: "Signal" as const, signal }
          )
        )
      })
      const dismiss = Guard.set(child)
      // At once: the guard must not outlive the group that its signals are meant for.
      if (child.exitCode !== null || child.signalCode !== null) dismiss()
      else child.once("exit", dismiss)
      return child
    })
    const forget = yield* Ref.make(Effect.void)
    const child = yield* Effect.acquireRelease(begin, (child) => {
      const group = -(child.pid ?? 0)
      // A finalizer cannot be interrupted; what waits in it under a timeout must be.
      const gone = (within: Duration.DurationInput) =>
        Effect.interruptible(Deferred.await(exited)).pipe(
          Effect.timeoutOption(within),
          Effect.map(Option.isSome)
        )
      return Effect.gen(function* () {
        // Whoever read stdout has left; a full pipe must not keep the process from ending.
        child.stdout.removeAllListeners("readable").resume()
        const told = child.stdin.writableEnded
        child.stdin.end()
        if (told || !(yield* gone(grace.endOfInput))) {
          tell(child, "SIGTERM", spec)
          yield* gone(grace.terminate)
        }
        // Also when the leader has ended: its children are in the group still. While one is, the system does not give
        // the group's id to another.
        ProcessTable.signal(group, "SIGKILL")
        yield* Deferred.await(exited)
        if (runId !== undefined) {
          for (const stray of yield* ProcessTable.withVariable(RUN_ID, new Set([runId]))) {
            ProcessTable.signal(stray, "SIGKILL")
          }
        }
        yield* Effect.flatten(Ref.get(forget))
        child.stdout.destroy()
        child.stderr.destroy()
      })
    }).pipe(
      Effect.retry({
        schedule: startAgain,
        while: (error) => error._tag === "StartFailed" && PASSING.has(error.code ?? "")
      }),
      Effect.catchTag("StartFailed", (error) => Effect.fail(unavailable(spec, error)))
    )
    const pid = child.pid ?? 0
    // On record from its start until it has ended: what a killed host leaves behind is known to the next one. By now the
    // process has somebody who ends it, whatever happens here.
    yield* Effect.uninterruptible(
      Effect.flatMap(registry.hold({ pid, runId }), (forgets) => Ref.set(forget, forgets))
    )
    if (child.exitCode !== null || child.signalCode !== null) {
      yield* Deferred.succeed(
        exited,
        child.signalCode === null
          ? { _tag: "Code", code: child.exitCode ?? 0 }
          : { _tag: "Signal", signal: child.signalCode }
      )
    }

    const tail = OutputTail.make(STDERR_TAIL_BYTES)
    child.stderr.on("data", tail.push).once("end", tail.end)

    return {
      pid,
      lines: linesOf(child, Deferred.await(exited)),
      write: (line) =>
        Effect.async((resume) => {
          if (!child.stdin.writable) {
            resume(Effect.fail(new ProcessGone({ detail: "stdin is closed" })))
            return
          }
          child.stdin.write(`${line}\n`, (cause) =>
            resume(
              cause === null || cause === undefined
                ? Effect.void
                : Effect.fail(new ProcessGone({ detail: cause.message }))
            )
          )
        }),
      endInput: Effect.sync(() => void child.stdin.end()),
      signal: (name) =>
        Effect.sync(() => {
          if (name === "SIGKILL") ProcessTable.signal(-pid, "SIGKILL")
          else tell(child, name, spec)
        }),
      exit: Deferred.await(exited),
      stderr: Effect.sync(() => tail.read().output)
    }
  })
