import { EnvironmentId, SessionId } from "@causeway/protocol/Ids"
import { describe, expect, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { CredentialsUnavailable } from "../src/ClientError.ts"
import * as Credentials from "../src/Credentials.ts"

const session = SessionId.make("session_a")
const environment = EnvironmentId.make("env_a")
const secret = (text: string) => Redacted.make(text)

/** A source whose refresh waits for the test, and counts. */
const gated = Effect.gen(function* () {
  const gate = yield* Deferred.make<Option.Option<Redacted.Redacted>, CredentialsUnavailable>()
  const state = { refreshes: 0, token: "old" }
  const refresh = () =>
    Effect.suspend(() => {
      state.refreshes++
      return Deferred.await(gate)
    })
  const source: Credentials.Source = {
    accessToken: Effect.sync(() => Option.some(secret(state.token))),
    organization: Effect.succeed(Option.none()),
    refreshAccessToken: refresh,
    refreshIngressToken: refresh,
    refreshEnvironmentSecret: refresh
  }
  return { gate, state, source }
})

const using = <A, E>(
  source: Credentials.Source,
  use: (credentials: typeof Credentials.Credentials.Service) => Effect.Effect<A, E>
) => Effect.flatMap(Credentials.Credentials, use).pipe(Effect.provide(Credentials.layer(source)))

const kinds = ["access", "ingress", "environment"] as const

/** The refresh of each kind of credential, after it was set to `old`. */
const refreshOf = (credentials: typeof Credentials.Credentials.Service, kind: (typeof kinds)[number]) =>
  kind === "access"
    ? credentials.refreshAccessToken
    : kind === "ingress"
      ? (rejected: Redacted.Redacted) => credentials.refreshIngressToken(session, rejected)
      : (rejected: Redacted.Redacted) => credentials.refreshEnvironmentSecret(environment, rejected)

const prepared = (credentials: typeof Credentials.Credentials.Service) =>
  Effect.zipRight(
    credentials.setIngressToken(session, secret("old")),
    credentials.setEnvironmentSecret(environment, secret("old"))
  )

describe("one refresh at a time", () => {
  it.effect.prop(
    "is shared by all who wait, and by those who ask with the old token afterwards",
    { kind: FastCheck.constantFrom(...kinds), callers: FastCheck.integer({ min: 1, max: 20 }) },
    ({ callers, kind }) =>
      Effect.gen(function* () {
        const { gate, source, state } = yield* gated
        yield* using(source, (credentials) =>
          Effect.gen(function* () {
            yield* prepared(credentials)
            const refresh = refreshOf(credentials, kind)
            const fibers = yield* Effect.forEach(Array.from({ length: callers }), () =>
              Effect.fork(refresh(secret("old")))
            )
            yield* TestClock.adjust("1 seconds")
            yield* Deferred.succeed(gate, Option.some(secret("new")))
            for (const fiber of fibers) {
              expect(Option.map(yield* Fiber.join(fiber), Redacted.value)).toEqual(Option.some("new"))
            }
            expect(Option.map(yield* refresh(secret("old")), Redacted.value)).toEqual(Option.some("new"))
            expect(state.refreshes).toBe(1)
          })
        )
      }),
    { fastCheck: { numRuns: 20 } }
  )

  it.effect("goes on when who began it is interrupted", () =>
    Effect.gen(function* () {
      const { gate, source, state } = yield* gated
      yield* using(source, (credentials) =>
        Effect.gen(function* () {
          const first = yield* Effect.fork(credentials.refreshAccessToken(secret("old")))
          yield* TestClock.adjust("1 seconds")
          const second = yield* Effect.fork(credentials.refreshAccessToken(secret("old")))
          yield* TestClock.adjust("1 seconds")
          yield* Fiber.interrupt(first)
          yield* Deferred.succeed(gate, Option.some(secret("new")))
          expect(Option.map(yield* Fiber.join(second), Redacted.value)).toEqual(Option.some("new"))
          expect(state.refreshes).toBe(1)
        })
      )
    })
  )

  it.effect("fails for all who wait, and is tried anew by the next", () =>
    Effect.gen(function* () {
      const { gate, source, state } = yield* gated
      yield* using(source, (credentials) =>
        Effect.gen(function* () {
          yield* Deferred.fail(gate, new CredentialsUnavailable({ issue: "offline" }))
          for (let n = 1; n <= 2; n++) {
            expect(yield* Effect.flip(credentials.refreshAccessToken(secret("old")))).toMatchObject({
              issue: "offline"
            })
            expect(state.refreshes).toBe(n)
          }
        })
      )
    })
  )

  it.effect("is bounded", () =>
    Effect.gen(function* () {
      const { source } = yield* gated
      yield* using(source, (credentials) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.fork(Effect.flip(credentials.refreshAccessToken(secret("old"))))
          yield* TestClock.adjust("20 seconds")
          expect((yield* Fiber.join(fiber))._tag).toBe("CredentialsUnavailable")
        })
      )
    })
  )
})

