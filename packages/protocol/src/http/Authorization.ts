/**
 * Who may call. Each middleware is one kind of bearer token; what it grants stands beside it. Source: spec 1 §1,
 * spec 5 §3.6 and §3.8.
 */
import * as HttpApiMiddleware from "@effect/platform/HttpApiMiddleware"
import * as HttpApiSecurity from "@effect/platform/HttpApiSecurity"
import * as Context from "effect/Context"
import * as Schema from "effect/Schema"
import type { EnvironmentId, OrganizationId } from "../Ids.ts"
import type { Role } from "../Permission.ts"
import * as WireError from "../WireError.ts"

/** The organisation on whose behalf a call is made, and the token that says so. */
export interface Principal {
  readonly organizationId: OrganizationId
  /** Id of the access token, for audit; never the token itself. */
  readonly tokenId: string
  /** Its name, in its maker's words. */
  readonly name: string
  readonly role: Role
}
export class CurrentPrincipal extends Context.Tag("@causeway/protocol/CurrentPrincipal")<
  CurrentPrincipal,
  Principal
>() {}

/** The session that an ingress token opens. `epoch` fences writers that a newer one has replaced. */
export interface IngressGrant {
  readonly organizationId: OrganizationId
  /** Session body, see `Ids.sessionBody`. */
  readonly session: string
  readonly epoch: number
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
}

/** The environment whose secret was sent. */
export interface EnvironmentGrant {
  readonly organizationId: OrganizationId
  readonly environmentId: EnvironmentId
}
export class CurrentEnvironment extends Context.Tag("@causeway/protocol/CurrentEnvironment")<
  CurrentEnvironment,
  EnvironmentGrant
>() {}

const bearer = HttpApiSecurity.bearer

/** An access token; `x-organization-uuid` must name its organisation or be left out. */
export class Access extends HttpApiMiddleware.Tag<Access>()("@causeway/protocol/Access", {
  failure: Schema.Union(WireError.Unauthenticated, WireError.Forbidden, WireError.Unavailable),
  provides: CurrentPrincipal,
  security: { accessToken: bearer }
}) {}

/**
 * The secret of the environment in the path, or what else `Permissions` names. An environment that never was answers 404,
 * one that is archived 410.
 */
export class EnvironmentAccess extends HttpApiMiddleware.Tag<EnvironmentAccess>()(
  "@causeway/protocol/EnvironmentAccess",
  {
    failure: Schema.Union(
      WireError.Unauthenticated,
      WireError.Forbidden,
      WireError.NotFound,
      WireError.Gone,
      WireError.Unavailable
    ),
    provides: CurrentEnvironment,
    security: { environmentSecret: bearer }
  }
) {}

/** The session's ingress token, or an access token of its organisation. */
export class IngressAccess extends HttpApiMiddleware.Tag<IngressAccess>()(
  "@causeway/protocol/IngressAccess",
  {
    failure: Schema.Union(WireError.Unauthenticated, WireError.Forbidden),
    security: { ingressToken: bearer }
  }
) {}
