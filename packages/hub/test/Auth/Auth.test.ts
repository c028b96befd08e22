import { createSecretKey, randomBytes } from "node:crypto"
import { EnvironmentId, OrganizationId } from "@causeway/protocol/Ids"
import * as Bootstrap from "@causeway/store/Bootstrap"
import * as Environments from "@causeway/store/Environments"
import * as Sessions from "@causeway/store/Session"
import * as Tokens from "@causeway/store/Tokens"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as Jose from "jose"
import * as Auth from "../../src/Auth/Auth.ts"
import * as Hub from "../../src/Hub.ts"

const layer = Layer.provideMerge(Auth.layer, Hub.layerStore({ filename: ":memory:" }))

const setup = Effect.gen(function* () {
  const auth = yield* Auth.Auth
  const { organizationId, created } = yield* (yield* Bootstrap.Bootstrap).ensure
  const sessions = yield* Sessions.Sessions
  const record = yield* sessions.create({
    organizationId,
    environmentId: undefined,
    source: undefined,
    context: "{}",
    permissionMode: undefined,
    tags: undefined,
    payloads: []
  })
  return { auth, organizationId, access: Option.getOrThrow(created), record }
})

const message = <A, R>(effect: Effect.Effect<A, { readonly error: { readonly message: string } }, R>) =>
  Effect.map(Effect.flip(effect), (error) => error.error.message)

describe("ingress tokens", () => {
  it.effect("open the session of their epoch for 4 h", () =>
    Effect.gen(function* () {
      const { auth, organizationId, record } = yield* setup
      const issued = yield* auth.issueIngress(record.session, organizationId, record.tokenEpoch)
      expect(issued.expiresInSeconds).toBe(14_400)
      const expiresAt = 14_400_000
      const grant = { organizationId, session: record.session, epoch: record.tokenEpoch, expiresAt }
      expect(yield* auth.ingress(issued.token)).toEqual(grant)
      yield* TestClock.adjust("14399 seconds")
      expect(yield* auth.ingress(issued.token)).toEqual(grant)
      yield* TestClock.adjust("1 second")
      expect(yield* message(auth.ingress(issued.token))).toContain("has expired")
      expect(yield* message(auth.verifyIngress(issued.token))).toContain("has expired")
    }).pipe(Effect.provide(layer))
  )

  it.effect("are superseded by a newer epoch of their session", () =>
    Effect.gen(function* () {
      const { auth, organizationId, record } = yield* setup
      const old = yield* auth.issueIngress(record.session, organizationId, record.tokenEpoch)
      const sessions = yield* Sessions.Sessions
      const epoch = yield* sessions.nextEpoch(record, { token: true })
      const fresh = yield* auth.issueIngress(record.session, organizationId, epoch)
      expect(yield* message(auth.ingress(old.token))).toContain("superseded")
      expect((yield* auth.ingress(fresh.token)).epoch).toBe(epoch)
      // Registering a worker does not replace the token.
      yield* sessions.nextEpoch(record, { token: false })
      expect((yield* auth.ingress(fresh.token)).epoch).toBe(epoch)
    }).pipe(Effect.provide(layer))
  )

  it.effect("of another hub, of no session, of wrong form: each is told apart", () =>
    Effect.gen(function* () {
      const { auth, organizationId, record } = yield* setup
      const now = 0
      const sign = (key: Uint8Array, claims: Jose.JWTPayload, issuer = "causeway", alg = "HS256") =>
        Effect.promise(() =>
          new Jose.SignJWT(claims)
            .setProtectedHeader({ alg })
            .setIssuer(issuer)
            .setIssuedAt(now)
            .setExpirationTime(now + 60)
            .sign(createSecretKey(key))
        )
      const own = Buffer.from(
        Redacted.value(yield* (yield* Tokens.Tokens).signingKey("ingress_signing_key")),
        "base64url"
      )
      const claims = { session: record.session, organization: organizationId, epoch: record.tokenEpoch }
      const refusal = (token: string) => message(auth.ingress(Redacted.make(token)))
      expect((yield* auth.ingress(Redacted.make(yield* sign(own, claims)))).session).toBe(record.session)
      expect(yield* refusal(yield* sign(randomBytes(32), claims))).toContain("not signed by this hub")
      expect(yield* refusal(yield* sign(own, { ...claims, session: "elsewhere" }))).toContain(
        "does not exist"
      )
      expect(yield* refusal(yield* sign(own, { ...claims, organization: "other" }))).toContain(
        "does not exist"
      )
      const malformed = [
        "",
        "garbage",
        "a.b.c",
        "cw_notajwt",
        yield* sign(own, { session: record.session }),
        yield* sign(own, { ...claims, epoch: "1" }),
        yield* sign(own, { ...claims, session: "../x" }),
        yield* sign(own, claims, "another issuer"),
        yield* sign(randomBytes(64), claims, "causeway", "HS512"),
        new Jose.UnsecuredJWT(claims)
          .setIssuer("causeway")
          .setIssuedAt(now)
          .setExpirationTime(now + 60)
          .encode()
      ]
      for (const token of malformed) expect(yield* refusal(token)).toContain("malformed")
      const tampered = (yield* sign(own, claims)).split(".")
      const forged = Buffer.from(
        JSON.stringify({ ...claims, iss: "causeway", iat: now, exp: now + 60, epoch: 999 })
      )
      expect(yield* refusal([tampered[0], forged.toString("base64url"), tampered[2]].join("."))).toContain(
        "not signed by this hub"
      )
    }).pipe(Effect.provide(layer))
  )

  it.effect("of another session are refused for this one, in either spelling", () =>
    Effect.gen(function* () {
      const grant = { organizationId: OrganizationId.make("o"), session: "abc", epoch: 1, expiresAt: 1 }
      expect(yield* Auth.requireSession(grant, "session_abc")).toEqual(grant)
      expect(yield* Auth.requireSession(grant, "cse_abc")).toEqual(grant)
      expect(yield* message(Auth.requireSession(grant, "session_abd"))).toContain("another session")
    })
  )

  it.effect("outlive a restart: the key is kept", () =>
    Effect.gen(function* () {
      const { auth, organizationId, record } = yield* setup
      const { token } = yield* auth.issueIngress(record.session, organizationId, record.tokenEpoch)
      const again = yield* Effect.provide(Auth.Auth, Layer.fresh(Auth.layer))
      expect((yield* again.ingress(token)).session).toBe(record.session)
    }).pipe(Effect.provide(layer))
  )
})

