/**
 * Who is calling: access tokens, environment secrets and ingress tokens, each told from its bearer token alone.
 *
 * Both doors use it: HttpApi through `Middleware.ts`, the bare door directly. Source: spec 1 §1, spec 5 §3.6 and §3.8.
 */
import type { EnvironmentGrant, IngressGrant, Principal } from "@causeway/protocol/Authorization"
import type { EnvironmentId, OrganizationId } from "@causeway/protocol/Ids"
import type * as WireError from "@causeway/protocol/WireError"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"

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
     * The organisation of an access token. `organizationHeader` is the value of `x-organization-uuid`, if it was sent.
     *
     * `Unauthenticated`: unknown, expired or revoked. `Forbidden`: the header names another organisation.
     */
    readonly access: (
      token: Redacted.Redacted,
      organizationHeader: string | undefined
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
