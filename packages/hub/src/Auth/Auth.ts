/**
 * Who is calling: access tokens, environment secrets and ingress tokens, each told from its bearer token alone.
 *
 * HttpApi uses it through `Middleware.ts`, the hot routes directly. Source: spec 1 §1, spec 5 §3.6 and §3.8.
 */

import { createSecretKey } from "node:crypto"
import { BoundedMap } from "@causeway/protocol/BoundedMap"
import type { EnvironmentGrant, IngressGrant, Principal } from "@causeway/protocol/http/Authorization"
import { type EnvironmentId, OrganizationId, pathSegment, sessionBody } from "@causeway/protocol/Ids"
import * as Permission from "@causeway/protocol/Permission"
import * as WireError from "@causeway/protocol/WireError"
import type { Audit } from "@causeway/store/Audit"
import * as Author from "@causeway/store/Author"
import * as Environments from "@causeway/store/Environments"
import type { StoreUnavailable } from "@causeway/store/Errors"
import * as Tokens from "@causeway/store/Tokens"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Jose from "jose"
import { mapStoreErrors } from "../Failure.ts"
import * as Auditor from "./Auditor.ts"

/** Lifetime of an ingress token in seconds: 4 h. The bridge asks for another at half of it. */
export const INGRESS_TOKEN_SECONDS = 4 * 60 * 60

/** An ingress token as it is handed out. */
export interface IssuedIngress {
  readonly token: Redacted.Redacted
  readonly expiresInSeconds: number
}

export class Auth extends Context.Tag("@causeway/hub/Auth")<
  Auth,
  {
    /**
     * Whose access token this is, and nothing of what it may. `organizationHeader` is the value of `x-organization-uuid`,
     * if it was sent.
     *
     * `Unauthenticated`: unknown, expired or revoked. `Forbidden`: the header names another organisation.
     */
    readonly principal: (
      token: Redacted.Redacted,
      organizationHeader: string | undefined
    ) => Effect.Effect<Principal, WireError.Unauthenticated | WireError.Forbidden | WireError.Unavailable>

    /** The same, where its role has one of these permissions; else `Forbidden`. */
    readonly access: (
      token: Redacted.Redacted,
      organizationHeader: string | undefined,
      needs: ReadonlyArray<Permission.Permission>
    ) => Effect.Effect<Principal, WireError.Unauthenticated | WireError.Forbidden | WireError.Unavailable>

    /**
     * The session that an ingress token opens, its epoch being the session's newest.
     *
     * `Unauthenticated` tells apart: malformed, signed by another key, expired, superseded by a newer epoch.
     */
    readonly ingress: (
      token: Redacted.Redacted
    ) => Effect.Effect<IngressGrant, WireError.Unauthenticated | WireError.Unavailable>

    /**
     * The same without a look at the database: the signature and the time alone. For routes whose append checks the
     * epoch itself (`Log.append` with `tokenEpoch`).
     */
    readonly verifyIngress: (
      token: Redacted.Redacted
    ) => Effect.Effect<IngressGrant, WireError.Unauthenticated>

    /** The same at once, of a token whose signature is remembered; undefined where that takes longer. */
    readonly knownIngress: (token: string, nowMillis: number) => IngressGrant | undefined

    /**
     * The environment whose secret this is. `NotFound`: no such environment. `Gone`: archived. `Unauthenticated`: not
     * its present secret (secrets rotate at every registration).
     */
    readonly environment: (
      environmentId: EnvironmentId,
      token: Redacted.Redacted
    ) => Effect.Effect<
      EnvironmentGrant,
      WireError.Unauthenticated | WireError.NotFound | WireError.Gone | WireError.Unavailable
    >

    /** A token for one session (`Ids.sessionBody`) and one token epoch. Does not bump the epoch. */
    readonly issueIngress: (
      session: string,
      organizationId: OrganizationId,
      epoch: number
    ) => Effect.Effect<IssuedIngress>
  }