describe("access tokens", () => {
  it.effect("the first start makes one, once, and one organisation", () =>
    Effect.gen(function* () {
      const { auth, access, organizationId } = yield* setup
      expect(Redacted.value(access)).toMatch(/^cw_[A-Za-z0-9_-]{43}$/)
      expect(String(access)).toBe("<redacted>")
      expect((yield* auth.principal(access, undefined)).organizationId).toBe(organizationId)
      const again = yield* (yield* Bootstrap.Bootstrap).ensure
      expect(again).toEqual({ organizationId, created: Option.none() })
      const spare = yield* (yield* Bootstrap.Bootstrap).issue("spare")
      expect((yield* auth.principal(spare, organizationId)).organizationId).toBe(organizationId)
    }).pipe(Effect.provide(layer))
  )

  it.effect("are refused when unknown, expired, revoked or for another organisation", () =>
    Effect.gen(function* () {
      const { auth, organizationId } = yield* setup
      const tokens = yield* Tokens.Tokens
      expect(yield* message(auth.principal(Redacted.make(""), undefined))).toContain("no access token")
      expect(yield* message(auth.principal(Redacted.make("cw_none"), undefined))).toContain("not known")
      const brief = yield* tokens.create({ organizationId, name: "brief", expiresAt: 1_000 })
      expect((yield* auth.principal(brief.token, undefined)).tokenId).toBe(brief.record.id)
      yield* TestClock.adjust("1 second")
      expect(yield* message(auth.principal(brief.token, undefined))).toContain("expired")
      const { token, record } = yield* tokens.create({ organizationId, name: "revoked" })
      expect(yield* Effect.flip(auth.principal(token, "another"))).toMatchObject({ _tag: "Forbidden" })
      yield* tokens.revoke({ organizationId, tokenId: record.id })
      expect(yield* message(auth.principal(token, undefined))).toContain("revoked")
    }).pipe(Effect.provide(layer))
  )

  it.effect("note their use to the minute, and never the token", () =>
    Effect.gen(function* () {
      const { auth, access, organizationId } = yield* setup
      const tokens = yield* Tokens.Tokens
      const lastUsed = Effect.map(tokens.list(organizationId), (list) => list[0]?.lastUsedAt)
      yield* TestClock.adjust("1 second")
      yield* auth.principal(access, undefined)
      expect(yield* lastUsed).toBe(1_000)
      yield* TestClock.adjust("59 seconds")
      yield* auth.principal(access, undefined)
      expect(yield* lastUsed).toBe(1_000)
      yield* TestClock.adjust("1 second")
      yield* auth.principal(access, undefined)
      expect(yield* lastUsed).toBe(61_000)
      const text = JSON.stringify(yield* tokens.list(organizationId))
      expect(text).not.toContain(Redacted.value(access))
      expect(text).toContain(Redacted.value(access).slice(-4))
    }).pipe(Effect.provide(layer))
  )
})

describe("environment secrets", () => {
  it.effect("rotate at every registration, and end with the environment", () =>
    Effect.gen(function* () {
      const { auth, organizationId } = yield* setup
      const environments = yield* Environments.Environments
      const registration = {
        organizationId,
        machineName: "m",
        directory: "/d",
        branch: undefined,
        gitRepoUrl: undefined,
        maxSessions: undefined,
        metadata: undefined
      }
      const first = yield* environments.register({ ...registration, reuseEnvironmentId: undefined })
      const { id } = first.environment
      const grant = { organizationId, environmentId: id }
      expect(yield* auth.environment(id, first.secret)).toEqual(grant)
      const second = yield* environments.register({ ...registration, reuseEnvironmentId: id })
      expect(second.environment.id).toBe(id)
      expect(yield* Effect.flip(auth.environment(id, first.secret))).toMatchObject({
        _tag: "Unauthenticated"
      })
      expect(yield* auth.environment(id, second.secret)).toEqual(grant)
      expect(
        yield* Effect.flip(auth.environment(EnvironmentId.make("env_none"), second.secret))
      ).toMatchObject({
        // The same as for a wrong secret: strangers do not learn which environments there are.
        _tag: "Unauthenticated"
      })
      yield* environments.archive(grant)
      expect(yield* Effect.flip(auth.environment(id, second.secret))).toMatchObject({ _tag: "Gone" })
      expect(yield* Effect.flip(auth.environment(id, first.secret))).toMatchObject({
        _tag: "Unauthenticated"
      })
      const third = yield* environments.register({ ...registration, reuseEnvironmentId: id })
      expect(third.environment.id).not.toBe(id)
    }).pipe(Effect.provide(layer))
  )
})
