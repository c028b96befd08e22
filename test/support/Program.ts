/** The program under test as people run it: the built bundle, a real process, its JSON lines and its exit. */
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"

const bundle = fileURLToPath(new URL("../../apps/bridge/dist/main.js", import.meta.url))

export type Line = { readonly [key: string]: unknown }

/** How the process ended, and all that it printed. */
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** It ended before it printed what was waited for. */
export class EndedEarly extends Data.TaggedError("EndedEarly")<Ended> {
  override get message(): string {
    return `the program ended (${this.code ?? this.signal}) before the line came\n${this.stdout}\n${this.stderr}`
  }
}

export interface Program {
  readonly pid: number
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>
  readonly ended: Effect.Effect<Ended>
  /** The next line of JSON for which `matches` holds; lines before it are passed over. */
  readonly line: (matches: (line: Line) => boolean) => Effect.Effect<Line, EndedEarly>
}

const parse = (text: string): Option.Option<Line> => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null ? Option.some(value as Line) : Option.none()
  } catch {
    return Option.none()
  }
}

/** Starts `node apps/bridge ARGS`. Closing the scope kills it with -9 where it still runs. */
export const start = (
  args: ReadonlyArray<string>,
  options: {
    readonly cwd?: string
    readonly env?: { readonly [name: string]: string }
    readonly stdin?: string
  } = {}
): Effect.Effect<Program, never, Scope.Scope> =>
  Effect.gen(function* () {
    if (!existsSync(bundle)) return yield* Effect.dieMessage("apps/bridge is not built: npm run build")
    const ended = yield* Deferred.make<Ended>()
    const lines = yield* Mailbox.make<Line>()
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [bundle, ...args], {
          cwd: options.cwd,
          env: {
            PATH: process.env["PATH"],
            HOME: process.env["HOME"],
            TMPDIR: process.env["TMPDIR"],
            NO_COLOR: "1",
            ...options.env
          },
          stdio: ["pipe", "pipe", "pipe"]
        })
      ),
      (child) =>
        Effect.zipRight(
          Effect.sync(() => child.exitCode === null && child.signalCode === null && child.kill("SIGKILL")),
          Deferred.await(ended)
        )
    )
    let stdout = ""
    let stderr = ""
    let rest = ""
    child.stdin.end(options.stdin ?? "")
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text
      const parts = (rest + text).split("\n")
      rest = parts.pop() ?? ""
      for (const part of parts) Option.map(parse(part), (line) => lines.unsafeOffer(line))
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text
    })
    child.on("close", (code, signal) => {
      lines.unsafeDone(Exit.void)
      Deferred.unsafeDone(ended, Effect.succeed({ code, signal, stdout, stderr }))
    })
    const next = (matches: (line: Line) => boolean): Effect.Effect<Line, EndedEarly> =>
      lines.take.pipe(
        Effect.catchTag("NoSuchElementException", () =>
          Effect.flatMap(Deferred.await(ended), (end) => new EndedEarly(end))
        ),
        Effect.flatMap((line) => (matches(line) ? Effect.succeed(line) : next(matches)))
      )
    return {
      pid: child.pid ?? -1,
      kill: (signal) => Effect.sync(() => void child.kill(signal)),
      ended: Deferred.await(ended),
      line: next
    }
  })

/** Runs it to its end. */
export const run = (...input: Parameters<typeof start>): Effect.Effect<Ended> =>
  Effect.scoped(Effect.flatMap(start(...input), (program) => program.ended))

/** The JSON lines of an ended program. */
export const jsonLines = ({ stdout }: Pick<Ended, "stdout">): ReadonlyArray<Line> =>
  stdout.split("\n").flatMap((line) => Option.toArray(parse(line)))
