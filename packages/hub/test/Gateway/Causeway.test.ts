import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { anySessionBody } from "@causeway/protocol/Ids"
import { Environments } from "@causeway/store/Environments"
import { Log } from "@causeway/store/Log"
import { Sessions } from "@causeway/store/Session"
import { WorkQueue } from "@causeway/store/Work"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { describe, expect, layer as suite, it as test } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as TestContext from "effect/TestContext"
import * as Config from "../../src/Gateway/Config.ts"
import { Connection, type Wire } from "../../src/Gateway/Connections.ts"
import * as Hub from "../../src/Hub.ts"
import {
  type Client,
  call,
  connected,
  Device,
  type Frame,
  init,
  layer,
  open,
  refusal,
  result,
  said,
  target,
  worker
} from "./harness.ts"

const session = (client: Client, key: string) =>
  Effect.gen(function* () {
    const made = yield* call(client, "sessions.create", { key })
    return {
      key: made["key"] as string,
      id: made["sessionId"] as string,
      work: yield* worker(made["sessionId"])
    }
  })

const ask = (id: string, input: Frame = { command: "ls" }): Frame => ({
  type: "control_request",
  request_id: `req-${id}`,
  request: { subtype: "can_use_tool", tool_name: "Bash", tool_use_id: `use-${id}`, input }
})

