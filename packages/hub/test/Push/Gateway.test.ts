import { randomUUID } from "node:crypto"
import { describe, expect, layer as suite } from "@effect/vitest"
import * as Effect from "effect/Effect"
import {
  type Client,
  call,
  connected,
  Device,
  type Frame,
  layer,
  result,
  target,
  worker
} from "../Gateway/harness.ts"
import { Browser, certificate, claims, pushService, type Received } from "./service.ts"

const contact = "mailto:hub@a-real-domain.org"

const asks = (tool: string, id: string = randomUUID()): Frame => ({
  type: "control_request",
  request_id: id,
  request: {
    subtype: "can_use_tool",
    tool_name: tool,
    tool_use_id: `toolu_${id}`,
    input: { secret: "rm -rf" }
  }
})

const session = (client: Client, title: string) =>
  Effect.gen(function* () {
    const { key, sessionId } = yield* call(client, "sessions.create", { label: title })
    const write = yield* worker(sessionId)
    yield* write({ type: "ai-title", aiTitle: title })
    return { key: String(key), id: `session_${String(sessionId).replaceAll("-", "")}`, write }
  })

/** A device whose browser takes pushes at this path of the service. */
const subscriber = (origin: string, path: string) =>
  Effect.gen(function* () {
    const device = new Device()
    const client = yield* connected(yield* target, {}, device)
    const browser = new Browser()
    const endpoint = `${origin}${path}`
    yield* call(client, "causeway.push.subscribe", { subscription: { endpoint, keys: browser.keys } })
    return { device, client, browser, endpoint }
  })

const message = (browser: Browser, received: Received): unknown => JSON.parse(browser.read(received.body))

suite(layer({ push: { ca: certificate, privateAddresses: true, contact } }), { excludeTestServices: true })(
  (it) => {
    describe("pushes", () => {
      it.scoped("tell of approvals, of turns that ended or failed, and of nothing else", () =>
        Effect.gen(function* () {
          const service = yield* pushService
          const { browser, client } = yield* subscriber(service.origin, "/a")
          const { id, key, write } = yield* session(client, "Fix\u202e the\nbuild")

          yield* write(asks("Bash"))
          const first = yield* service.next
          expect(first.path).toBe("/a")
          expect(first.headers).toMatchObject({
            ttl: "86400",
            urgency: "high",
            topic: expect.stringMatching(/^[A-Za-z0-9_-]{32}$/),
            "content-encoding": "aes128gcm"
          })
          expect(message(browser, first)).toEqual({
            title: "Waits for approval",
            body: "Fix the build: Bash",
            tag: `${id}:approval`,
            url: `#/session/${id}`
          })
          expect(first.body.toString("latin1")).not.toContain("Bash")
          const { publicKey } = yield* call(client, "causeway.push.key")
          expect(yield* claims(first, publicKey, service.origin)).toMatchObject({
            aud: service.origin,
            sub: contact
          })

          // It waits already; and a short turn, a stopped one and a subagent's are nobody's news.
          yield* write(asks("Edit"))
          yield* write(result("quick", { duration_ms: 9_999 }))
          yield* write(result("stopped", { duration_ms: 60_000, terminal_reason: "aborted_by_user" }))
          yield* write(result("inner", { duration_ms: 60_000, parent_tool_use_id: "toolu_1" }))
          yield* write(result("long", { duration_ms: 10_000 }))
          expect(message(browser, yield* service.next)).toEqual({
            title: "Turn ended",
            body: "Fix the build",
            tag: `${id}:ended`,
            url: `#/session/${id}`
          })
          yield* write(result("", { subtype: "error_during_execution", is_error: true, duration_ms: 1 }))
          expect(message(browser, yield* service.next)).toMatchObject({ title: "Turn failed" })
          yield* write({ type: "bridge_error", message: "the agent cannot be started" })
          expect(message(browser, yield* service.next)).toMatchObject({ title: "Session failed" })

          // Answered and asked again: it waits anew.
          const again = randomUUID()
          yield* write(asks("Write", again))
          expect(message(browser, yield* service.next)).toMatchObject({ body: "Fix the build: Write" })
          yield* call(client, "causeway.approvals.answer", { key, decision: "deny", requestId: again })
          yield* write(asks("Grep"))
          expect(message(browser, yield* service.next)).toMatchObject({ body: "Fix the build: Grep" })
          expect(yield* service.size).toBe(0)
        })
      )

      it.scoped("go to every browser of the organisation, until it unsubscribes or its device goes", () =>
        Effect.gen(function* () {
          const service = yield* pushService
          const a = yield* subscriber(service.origin, "/a")
          const left = yield* subscriber(service.origin, "/c")
          const removed = yield* subscriber(service.origin, "/d")
          const { write } = yield* session(a.client, "one")
          const told = (n: number) =>
            Effect.map(Effect.replicateEffect(service.next, n), (all) => all.map(({ path }) => path).sort())
          yield* write({ type: "bridge_error", message: "x" })
          expect(yield* told(3)).toEqual(["/a", "/c", "/d"])
          // Another's endpoint is not one's to end.
          yield* call(a.client, "causeway.push.unsubscribe", { endpoint: removed.endpoint })
          yield* call(left.client, "causeway.push.unsubscribe", { endpoint: left.endpoint })
          yield* write({ type: "bridge_error", message: "x" })
          expect(yield* told(2)).toEqual(["/a", "/d"])
          yield* call(a.client, "device.pair.remove", { deviceId: removed.device.id })
          yield* write({ type: "bridge_error", message: "x" })
          expect(yield* told(1)).toEqual(["/a"])
          expect(yield* service.size).toBe(0)
        })
      )
    })
  }
)