>() {}

/** Why an ingress token does not open anything: `error.details.reason` of the 401. */
export type IngressReason =
  | "malformed"
  | "foreign"
  | "expired"
  | "superseded"
  | "other_session"
  | "session_unknown"

const words: { readonly [R in IngressReason]: string } = {
  malformed: "the ingress token is malformed",
  foreign: "the ingress token was not signed by this hub",
  expired: "the ingress token has expired: ask for another",
  superseded: "the ingress token is superseded: a newer worker has taken the session over",
  other_session: "the ingress token opens another session",
  session_unknown: "the session of the ingress token does not exist"
}

export const ingressRefused = (reason: IngressReason): WireError.Unauthenticated =>
  WireError.Unauthenticated.of(words[reason], { reason })

const Reason = Schema.Struct({ reason: Schema.Literal("superseded") })

/** The token was good, until a newer one replaced it. */
export const isSuperseded = (error: WireError.Unauthenticated): boolean =>
  Schema.is(Reason)(error.error.details)

/** Refuses a grant for another session than this one (`Ids.sessionBody`). */
export const requireSession = (
  grant: IngressGrant,
  session: string
): Effect.Effect<IngressGrant, WireError.Unauthenticated> =>
  grant.session === sessionBody(session) ? Effect.succeed(grant) : ingressRefused("other_session")

/** Refuses an access token whose role has none of these permissions. None at all: access tokens do not open it. */
export const requirePermission = (
  { name, role }: Principal,
  needs: ReadonlyArray<Permission.Permission>
): Effect.Effect<void, WireError.Forbidden> => {
  if (Permission.allows(Permission.permissionsOf(role), needs)) return Effect.void
  return needs.length === 0
    ? WireError.Forbidden.of("no access token opens this address")
    : WireError.Forbidden.of(
        `the access token "${name}" has the role ${role}, which lacks the permission ${needs.join(" or ")}`,
        { role, needs }
      )
}

/** A JWT has three parts; the hub's access tokens have none. */
export const isIngressToken = (token: string): boolean => token.split(".").length === 3

/** Ingress tokens whose signature is remembered. */
const VERIFIED_MAX = 10_000

/** Name of the signing key in the table `secrets`. */
const KEY_NAME = "ingress_signing_key"
const ISSUER = "causeway"
const ALGORITHM = "HS256"

const Claims = Schema.Struct({
  session: Schema.String.pipe(Schema.pattern(pathSegment)),
  organization: OrganizationId,
  epoch: Schema.Int.pipe(Schema.nonNegative())
})
const decodeClaims = Schema.decodeUnknown(Claims)

/** jose tells failures apart by class. */
const reasonOf = (error: unknown): IngressReason =>
  error instanceof Jose.errors.JWTExpired
    ? "expired"
    : error instanceof Jose.errors.JWSSignatureVerificationFailed
      ? "foreign"
      : "malformed"

