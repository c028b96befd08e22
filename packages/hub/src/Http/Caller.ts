/** Who calls on a session's routes: the worker's side with the session's ingress token, or people with an access token. */
import { ORGANIZATION_HEADER } from "@causeway/protocol/Headers"
import type { IngressGrant, Principal } from "@causeway/protocol/http/Authorization"
import { type OrganizationId, sessionBody } from "@causeway/protocol/Ids"
import { type Permission, permissionsOf } from "@causeway/protocol/Permission"
import * as WireError from "@causeway/protocol/WireError"
import type { SessionKey } from "@causeway/store/Log"
import type { Credential } from "@causeway/store/Standing"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { Auth, isIngressToken, isSuperseded, requireSession } from "../Auth/Auth.ts"
import * as HotRoutes from "../HotRoutes.ts"

/** The session of the path, in an organisation that the caller may act for. That it exists is told by the store. */
export interface Caller extends SessionKey {
  /** Epoch of the ingress token; undefined for an access token. */
  readonly tokenEpoch: number | undefined
  /** What was shown; it has to stand for as long as what it opened is open. */
  readonly credential: Credential
}

/** A person with an access token. */
export interface Person extends Caller {
  readonly permissions: ReadonlyArray<Permission>
}

const tokenOf = (request: HotRoutes.HotRequest) => {
  const token = HotRoutes.bearer(request.headers)
  return token === undefined
    ? WireError.Unauthenticated.of("the request has no bearer token")
    : Effect.succeed(token)
}

/** A newer worker has taken the session over. */
export const replaced = WireError.Conflict.of(
  "the ingress token is superseded: a newer worker has taken the session over",
  { reason: "superseded" }
)

const holderOf = (
  { epoch, expiresAt, organizationId }: IngressGrant,
  session: Caller["session"]
): Caller => ({
  organizationId,
  session,
  tokenEpoch: epoch,
  credential: { _tag: "Ingress", session, epoch, expiresAt }
})

export const make = Effect.gen(function* () {
  const auth = yield* Auth
  const clock = yield* Effect.clock

  /** Whose access token it is. */
  const principal = (request: HotRoutes.HotRequest): Effect.Effect<Principal, WireError.WireError> =>
    Effect.gen(function* () {
      const token = yield* tokenOf(request)
      if (isIngressToken(token)) {
        return yield* WireError.Forbidden.of(
          "an ingress token opens its session's worker routes, not this one"
        )
      }
      const header = HotRoutes.header(request, ORGANIZATION_HEADER)
      return yield* auth.access(Redacted.make(token), header, request.line.needs)
    })

  /** The organisation of an access token. */
  const access = (request: HotRoutes.HotRequest): Effect.Effect<OrganizationId, WireError.WireError> =>
    Effect.map(principal(request), ({ organizationId }) => organizationId)

  /** The caller with an access token, for the session `:id`. */
  const person = (request: HotRoutes.HotRequest): Effect.Effect<Person, WireError.WireError> =>
    Effect.map(principal(request), ({ organizationId, role, tokenId }) => ({
      organizationId,
      session: sessionBody(request.params["id"] ?? ""),
      tokenEpoch: undefined,
      credential: { _tag: "Token", id: tokenId },
      permissions: permissionsOf(role)
    }))

  const withIngress =
    (verify: typeof auth.ingress) =>
    (request: HotRoutes.HotRequest): Effect.Effect<Caller, WireError.WireError> => {
      const token = HotRoutes.bearer(request.headers)
      if (token === undefined || !isIngressToken(token) || !request.line.also.includes("ingress token")) {
        return person(request)
      }
      const session = sessionBody(request.params["id"] ?? "")
      // Another session's is refused with 401, not 403: a client gives up at once, or asks for the right token.
      return Effect.map(
        Effect.flatMap(verify(Redacted.make(token)), (grant) => requireSession(grant, session)),
        (grant) => holderOf(grant, session)
      )
    }

  /** The caller with either token, for the session `:id`, as far as the route's line takes both. */
  const either = withIngress(auth.ingress)

  /**
   * The same, for those who append: the epoch of the token is not looked at here but in the transaction that stores, where
   * it costs nothing and no newer one can come in between. `Log.append` must be given `tokenEpoch`.
   */
  const writer = withIngress(auth.verifyIngress)

  /** The same at once, where the token is known and opens the session; undefined leaves it to {@link writer}. */
  const knownWriter = (request: HotRoutes.HotRequest): Caller | undefined => {
    const token = request.line.also.includes("ingress token") ? HotRoutes.bearer(request.headers) : undefined
    const grant = token === undefined ? undefined : auth.knownIngress(token, clock.unsafeCurrentTimeMillis())
    const session = sessionBody(request.params["id"] ?? "")
    return grant === undefined || grant.session !== session ? undefined : holderOf(grant, session)
  }

  /**
   * The caller on a worker's route. There 409 means only that a newer worker is there, and a token that it has replaced says
   * just that: whoever holds one must stop writing, not ask for another. Source: spec 5 §3.1.
   */
  const worker = (request: HotRoutes.HotRequest): Effect.Effect<Caller, WireError.WireError> =>
    Effect.mapError(either(request), (error) =>
      error._tag === "Unauthenticated" && isSuperseded(error) ? replaced : error
    )

  return { access, knownWriter, person, either, worker, writer }
})