describe("subscriptions", () => {
  suite(layer(), { excludeTestServices: true })((it) => {
    it.scoped("are taken from paired devices, for public https addresses and keys of the curve", () =>
      Effect.gen(function* () {
        const at = yield* target
        const client = yield* connected(at, { scopes: ["operator.read"] })
        const keys = new Browser().keys
        const refusal = (subscription: Frame) =>
          Effect.map(
            Effect.promise(() => client.refusal("causeway.push.subscribe", { subscription })),
            (error) => error["message"]
          )
        for (const endpoint of [
          "https://127.0.0.1/x",
          "https://[::1]/x",
          "https://10.0.0.1:8443/x",
          "https://169.254.169.254/latest",
          "https://2130706433/x",
          "https://0x7f.1/x",
          "https://[::ffff:192.168.0.1]/x",
          "https://localhost/x",
          "https://hub.localhost./x"
        ]) {
          expect(yield* refusal({ endpoint, keys })).toBe("the endpoint must be a public address")
        }
        expect(yield* refusal({ endpoint: "http://push.example/x", keys })).toMatch(/https/)
        expect(yield* refusal({ endpoint: "nonsense", keys })).toMatch(/https/)
        expect(yield* refusal({ endpoint: "https://a:b@push.example/x", keys })).toMatch(/credentials/)
        const endpoint = "https://push.example/x"
        expect(yield* refusal({ endpoint, keys: { ...keys, auth: "short" } })).toMatch(/keys/)
        const noPoint = Buffer.alloc(65, 4).toString("base64url")
        expect(yield* refusal({ endpoint, keys: { ...keys, p256dh: noPoint } })).toMatch(/keys/)
        expect(yield* call(client, "causeway.push.subscribe", { subscription: { endpoint, keys } })).toEqual(
          {}
        )
        expect(yield* call(client, "causeway.push.unsubscribe", { endpoint })).toEqual({})
      })
    )
  })
})

describe("a new subscription", () => {
  suite(layer({ push: { ca: certificate, privateAddresses: true } }), { excludeTestServices: true })((it) => {
    it.scoped("is told of nothing that was before", () =>
      Effect.gen(function* () {
        const service = yield* pushService
        const client = yield* connected(yield* target)
        const { write } = yield* session(client, "old")
        yield* write(result("long ago", { duration_ms: 60_000 }))
        const { browser } = yield* subscriber(service.origin, "/new")
        yield* write({ type: "bridge_error", message: "x" })
        expect(message(browser, yield* service.next)).toMatchObject({ title: "Session failed" })
        expect(yield* service.size).toBe(0)
      })
    )
  })
})