describe("the access token", () => {
  it.effect(
    "that was refreshed is used although the source gives the old one, until it gives another",
    () => {
      const state = { token: "a" }
      let next = "b"
      const source: Credentials.Source = {
        accessToken: Effect.sync(() => Option.some(secret(state.token))),
        organization: Effect.succeed(Option.none()),
        refreshAccessToken: () => Effect.sync(() => Option.some(secret(next)))
      }
      return using(source, (credentials) =>
        Effect.gen(function* () {
          const now = Effect.map(credentials.accessToken, Redacted.value)
          yield* credentials.refreshAccessToken(secret("a"))
          expect(yield* now).toBe("b")
          next = "c"
          yield* credentials.refreshAccessToken(secret("b"))
          expect(yield* now).toBe("c")
          state.token = "signed in again"
          expect(yield* now).toBe("signed in again")
        })
      )
    }
  )

  it.effect("that is refused is read again where there is no refresh", () => {
    const state = { token: "a" }
    const source: Credentials.Source = {
      accessToken: Effect.sync(() => Option.some(secret(state.token))),
      organization: Effect.succeed(Option.none())
    }
    return using(source, (credentials) =>
      Effect.gen(function* () {
        expect(yield* credentials.refreshAccessToken(secret("a"))).toEqual(Option.none())
        state.token = "b"
        expect(Option.map(yield* credentials.refreshAccessToken(secret("a")), Redacted.value)).toEqual(
          Option.some("b")
        )
      })
    )
  })

  it.effect("that is empty is missing", () =>
    Effect.gen(function* () {
      const credentials = yield* Credentials.Credentials
      expect((yield* Effect.flip(credentials.accessToken))._tag).toBe("AccessTokenMissing")
    }).pipe(Effect.provide(Credentials.layerStatic({ accessToken: secret("") })))
  )
})

describe("ingress tokens and environment secrets", () => {
  it.effect("are found in either spelling of the session, and forgotten", () =>
    Effect.gen(function* () {
      const credentials = yield* Credentials.Credentials
      expect((yield* Effect.flip(credentials.ingressToken(session)))._tag).toBe("IngressTokenMissing")
      yield* credentials.setIngressToken(session, secret("t"))
      expect(Redacted.value(yield* credentials.ingressToken(SessionId.make("cse_a")))).toBe("t")
      yield* credentials.forgetIngressToken(SessionId.make("cse_a"))
      expect((yield* Effect.flip(credentials.ingressToken(session)))._tag).toBe("IngressTokenMissing")
      expect((yield* Effect.flip(credentials.environmentSecret(environment)))._tag).toBe(
        "EnvironmentSecretMissing"
      )
      yield* credentials.setEnvironmentSecret(environment, secret("s"))
      expect(Redacted.value(yield* credentials.environmentSecret(environment))).toBe("s")
      yield* credentials.forgetEnvironmentSecret(environment)
      expect((yield* Effect.flip(credentials.environmentSecret(environment)))._tag).toBe(
        "EnvironmentSecretMissing"
      )
    }).pipe(Effect.provide(Credentials.layerStatic({})))
  )
})

describe("from the configuration", () => {
  const from = (entries: ReadonlyArray<readonly [string, string]>) =>
    Credentials.layerFromEnv({ organization: "token" }).pipe(
      Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map(entries))))
    )

  it.effect("reads the token and the organisation", () =>
    Effect.gen(function* () {
      const credentials = yield* Credentials.Credentials
      expect(Redacted.value(yield* credentials.accessToken)).toBe("tok")
      expect(yield* credentials.organization).toEqual(Option.some("org"))
    }).pipe(
      Effect.provide(
        from([
          ["CAUSEWAY_TOKEN", "tok"],
          ["CAUSEWAY_ORGANIZATION", "org"]
        ])
      )
    )
  )

  it.effect("does without both until they are needed", () =>
    Effect.gen(function* () {
      const credentials = yield* Credentials.Credentials
      expect(yield* credentials.organization).toEqual(Option.none())
      expect((yield* Effect.flip(credentials.accessToken))._tag).toBe("AccessTokenMissing")
    }).pipe(Effect.provide(from([])))
  )
})
