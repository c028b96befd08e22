/**
 * Requests and frames over every route and every method, made from their schemas and then damaged. Nothing is answered with
 * 5xx, nothing is left without an answer, and the hub is as it was.
 *
 * `CAUSEWAY_FUZZ=10000 npm run fuzz` sends so many of each; `CAUSEWAY_FUZZ_SEED` repeats a run.
 */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Methods from "@causeway/hub/Gateway/Methods"
import * as Hub from "@causeway/hub/Hub"
import * as Limits from "@causeway/protocol/Limits"
import * as RawJson from "@causeway/protocol/RawJson"
import { describe, expect, layer as suite } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { WebSocket } from "ws"
import * as Gateway from "../../packages/hub/test/Gateway/harness.ts"
import * as Random from "./Random.ts"
import * as Requests from "./Requests.ts"

/** Of each; an even number. */
const COUNT = Number(process.env["CAUSEWAY_FUZZ"] ?? 500)
const SEED = Number(process.env["CAUSEWAY_FUZZ_SEED"] ?? Math.floor(Math.random() * 2 ** 31))
/** Requests, or frames, under way at once. */
const AT_ONCE = 16
/** Few are measured for nothing: their memory is that of the modules. */
const MEASURED = 5000

setFlagsFromString("--expose-gc")
const gc: () => void = runInNewContext("gc")
const heap = () => {
  gc()
  return process.memoryUsage().heapUsed
}

const token = Effect.map(Hub.Hub, ({ firstToken }) => Redacted.value(Option.getOrThrow(firstToken)))

/** Sessions, an environment with work, and every kind of token. */
const known = Effect.gen(function* () {
  const { port } = yield* Hub.Hub
  const access = yield* token
  const post = (path: string, body: object) =>
    Effect.promise(async () => {
      const headers = {
        authorization: `Bearer ${access}`,
        "content-type": "application/json",
        "anthropic-beta": "ccr-byoc-2025-07-29"
      }
      const { text } = await Requests.send(port, {
        method: "POST",
        path,
        headers,
        body: JSON.stringify(body)
      })
      return JSON.parse(text)
    })
  const machine = { machine_name: "m", directory: "/d", branch: null, git_repo_url: null, metadata: {} }
  const environment = yield* post("/v1/environments/bridge", machine)
  const sessions: Array<string> = []
  const tokens = [
    ...Array.from({ length: 8 }, () => access),
    environment.environment_secret,
    "cw_wrong",
    "",
    "a.b.c",
    "x".repeat(5000)
  ]
  for (const environmentId of [null, environment.environment_id, null]) {
    const { id } = yield* post("/v1/sessions", { title: "t", environment_id: environmentId })
    sessions.push(id, id.replace("session_", "cse_"))
    tokens.push((yield* post(`/v1/code/sessions/${id}/bridge`, {})).worker_jwt)
  }
  const ids = {
    id: sessions,
    environmentId: [environment.environment_id],
    workId: ["work_none"],
    tokenId: ["token_none"],
    upload: ["0".repeat(64)]
  }
  return { ids, tokens, access, sessions, environment: String(environment.environment_id) }
})

/** Runs `count` of them, a few at once. */
const several = (count: number, run: (index: number) => Promise<void>): Promise<unknown> => {
  let at = 0
  const one = async () => {
    while (at < count) await run(at++)
  }
  return Promise.all(Array.from({ length: AT_ONCE }, one))
}

/** Sends frames of a socket; each is answered by its id, and those that have none in the order in which they came. */
const asking = (socket: WebSocket) => {
  const waiting = new Map<string, Array<(answer: Gateway.Frame) => void>>()
  socket.removeAllListeners("message")
  socket.on("message", (data: Buffer) => {
    const frame: Gateway.Frame = JSON.parse(data.toString())
    if (frame["type"] !== "res") return
    const [first, ...rest] = waiting.get(frame["id"]) ?? []
    if (rest.length > 0) waiting.set(frame["id"], rest)
    else waiting.delete(frame["id"])
    first?.(frame)
  })
  return (id: string, text: string): Promise<Gateway.Frame> =>
    new Promise((resolve) => {
      waiting.set(id, [...(waiting.get(id) ?? []), resolve])
      socket.send(text)
    })
}

const expectHealthy = async (port: number) => {
  const health = await Requests.send(port, { method: "GET", path: "/health", headers: {}, body: undefined })
  expect(health.status).toBe(200)
}