const make = Effect.gen(function* () {
  const tokens = yield* Tokens.Tokens
  const auditor = yield* Auditor.make
  const environments = yield* Environments.Environments
  const key = createSecretKey(Buffer.from(Redacted.value(yield* tokens.signingKey(KEY_NAME)), "base64url"))

  const principal = Effect.fnUntraced(function* (
    token: Redacted.Redacted,
    organizationHeader: string | undefined
  ) {
    if (Redacted.value(token).length === 0) {
      return yield* WireError.Unauthenticated.of("no access token: send Authorization: Bearer <token>")
    }
    const record = yield* tokens.resolve(token)
    if (organizationHeader !== undefined && organizationHeader !== record.organizationId) {
      return yield* WireError.Forbidden.of("x-organization-uuid names another organisation than the token's")
    }
    const { id: tokenId, name, organizationId, role } = record
    const found: Principal = { organizationId, tokenId, name, role }
    return found
  }, mapStoreErrors)

  const access: Auth["Type"]["access"] = (token, organizationHeader, needs) =>
    principal(token, organizationHeader).pipe(
      Effect.tap((found) =>
        Effect.tapError(requirePermission(found, needs), ({ message }) =>
          auditor.refused({
            kind: `${found.tokenId} ${needs.join()}`,
            organizationId: found.organizationId,
            subject: found.tokenId,
            words: message
          })
        )
      ),
      // What the rest of this request stores names them.
      Effect.tap(({ name, role, tokenId }) =>
        FiberRef.set(Author.current, { kind: "token", id: tokenId, name, role })
      )
    )

  // A worker sends the same token with every append, and a signature does not turn bad: only its expiry is looked at
  // again.
  const verified = new BoundedMap<string, IngressGrant>(VERIFIED_MAX)

  const knownIngress = (token: string, now: number): IngressGrant | undefined => {
    const known = verified.get(token)
    return known !== undefined && now < known.expiresAt ? known : undefined
  }

  const verifyIngress = (token: Redacted.Redacted) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const known = knownIngress(Redacted.value(token), now)
      return known === undefined ? verifySignature(token, now) : Effect.succeed(known)
    })

  const verifySignature = Effect.fnUntraced(function* (token: Redacted.Redacted, now: number) {
    const { payload } = yield* Effect.tryPromise({
      try: () =>
        Jose.jwtVerify(Redacted.value(token), key, {
          algorithms: [ALGORITHM],
          issuer: ISSUER,
          requiredClaims: ["iat", "exp"],
          currentDate: new Date(now)
        }),
      catch: (error) => ingressRefused(reasonOf(error))
    })
    const claims = yield* Effect.mapError(decodeClaims(payload), () => ingressRefused("malformed"))
    const grant: IngressGrant = {
      organizationId: claims.organization,
      session: claims.session,
      epoch: claims.epoch,
      expiresAt: (payload.exp ?? 0) * 1000
    }
    verified.set(Redacted.value(token), grant)
    return grant
  })

  const ingress = Effect.fnUntraced(function* (token: Redacted.Redacted) {
    const grant = yield* verifyIngress(token)
    const newest = yield* tokens.epochOf(grant)
    if (newest === undefined) return yield* ingressRefused("session_unknown")
    if (grant.epoch < newest) return yield* ingressRefused("superseded")
    return grant
  }, mapStoreErrors)

  const environment = Effect.fnUntraced(function* (environmentId: EnvironmentId, token: Redacted.Redacted) {
    if (Redacted.value(token).length === 0) {
      return yield* WireError.Unauthenticated.of("no environment secret: send Authorization: Bearer <secret>")
    }
    const organizationId = yield* environments.authenticate(environmentId, token)
    const grant: EnvironmentGrant = { organizationId, environmentId }
    return grant
  }, mapStoreErrors)

  const issueIngress = Effect.fnUntraced(function* (
    session: string,
    organizationId: OrganizationId,
    epoch: number
  ) {
    const seconds = Math.floor((yield* Clock.currentTimeMillis) / 1000)
    // Signing with a key that was loaded cannot fail: a failure is a defect.
    const token = yield* Effect.promise(() =>
      new Jose.SignJWT({ session, organization: organizationId, epoch })
        .setProtectedHeader({ alg: ALGORITHM, typ: "JWT" })
        .setIssuer(ISSUER)
        .setIssuedAt(seconds)
        .setExpirationTime(seconds + INGRESS_TOKEN_SECONDS)
        .sign(key)
    )
    const issued: IssuedIngress = { token: Redacted.make(token), expiresInSeconds: INGRESS_TOKEN_SECONDS }
    return issued
  })

  return Auth.of({ principal, access, ingress, knownIngress, verifyIngress, environment, issueIngress })
})

/** Makes the signing key at the first start. */
export const layer: Layer.Layer<Auth, StoreUnavailable, Audit | Tokens.Tokens | Environments.Environments> =
  Layer.effect(Auth, make)
