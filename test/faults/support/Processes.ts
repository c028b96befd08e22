/** The parts of a world as processes that can be killed. */
import { type ChildProcess, spawn } from "node:child_process"
import { readdirSync, readFileSync, rmSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { rolldown } from "rolldown"
import * as Scripted from "../../../packages/runner/test/support/Scripted.ts"

export interface BridgeOptions {
  readonly url: string
  readonly token: string
  readonly dir: string
  readonly stateDirectory: string
  readonly scriptedAgentPath: string
  readonly perpetual: boolean
  readonly maxSessions: number
}

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

export interface Programs {
  readonly hub: string
  readonly bridge: string
  readonly agent: string
}

/** Below `node_modules`, where their native module is found. */
const make = async (): Promise<Programs> => {
  const directory = here(`../../../node_modules/.cache/causeway-faults/${process.pid}`)
  const write = async (input: string, name: string) => {
    const file = `${directory}/${name}.mjs`
    const build = await rolldown({
      input: here(input),
      platform: "node",
      resolve: { conditionNames: ["source"] },
      external: ["better-sqlite3", "rolldown", /^@parcel\/watcher/],
      onLog: () => {}
    })
    await build.write({ file, format: "esm", codeSplitting: false })
    await build.close()
    return file
  }
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }))
  return {
    hub: await write("./hub-process.ts", "hub"),
    bridge: await write("./bridge-process.ts", "bridge"),
    agent: await Scripted.bundle()
  }
}

let made: Promise<Programs> | undefined

/** The programs of this directory, bundled at the first call of this process. */
export const bundle = (): Promise<Programs> => {
  made ??= make()
  return made
}

export type Line = { readonly _tag?: string; readonly [key: string]: unknown }

export interface Running {
  readonly pid: number
  /** SIGKILL; returns when the process is gone. */
  readonly kill: Effect.Effect<void>
  /** SIGTERM; returns when the process is gone, with its exit code. */
  readonly stop: Effect.Effect<number | null>
  /** The first line printed so far, or to come, for which `matches` holds. */
  readonly line: (matches: (line: Line) => boolean) => Effect.Effect<Line>
  readonly lines: ReadonlyArray<Line>
  readonly stderr: () => string
}

const launch = (args: ReadonlyArray<string>): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.gen(function* () {
    const gone = yield* Deferred.make<number | null>()
    const lines: Array<Line> = []
    const waiting = new Set<{
      readonly matches: (line: Line) => boolean
      readonly found: (line: Line) => void
    }>()
    let stderr = ""
    let ended = false
    const child: ChildProcess = yield* Effect.acquireRelease(
      Effect.sync(() => spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] })),
      (child) =>
        Effect.zipRight(
          Effect.sync(() => {
            if (!ended) child.kill("SIGKILL")
          }),
          Deferred.await(gone)
        )
    )
    let rest = ""
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      const parts = (rest + text).split("\n")
      rest = parts.pop() ?? ""
      for (const part of parts) {
        if (!part.startsWith("{")) {
          stderr += `${part}\n`
          continue
        }
        const line: Line = JSON.parse(part)
        lines.push(line)
        for (const each of waiting) {
          if (each.matches(line)) {
            waiting.delete(each)
            each.found(line)
          }
        }
      }
    })
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      stderr += text
    })
    child.on("exit", (code) => {
      ended = true
      Deferred.unsafeDone(gone, Effect.succeed(code))
    })
    const signal = (name: NodeJS.Signals) =>
      Effect.zipRight(
        Effect.sync(() => void child.kill(name)),
        Deferred.await(gone)
      )
    return {
      pid: child.pid ?? -1,
      kill: Effect.asVoid(signal("SIGKILL")),
      stop: signal("SIGTERM"),
      line: (matches) =>
        Effect.async((resume) => {
          const known = lines.find(matches)
          if (known !== undefined) return resume(Effect.succeed(known))
          const entry = { matches, found: (line: Line) => resume(Effect.succeed(line)) }
          waiting.add(entry)
          return Effect.sync(() => void waiting.delete(entry))
        }),
      lines,
      stderr: () => stderr
    }
  })

export const hub = (programs: Programs, options: { readonly file: string; readonly port: number }) =>
  launch([programs.hub, options.file, String(options.port)])

export const bridge = (programs: Programs, options: Omit<BridgeOptions, "scriptedAgentPath">) =>
  launch([programs.bridge, JSON.stringify({ ...options, scriptedAgentPath: programs.agent })])

/** The processes that run a program, told by their command lines. */
export const running = (program: string): ReadonlyArray<number> =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const args = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")
        return args[1] === program ? [Number(pid)] : []
      } catch {
        return []
      }
    })
