/**
 * `terminal/*`: programs that an agent has its client run, in the working directory or below it. Each is its own
 * process group, killed when the terminal is released and when the session ends. Source: spec 4 §2 and §3.7.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { stat } from "node:fs/promises"
import * as Read from "@causeway/transcript/Read"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Confinement from "../Confinement.ts"
import * as AgentProcess from "../Process/AgentProcess.ts"
import * as OutputTail from "../Process/OutputTail.ts"
import * as ProcessTable from "../Process/ProcessTable.ts"
import { codes, invalidParams, RpcError } from "./JsonRpc.ts"

/** Output that is kept where the agent sets no limit, and the most that it can set, in bytes. */
export const OUTPUT_DEFAULT = 256 * 1024
export const OUTPUT_MAX = 2 * 1024 * 1024
/** Terminals that are open at once. */
export const TERMINALS_MAX = 32
/** Between SIGTERM to a program and SIGKILL to its group. */
const killGrace = Duration.seconds(2)
/** Output is read for this long after the program's end while others hold its pipe. */
const drain = Duration.millis(500)

export interface ExitStatus {
  readonly exitCode: number | null
  readonly signal: string | null
}

interface Terminal {
  readonly id: string
  readonly child: ChildProcess
  readonly output: OutputTail.OutputTail
  /** Done when the program has ended and its output is read. */
  readonly exited: Deferred.Deferred<ExitStatus>
  status: ExitStatus | null
  /** Bytes of output when it was last looked at. */
  seen: number
}

export interface Terminals {
  readonly create: (params: unknown) => Effect.Effect<{ readonly terminalId: string }, RpcError>
  readonly output: (
    params: unknown
  ) => Effect.Effect<
    { readonly output: string; readonly truncated: boolean; readonly exitStatus: ExitStatus | null },
    RpcError
  >
  readonly waitForExit: (params: unknown) => Effect.Effect<ExitStatus, RpcError>
  readonly kill: (params: unknown) => Effect.Effect<object, RpcError>
  readonly release: (params: unknown) => Effect.Effect<object, RpcError>
  /** Output of the terminals that have printed anything since the last call, by id. */
  readonly news: () => ReadonlyArray<{ readonly terminalId: string; readonly output: string }>
}

/** A command as a program with arguments, or as a line for the shell where it is no single word. */
const invocation = (
  command: string,
  args: ReadonlyArray<string>
): readonly [string, ReadonlyArray<string>] =>
  args.length === 0 && /[^\w@%+=:,./-]/.test(command) ? ["/bin/sh", ["-c", command]] : [command, args]

const strings = (value: unknown): ReadonlyArray<string> | undefined =>
  Array.isArray(value) && value.every((each) => typeof each === "string") ? value : undefined

interface State {
  readonly root: string
  /** Seen by programs, beside what the agent adds. */
  readonly environment: { readonly [name: string]: string }
  /** The agent's sandbox. */
  readonly within: AgentProcess.Within | undefined
  readonly scope: Scope.Scope
  readonly open: Map<string, Terminal>
  count: number
}

const killGroup = ({ child: { pid } }: Terminal, signal: NodeJS.Signals): void => {
  // The group outlives its leader as long as anything it started lives.
  if (pid !== undefined) ProcessTable.signal(-pid, signal)
}

const find = ({ open }: State, params: unknown): Effect.Effect<Terminal, RpcError> => {
  const id = Read.object(params)["terminalId"]
  const message = `there is no terminal ${JSON.stringify(id)}`
  return Effect.mapError(
    Effect.fromNullable(open.get(String(id))),
    () => new RpcError({ code: codes.notFound, message })
  )
}

const start = (
  program: string,
  args: ReadonlyArray<string>,
  cwd: string,
  env: { readonly [name: string]: string }
): Effect.Effect<ChildProcess, RpcError> =>
  Effect.async((resume) => {
    const failed = (cause: unknown): void => {
      const reason = cause instanceof Error ? cause.message : String(cause)
      resume(invalidParams(`${JSON.stringify(program)} cannot be run: ${reason}`))
    }
    try {
      const child = spawn(program, args, {
        cwd,
        env: { ...env },
        stdio: ["ignore", "pipe", "pipe"],
        detached: true
      })
      child.once("error", failed)
      child.once("spawn", () => resume(Effect.succeed(child)))
    } catch (cause) {
      failed(cause)
    }
  })

