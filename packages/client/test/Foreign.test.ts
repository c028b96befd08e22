/** Somebody between the client and the hub answers: whatever it says, it is an outage, and never believed. */
import { SessionId } from "@causeway/protocol/Ids"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as ClientError from "../src/ClientError.ts"
import * as CodeSession from "../src/CodeSession.ts"
import * as Credentials from "../src/Credentials.ts"
import * as Entry from "../src/Entry.ts"
import { Ingress } from "../src/Ingress.ts"
import { Sessions } from "../src/Sessions.ts"
import { everything } from "./support/Everything.ts"
import * as Scripted from "./support/Scripted.ts"
import * as VirtualTime from "./support/VirtualTime.ts"

const sessionId = SessionId.make("session_abc")
const URL_ = `${Scripted.BASE}/v1/session_ingress/session/session_abc`

const page = "<!DOCTYPE html><html><head><title>Sign in to the network</title></head></html>"

const foreign = (status: number, body: unknown = page, headers: Scripted.Reply["headers"] = {}) =>
  ({ status, body, headers, foreign: true }) satisfies Scripted.Reply

/** What proxies, portals and filters answer by themselves. */
const answers: ReadonlyArray<Scripted.Reply> = [
  ...[400, 401, 403, 404, 405, 407, 409, 410, 411, 412, 413, 414, 418, 421, 422, 426, 428, 431, 451].map(
    (status) => foreign(status)
  ),
  ...[500, 502, 503, 504, 511, 520, 530].map((status) => foreign(status)),
  ...[401, 404, 409, 410, 412].flatMap((status) => [
    foreign(status, ""),
    foreign(status, "not found"),
    foreign(status, {}),
    foreign(status, { error: "no such route" }),
    foreign(status, { message: "no such route", type: "about:blank" })
  ]),
  ...[301, 302, 303, 307, 308].map((status) =>
    foreign(status, "", { location: "https://portal.example/login?a=b" })
  ),
  // A success that is a page, or cut in the middle, also under the hub's mark.
  foreign(200),
  foreign(200, "ok"),
  foreign(200, '{"id":"session_abc","title":"half'),
  foreign(203),
  { status: 200, body: '{"id":"session_abc","title":"half' }
]

const source: Credentials.Source = {
  accessToken: Effect.succeed(Option.some(Redacted.make("access"))),
  organization: Effect.succeed(Option.some("org"))
}

const unbelieved = (exit: Exit.Exit<unknown, unknown>) => {
  if (Exit.isSuccess(exit) || exit.cause._tag !== "Fail") return false
  const error = exit.cause.error as { readonly _tag: string; readonly cause?: unknown }
  return error
}

/** The outage that a call ends with, or what it said instead. */
const outcome = (name: string, exit: Exit.Exit<unknown, unknown>): string => {
  const error = unbelieved(exit)
  if (error === false) {
    // These do not end: they go on trying.
    return Exit.isSuccess(exit) ? `${name}: succeeded with ${JSON.stringify(exit.value)}` : String(exit.cause)
  }
  const last =
    error instanceof ClientError.RetriesExhausted
      ? error.lastCause
      : error instanceof ClientError.PollGaveUp
        ? error.lastError
        : error
  if (error._tag === "TimeoutException") return "outage"
  if (last instanceof ClientError.LeaseLost && last.reason === "Silent") return "outage"
  return last instanceof ClientError.HubUnreachable && last.reason === "Intermediary"
    ? "outage"
    : `${name}: ${last._tag}`
}