const expectMemory = (before: number, after: number, what: string) => {
  const mib = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`
  process.stderr.write(`fuzz: ${COUNT} ${what}, seed ${SEED}: heap ${mib(before)} -> ${mib(after)}\n`)
  if (COUNT >= MEASURED) expect(after, "memory").toBeLessThan(before * 1.1)
}

describe(`fuzz, seed ${SEED}`, () => {
  suite(Hub.layer({ filename: ":memory:", freeFailures: Number.MAX_SAFE_INTEGER }), {
    excludeTestServices: true
  })((it) => {
    it.scoped("requests: no 5xx, an answer to each, /health answers", () =>
      Effect.gen(function* () {
        const { port } = yield* Hub.Hub
        const world = yield* known
        const all = Requests.endpoints(SEED)
        const next = Random.random(SEED)
        const statuses: { [status: number]: number } = {}
        const bad: Array<unknown> = []
        const run = (count: number) =>
          several(count, async (index) => {
            const call = Requests.call(next, all, world)
            const answer = await Requests.send(port, call)
            statuses[answer.status] = (statuses[answer.status] ?? 0) + 1
            // Nothing is wrong with the disk here: 503 would not be honest.
            if (answer.status >= 500) {
              bad.push({ status: answer.status, ...call, body: call.body?.slice(0, 500) })
            }
            if (answer.headers["x-causeway-hub"] === undefined) bad.push({ unmarked: call })
            if (index % 50 === 0) await expectHealthy(port)
          })
        yield* Effect.promise(() => run(COUNT / 2))
        const before = heap()
        yield* Effect.promise(() => run(COUNT / 2))
        expect(bad.slice(0, 5)).toEqual([])
        process.stderr.write(`fuzz: statuses ${JSON.stringify(statuses)}\n`)
        expectMemory(before, heap(), "requests")
      })
    )

    it.scoped("frames: an answer to each, and the socket stays or says why", () =>
      Effect.gen(function* () {
        const { port } = yield* Hub.Hub
        const world = yield* known
        const target = yield* Gateway.target
        const next = Random.random(SEED)
        const methods = Methods.schemas.map(({ name, params }) => ({
          name,
          params: Random.samples(params, SEED, 12)
        }))
        const client = yield* Gateway.connected(target)
        const list = yield* Gateway.call(client, "sessions.list", {})
        const keys = list["sessions"].map((each: Gateway.Frame) => each["key"])
        const ask = asking(client.socket)
        const failures: Array<unknown> = []
        let sent = 0
        /** Puts what exists where something is named. */
        const aimed = (params: unknown): unknown => {
          if (typeof params !== "object" || params === null || Array.isArray(params)) return params
          const real: { [name: string]: ReadonlyArray<string> } = {
            key: [...keys, ...world.sessions],
            sessionKey: keys,
            sessionId: world.sessions,
            environmentId: [world.environment]
          }
          return Object.fromEntries(
            Object.entries(params).map(([name, value]) =>
              real[name] !== undefined && real[name].length > 0 && next() < 0.7
                ? [name, Random.pick(next, real[name])]
                : [name, value]
            )
          )
        }
        const run = (count: number) =>
          several(count, async (index) => {
            const method = Random.pick(next, methods)
            const given = aimed(Random.pick(next, method.params))
            const params = next() < 0.6 ? Random.damaged(next, given) : given
            const id = `f${sent++}`
            const kind = next()
            const name = kind < 0.03 ? "no.such.method" : kind < 0.05 ? "connect" : method.name
            const text = `{"type":"req","id":"${id}","method":"${name}","params":${Random.text(params)}}`
            const isBad = kind > 0.9 || RawJson.isDeeperThan(text, Limits.JSON_DEPTH)
            const answer = await ask(isBad ? "invalid" : id, kind > 0.9 ? Random.junk(next) : text)
            const words = String(answer["error"]?.message ?? "")
            if (words.includes("the hub's log says why"))
              failures.push({ name, words, text: text.slice(0, 500) })
            if (index % 50 === 0) await expectHealthy(port)
          })
        yield* Effect.promise(() => run(COUNT / 2))
        const before = heap()
        yield* Effect.promise(() => run(COUNT / 2))
        expect(failures.slice(0, 5)).toEqual([])
        expect(client.closed).toBe(undefined)
        expectMemory(before, heap(), "frames")
      })
    )
  })
})
