import { EnvironmentId, type EventUuid, SessionId, WorkId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import type { AgentOutput } from "@causeway/runner/Agent"
import * as Journal from "@causeway/runner/Journal"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { type BridgeEvent, describe as describeEvent } from "../src/BridgeEvent.ts"
import * as Link from "../src/Link.ts"
import * as ModelHub from "./support/ModelHub.ts"
import { passing, until } from "./support/Time.ts"

const sessionId = SessionId.make("session_link")
const attachment: Link.Attachment = {
  environmentId: EnvironmentId.make("env_1"),
  workId: WorkId.make("work_1"),
  token: Redacted.make("opaque"),
  apiBaseUrl: undefined
}

const line = (uuid: string, more: Payload.JsonObject = {}): AgentOutput => ({
  _tag: "Line",
  payload: Payload.make({ ...more, type: "assistant", uuid })
})
const progress = (text: string): AgentOutput => ({
  _tag: "Line",
  payload: Payload.make({ type: "stream_event", text })
})

const withLink = <A, E>(
  use: (
    link: Link.OwnedLink,
    hub: ModelHub.ModelHub,
    events: ReadonlyArray<BridgeEvent>
  ) => Effect.Effect<A, E, Journal.Journal>,
  options: { readonly maxLine?: number } = {}
) =>
  Effect.gen(function* () {
    const stateDirectory = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())
    const hub = yield* ModelHub.make(sessionId)
    const events: Array<BridgeEvent> = []
    return yield* Effect.gen(function* () {
      const journal = yield* Journal.Journal
      const record = yield* journal.enter({
        sessionId,
        environmentId: attachment.environmentId,
        directory: "/project",
        home: true,
        agentSessionId: "agent",
        agent: "model",
        cwd: "/project"
      })
      const link = yield* Link.make({
        record,
        sessionIngressUrl: "http://hub/",
        onEvent: (event) => Effect.sync(() => void events.push(event)),
        onConnection: () => Effect.void,
        ...options
      })
      return yield* use(link, hub, events)
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(Journal.layer({ stateDirectory }), hub.layer())))
  }).pipe(Effect.provide(NodeContext.layer))

const never = Effect.never

