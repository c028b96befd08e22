/**
 * Who is calling: the access token, the organisation, each session's ingress token and each environment's secret.
 * Source: spec 1 §1.
 */

import { type EnvironmentId, type SessionId, sessionBody } from "@causeway/protocol/Ids"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import {
  AccessTokenMissing,
  CredentialsUnavailable,
  EnvironmentSecretMissing,
  IngressTokenMissing,
  OrganizationMissing
} from "./ClientError.ts"
import * as Diagnostics from "./Diagnostics.ts"
import * as SingleFlight from "./internal/SingleFlight.ts"

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

// --- Per call ---

/** Credentials of one call, instead of the layer's. An overriding token is not refreshed. */
export interface Overrides {
  readonly accessToken?: Redacted.Redacted
  readonly organization?: string
}

/** The overrides in force; none by default. */
export class Override extends Context.Reference<Override>()("@causeway/client/Credentials/Override", {
  defaultValue: (): Overrides => ({})
}) {}

/** Runs calls as somebody else: `sessions.get(id).pipe(Credentials.withOverride({ accessToken }))`. */
export const withOverride =
  (overrides: Overrides) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, Override>> =>
    Effect.provideService(effect, Override, overrides)

// --- Where credentials come from ---

type Refreshed = Effect.Effect<Option.Option<Redacted.Redacted>, CredentialsUnavailable>

/**
 * A place that knows who is signed in. `accessToken` and `organization` are read for each call: keep them cheap, and
 * let them see a new sign-in. A refresh that is left out means: read again.
 */
export interface Source {
  readonly accessToken: Refreshed
  readonly organization: Effect.Effect<Option.Option<string>, CredentialsUnavailable>
  readonly refreshAccessToken?: (rejected: Redacted.Redacted) => Refreshed
  readonly refreshIngressToken?: (sessionId: SessionId, rejected: Redacted.Redacted) => Refreshed
  readonly refreshEnvironmentSecret?: (environmentId: EnvironmentId, rejected: Redacted.Redacted) => Refreshed
}

export interface Options {
  /**
   * `required` (default): a call that needs the organisation and knows none fails with `OrganizationMissing`.
   * `token`: the access token names the organisation, as a Causeway hub's do; the header is left out where none is
   * known.
   */
  readonly organization?: "required" | "token"
}

/** Longest time a refresh may take; then the callers that wait get `CredentialsUnavailable`. */
const REFRESH_TIMEOUT = "20 seconds"

