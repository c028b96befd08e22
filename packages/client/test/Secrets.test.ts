import { inspect } from "node:util"
import { SessionId } from "@causeway/protocol/Ids"
import * as WorkSecret from "@causeway/protocol/WorkSecret"
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Tracer from "effect/Tracer"
import { Credentials, layer as credentialsLayer } from "../src/Credentials.ts"
import * as Diagnostics from "../src/Diagnostics.ts"
import * as Entry from "../src/Entry.ts"
import { Ingress } from "../src/Ingress.ts"
import { everything as calls } from "./support/Everything.ts"
import * as Scripted from "./support/Scripted.ts"
import * as VirtualTime from "./support/VirtualTime.ts"

const sessionId = SessionId.make("session_abc")
const URL_ = `${Scripted.BASE}/v1/session_ingress/session/session_abc`
const SECRETS = {
  access: "SECRET-access-7f3a",
  ingress: "SECRET-ingress-91bc",
  environment: "SECRET-environment-44d0",
  fresh: "SECRET-fresh-0aa1"
}

/** Everything that leaves the program but the requests: log lines, spans, errors. */
const observed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const said: Array<string> = []
    const logger = Logger.make(({ annotations, cause, message, spans }) => {
      said.push(inspect([message, [...annotations], Cause.pretty(cause), [...spans]], { depth: 9 }))
    })
    const spans: Array<Tracer.Span> = []
    const tracer = Tracer.make({
      span: (name, parent, context, links, startTime, kind) => {
        const attributes = new Map<string, unknown>()
        let status: Tracer.SpanStatus = { _tag: "Started", startTime }
        const span: Tracer.Span = {
          _tag: "Span",
          name,
          spanId: String(spans.length),
          traceId: "trace",
          parent,
          context,
          get status() {
            return status
          },
          attributes,
          links,
          sampled: true,
          kind,
          end: (endTime, exit) => {
            status = { _tag: "Ended", startTime, endTime, exit }
          },
          attribute: (key, value) => void attributes.set(key, value),
          event: (event, _, of) => void said.push(event, inspect(of, { depth: 9 })),
          addLinks: () => {}
        }
        spans.push(span)
        return span
      },
      context: (f) => f()
    })
    const exit = yield* Effect.exit(effect).pipe(
      Effect.withTracer(tracer),
      Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
      Logger.withMinimumLogLevel(LogLevel.All)
    )
    if (Exit.isFailure(exit)) {
      for (const error of [...Cause.failures(exit.cause), ...Cause.defects(exit.cause)]) {
        said.push(
          String(error),
          JSON.stringify(error),
          inspect(error, { depth: 9 }),
          Cause.pretty(exit.cause)
        )
      }
    }
    for (const span of spans) {
      said.push(span.name, inspect([...span.attributes], { depth: 9 }))
      // Exporters tell of a span's failure; what it answered stays in the program.
      if (span.status._tag === "Ended" && Exit.isFailure(span.status.exit)) {
        said.push(inspect(span.status.exit, { depth: 9 }), Cause.pretty(span.status.exit.cause))
      }
    }
    return { exit, said: said.join("\n"), spans }
  })

const source = {
  accessToken: Effect.succeed(Option.some(Redacted.make(SECRETS.access))),
  organization: Effect.succeed(Option.some("org")),
  refreshAccessToken: () => Effect.succeed(Option.some(Redacted.make(SECRETS.fresh))),
  refreshIngressToken: () => Effect.succeed(Option.some(Redacted.make(SECRETS.fresh))),
  refreshEnvironmentSecret: () => Effect.succeed(Option.some(Redacted.make(SECRETS.fresh)))
}