describe("Causeway's own methods", () => {
  suite(layer(), { excludeTestServices: true })((it) => {
    it.scoped("replay: what was missed after a reconnect, with a verdict", () =>
      Effect.gen(function* () {
        const at = yield* target
        const client = yield* connected(at)
        const { id, key, work } = yield* session(client, "replayed")
        yield* call(client, "sessions.send", { key, message: "one" })
        yield* work(init, said("two"), result("two"))
        const page = yield* call(client, "causeway.events.replay", {
          key,
          afterSeq: 1,
          limit: 2,
          sessionId: id
        })
        expect(page).toMatchObject({ key, sessionId: id, verdict: "synced", lastSeq: 4, complete: false })
        expect(page["events"].map((event: Frame) => event["seq"])).toEqual([2, 3])
        const rest = yield* call(client, "causeway.events.replay", { key, afterSeq: 3 })
        expect(rest).toMatchObject({ verdict: "synced", complete: true })
        expect(yield* call(client, "causeway.events.replay", { key, afterSeq: 4 })).toMatchObject({
          verdict: "synced",
          complete: true,
          events: []
        })
        expect(yield* call(client, "causeway.events.replay", { key, afterSeq: 99 })).toMatchObject({
          verdict: "gap",
          reason: "ahead-of-log"
        })
        yield* call(client, "sessions.reset", { key })
        expect(
          yield* call(client, "causeway.events.replay", { key, afterSeq: 4, sessionId: id })
        ).toMatchObject({ verdict: "gap", reason: "session-replaced" })
        expect(yield* refusal(client, "causeway.events.replay", { key: "nope", afterSeq: 0 })).toMatchObject({
          message: "session not found: nope"
        })
      })
    )

    it.scoped("delivery: accepted, then as far as the worker says, with an event for each step", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        yield* call(client, "sessions.subscribe")
        const { id, key } = yield* session(client, "delivered")
        yield* call(client, "sessions.send", { key, message: "x", idempotencyKey: "delivered-run" })
        const { deliveries } = yield* call(client, "causeway.deliveries.list", {
          key,
          runIds: ["delivered-run"]
        })
        expect(deliveries).toMatchObject([{ seq: 1, status: "accepted", deliveredAt: null }])
        yield* Effect.promise(() => client.event("session.message", (p) => p["sessionKey"] === key))
        const log = yield* Log
        const { organizationId } = yield* Hub.Hub
        for (const status of ["received", "processing"] as const) {
          yield* log.deliver({
            session: anySessionBody(id),
            organizationId,
            workerEpoch: 1,
            updates: [{ uuid: deliveries[0].messageId, status }]
          })
          const event = yield* Effect.promise(() =>
            client.event("session.delivery", (p) => p["status"] === status)
          )
          expect(event).toMatchObject({
            sessionKey: key,
            runId: "delivered-run",
            messageId: deliveries[0].messageId
          })
        }
        const after = yield* call(client, "causeway.deliveries.list", { key })
        expect(after["deliveries"]).toMatchObject([{ status: "processing" }])
      })
    )

    it.scoped("approvals: all that are open, the first answer wins, a different one is refused", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        yield* call(client, "sessions.subscribe")
        const { key, work } = yield* session(client, "asking")
        yield* call(client, "sessions.send", { key, message: "x" })
        const long = { command: "x".repeat(20_000) }
        yield* work(init, ask("1"), ask("2", long))
        yield* Effect.promise(() => client.event("session.approval", (p) => p["phase"] === "requested", 2))
        const { approvals } = yield* call(client, "causeway.approvals.list")
        expect(approvals.map((each: Frame) => [each["sessionKey"], each["toolUseId"]])).toEqual([
          [key, "use-1"],
          [key, "use-2"]
        ])
        const { sessions } = yield* call(client, "sessions.list", { search: "asking" })
        expect(sessions[0]).toMatchObject({ pendingApprovals: 2, status: "running" })
        const first = { key, toolUseId: "use-2", decision: "allow" }
        expect(yield* call(client, "causeway.approvals.answer", first)).toMatchObject({
          ok: true,
          duplicate: false,
          requestId: "req-2"
        })
        yield* Effect.promise(() => client.event("session.approval", (p) => p["phase"] === "resolved"))
        const log = yield* Log
        const { organizationId } = yield* Hub.Hub
        const { sessionId } = (yield* call(client, "sessions.describe", { key }))["session"]
        const events = yield* log.read({
          session: anySessionBody(sessionId),
          organizationId,
          after: 0,
          limit: 100
        })
        const answer = JSON.parse(
          events.findLast((event) => event.type === "control_response")?.payload ?? "{}"
        )
        // The whole input travels back, however much of it a list shows.
        expect(answer.response.response).toEqual({
          behavior: "allow",
          updatedInput: long,
          toolUseID: "use-2"
        })
        expect(
          yield* refusal(client, "causeway.approvals.answer", { ...first, decision: "deny" })
        ).toMatchObject({ code: "INVALID_REQUEST" })
        // Without an id: the oldest that is open.
        expect(
          yield* call(client, "causeway.approvals.answer", { key, decision: "deny", message: "no" })
        ).toMatchObject({ toolUseId: "use-1" })
        expect(yield* refusal(client, "causeway.approvals.answer", { key, decision: "deny" })).toMatchObject({
          code: "APPROVAL_NOT_FOUND"
        })
        expect(
          yield* refusal(client, "causeway.approvals.answer", { key, toolUseId: "other", decision: "deny" })
        ).toMatchObject({ code: "APPROVAL_NOT_FOUND" })
      })
    )

    it.scoped("search: every word, with the place; query language is only text", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const a = yield* session(client, "found a")
        const b = yield* session(client, "found b")
        yield* call(client, "sessions.send", { key: a.key, message: "the quick brown fox" })
        yield* call(client, "sessions.send", { key: b.key, message: "a quick answer" })
        yield* b.work(init, said("Brown bread, quickly"), result("x"))
        const keys = (found: Frame) => found["hits"].map((hit: Frame) => hit["key"]).sort()
        expect(keys(yield* call(client, "causeway.search", { query: "quick" }))).toEqual([a.key, b.key])
        expect(keys(yield* call(client, "causeway.search", { query: "QUICK brown" }))).toEqual([a.key])
        expect(keys(yield* call(client, "causeway.search", { query: "quick", key: b.key }))).toEqual([b.key])
        expect(keys(yield* call(client, "causeway.search", { query: 'quick" OR "x NEAR( *' }))).toEqual([])
        const [hit] = (yield* call(client, "causeway.search", { query: "fox" }))["hits"]
        expect(hit).toMatchObject({ key: a.key, sessionId: a.id, seq: 1, source: "client", type: "user" })
        expect(hit.excerpt).toContain("\ue000fox\ue001")
        yield* call(client, "sessions.delete", { key: a.key })
        expect(keys(yield* call(client, "causeway.search", { query: "quick" }))).toEqual([b.key])
      })
    )

    it.scoped("export: the JSONL form in pages, a header first, parents linked", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { id, key, work } = yield* session(client, "exported")
        yield* call(client, "sessions.send", { key, message: "one" })
        yield* work(init, said("two"), result("two"))
        yield* call(client, "sessions.send", { key, message: "three" })
        const first = yield* call(client, "causeway.export", { key, limit: 2 })
        const second = yield* call(client, "causeway.export", {
          key,
          limit: 2,
          afterSeq: first["nextAfterSeq"]
        })
        const lines = [...first["lines"], ...second["lines"]].map((line: string) => JSON.parse(line))
        expect(second["nextAfterSeq"]).toBeNull()
        expect(lines[0]).toMatchObject({ type: "session", version: 3, id, cwd: "/w" })
        expect(lines.slice(1).map((line) => line.message.content[0]?.text ?? line.message.content)).toEqual([
          "one",
          "two",
          "three"
        ])
        expect(lines.slice(1).map((line) => line.parentId)).toEqual([null, lines[1].id, lines[2].id])
      })
    )

    it.scoped("sessions of other APIs have keys, and subscribers hear when they come and go", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        yield* call(client, "sessions.subscribe")
        const store = yield* Sessions
        const { organizationId } = yield* Hub.Hub
        const made = yield* store.create({
          organizationId,
          environmentId: undefined,
          source: "remote-control",
          context: "{}",
          permissionMode: undefined,
          tags: undefined,
          payloads: []
        })
        const key = `agent:main:session:${made.session.slice(0, 12)}`
        const created = yield* Effect.promise(() =>
          client.event("sessions.changed", (p) => p["reason"] === "create")
        )
        expect(created["sessionKey"]).toBe(key)
        const id = { session: made.session, organizationId }
        yield* store.rename(id, "A title from elsewhere")
        const renamed = yield* Effect.promise(() =>
          client.event("sessions.changed", (p) => p["phase"] === "update")
        )
        expect(renamed).toMatchObject({ sessionKey: key, displayName: "A title from elsewhere" })
        yield* store.archive(id)
        const archived = yield* Effect.promise(() =>
          client.event("sessions.changed", (p) => p["reason"] === "archive")
        )
        expect(archived["sessionKey"]).toBe(key)
        expect((yield* call(client, "sessions.describe", { key }))["session"]).toBeNull()
        // What the gateway does itself is told once.
        const own = yield* session(client, "told once")
        yield* call(client, "sessions.delete", { key: own.key })
        yield* Effect.promise(() => client.event("sessions.changed", (p) => p["reason"] === "delete"))
        yield* call(client, "sessions.send", { key: (yield* session(client, "a fence")).key, message: "x" })
        yield* Effect.promise(() =>
          client.event("session.message", (p) => p["sessionKey"] === "agent:main:a fence")
        )
        const reasons = client
          .events("sessions.changed")
          .filter((frame) => frame["payload"].sessionKey === own.key)
        expect(reasons.map((frame) => frame["payload"].reason)).toEqual(["create", "delete"])
      })
    )

    it.scoped("environments: online or not, how much of them is used", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const environments = yield* Environments
        const { organizationId } = yield* Hub.Hub
        yield* environments.register({
          organizationId,
          machineName: "box",
          directory: "/srv/app",
          branch: "main",
          gitRepoUrl: undefined,
          maxSessions: 3,
          metadata: JSON.stringify({ worker_type: "x", agents: "claude,acp:gemini", worktrees: "true" }),
          reuseEnvironmentId: undefined
        })
        const { environments: shown } = yield* call(client, "causeway.environments.list")
        expect(shown).toMatchObject([
          {
            machineName: "box",
            directory: "/srv/app",
            capacity: { max: 3, used: 0 },
            queued: 0,
            offers: { agents: ["claude", "acp:gemini"], worktrees: true, sessions: true },
            archived: false
          }
        ])
      })
    )

    it.scoped(
      "devices: a request is listed and approved, with events; nobody grants what they do not hold",
      () =>
        Effect.gen(function* () {
          const at = yield* target
          const admin = yield* connected(at)
          const device = new Device()
          const remote = yield* open(at, { "x-forwarded-for": "10.0.0.9" })
          const refused = yield* Effect.promise(() => remote.connect({ scopes: ["operator.admin"] }, device))
          const { requestId } = refused["error"].details
          const asked = yield* Effect.promise(() => admin.event("device.pair.requested"))
          expect(asked).toMatchObject({ requestId, deviceId: device.id, reason: "not-paired" })
          const { pending } = yield* call(admin, "device.pair.list")
          expect(pending).toMatchObject([{ requestId, scopes: ["operator.admin"] }])
          const pairing = yield* connected(at, { scopes: ["operator.pairing"] })
          expect(yield* refusal(pairing, "device.pair.approve", { requestId })).toMatchObject({
            message: "missing scope: operator.admin"
          })
          expect(yield* refusal(admin, "device.pair.approve", { requestId: "nope" })).toMatchObject({
            message: "unknown requestId"
          })
          yield* call(admin, "device.pair.approve", { requestId })
          yield* Effect.promise(() =>
            admin.event("device.pair.resolved", (p) => p["decision"] === "approved")
          )
          const again = yield* open(at, { "x-forwarded-for": "10.0.0.9" })
          const hello = yield* Effect.promise(() => again.connect({ scopes: ["operator.admin"] }, device))
          expect(hello["ok"]).toBe(true)
          // A device that is forgotten is put out at once, and its token ends.
          yield* call(admin, "device.pair.remove", { deviceId: device.id })
          expect(yield* Effect.promise(() => again.untilClosed())).toMatchObject({ code: 1008 })
          const late = yield* open(at, { "x-forwarded-for": "10.0.0.9" })
          const out = yield* Effect.promise(() =>
            late.connect({ auth: { deviceToken: hello["payload"].auth.deviceToken } }, device)
          )
          expect(out["error"].details.code).toBe("AUTH_DEVICE_TOKEN_MISMATCH")
        })
    )

    it.scoped("the names that our own methods had before are answered still", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { key } = yield* session(client, "former names")
        for (const [former, name, params] of [
          ["sessions.page", "causeway.sessions.page", {}],
          ["sessions.events.replay", "causeway.events.replay", { key, afterSeq: 0 }],
          ["environments.list", "causeway.environments.list", {}],
          ["push.key", "causeway.push.key", {}]
        ] as const) {
          expect(yield* call(client, former, params)).toEqual(yield* call(client, name, params))
        }
      })
    )

    it.scoped("hello-ok lists exactly the methods that exist", () =>
      Effect.gen(function* () {
        const client = yield* open(yield* target)
        const hello = yield* Effect.promise(() => client.connect({}, new Device()))
        const { events, methods } = hello["payload"].features
        expect(new Set(methods).size).toBe(methods.length)
        for (const method of methods) {
          const response = yield* Effect.promise(() => client.request(method, { "no such member": 1 }))
          expect(response["error"]?.message ?? "").not.toContain("unknown method")
        }
        expect(methods).toEqual(
          expect.arrayContaining(["sessions.list", "sessions.steer", "chat.inject", "causeway.search"])
        )
        expect(events).toEqual(
          expect.arrayContaining([
            "sessions.changed",
            "session.message",
            "chat",
            "agent",
            "tick",
            "health",
            "shutdown"
          ])
        )
      })
    )
  })
})

