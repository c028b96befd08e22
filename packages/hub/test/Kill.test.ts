import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { request as httpRequest } from "node:http"
import { tmpdir } from "node:os"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { rolldown } from "rolldown"

class Failed extends Data.TaggedError("Failed")<{ readonly why: string }> {}

const root = fileURLToPath(new URL("../../..", import.meta.url))

/** The hub's program, bundled once, below node_modules so that it finds its native module. */
const program = Effect.acquireRelease(
  Effect.promise(async () => {
    const directory = mkdtempSync(`${root}node_modules/.kill-test-`)
    const build = await rolldown({
      input: fileURLToPath(new URL("./support/hub-process.ts", import.meta.url)),
      platform: "node",
      external: ["better-sqlite3", "pg-native", "@parcel/watcher"],
      resolve: { conditionNames: ["source"] },
      checks: { circularDependency: false }
    })
    await build.write({ file: `${directory}/main.js`, format: "esm", codeSplitting: false })
    await build.close()
    writeFileSync(`${directory}/package.json`, '{"type":"module"}')
    return `${directory}/main.js`
  }),
  (file) => Effect.sync(() => rmSync(file.replace(/\/main\.js$/, ""), { recursive: true, force: true }))
)

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(`${tmpdir()}/causeway-kill-`)),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

interface Running {
  readonly child: ChildProcess
  readonly port: number
  readonly token: string | null
}

const start = (file: string, database: string) =>
  Effect.acquireRelease(
    Effect.async<Running, Failed>((resume) => {
      const child = spawn(process.execPath, [file, database], { stdio: ["pipe", "pipe", "inherit"] })
      let text = ""
      child.stdout.on("data", (chunk: Buffer) => {
        text += chunk.toString("utf8")
        if (text.includes("\n")) resume(Effect.succeed({ child, ...JSON.parse(text) }))
      })
      child.on("exit", (code) => resume(new Failed({ why: `the hub ended with ${code}` })))
    }),
    ({ child }) => kill(child)
  )

const kill = (child: ChildProcess) =>
  Effect.async<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.on("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })

/** Status and body, or a failure where the connection broke. */
const call = (
  port: number,
  method: string,
  path: string,
  token: string,
  body?: unknown,
  headers: { readonly [name: string]: string } = {}
) =>
  Effect.async<{ readonly status: number; readonly json: { readonly [key: string]: unknown } }, Failed>(
    (resume) => {
      const request = httpRequest(
        {
          host: "127.0.0.1",
          port,
          method,
          path,
          agent: false,
          headers: { authorization: `Bearer ${token}`, "anthropic-beta": "ccr-byoc-2025-07-29", ...headers }
        },
        (response) => {
          let text = ""
          response.on("data", (chunk: Buffer) => {
            text += chunk.toString("utf8")
          })
          response.on("error", (error) => resume(new Failed({ why: error.message })))
          response.on("end", () =>
            resume(
              response.complete
                ? Effect.succeed({ status: response.statusCode ?? 0, json: JSON.parse(text) })
                : new Failed({ why: "the answer was cut off" })
            )
          )
        }
      )
      request.on("error", (error) => resume(new Failed({ why: error.message })))
      request.end(body === undefined ? undefined : JSON.stringify(body))
    }
  )

describe("a hub that is killed", () => {
  it.scopedLive(
    "has every append that it answered, once, in order, and nothing of half a list",
    () =>
      Effect.gen(function* () {
        const file = yield* program
        const database = `${yield* directory}/hub.db`
        const first = yield* start(file, database)
        const access = first.token ?? ""
        const sessions: Array<{
          id: string
          jwt: string
          head: string | undefined
          answered: Array<string>
        }> = []
        for (let i = 0; i < 4; i++) {
          const created = yield* call(first.port, "POST", "/v1/sessions", access, {})
          const id = String(created.json["id"])
          const credentials = yield* call(first.port, "POST", `/v1/code/sessions/${id}/bridge`, access, {})
          sessions.push({ id, jwt: String(credentials.json["worker_jwt"]), head: undefined, answered: [] })
        }
        let running = first
        let count = 0
        // Killed at moments spread over the life of an append: before it, in the transaction, before the answer.
        for (let round = 0; round < 6; round++) {
          const { port, child } = running
          const writer = (session: (typeof sessions)[number]) =>
            Effect.gen(function* () {
              for (;;) {
                const uuids = [`e${count++}`, `e${count++}`, `e${count++}`]
                const entry = uuids.map((uuid) => ({
                  type: "assistant",
                  uuid,
                  message: { content: "x".repeat(500) }
                }))
                const answer = yield* call(
                  port,
                  "PUT",
                  `/v1/session_ingress/session/${session.id}`,
                  session.jwt,
                  entry,
                  session.head === undefined ? {} : { "last-uuid": session.head }
                )
                expect(answer.status).toBe(200)
                session.head = uuids.at(-1)
                session.answered.push(...uuids)
              }
            }).pipe(Effect.catchTag("Failed", () => Effect.void))
          const killing = Effect.delay(kill(child), `${40 + round * 17} millis`)
          yield* Effect.all([...sessions.map(writer), killing], { concurrency: "unbounded", discard: true })

          running = yield* start(file, database)
          for (const session of sessions) {
            const { json } = yield* call(
              running.port,
              "GET",
              `/v1/session_ingress/session/${session.id}`,
              session.jwt
            )
            const lines = json["loglines"] as ReadonlyArray<{ readonly uuid: string }>
            const stored = lines.map(({ uuid }) => uuid)
            expect(stored.slice(0, session.answered.length)).toEqual(session.answered)
            // At most the one list whose answer was lost, and that one whole.
            expect([0, 3]).toContain(stored.length - session.answered.length)
            session.answered = stored
            session.head = stored.at(-1)
          }
        }
        expect(sessions.every(({ answered }) => answered.length > 0)).toBe(true)
      }),
    180_000
  )
})
