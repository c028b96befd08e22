/**
 * Calls with one of the three credentials: the access token, a session's ingress token, an environment's secret. A token
 * that is refused is refreshed once. Source: spec 1 §1.
 */
import * as Wire from "@causeway/protocol/Headers"
import type { Parameters } from "@causeway/protocol/http/Endpoint"
import { type EnvironmentId, pathSegment, type SessionId } from "@causeway/protocol/Ids"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import {
  type AccessTokenMissing,
  type CredentialsUnavailable,
  type EnvironmentSecretMissing,
  EnvironmentUnauthorized,
  type HubUnreachable,
  IdInvalid,
  type IngressTokenMissing,
  type OrganizationMissing,
  type RequestFailed,
  SessionConflict,
  SessionNotFound,
  Unauthorized
} from "../ClientError.ts"
import { Override } from "../Credentials.ts"
import * as Answer from "./Answer.ts"
import * as Request from "./Request.ts"

/** Refuses an id that must not stand in a path. */
export const checkId = <Id extends string>(kind: IdInvalid["kind"], id: Id): Effect.Effect<Id, IdInvalid> =>
  pathSegment.test(id)
    ? Effect.succeed(id)
    : new IdInvalid({ kind, shown: JSON.stringify(String(id).slice(0, 80)) })

// --- What is asked, and what statuses mean ---

/** Longest wait for an answer where the call names none. */
const TIMEOUT = "10 seconds"

export interface Options<Path, Query, E> extends Parameters<Path, Query> {
  /** Base URL; default: the configured hub's. */
  readonly base?: string | undefined
  readonly headers?: Request.Headers
  /** An object is sent as JSON; text is JSON already. */
  readonly body?: object | string
  /** Default 10 s. */
  readonly timeout?: Request.Ask["timeout"] | undefined
  /** Of statuses besides 2xx; one without a meaning is `RequestFailed`. */
  readonly meanings?: Answer.Meanings<E>
}

export const askOf = <Path, Query>(
  { config }: Request.Caller,
  operation: string,
  endpoint: Request.Asked<Path, Query>,
  { base = config.baseUrl, body, headers, timeout = TIMEOUT, ...parameters }: Options<Path, Query, unknown>
): Request.Ask => ({
  ...Request.to(operation, endpoint, base, parameters),
  headers,
  timeout,
  body: typeof body === "object" ? JSON.stringify(body) : body
})

/** The thing is there already, or gone already: the call has done what it was made for. */
export const done: (answer: Answer.Answer) => Effect.Effect<Answer.Answer> = Effect.succeed

/** Of calls about a session: there is none. */
export const missing = (sessionId: SessionId): Answer.Meanings<SessionNotFound> => ({
  404: (answer) => new SessionNotFound({ sessionId, ...Answer.detailOf(answer) })
})

/** Of calls that change a session: there is none, or its state refuses. */
export const refused = (sessionId: SessionId): Answer.Meanings<SessionNotFound | SessionConflict> => ({
  ...missing(sessionId),
  409: (answer) => new SessionConflict({ sessionId, operation: answer.operation, ...Answer.detailOf(answer) })
})

// --- Refreshing ---

type Status = { readonly status: number }
type RefreshError = HubUnreachable | CredentialsUnavailable

const is401 = ({ status }: Status) => status === 401
const isRefused = ({ status }: Status) => status === 401 || status === 403

/** Sends, and once more where the token is refused and a newer one is to be had. */
const refreshing = <A extends Status, E, E2>(
  first: Redacted.Redacted,
  attempt: (bearer: Redacted.Redacted) => Effect.Effect<A, E>,
  refused: (answer: A) => boolean,
  refresh: (rejected: Redacted.Redacted) => Effect.Effect<Option.Option<Redacted.Redacted>, E2>
): Effect.Effect<A, E | E2> =>
  Effect.flatMap(
    attempt(first),
    (answer): Effect.Effect<A, E | E2> =>
      refused(answer)
        ? Effect.flatMap(
            refresh(first),
            Option.match({ onNone: () => Effect.succeed(answer), onSome: attempt })
          )
        : Effect.succeed(answer)
  )

// --- The access token ---

/** How the organisation is named: not at all, where it is known, or always (`OrganizationMissing` else). */
export type Organization = "none" | "known" | "required"

type WithAccess = AccessTokenMissing | OrganizationMissing | CredentialsUnavailable

/** The organisation's header. */
const organizationHeader = Effect.fnUntraced(function* (
  { credentials }: Request.Caller,
  organization: Organization
) {
  if (organization === "none") return {}
  const override = yield* Override
  const found =
    override.organization !== undefined
      ? Option.some(override.organization)
      : organization === "required"
        ? yield* credentials.organization
        : yield* Effect.catchTag(credentials.organization, "OrganizationMissing", () => Effect.succeedNone)
  return Option.match(found, {
    onNone: (): Request.Headers => ({}),
    onSome: (uuid) => ({ [Wire.ORGANIZATION_HEADER]: uuid })
  })
})