describe("where a session runs", () => {
  const register = Effect.gen(function* () {
    const environments = yield* Environments
    const { organizationId } = yield* Hub.Hub
    const { environment } = yield* environments.register({
      organizationId,
      machineName: "box",
      directory: "/srv/app",
      branch: undefined,
      gitRepoUrl: undefined,
      maxSessions: 1,
      metadata: undefined,
      reuseEnvironmentId: undefined
    })
    // A poll brings it online.
    const queue = yield* WorkQueue
    yield* queue.poll({ environmentId: environment.id, reclaimOlderThanMillis: 5000, workerId: undefined })
    return environment.id
  })

  suite(layer(), { excludeTestServices: true })((it) => {
    it.scoped(
      "without an environment it waits and says for what; with the only one online it gets work",
      () =>
        Effect.gen(function* () {
          const client = yield* connected(yield* target)
          const { key } = yield* session(client, "waiting")
          yield* call(client, "sessions.send", { key, message: "x" })
          const { session: waits } = yield* call(client, "sessions.describe", { key })
          expect(waits["waitingFor"]).toContain("no environment")
          const environmentId = yield* register
          const other = yield* session(client, "served")
          yield* call(client, "sessions.send", { key: other.key, message: "y" })
          const queue = yield* WorkQueue
          const page = yield* queue.list({ environmentId, limit: 10 })
          expect(page.items.map((item) => item.session)).toContain(other.id.replaceAll("-", ""))
        })
    )
  })
})