const watch = (id: string, child: ChildProcess, limit: number): Effect.Effect<Terminal> =>
  Effect.gen(function* () {
    const output = OutputTail.make(limit)
    const exited = yield* Deferred.make<ExitStatus>()
    const terminal: Terminal = { id, child, output, exited, status: null, seen: 0 }
    const left = yield* Deferred.make<ExitStatus>()
    const closed = yield* Deferred.make<void>()
    child.stdout?.on("data", output.push)
    child.stderr?.on("data", output.push)
    child.on("error", () => undefined)
    child.once("exit", (exitCode, signal) => Deferred.unsafeDone(left, Effect.succeed({ exitCode, signal })))
    child.once("close", () => Deferred.unsafeDone(closed, Effect.void))
    yield* Effect.gen(function* () {
      const status = yield* Deferred.await(left)
      yield* Effect.timeoutOption(Deferred.await(closed), drain)
      // Whatever left the group may hold the pipes for as long as it likes.
      child.stdout?.destroy()
      child.stderr?.destroy()
      terminal.status = status
      output.end()
      yield* Deferred.succeed(terminal.exited, status)
    }).pipe(Effect.forkDaemon)
    return terminal
  })

const directoryOf = ({ root }: State, cwd: unknown): Effect.Effect<string, RpcError> =>
  Effect.gen(function* () {
    const directory = yield* Effect.mapError(
      Confinement.within(root, typeof cwd === "string" ? cwd : root),
      ({ message }) => invalidParams(message)
    )
    const notThere = () => invalidParams(`${JSON.stringify(directory)} is not a directory`)
    const found = yield* Effect.tryPromise({ try: () => stat(directory), catch: notThere })
    return found.isDirectory() ? directory : yield* notThere()
  })

const create = (state: State, params: unknown): Effect.Effect<{ readonly terminalId: string }, RpcError> =>
  Effect.gen(function* () {
    const { command, args, env, cwd, outputByteLimit } = Read.object(params)
    if (typeof command !== "string" || command === "") return yield* invalidParams("command must be text")
    const given = strings(args ?? [])
    if (given === undefined) return yield* invalidParams("args must be a list of texts")
    if (state.open.size >= TERMINALS_MAX) {
      return yield* invalidParams(`there are ${TERMINALS_MAX} terminals already; release some`)
    }
    const directory = yield* directoryOf(state, cwd)
    const added = Object.fromEntries(
      Read.array(env).flatMap((each) => {
        const { name, value } = Read.object(each)
        return typeof name === "string" && typeof value === "string" ? [[name, value]] : []
      })
    )
    const limit = Math.min(Read.amount(outputByteLimit) ?? OUTPUT_DEFAULT, OUTPUT_MAX)
    const [asked, rest] = invocation(command, given)
    const { within } = state
    const [program, words] = AgentProcess.invocation({ command: asked, args: rest, cwd: directory, within })
    const terminalId = `term_${++state.count}`
    const started = start(program, words, directory, { ...state.environment, PWD: directory, ...added })
    yield* Effect.uninterruptible(
      Effect.gen(function* () {
        state.open.set(terminalId, yield* watch(terminalId, yield* started, limit))
      })
    )
    return { terminalId }
  })

const kill = (state: State, terminal: Terminal): Effect.Effect<void> =>
  Effect.gen(function* () {
    if (terminal.status !== null) return
    killGroup(terminal, "SIGTERM")
    yield* Deferred.await(terminal.exited).pipe(
      Effect.timeoutOption(killGrace),
      Effect.zipRight(Effect.sync(() => killGroup(terminal, "SIGKILL"))),
      Effect.forkIn(state.scope)
    )
  })

const release = ({ open }: State, terminal: Terminal): Effect.Effect<void> =>
  Effect.suspend(() => {
    open.delete(terminal.id)
    killGroup(terminal, "SIGKILL")
    return Effect.asVoid(Deferred.await(terminal.exited))
  })

const news = ({ open }: State): ReturnType<Terminals["news"]> =>
  [...open.values()].flatMap((terminal) => {
    const total = terminal.output.total()
    if (total === terminal.seen) return []
    terminal.seen = total
    return [{ terminalId: terminal.id, output: terminal.output.read().output }]
  })

/** The terminals of one session. */
export const make = (
  root: string,
  environment: State["environment"],
  within: State["within"] = undefined
): Effect.Effect<Terminals, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const state: State = { root, environment, within, scope, open: new Map(), count: 0 }
    yield* Effect.addFinalizer(() =>
      Effect.forEach([...state.open.values()], (terminal) => release(state, terminal), {
        concurrency: "unbounded",
        discard: true
      })
    )
    return {
      create: (params) => create(state, params),
      output: (params) =>
        Effect.map(find(state, params), ({ output, status }) => ({ ...output.read(), exitStatus: status })),
      waitForExit: (params) => Effect.flatMap(find(state, params), ({ exited }) => Deferred.await(exited)),
      kill: (params) =>
        Effect.as(
          Effect.flatMap(find(state, params), (terminal) => kill(state, terminal)),
          {}
        ),
      release: (params) =>
        Effect.as(
          Effect.flatMap(find(state, params), (terminal) => release(state, terminal)),
          {}
        ),
      news: () => news(state)
    }
  })
