/** Secrets that `connect` may bring: the hub's own, a device's token, a one-time code. */
import { CloseCode, type ConnectParams } from "@causeway/protocol/Gateway/Frames"
import { isScope, isWithin, permissionsOf, scopes as scopeTable } from "@causeway/protocol/Permission"
import type { StoreUnavailable } from "@causeway/store/Errors"
import * as Secret from "@causeway/store/Secret"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import { type FailureReason, type HandshakeRefused, refuse } from "./Refusal.ts"
import type { Connect, State, Verified } from "./State.ts"

export const isBlank = (text: string | undefined): boolean => text === undefined || text.trim() === ""

/**
 * The one-time code of these credentials: one that the device's signature covers, so that nobody can put another in its
 * place. With a token beside it the signature is over that.
 */
export const codeOf = (auth: ConnectParams["auth"]): string | undefined =>
  auth?.token === undefined && auth?.deviceToken === undefined && !isBlank(auth?.bootstrapToken)
    ? auth?.bootstrapToken
    : undefined

const onlyOrganization = (state: State, method: Verified["method"]) =>
  Effect.flatMap(state.organizations.list, ([first]) =>
    first === undefined
      ? refuse("this hub has no organisation yet", undefined, { code: "UNAVAILABLE" })
      : Effect.succeed(
          Either.right<Verified>({ organizationId: first.id, tokenId: undefined, access: "owner", method })
        )
  )

/** The hub's own secret. Left says why it does not open. */
export const shared = (
  state: State,
  { config, origin, params }: Connect
): Effect.Effect<Either.Either<Verified, FailureReason>, HandshakeRefused | StoreUnavailable> => {
  const { password, token } = params.auth ?? {}
  switch (config.auth.mode) {
    case "none":
      // Whoever comes from elsewhere, or through somebody, is not this machine's user.
      return origin.local ? onlyOrganization(state, "none") : Effect.succeed(Either.left("token_missing"))
    case "password":
      if (isBlank(password)) return Effect.succeed(Either.left("password_missing"))
      return config.auth.password !== undefined &&
        Secret.isSame(password ?? "", Redacted.value(config.auth.password))
        ? onlyOrganization(state, "password")
        : Effect.succeed(Either.left("password_mismatch"))
    case "token":
      return isBlank(token) ? Effect.succeed(Either.left("token_missing")) : accessToken(state, token ?? "")
  }
}

/**
 * The scopes that are asked for, as far as the access token's role goes: whoever signs in with one cannot know what it
 * allows, and gets what it does. An owner's are not looked at.
 */
export const withinRole = (
  { scopes }: Connect,
  { access }: Verified
): Effect.Effect<ReadonlyArray<string>, HandshakeRefused> => {
  if (access === "owner") return Effect.succeed(scopes)
  const within = scopes.filter(
    (scope) => isScope(scope) && isWithin(scopeTable[scope], permissionsOf(access))
  )
  return within.length === 0 && scopes.length > 0
    ? refuse(`unauthorized: an access token of the role ${access} allows none of ${scopes.join(", ")}`, {
        code: "AUTH_ROLE_REFUSED",
        role: access
      })
    : Effect.succeed(within)
}

const accessToken = (state: State, token: string) =>
  state.auth.principal(Redacted.make(token), undefined).pipe(
    Effect.map(({ organizationId, role, tokenId }) =>
      Either.right<Verified>({ organizationId, tokenId, access: role, method: "token" })
    ),
    Effect.catchTags({
      Unauthenticated: () => Effect.succeed(Either.left("token_mismatch" as const)),
      Forbidden: () => Effect.succeed(Either.left("token_mismatch" as const)),
      Unavailable: () =>
        refuse("the database cannot be used now", undefined, {
          code: "UNAVAILABLE",
          close: CloseCode.tryAgain
        })
    })
  )