describe("an answer that is not the hub's", () => {
  it.effect.each(
    answers.map((answer) => [`${answer.status} ${JSON.stringify(answer.body)}`, answer] as const)
  )("is an outage for every call: %s", ([, answer]) =>
    VirtualTime.run(
      Effect.gen(function* () {
        for (const [name, call] of yield* everything({ ingress: "i", environment: "e" })) {
          // Answers what did not archive, and does not fail.
          if (name === "archiveAll") continue
          const exit = yield* Effect.exit(call)
          expect(outcome(name, exit)).toBe("outage")
        }
      }).pipe(
        Effect.provide(Scripted.services(Scripted.make(Scripted.sequence(answer)), Credentials.layer(source)))
      )
    )
  )

  it.effect("says who answered what", () =>
    Effect.gen(function* () {
      const words = (answer: Scripted.Reply) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip((yield* Sessions).get(sessionId))
          return error.message
        }).pipe(Effect.provide(Scripted.services(Scripted.make(Scripted.sequence(answer)))))
      expect(yield* words(foreign(404, page, { server: "nginx/1.22.1" }))).toBe(
        'Sessions.get: the hub did not answer (somebody in between answered 404 with a page "Sign in to the network" (nginx/1.22.1))'
      )
      expect(yield* words(foreign(302, "", { location: "https://portal.example/login?token=x" }))).toBe(
        "Sessions.get: the hub did not answer (somebody in between answered 302 and points to https://portal.example; is the hub's address right?)"
      )
      expect(yield* words(foreign(403, "\u001b[31mno\u202e way"))).toBe(
        'Sessions.get: the hub did not answer (somebody in between answered 403 with "\\u001b[31mno\\u202e way")'
      )
      expect(yield* words({ status: 200, body: '{"id":' })).toBe(
        "Sessions.get: the hub did not answer (the answer 200 was cut or changed on its way)"
      )
    })
  )

  it.effect("a refusal in the hub's own words is believed without the mark, as published hubs give it", () =>
    Effect.gen(function* () {
      const get = (answer: Scripted.Reply) =>
        Effect.gen(function* () {
          return (yield* Effect.flip((yield* Sessions).get(sessionId)))._tag
        }).pipe(Effect.provide(Scripted.services(Scripted.make(Scripted.sequence(answer)))))
      const error = { type: "error", error: { type: "not_found_error", message: "no" } }
      expect(yield* get(foreign(404, error))).toBe("SessionNotFound")
      expect(yield* get(foreign(401, error))).toBe("Unauthorized")
      expect(yield* get({ status: 404, body: "" })).toBe("SessionNotFound")
    })
  )

  it.effect("a success without the mark counts no more where the mark was seen before", () => {
    const net = Scripted.make(
      Scripted.withoutParts(
        Scripted.sequence(
          { body: { id: "session_abc" } },
          foreign(200, { id: "session_abc" }),
          { status: 204, foreign: true },
          { body: {} }
        )
      )
    )
    return VirtualTime.run(
      Effect.gen(function* () {
        yield* (yield* Credentials.Credentials).setIngressToken(sessionId, Redacted.make("i"))
        yield* (yield* Sessions).get(sessionId)
        // Another service of the same hub: a portal's empty success is not a stored line.
        yield* (yield* Ingress).append(sessionId, Entry.make({ type: "user", uuid: "a" }), URL_)
        expect(net.asked.filter(({ path }) => URL_.endsWith(path))).toHaveLength(3)
      }).pipe(Effect.provide(Scripted.services(net)))
    )
  })

  it.effect("that asks to wait for a day is asked again within a minute", () => {
    const net = Scripted.make(Scripted.sequence(foreign(503, page, { "retry-after": "86400" }), { body: {} }))
    return VirtualTime.run(
      Effect.gen(function* () {
        yield* (yield* Credentials.Credentials).setIngressToken(sessionId, Redacted.make("i"))
        yield* (yield* Ingress).append(sessionId, Entry.make({ type: "user", uuid: "a" }), URL_)
        expect(yield* Effect.clockWith((clock) => clock.currentTimeMillis)).toBeLessThanOrEqual(60_000)
      }).pipe(Effect.provide(Scripted.services(net)))
    )
  })

  it.effect.prop(
    "in any order among the hub's own, a line is stored once and a stream goes on",
    { order: FastCheck.array(FastCheck.nat({ max: answers.length - 1 }), { maxLength: 8 }) },
    ({ order }) => {
      const bytes = new TextEncoder()
      const net = Scripted.make((asked) =>
        Effect.suspend(() => {
          const at = order[net.asked.length - 1]
          if (at !== undefined) return Effect.succeed(answers[at] ?? {})
          if (asked.path.includes("/uploads/")) return Effect.succeed({ status: 404 })
          if (asked.method === "PUT") return Effect.succeed({ body: {} })
          return Effect.succeed({
            body: new ReadableStream({
              start: (controller) => {
                controller.enqueue(
                  bytes.encode(
                    'event: client_event\ndata: {"event_id":"e","sequence_num":1,"event_type":"user","source":"client","created_at":"2026-01-01T00:00:00Z","payload":{"type":"user","uuid":"e"}}\n\n'
                  )
                )
              }
            })
          })
        })
      )
      return VirtualTime.run(
        Effect.gen(function* () {
          yield* (yield* Credentials.Credentials).setIngressToken(sessionId, Redacted.make("i"))
          yield* (yield* Ingress).append(sessionId, Entry.make({ type: "user", uuid: "a" }), URL_)
          const stream = yield* Effect.fork(
            Stream.runHead((yield* CodeSession.CodeSession).stream({ sessionId }, 0))
          )
          const first = yield* Fiber.join(stream)
          expect(Option.map(first, ({ sequence_num }) => sequence_num)).toEqual(Option.some(1))
        }).pipe(Effect.provide(Scripted.services(net)))
      )
    },
    { fastCheck: { numRuns: 50 } }
  )
})