/** Servers and networks that say the token back wherever they can. */
const echoes = {
  "an error body": (asked: Scripted.Asked, status: number): Scripted.Reply => ({
    status,
    body: { type: "error", error: { type: "x", message: `bad token ${asked.headers["authorization"]}` } }
  }),
  "a body that does not decode": (asked: Scripted.Asked): Scripted.Reply => ({
    status: 200,
    body: { id: { token: asked.headers["authorization"] }, data: asked.headers["authorization"] }
  }),
  "a page of somebody in between": (asked: Scripted.Asked, status: number): Scripted.Reply => ({
    status,
    foreign: true,
    headers: { server: `proxy ${asked.headers["authorization"]}` },
    body: `<html><title>${"x".repeat(50)} ${asked.headers["authorization"]}</title>`
  }),
  "words of somebody in between": (asked: Scripted.Asked, status: number): Scripted.Reply => ({
    status,
    foreign: true,
    headers: { location: `https://portal.test/${asked.headers["authorization"]}` },
    body: `${"x".repeat(60)} ${asked.headers["authorization"]}`
  }),
  "secrets in the wrong place": (): Scripted.Reply => ({
    status: 200,
    body: {
      environment_id: "../..",
      environment_secret: SECRETS.environment,
      worker_jwt: SECRETS.ingress,
      worker_epoch: SECRETS.ingress,
      secret: WorkSecret.encode({ sessionIngressToken: SECRETS.ingress, apiBaseUrl: SECRETS.ingress }),
      id: "work_1"
    }
  })
} as const

const leaks = (said: string) => Object.values(SECRETS).filter((secret) => said.includes(secret))

describe("no token leaves the program but in the header it is for", () => {
  it.effect.prop(
    "whatever a server answers",
    {
      echo: FastCheck.constantFrom(...(Object.keys(echoes) as ReadonlyArray<keyof typeof echoes>)),
      status: FastCheck.constantFrom(400, 401, 403, 404, 409, 410, 412, 429, 500)
    },
    ({ echo, status }) => {
      const net = Scripted.make((asked) => Effect.succeed(echoes[echo](asked, status)))
      return VirtualTime.run(
        Effect.gen(function* () {
          for (const [name, call] of yield* calls(SECRETS)) {
            const { said, spans } = yield* observed(call)
            expect([name, leaks(said)]).toEqual([name, []])
            expect([name, spans.length > 0]).toEqual([name, true])
          }
          const sent = net.asked.map(({ headers }) => headers["authorization"]?.replace("Bearer ", ""))
          expect(sent.every((token) => Object.values(SECRETS).includes(token ?? ""))).toBe(true)
        }).pipe(Effect.provide(Scripted.services(net, credentialsLayer(source))))
      )
    },
    { fastCheck: { numRuns: 12 }, timeout: 120_000 }
  )

  it.effect("whatever the network says", () => {
    const net = Scripted.make((asked) =>
      Effect.fail(new Scripted.Broken(`cannot send ${asked.headers["authorization"]}`))
    )
    return VirtualTime.run(
      Effect.gen(function* () {
        for (const [name, call] of yield* calls(SECRETS)) {
          const { exit, said } = yield* observed(call)
          expect([name, leaks(said)]).toEqual([name, []])
          if (name === "get") expect(Exit.isFailure(exit) && Cause.pretty(exit.cause)).toContain("<redacted>")
        }
      }).pipe(Effect.provide(Scripted.services(net, credentialsLayer(source))))
    )
  })
})

describe("diagnostics", () => {
  it.effect("are log lines and counters of the same name", () => {
    const net = Scripted.make(
      Scripted.sequence({ status: 409, headers: { "x-last-uuid": "z" } }, { status: 200 })
    )
    return Effect.gen(function* () {
      yield* (yield* Credentials).setIngressToken(sessionId, Redacted.make(SECRETS.ingress))
      const ingress = yield* Ingress
      const counter = Diagnostics.counters.session_persist_409_adopt_server_uuid
      const before = yield* Metric.value(counter)
      const { said } = yield* observed(ingress.append(sessionId, Entry.make({ uuid: "a" }), URL_))
      expect(said).toContain("session_persist_409_adopt_server_uuid")
      expect(said).toContain("session_abc")
      expect((yield* Metric.value(counter)).count).toBe(before.count + 1)
    }).pipe(Effect.provide(Layer.mergeAll(Scripted.services(net))))
  })

  it("have stable snake_case names", () => {
    for (const name of Object.keys(Diagnostics.counters)) expect(name).toMatch(/^[a-z0-9]+(_[a-z0-9]+)+$/)
    for (const name of [
      "session_persist_fail_status",
      "session_persist_recovered_from_409",
      "session_persist_409_adopt_server_uuid",
      "session_persist_error_retries_exhausted",
      "session_get_fail_bad_token",
      "teleport_events_not_found",
      "teleport_events_page_cap"
    ]) {
      expect(Diagnostics.counters).toHaveProperty(name)
    }
  })
})
