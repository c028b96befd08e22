/**
 * Who is calling: the access token, the organisation, each session's ingress token and each environment's secret.
 * Source: spec 1 §1.
 */

import type { EnvironmentId, SessionId } from "@causeway/protocol/Ids"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type {
  AccessTokenMissing,
  CredentialsUnavailable,
  EnvironmentSecretMissing,
  IngressTokenMissing,
  OrganizationMissing
} from "./ClientError.ts"

/**
 * Tokens and the organisation, read anew for each call, so that a new sign-in is noticed by the next one.
 *
 * The `refresh…` methods take the token that was refused. Where a newer one is known already they answer it at once;
 * else they refresh, one refresh at a time a credential, shared by all who wait (an interrupted waiter does not stop
 * it). `None`: there is nothing newer, and the refusal stands.
 */
export class Credentials extends Context.Tag("@causeway/client/Credentials")<
  Credentials,
  {
    /** The access token to send now. */
    readonly accessToken: Effect.Effect<Redacted.Redacted, AccessTokenMissing | CredentialsUnavailable>
    readonly refreshAccessToken: (
      rejected: Redacted.Redacted
    ) => Effect.Effect<Option.Option<Redacted.Redacted>, CredentialsUnavailable>
    /**
     * The organisation to name. `None` only where the layer says that the access token names it
     * (`organization: "token"`): the header is left out then.
     */
    readonly organization: Effect.Effect<Option.Option<string>, OrganizationMissing | CredentialsUnavailable>
    /** The ingress token of a session, in either spelling of its id. */
    readonly ingressToken: (sessionId: SessionId) => Effect.Effect<Redacted.Redacted, IngressTokenMissing>
    readonly setIngressToken: (sessionId: SessionId, token: Redacted.Redacted) => Effect.Effect<void>
    /** Forgets a session's token: what is held must not grow with sessions that ended. */
    readonly forgetIngressToken: (sessionId: SessionId) => Effect.Effect<void>
    readonly refreshIngressToken: (
      sessionId: SessionId,
      rejected: Redacted.Redacted
    ) => Effect.Effect<Option.Option<Redacted.Redacted>, CredentialsUnavailable>
    /** The secret of an environment. */
    readonly environmentSecret: (
      environmentId: EnvironmentId
    ) => Effect.Effect<Redacted.Redacted, EnvironmentSecretMissing>
    readonly setEnvironmentSecret: (
      environmentId: EnvironmentId,
      secret: Redacted.Redacted
    ) => Effect.Effect<void>
    readonly forgetEnvironmentSecret: (environmentId: EnvironmentId) => Effect.Effect<void>
    readonly refreshEnvironmentSecret: (
      environmentId: EnvironmentId,
      rejected: Redacted.Redacted
    ) => Effect.Effect<Option.Option<Redacted.Redacted>, CredentialsUnavailable>
  }
>() {}