describe("a slow client", () => {
  class FakeWire implements Wire {
    bufferedAmount = 0
    readonly sent: Array<string> = []
    readonly done: Array<() => void> = []
    closed: readonly [number, string] | undefined
    send(text: string, done: () => void) {
      this.sent.push(text)
      this.done.push(done)
    }
    close(code: number, reason: string) {
      this.closed = [code, reason]
    }
  }
  const info = {} as ConstructorParameters<typeof Connection>[0]
  const at = (logSeq: number) => ({ sessionKey: "k", sessionId: "s", logSeq })

  test("loses only what may be dropped, and is told from where to replay once it has drained", () => {
    const wire = new FakeWire()
    const connection = new Connection(info, wire, 100)
    expect(connection.offer("a", at(5))).toBe(true)
    wire.bufferedAmount = 101
    expect(connection.offer("b", at(6))).toBe(false)
    expect(connection.offer("c", at(7))).toBe(false)
    wire.done[0]?.()
    expect(wire.sent).toEqual(["a"])
    wire.bufferedAmount = 0
    wire.done[0]?.()
    expect(JSON.parse(wire.sent[1] ?? "{}")).toEqual({
      type: "event",
      event: "sessions.gap",
      payload: { sessions: [{ sessionKey: "k", sessionId: "s", afterSeq: 5 }] }
    })
    wire.done[1]?.()
    expect(wire.sent).toHaveLength(2)
  })

  test("a dropped broadcast takes its number with it; what must arrive closes the socket", () => {
    const wire = new FakeWire()
    const connection = new Connection(info, wire, 100)
    expect(connection.nextSeq()).toBe(1)
    wire.bufferedAmount = 101
    connection.offer("dropped")
    expect(connection.nextSeq()).toBe(2)
    expect(connection.send("answer")).toBe(false)
    expect(wire.closed).toEqual([1008, "slow consumer"])
    expect(connection.send("later")).toBe(false)
  })

  suite(layer({ maxBufferedBytes: 256 * 1024 }), { excludeTestServices: true })((it) => {
    it.scoped(
      "the fast one sees everything in order, the slow one is told what it missed and replays it",
      () =>
        Effect.gen(function* () {
          const at = yield* target
          const fast = yield* connected(at)
          const slow = yield* connected(at, { scopes: ["operator.read"] })
          const { key, work } = yield* session(fast, "flood")
          yield* call(fast, "sessions.messages.subscribe", { key })
          yield* call(slow, "sessions.messages.subscribe", { key })
          slow.socket.pause()
          const rounds = 150
          for (let i = 0; i < rounds; i++) yield* work(said(`${i} ${"x".repeat(100_000)}`))
          yield* Effect.promise(() => fast.event("session.message", (p) => p["messageSeq"] === rounds))
          const numbers = fast.events("session.message").map((frame) => frame["payload"].messageSeq)
          expect(numbers).toEqual(Array.from({ length: rounds }, (_, i) => i + 1))
          slow.socket.resume()
          const gap = yield* Effect.promise(() => slow.event("sessions.gap"))
          const [missed] = gap["sessions"]
          expect(missed["sessionKey"]).toBe(key)
          const got = slow.events("session.message").map((frame) => frame["payload"].logSeq)
          expect(got.length).toBeLessThan(rounds)
          const seen = new Set(got)
          for (let after = missed["afterSeq"]; ; ) {
            const page = yield* call(slow, "causeway.events.replay", { key, afterSeq: after, limit: 1 })
            expect(page["verdict"]).toBe("synced")
            for (const event of page["events"]) {
              seen.add(event["seq"])
              after = event["seq"]
            }
            if (page["complete"]) break
          }
          expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: rounds }, (_, i) => i + 1))
        })
    )
  })
})