export const make = (source: Source, options: Options = {}) =>
  Effect.gen(function* () {
    const flight = yield* SingleFlight.make<Option.Option<Redacted.Redacted>, CredentialsUnavailable>()
    const ingressTokens = new Map<string, Redacted.Redacted>()
    const environmentSecrets = new Map<string, Redacted.Redacted>()
    // What to use for the token that the source gives, where it goes on giving one that was refused.
    let replaced: { readonly from: Redacted.Redacted; readonly to: Redacted.Redacted } | undefined

    const same = (a: Redacted.Redacted, b: Redacted.Redacted) => Redacted.value(a) === Redacted.value(b)

    const current = Effect.map(
      source.accessToken,
      Option.map((token) => (replaced !== undefined && same(token, replaced.from) ? replaced.to : token))
    )

    /**
     * The newer token where there is one already, else what `refresh` brings. `current` is looked at again inside the
     * flight: one that ended between the caller's refusal and its asking has done the work.
     */
    const renew = (
      key: string,
      rejected: Redacted.Redacted,
      known: Refreshed,
      refresh: Refreshed | undefined,
      store: (token: Redacted.Redacted) => Effect.Effect<void, CredentialsUnavailable>
    ): Refreshed => {
      const newer = Effect.map(
        known,
        Option.filter((token) => !same(token, rejected))
      )
      return flight(
        key,
        Effect.flatMap(newer, (found) => {
          if (Option.isSome(found) || refresh === undefined) return Effect.succeed(found)
          return refresh.pipe(
            Effect.map(Option.filter((token) => !same(token, rejected))),
            Effect.timeoutFail({
              duration: REFRESH_TIMEOUT,
              onTimeout: () => new CredentialsUnavailable({ issue: "the refresh took too long" })
            }),
            Effect.tap(
              Option.match({
                onNone: () => Effect.void,
                onSome: (token) =>
                  Effect.zipRight(
                    store(token),
                    Diagnostics.record("credentials_refreshed", { credential: key }, "info")
                  )
              })
            ),
            Effect.tapError(() => Diagnostics.record("credentials_refresh_fail", { credential: key }))
          )
        })
      )
    }

    return Credentials.of({
      accessToken: Effect.flatMap(
        current,
        Option.match({
          onNone: () => new AccessTokenMissing({}),
          onSome: (token) =>
            Redacted.value(token) === "" ? new AccessTokenMissing({}) : Effect.succeed(token)
        })
      ),
      refreshAccessToken: (rejected) =>
        renew("access", rejected, current, source.refreshAccessToken?.(rejected), (to) =>
          Effect.map(source.accessToken, (given) => {
            replaced = Option.isSome(given) && !same(given.value, to) ? { from: given.value, to } : undefined
          })
        ),
      organization: Effect.flatMap(source.organization, (organization) =>
        Option.isSome(organization) || options.organization === "token"
          ? Effect.succeed(organization)
          : new OrganizationMissing({})
      ),
      ingressToken: (sessionId) =>
        Effect.suspend(() => {
          const token = ingressTokens.get(sessionBody(sessionId))
          return token === undefined ? new IngressTokenMissing({ sessionId }) : Effect.succeed(token)
        }),
      setIngressToken: (sessionId, token) =>
        Effect.sync(() => void ingressTokens.set(sessionBody(sessionId), token)),
      forgetIngressToken: (sessionId) => Effect.sync(() => void ingressTokens.delete(sessionBody(sessionId))),
      refreshIngressToken: (sessionId, rejected) =>
        renew(
          `ingress ${sessionBody(sessionId)}`,
          rejected,
          Effect.sync(() => Option.fromNullable(ingressTokens.get(sessionBody(sessionId)))),
          source.refreshIngressToken?.(sessionId, rejected),
          (token) => Effect.sync(() => void ingressTokens.set(sessionBody(sessionId), token))
        ),
      environmentSecret: (environmentId) =>
        Effect.suspend(() => {
          const secret = environmentSecrets.get(environmentId)
          return secret === undefined
            ? new EnvironmentSecretMissing({ environmentId })
            : Effect.succeed(secret)
        }),
      setEnvironmentSecret: (environmentId, secret) =>
        Effect.sync(() => void environmentSecrets.set(environmentId, secret)),
      forgetEnvironmentSecret: (environmentId) =>
        Effect.sync(() => void environmentSecrets.delete(environmentId)),
      refreshEnvironmentSecret: (environmentId, rejected) =>
        renew(
          `environment ${environmentId}`,
          rejected,
          Effect.sync(() => Option.fromNullable(environmentSecrets.get(environmentId))),
          source.refreshEnvironmentSecret?.(environmentId, rejected),
          (secret) => Effect.sync(() => void environmentSecrets.set(environmentId, secret))
        )
    })
  })

// --- Layers ---

/** Credentials of a source that is asked for each call. */
export const layer = (source: Source, options?: Options): Layer.Layer<Credentials> =>
  Layer.scoped(Credentials, make(source, options))

/** Fixed values; nothing to refresh. */
export const layerStatic = (
  values: { readonly accessToken?: Redacted.Redacted; readonly organization?: string },
  options?: Options
): Layer.Layer<Credentials> =>
  layer(
    {
      accessToken: Effect.succeed(Option.fromNullable(values.accessToken)),
      organization: Effect.succeed(Option.fromNullable(values.organization))
    },
    options
  )

/** The names read by {@link layerFromEnv}. Both may be missing: a call that needs one says so. */
export const config = Config.all({
  accessToken: Config.redacted("CAUSEWAY_TOKEN").pipe(
    Config.withDescription("access token of the hub"),
    Config.option
  ),
  organization: Config.nonEmptyString("CAUSEWAY_ORGANIZATION").pipe(
    Config.withDescription("uuid of the organisation; may be left out where the token names it"),
    Config.option
  )
})

/** From the configuration: `CAUSEWAY_TOKEN` and `CAUSEWAY_ORGANIZATION`. */
export const layerFromEnv = (options?: Options): Layer.Layer<Credentials, ConfigError.ConfigError> =>
  Layer.unwrapEffect(
    Effect.map(config, (found) =>
      layer(
        {
          accessToken: Effect.succeed(found.accessToken),
          organization: Effect.succeed(found.organization)
        },
        options
      )
    )
  )