describe("Link", () => {
  it.scoped("keeps lines while nothing is attached, and sends them in order once something is", () =>
    withLink((link, hub) =>
      Effect.gen(function* () {
        yield* link.write([line("a"), progress("lost"), line("b")])
        yield* link.write([line("c")])
        expect(hub.log).toEqual([])
        yield* Effect.fork(link.attach(attachment, never))
        yield* until(() => hub.log.length === 3)
        yield* link.write([progress("seen"), line("d")])
        yield* until(() => hub.log.length === 4)
        expect(hub.log).toEqual(["a", "b", "c", "d"])
        expect(hub.ephemeral.map((text) => JSON.parse(text).text)).toEqual(["seen"])
        yield* passing(link.flush)
      })
    )
  )

  it.scoped("names the log under the ingress address, in the compat spelling", () =>
    withLink((link) =>
      Effect.sync(() => expect(link.ingressUrl).toBe("http://hub/v1/session_ingress/session/session_link"))
    )
  )

  it.scoped("a worker that was replaced stops writing, and keeps what it could not send", () =>
    withLink((link, hub) =>
      Effect.gen(function* () {
        const attached = yield* Effect.fork(link.attach(attachment, never))
        yield* link.write([line("a")])
        yield* until(() => hub.log.length === 1)
        hub.superseded = true
        yield* link.write([line("b")])
        const end = yield* passing(Fiber.join(attached))
        expect(["superseded", "token_refused"]).toContain(end.reason)
        expect(hub.log).toEqual(["a"])
        expect(yield* (yield* Journal.Journal).unconfirmed(sessionId)).toBe(1)
        // Under a newer grant it goes on where it stopped.
        hub.superseded = false
        yield* Effect.fork(link.attach(attachment, never))
        yield* until(() => hub.log.length === 2)
      })
    )
  )

  it.scoped("calls the hub that it was given, whatever address came with the work", () =>
    withLink((link, hub) =>
      Effect.gen(function* () {
        yield* Effect.fork(link.attach({ ...attachment, apiBaseUrl: "http://127.0.0.1:9" }, never))
        yield* link.write([line("a")])
        yield* until(() => hub.log.length === 1)
        expect(hub.addresses).toEqual([
          ["register", undefined],
          ["putWorker", undefined]
        ])
      })
    )
  )

  it.scoped(
    "calls the address that came with the work where the hub that it was given has no such session",
    () =>
      withLink((link, hub) =>
        Effect.gen(function* () {
          hub.isAt = (address) => address === "https://api.test"
          yield* Effect.fork(link.attach({ ...attachment, apiBaseUrl: "https://api.test" }, never))
          yield* link.write([line("a")])
          yield* until(() => hub.log.length === 1)
          expect(hub.addresses).toEqual([
            ["register", undefined],
            ["register", "https://api.test"],
            ["putWorker", "https://api.test"]
          ])
        })
      )
  )

  it.scoped("a session that is at neither address is gone", () =>
    withLink((link, hub) =>
      Effect.gen(function* () {
        hub.isAt = () => false
        const end = yield* passing(link.attach({ ...attachment, apiBaseUrl: "https://api.test" }, never))
        expect(end.reason).toBe("session_gone")
        expect(hub.addresses).toHaveLength(2)
      })
    )
  )

  it.scoped("people are told why nothing arrives, once for each reason", () =>
    withLink((link, hub, events) =>
      Effect.gen(function* () {
        hub.faults.push("failed", "failed", "failed")
        yield* Effect.fork(link.attach(attachment, never))
        yield* link.write([line("a")])
        yield* until(() => hub.log.length === 1)
        expect(events.filter(({ _tag }) => _tag === "AttachDelayed").map(describeEvent)).toEqual([
          expect.stringContaining(
            `session ${sessionId} is not attached yet: register: the hub did not answer (cut)`
          )
        ])
      })
    )
  )

  it.scoped("the end of the lease ends the attachment, and the hub is told", () =>
    withLink((link, hub) =>
      Effect.gen(function* () {
        const lease = new Link.Detached({ reason: "lease_ended", detail: "over" })
        const attached = yield* Effect.fork(
          link.attach(attachment, Effect.zipRight(Effect.sleep("1 minute"), lease))
        )
        const end = yield* passing(Fiber.join(attached))
        expect(end.reason).toBe("lease_ended")
        expect(hub.calls.filter((call) => call === "heartbeat").length).toBeGreaterThanOrEqual(3)
        expect(hub.calls.at(-1)).toBe("putWorker")
      })
    )
  )

  it.scoped("a line that is too long is reported in its place, under its uuid, and kept whole", () =>
    withLink(
      (link, hub) =>
        Effect.gen(function* () {
          yield* Effect.fork(link.attach(attachment, never))
          const long = line("long", { text: "x".repeat(500) })
          yield* link.write([line("a"), long, line("b")])
          yield* until(() => hub.log.length === 3)
          expect(hub.log).toEqual(["a", "long", "b"])
          expect(JSON.parse(hub.texts[1] ?? "")).toMatchObject({
            type: "bridge_error",
            reason: "line_too_long",
            line_type: "assistant"
          })
          const kept = yield* (yield* Journal.Journal).kept(sessionId)
          expect(kept.map(({ payload, why }) => [payload.text, why])).toEqual([
            [long._tag === "Line" ? long.payload.text : "", "larger than 400 bytes"]
          ])
        }),
      { maxLine: 400 }
    )
  )

  it.scoped(
    "a line that the hub will never accept leaves a gap that is marked in its place, and is kept",
    () =>
      withLink((link, hub, events) =>
        Effect.gen(function* () {
          hub.refuses.add("bad")
          yield* link.write([line("a"), line("bad", { text: "said" }), line("b")])
          yield* Effect.fork(link.attach(attachment, never))
          yield* until(() => hub.log.length === 3)
          expect([hub.log[0], hub.log[2]]).toEqual(["a", "b"])
          expect(JSON.parse(hub.texts[1] ?? "")).toMatchObject({ reason: "line_refused", line_uuid: "bad" })
          expect(events.some(({ _tag }) => _tag === "Warning")).toBe(true)
          const kept = yield* (yield* Journal.Journal).kept(sessionId)
          expect(kept.map(({ payload }) => payload.json)).toEqual([
            { type: "assistant", uuid: "bad", text: "said" }
          ])
        })
      )
  )

  it.scoped(
    "a line that a proxy refuses stays, is told of once, and goes when it can; later ones wait in order",
    () =>
      withLink((link, hub, events) =>
        Effect.gen(function* () {
          hub.allows = 400
          yield* Effect.fork(link.attach(attachment, never))
          yield* link.write([line("a"), line("large", { text: "x".repeat(500) }), line("b")])
          yield* until(() => events.some(({ _tag }) => _tag === "LineStuck"))
          yield* TestClock.adjust("10 minutes")
          expect(hub.log).toEqual(["a"])
          expect(yield* (yield* Journal.Journal).unconfirmed(sessionId)).toBe(2)
          const told = events.filter(({ _tag }) => _tag === "LineStuck")
          expect(told).toHaveLength(1)
          expect(told[0] === undefined ? "" : describeEvent(told[0])).toMatch(
            /a line of the agent \(assistant, 5\d\d bytes\).*answered 413.*client_max_body_size/
          )
          const notices = hub.ephemeral.map((text) => JSON.parse(text))
          expect(notices).toMatchObject([{ type: "bridge_error", reason: "line_stuck", line_uuid: "large" }])
          hub.allows = Number.POSITIVE_INFINITY
          yield* TestClock.adjust("1 minute")
          yield* until(() => hub.log.length === 3)
          expect(hub.log).toEqual(["a", "large", "b"])
          yield* until(() => events.some(({ _tag }) => _tag === "LineWentThrough"))
          expect(yield* (yield* Journal.Journal).kept(sessionId)).toEqual([])
        })
      )
  )

  it.scoped("an outage is not told of as a line that is stuck", () =>
    withLink((link, hub, events) =>
      Effect.gen(function* () {
        yield* Effect.fork(link.attach(attachment, never))
        yield* until(() => hub.calls.includes("register"))
        hub.faults.push(...Array.from({ length: 30 }, () => "failed" as const))
        yield* link.write([line("a")])
        yield* passing(until(() => hub.log.length === 1))
        expect(events.some(({ _tag }) => _tag === "LineStuck")).toBe(false)
      })
    )
  )

  it.scoped.prop(
    "whatever a proxy allows, and when, every line is in the log once, whole and in order",
    {
      sizes: FastCheck.array(FastCheck.integer({ min: 0, max: 3_000 }), { minLength: 1, maxLength: 30 }),
      allowed: FastCheck.array(FastCheck.integer({ min: 50, max: 4_000 }), { maxLength: 6 })
    },
    ({ allowed, sizes }) =>
      withLink((link, hub) =>
        Effect.gen(function* () {
          const lines = sizes.map((size, at) => line(`l${at}`, { text: "x".repeat(size) }))
          const attached = yield* Effect.fork(link.attach(attachment, never))
          for (const [at, allows] of allowed.entries()) {
            hub.allows = allows
            yield* link.write(lines.slice(at * 5, at * 5 + 5))
            yield* TestClock.adjust("30 seconds")
          }
          yield* link.write(lines.slice(allowed.length * 5))
          hub.allows = Number.POSITIVE_INFINITY
          yield* passing(until(() => hub.log.length === lines.length))
          expect(hub.texts).toEqual(lines.map((each) => (each._tag === "Line" ? each.payload.text : "")))
          yield* Fiber.interrupt(attached)
        })
      ),
    { fastCheck: { numRuns: 15 } }
  )

  it.scoped("a report that the hub refuses for one of its events is made for the others", () =>
    withLink((link, hub) =>
      Effect.gen(function* () {
        const messages = ["m1", "m2", "m3"].map((uuid) => Payload.make({ type: "user", uuid }))
        hub.strange.add("m2")
        yield* Effect.fork(link.attach(attachment, never))
        for (const message of messages) yield* hub.say(message)
        yield* until(() => hub.deliveries.get("m3") === "received")
        yield* link.write(
          messages.map(({ uuid }) => ({ _tag: "Delivery", uuid: uuid as EventUuid, state: "processed" }))
        )
        yield* until(() => hub.deliveries.get("m3") === "processed")
        expect([...hub.deliveries]).toEqual([
          ["m1", "processed"],
          ["m3", "processed"]
        ])
      })
    )
  )

  it.scoped("asks for a fresh token at half of the life that the token tells", () =>
    withLink((link, hub) =>
      Effect.gen(function* () {
        const claims = Encoding.encodeBase64Url(JSON.stringify({ exp: 3600 }))
        const token = Redacted.make(`header.${claims}.signature`)
        yield* Effect.fork(link.attach({ ...attachment, token }, never))
        yield* until(() => hub.calls.includes("register"))
        const refreshes = () => hub.calls.filter((call) => call === "refreshToken").length
        yield* TestClock.adjust(Duration.minutes(25))
        expect(refreshes()).toBe(0)
        yield* TestClock.adjust(Duration.minutes(6))
        yield* until(() => refreshes() === 1)
      })
    )
  )

  it("a token that does not tell lives for four hours", () => {
    // Whatever this machine's clock says: the token tells when it was issued.
    const claims = Encoding.encodeBase64Url(JSON.stringify({ iat: 1_000_000, exp: 1_003_600 }))
    for (const now of [0, 1_000_000_000, 9e15]) {
      expect(Link.lifeOf(Redacted.make(`a.${claims}.c`), now)).toEqual(Duration.hours(1))
    }
    expect(Link.lifeOf(Redacted.make("opaque"), 0)).toEqual(Duration.hours(4))
    expect(Link.lifeOf(Redacted.make("a.b.c"), 0)).toEqual(Duration.hours(4))
  })

  it.scoped("what the agent does is told, the last state at least", () =>
    withLink((link, hub) =>
      Effect.gen(function* () {
        yield* Effect.fork(link.attach(attachment, never))
        yield* link.setStatus("running")
        yield* link.setStatus("requires_action")
        yield* until(() => hub.statuses.at(-1) === "requires_action")
      })
    )
  )

  it.scoped("what is not for the agent is settled without it", () =>
    withLink((link, hub) =>
      Effect.gen(function* () {
        yield* Effect.fork(link.attach(attachment, never))
        yield* hub.say(Payload.make({ type: "something_new", uuid: "n" }))
        yield* until(() => hub.deliveries.get("n") === "processed")
        expect(yield* link.inbound.isEmpty).toBe(true)
      })
    )
  )
})