/** Any kind of attempt with the access token; 401 refreshes it once. */
export const accessing = <A extends Status, E>(
  caller: Request.Caller,
  organization: Organization,
  attempt: (bearer: Redacted.Redacted, headers: Request.Headers) => Effect.Effect<A, E>
): Effect.Effect<A, E | WithAccess> =>
  Effect.gen(function* () {
    const { accessToken } = yield* Override
    const token = accessToken ?? (yield* caller.credentials.accessToken)
    const headers = yield* organizationHeader(caller, organization)
    return yield* refreshing(
      token,
      (bearer) => attempt(bearer, headers),
      (answer) => accessToken === undefined && is401(answer),
      caller.credentials.refreshAccessToken
    )
  })

/** A call with the access token, whatever its status. */
export const accessRaw = (
  caller: Request.Caller,
  ask: Request.Ask,
  organization: Organization
): Effect.Effect<Answer.Answer, RefreshError | WithAccess> =>
  accessing(caller, organization, (bearer, headers) => Request.send(caller, ask, bearer, headers))

const unauthorized = (status: Unauthorized["status"]) => (answer: Answer.Answer) =>
  new Unauthorized({ operation: answer.operation, status, ...Answer.detailOf(answer) })

/** 401 and 403 to the access token. */
export const signInRefused = { 401: unauthorized(401), 403: unauthorized(403) } as const

/** A call of an endpoint with the access token; 401 and 403 are answered as `Unauthorized`. */
export const access = <Path, Query, E = never>(
  caller: Request.Caller,
  organization: Organization,
  operation: string,
  endpoint: Request.Asked<Path, Query>,
  options: Options<Path, Query, E>
): Effect.Effect<Answer.Answer, RefreshError | WithAccess | Unauthorized | RequestFailed | E> =>
  Effect.flatMap(
    accessRaw(caller, askOf(caller, operation, endpoint, options), organization),
    Answer.expect<E | Unauthorized>({ ...options.meanings, ...signInRefused })
  )

// --- A session's ingress token ---

/** Any kind of attempt with the session's ingress token. 401 (and 403 where asked) refreshes it once. */
export const ingressing = <A extends Status, E>(
  { credentials }: Request.Caller,
  sessionId: SessionId,
  refresh: "none" | "401" | "401/403",
  attempt: (bearer: Redacted.Redacted) => Effect.Effect<A, E>
): Effect.Effect<A, E | RefreshError | IngressTokenMissing> =>
  Effect.flatMap(credentials.ingressToken(sessionId), (token) =>
    refreshing(
      token,
      attempt,
      (answer) => (refresh === "401/403" ? isRefused(answer) : refresh === "401" && is401(answer)),
      (rejected) => credentials.refreshIngressToken(sessionId, rejected)
    )
  )

/** A call with the session's ingress token, whatever its status. */
export const ingress = (
  caller: Request.Caller,
  sessionId: SessionId,
  ask: Request.Ask,
  refresh: "none" | "401" | "401/403"
): Effect.Effect<Answer.Answer, RefreshError | IngressTokenMissing> =>
  ingressing(caller, sessionId, refresh, (bearer) => Request.send(caller, ask, bearer))

// --- An environment's secret ---

/** A call of an endpoint with the environment's secret. 401 and 403 refresh it once; then they are `EnvironmentUnauthorized`. */
export const environment = <Path, Query, E = never>(
  caller: Request.Caller,
  environmentId: EnvironmentId,
  operation: string,
  endpoint: Request.Asked<Path, Query>,
  options: Options<Path, Query, E>
): Effect.Effect<
  Answer.Answer,
  RefreshError | EnvironmentSecretMissing | EnvironmentUnauthorized | RequestFailed | E
> =>
  Effect.flatMap(caller.credentials.environmentSecret(environmentId), (secret) => {
    const ask = askOf(caller, operation, endpoint, options)
    const unauthorized = (answer: Answer.Answer) =>
      new EnvironmentUnauthorized({ environmentId, ...Answer.detailOf(answer) })
    return Effect.flatMap(
      refreshing(
        secret,
        (bearer) => Request.send(caller, ask, bearer),
        isRefused,
        (rejected) => caller.credentials.refreshEnvironmentSecret(environmentId, rejected)
      ),
      Answer.expect<E | EnvironmentUnauthorized>({
        ...options.meanings,
        401: unauthorized,
        403: unauthorized
      })
    )
  })
