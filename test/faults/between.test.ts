/** Between bridge and hub stands somebody else, over real sockets: nothing that it says is believed, and nothing is lost. */
import { randomUUID } from "node:crypto"
import { join } from "node:path"
import type * as Bridge from "@causeway/bridge/Bridge"
import type { BridgeEvent } from "@causeway/bridge/BridgeEvent"
import type * as Client from "@causeway/client/Client"
import type * as Credentials from "@causeway/client/Credentials"
import * as Sessions from "@causeway/client/Sessions"
import * as Hub from "@causeway/hub/Hub"
import type { SessionId } from "@causeway/protocol/Ids"
import { beforeAll, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Proxy from "../support/Proxy.ts"
import { expectExact } from "./support/Exact.ts"
import * as World from "./support/World.ts"

let scriptedAgentPath: string
beforeAll(async () => {
  scriptedAgentPath = await World.bundleAgent()
})

interface Place {
  readonly proxy: Proxy.Proxy
  readonly events: Array<BridgeEvent>
  /** Runs with a bridge behind the proxy, and ends it in order; whoever talks to the session talks to the hub itself. */
  readonly bridged: <A, E>(
    use: (
      handle: Bridge.Handle
    ) => Effect.Effect<A, E, Client.Client | Credentials.Credentials | Scope.Scope>,
    more?: Partial<Bridge.Config>
  ) => Effect.Effect<A, unknown>
}

const at = <A, E>(
  use: (place: Place) => Effect.Effect<A, E, Client.Client | Credentials.Credentials | Scope.Scope>
) =>
  Effect.gen(function* () {
    const dir = yield* World.directory
    const stateDirectory = yield* World.directory
    return yield* Effect.gen(function* () {
      const { firstToken, port, url } = yield* Hub.Hub
      const token = Option.getOrThrow(firstToken)
      const proxy = yield* Proxy.make({ port })
      const events: Array<BridgeEvent> = []
      const place: Place = {
        proxy,
        events,
        bridged: (run, more) =>
          World.start({ dir, baseUrl: proxy.url, events, more: { perpetual: true, ...more } }).pipe(
            Effect.flatMap((handle) => Effect.provide(run(handle), World.client({ url, token }))),
            Effect.scoped,
            Effect.provide(World.bridge({ stateDirectory, scriptedAgentPath })),
            Effect.provide(World.client({ url: proxy.url, token }))
          )
      }
      return yield* Effect.provide(use(place), World.client({ url, token }))
    }).pipe(Effect.scoped, Effect.provide(World.hub({ file: join(stateDirectory, "hub.db") })))
  })

const say = (sessionId: SessionId, text: string) =>
  Effect.gen(function* () {
    const uuid = randomUUID()
    yield* (yield* Sessions.Sessions).sendEvents(sessionId, [World.prompt(text, uuid)])
    return uuid
  })

const logUntil = (sessionId: SessionId, uuids: ReadonlyArray<string>) =>
  World.until(
    sessionId,
    ({ type, user_message_uuid }) => type === "result" && uuids.includes(String(user_message_uuid)),
    uuids.length
  )

const happened = (events: ReadonlyArray<BridgeEvent>, matches: (event: BridgeEvent) => boolean) =>
  World.eventually(() => events.find(matches))

const states = (events: ReadonlyArray<BridgeEvent>) =>
  events.flatMap((event) => (event._tag === "StateChanged" ? [event.state._tag] : []))

const sessionIds = Effect.flatMap(Sessions.Sessions, (sessions) =>
  Effect.map(sessions.list({ archived: "all" }), ({ data }) => data.map(({ id }) => id))
)

/** What proxies answer while the hub behind them restarts. */
const outages = [
  ["404 with a page", Proxy.page(404, "404 Not Found")],
  ["401 without a body", { _tag: "Answer", status: 401 }],
  ["410 in JSON of its own", { _tag: "Answer", status: 410, body: '{"message":"gone"}' }],
  ["200 with a page", Proxy.page(200, "We will be back soon")],
  ["302 to a portal", { _tag: "Answer", status: 302, headers: { location: "https://portal.example/in" } }]
] as const satisfies ReadonlyArray<readonly [string, Proxy.Action]>

describe("somebody between bridge and hub", () => {
  it.scopedLive.each(outages)(
    "answers everything for a while (%s): the turn's result arrives, in the same session",
    ([, answer]) =>
      at(({ bridged, events, proxy }) =>
        bridged((handle) =>
          Effect.gen(function* () {
            const sessionId = yield* handle.sessionId
            yield* logUntil(sessionId, [yield* say(sessionId, "!say one")])
            const environmentId = yield* handle.environmentId
            const during = yield* say(sessionId, "!slow 20 150")
            yield* proxy.rule(() => answer)
            yield* proxy.cutAll
            const asked = proxy.seen.length
            yield* happened(
              events,
              ({ _tag, ...event }) =>
                _tag === "StateChanged" && JSON.stringify(event).includes("Reconnecting")
            )
            // Each of the loops has been answered: polls, streams, reports.
            yield* World.eventually(() => (proxy.seen.length >= asked + 4 ? true : undefined))
            yield* proxy.rule(() => Proxy.pass)
            const log = yield* logUntil(sessionId, [during])
            expect(log.filter(({ payload }) => payload["type"] === "result")).toHaveLength(2)
            expect(states(events)).not.toContain("Failed")
            expect([yield* handle.sessionId, yield* handle.environmentId]).toEqual([sessionId, environmentId])
            expect(yield* sessionIds).toEqual([sessionId])
          })
        )
      ),
    180_000
  )

  it.scopedLive(
    "answers 404 while the bridge starts: it waits and says why",
    () =>
      at(({ bridged, events, proxy }) =>
        Effect.gen(function* () {
          yield* proxy.rule(() => Proxy.page(404, "404 Not Found"))
          const running = yield* Effect.fork(
            bridged((handle) =>
              Effect.gen(function* () {
                const sessionId = yield* handle.sessionId
                yield* logUntil(sessionId, [yield* say(sessionId, "!say hello")])
              })
            )
          )
          const delayed = yield* happened(events, ({ _tag }) => _tag === "StartDelayed")
          expect(delayed._tag === "StartDelayed" && delayed.why).toContain(
            'somebody in between answered 404 with a page "404 Not Found" (nginx/1.22.1)'
          )
          yield* proxy.rule(() => Proxy.pass)
          yield* Fiber.join(running)
        })
      ),
    180_000
  )

  it.scopedLive(
    "answers 404 about the saved session while the bridge starts: the session is taken up again",
    () =>
      at(({ bridged, events, proxy }) =>
        Effect.gen(function* () {
          const first = yield* bridged((handle) =>
            Effect.gen(function* () {
              const sessionId = yield* handle.sessionId
              yield* logUntil(sessionId, [yield* say(sessionId, "!say one")])
              return sessionId
            })
          )
          const waits = yield* say(first, "!say two")
          let refusals = 0
          yield* proxy.rule(({ path }) =>
            path.startsWith("/v1/sessions/") && refusals++ < 3 ? Proxy.page(404, "404 Not Found") : Proxy.pass
          )
          yield* bridged((handle) =>
            Effect.gen(function* () {
              expect(yield* handle.sessionId).toBe(first)
              yield* logUntil(first, [waits])
            })
          )
          expect(refusals).toBeGreaterThan(2)
          expect(yield* sessionIds).toEqual([first])
          expect(events.some(({ _tag }) => _tag === "SavedSessionDropped")).toBe(false)
        })
      ),
    180_000
  )

  it.scopedLive(
    "lets nothing through before an answer has ended: messages are answered, and it is said",
    () =>
      at(({ bridged, events, proxy }) =>
        Effect.gen(function* () {
          yield* proxy.rule(() => Proxy.hold)
          yield* bridged((handle) =>
            Effect.gen(function* () {
              const sessionId = yield* handle.sessionId
              const uuids = [yield* say(sessionId, "!say one"), yield* say(sessionId, "!say two")]
              expectExact(yield* logUntil(sessionId, uuids), uuids, (n) => ["one", "two"][n])
              yield* happened(events, (event) => event._tag === "StreamHeld" && event.held)
              expect(states(events).at(-1)).toBe("Connected")
            })
          )
        })
      ),
    180_000
  )

  it.scopedLive(
    "refuses large bodies: the agent's large lines arrive whole, in their place",
    () =>
      at(({ bridged, events, proxy }) =>
        Effect.gen(function* () {
          yield* proxy.rule(Proxy.limited(20_000))
          yield* bridged((handle) =>
            Effect.gen(function* () {
              const sessionId = yield* handle.sessionId
              const large = Array.from({ length: 20_000 }, (_, n) => n.toString(36)).join(" ")
              const uuids = [
                yield* say(sessionId, `!say ${large}`),
                yield* say(sessionId, "!say small"),
                yield* say(sessionId, `!say again ${large}`)
              ]
              const log = yield* logUntil(sessionId, uuids)
              expectExact(log, uuids, (n) => [large, "small", `again ${large}`][n])
              expect(events.some(({ _tag }) => _tag === "LineStuck" || _tag === "Warning")).toBe(false)
              expect(proxy.seen.some(({ path }) => path.includes("/uploads/"))).toBe(true)
            })
          )
        })
      ),
    180_000
  )

  it.scopedLive(
    "refuses whatever the agent says: the session tells what is stuck, and it arrives when it can",
    () =>
      at(({ bridged, events, proxy }) =>
        Effect.gen(function* () {
          yield* proxy.rule(({ bytes, method }) =>
            method === "PUT" && bytes > 300 ? Proxy.page(413, "413 Request Entity Too Large") : Proxy.pass
          )
          yield* bridged((handle) =>
            Effect.gen(function* () {
              const sessionId = yield* handle.sessionId
              const uuid = yield* say(sessionId, "!say hello")
              const told = yield* World.until(sessionId, ({ reason }) => reason === "line_stuck")
              expect(String(told.at(-1)?.payload["message"])).toMatch(/\d+ bytes.*413.*nginx/)
              expect(events.some(({ _tag }) => _tag === "LineStuck")).toBe(true)
              yield* proxy.rule(() => Proxy.pass)
              const log = yield* logUntil(sessionId, [uuid])
              expectExact(log, [uuid], () => "hello")
              yield* happened(events, ({ _tag }) => _tag === "LineWentThrough")
            })
          )
        })
      ),
    180_000
  )

  const behaviour = FastCheck.record({
    action: FastCheck.constantFrom<Proxy.Action>(
      ...outages.map(([, action]) => action),
      Proxy.page(413, "413"),
      Proxy.page(502, "502 Bad Gateway"),
      Proxy.cut,
      Proxy.cutAnswer,
      Proxy.hold,
      Proxy.pass
    ),
    /** Requests that it meets; the others pass. */
    every: FastCheck.integer({ min: 1, max: 3 }),
    requests: FastCheck.integer({ min: 1, max: 8 })
  })

  it.scopedLive.prop(
    "does whatever it likes for a while: every message is answered once, every line is there once",
    { plan: FastCheck.array(behaviour, { minLength: 1, maxLength: 4 }) },
    ({ plan }) =>
      at(({ bridged, events, proxy }) =>
        bridged((handle) =>
          Effect.gen(function* () {
            const sessionId = yield* handle.sessionId
            const left = plan.flatMap(({ action, every, requests }) =>
              Array.from({ length: requests }, (_, n) => (n % every === 0 ? action : Proxy.pass))
            )
            // A few of each kind of call: what fails more often waits for minutes, as it should.
            const met = new Map<string, number>()
            yield* proxy.rule(({ method, path }) => {
              const kind = `${method} ${path.replace(/\?.*/, "").replace(/(cse|session|env|work)_[^/]*|uploads\/.*/g, "*")}`
              const times = met.get(kind) ?? 0
              if (times >= 3) return Proxy.pass
              met.set(kind, times + 1)
              return left.shift() ?? Proxy.pass
            })
            const uuids: Array<string> = []
            for (let n = 0; n < 4; n++) uuids.push(yield* say(sessionId, `!say word${n}`))
            const log = yield* logUntil(sessionId, uuids)
            expectExact(log, uuids, (n) => `word${n}`)
            expect(states(events)).not.toContain("Failed")
            expect(yield* sessionIds).toEqual([sessionId])
          })
        )
      ),
    { fastCheck: { numRuns: 4, endOnFailure: true }, timeout: 240_000 }
  )
})
