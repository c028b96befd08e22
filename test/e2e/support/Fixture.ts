/**
 * The fixture of a file of tests: the built program (hub, bridge, scripted agent) in processes of its own, a second machine
 * whose worker the tests play, and a browser.
 */
import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import Database from "better-sqlite3"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import type { Browser } from "playwright-core"
import * as Directory from "../../support/Directory.ts"
import * as Program from "../../support/Program.ts"
import * as Api from "./Api.ts"
import * as Browsers from "./Browser.ts"

const text = (value: unknown): string => {
  if (typeof value !== "string") throw new Error(`a string, not ${JSON.stringify(value)}`)
  return value
}

export interface Hub {
  readonly url: string
  readonly port: string
  /** An access token, good for every new device. */
  readonly token: string
  /** Where the agent of the bridge works. */
  readonly directory: string
  readonly stateDir: string
  /** The environment of the bridge. */
  readonly environmentId: string
  /** The session that the bridge began by itself. */
  readonly sessionId: string
  readonly api: Api.Api
  /** Runs a command of the program on the hub's state. A failure fails the test. */
  readonly causeway: (...args: ReadonlyArray<string>) => Promise<ReadonlyArray<Program.Line>>
  /** Changes the hub's database behind its back: for what only the passing of time would do. */
  readonly change: (sql: string, ...values: ReadonlyArray<string | number>) => void
  /** Ends the hub alone at once (`kill -9`); bridge and agents live on. */
  readonly kill: () => Promise<void>
  /** Starts the hub again on the same data and port. */
  readonly restart: () => Promise<void>
}

export class Fixture extends Context.Tag("@causeway/test/Fixture")<
  Fixture,
  Hub & { readonly browser: Browser }
>() {}

const directory = Directory.temporary("page")

/** Retention that does nothing by itself; asked to, it removes what is archived. */
const retention = {
  session: {
    maintenance: { mode: "warn", pruneAfter: "3650d", maxEntries: 1_000_000, resetArchiveRetention: "0ms" }
  }
}

/** A hub and a bridge, each a process: one can be killed without the other. */
export const hub: Effect.Effect<Hub, Program.EndedEarly, Scope.Scope> = Effect.gen(function* () {
  const scope = yield* Effect.scope
  const runtime = yield* Effect.runtime<never>()
  const run = Runtime.runPromise(runtime)
  const root = yield* directory
  const stateDir = join(root, "state")
  const work = yield* directory
  const env = { CAUSEWAY_STATE_DIR: stateDir }
  yield* Effect.promise(async () => {
    await mkdir(stateDir)
    await writeFile(join(stateDir, "gateway.json"), JSON.stringify(retention))
  })
  const serve = (port: string) =>
    Effect.gen(function* () {
      const program = yield* Program.start(["hub", "--json", "--port", port], { cwd: root, env })
      return { program, ready: yield* program.line((line) => line["event"] === "ready") }
    }).pipe(Scope.extend(scope))
  let serving = yield* serve("0")
  const url = text(serving.ready["url"])
  const { port } = new URL(url)
  const token = text(serving.ready["token"])
  const bridge = yield* Program.start(["connect", "--json", "--agent", "scripted", "--dir", work], {
    cwd: work,
    env
  })
  const attached = yield* bridge.line((line) => line["event"] === "ready")
  const api = yield* Effect.promise(() => Api.make({ url, token, directory: "/home/ada/engine" }))
  return {
    url,
    port,
    token,
    directory: work,
    stateDir,
    environmentId: text(attached["environment_id"]),
    sessionId: text(attached["session_id"]),
    api,
    causeway: (...args) =>
      run(
        Effect.map(Program.run([...args, "--json"], { cwd: root, env }), (ended) => {
          if (ended.code !== 0) throw new Error(`causeway ${args.join(" ")}: ${ended.stderr}${ended.stdout}`)
          return Program.jsonLines(ended)
        })
      ),
    change: (sql, ...values) => {
      const database = new Database(join(stateDir, "hub.db"), { timeout: 10_000 })
      try {
        const { changes } = database.prepare(sql).run(...values)
        if (changes === 0) throw new Error(`nothing was changed by: ${sql}`)
      } finally {
        database.close()
      }
    },
    kill: () => run(Effect.zipRight(serving.program.kill("SIGKILL"), Effect.asVoid(serving.program.ended))),
    restart: async () => {
      serving = await run(serve(port))
    }
  }
})

export const layer: Layer.Layer<Fixture, Program.EndedEarly> = Layer.scoped(
  Fixture,
  Effect.gen(function* () {
    return { ...(yield* hub), browser: yield* Browsers.launch }
  })
)