describe("across a restart", () => {
  test("a key that was used is known, a run that goes on can be stopped, and devices stay approved", async () => {
    const directory = mkdtempSync(join(tmpdir(), "causeway-gateway-"))
    const filename = join(directory, "hub.db")
    const device = new Device()
    try {
      const first = await Effect.runPromise(
        Effect.scoped(
          Effect.gen(function* () {
            const at = yield* target
            const client = yield* connected(at, {}, device)
            const { key, work } = yield* session(client, "survivor")
            yield* call(client, "sessions.send", { key, message: "x", idempotencyKey: "survivor-run" })
            yield* work(init)
            return at.token
          })
        ).pipe(Effect.provide(layer({ filename })))
      )
      await Effect.runPromise(
        Effect.scoped(
          Effect.gen(function* () {
            const hub = yield* Hub.Hub
            const at = { url: hub.url.replace(/^http/, "ws"), token: first }
            const client = yield* connected(at, {}, device)
            const again = yield* call(client, "sessions.send", {
              key: "survivor",
              message: "x",
              idempotencyKey: "survivor-run"
            })
            expect(again).toEqual({ runId: "survivor-run", status: "in_flight" })
            expect((yield* call(client, "sessions.get", { key: "survivor" }))["messages"]).toHaveLength(1)
            const { sessions } = yield* call(client, "sessions.list", { search: "survivor" })
            expect(sessions[0]).toMatchObject({ status: "running", hasActiveRun: true })
            expect(yield* call(client, "sessions.abort", { key: "survivor" })).toMatchObject({
              status: "aborted"
            })
          })
        ).pipe(Effect.provide(layer({ filename })))
      )
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })
})

describe("keys from before", () => {
  test("a main session is found under its new name after the main key was changed", async () => {
    const directory = mkdtempSync(join(tmpdir(), "causeway-gateway-"))
    const filename = join(directory, "hub.db")
    const device = new Device()
    try {
      const before = await Effect.runPromise(
        Effect.scoped(
          Effect.gen(function* () {
            const at = yield* target
            const client = yield* connected(at, {}, device)
            return { token: at.token, ...(yield* call(client, "sessions.create", { key: "main" })) } as Frame
          })
        ).pipe(Effect.provide(layer({ filename })))
      )
      expect(before["key"]).toBe("agent:main:main")
      await Effect.runPromise(
        Effect.scoped(
          Effect.gen(function* () {
            const hub = yield* Hub.Hub
            const client = yield* connected(
              { url: hub.url.replace(/^http/, "ws"), token: before["token"] },
              {},
              device
            )
            expect(yield* call(client, "sessions.resolve", { key: "main" })).toEqual({
              ok: true,
              key: "agent:main:home"
            })
            const { sessions } = yield* call(client, "sessions.list", {})
            expect(sessions).toMatchObject([{ key: "agent:main:home", sessionId: before["sessionId"] }])
          })
        ).pipe(Effect.provide(layer({ filename, config: '{"session":{"mainKey":"home"}}' })))
      )
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })
})

describe("the configuration file", () => {
  test("another password closes what the old one opened", async () => {
    const directory = mkdtempSync(join(tmpdir(), "causeway-config-"))
    const configFile = join(directory, "gateway.json")
    const write = (password: string) =>
      writeFileSync(configFile, JSON.stringify({ gateway: { auth: { password } } }))
    try {
      write("one")
      await Effect.runPromise(
        Effect.scoped(
          Effect.gen(function* () {
            const client = yield* open(yield* target)
            yield* Effect.promise(() => client.connect({ auth: { password: "one" } }))
            write("two")
            yield* Effect.race(
              Effect.promise(() => client.untilClosed()),
              Effect.forever(
                Effect.zipRight(
                  TestClock.adjust("1 seconds"),
                  Effect.promise(() => Promise.resolve())
                )
              )
            )
            expect(client.closed).toEqual({ code: 4001, reason: "gateway auth changed" })
          })
        ).pipe(
          Effect.provide(Hub.layer({ filename: ":memory:", port: 0, gateway: { configFile } })),
          Effect.provide(TestContext.TestContext)
        )
      )
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })

  test("is read again when it changes, and a bad one changes nothing", async () => {
    const directory = mkdtempSync(join(tmpdir(), "causeway-config-"))
    const path = join(directory, "gateway.json")
    const write = (text: string) => Effect.sync(() => writeFileSync(path, text))
    const refused = Deferred.unsafeMake<void>(FiberId.none)
    const logger = Logger.make(({ message }) => {
      if (String(message).includes("does not fit")) Deferred.unsafeDone(refused, Effect.void)
    })
    try {
      await Effect.runPromise(
        Effect.gen(function* () {
          const configuration = yield* Config.GatewayConfiguration
          expect((yield* configuration.current).defaultAgentId).toBe("main")
          const next = yield* Effect.fork(Stream.runHead(Stream.drop(configuration.ref.changes, 1)))
          yield* write('{"agents":[{"id":"ops"}]}')
          yield* Effect.race(next.await, Effect.forever(TestClock.adjust("2 seconds")))
          expect((yield* configuration.current).defaultAgentId).toBe("ops")
          yield* write('{"agents":7}')
          // It was read, and refused.
          yield* Effect.race(Deferred.await(refused), Effect.forever(TestClock.adjust("2 seconds")))
          expect((yield* configuration.current).defaultAgentId).toBe("ops")
        }).pipe(
          Effect.scoped,
          Effect.provide(Config.layerFile(path).pipe(Layer.provide(NodeContext.layer))),
          Effect.provide(TestContext.TestContext),
          Effect.provide(Logger.add(logger))
        )
      )
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })
})
