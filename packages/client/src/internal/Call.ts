/**
 * One HTTP call: who is calling, the request, the bound on its time, and the answer with its text read. Every service
 * of this package calls through here, so headers, refreshes and scrubbing are in one place. Source: spec 1 §1.
 */

import * as Wire from "@causeway/protocol/Headers"
import type { EnvironmentId, SessionId } from "@causeway/protocol/Ids"
import { pathSegment } from "@causeway/protocol/Ids"
import * as TransportFailure from "@causeway/protocol/TransportFailure"
import * as Visible from "@causeway/protocol/Visible"
import { extractErrorDetail } from "@causeway/protocol/WireError"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import type * as HttpMethod from "@effect/platform/HttpMethod"
import * as HttpTraceContext from "@effect/platform/HttpTraceContext"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { ClientConfig } from "../ClientConfig.ts"
import {
  type AccessTokenMissing,
  type CredentialsUnavailable,
  type EnvironmentSecretMissing,
  HubUnreachable,
  IdInvalid,
  type IngressTokenMissing,
  InvalidResponse,
  type OrganizationMissing,
  RequestFailed,
  Unauthorized
} from "../ClientError.ts"
import { Credentials, Override } from "../Credentials.ts"
import * as Whose from "./Whose.ts"

/** What is asked. */
export interface Ask {
  /** `Service.method`, for errors and spans. */
  readonly operation: string
  readonly method: HttpMethod.HttpMethod
  /** Absolute URL, query included. */
  readonly url: string
  readonly headers?: { readonly [name: string]: string }
  /** JSON text, or bytes. */
  readonly body?: string | Uint8Array
  readonly timeout: Duration.DurationInput
}

/** What came back. */
export interface Answer {
  readonly operation: string
  readonly status: number
  readonly headers: { readonly [name: string]: string | undefined }
  readonly text: string
  /** The parsed text; `undefined` where it is empty or no JSON. */
  readonly json: unknown
  /** The error body's own words, without tokens, at most 500 characters. */
  readonly detail: string | undefined
  readonly retryAfterMillis: number | undefined
  /** Whether it is certainly the hub's, and whole. */
  readonly own: boolean
}

export const is2xx = (answer: { readonly status: number }): boolean =>
  answer.status >= 200 && answer.status < 300

const DETAIL_MAX = 500

const redact = (text: string, secret: Redacted.Redacted): string => {
  const value = Redacted.value(secret)
  return value === "" ? text : text.replaceAll(value, "<redacted>")
}

/** Takes a secret out of words that somebody else wrote. */
export const scrub = (text: string, secret: Redacted.Redacted): string => {
  const clean = redact(text, secret)
  return Visible.clip(clean, DETAIL_MAX)
}

/** Longest `Retry-After` that is believed of the hub, and of somebody in between. */
const RETRY_AFTER_MAX_MILLIS = 3_600_000
const FOREIGN_RETRY_AFTER_MAX_MILLIS = 60_000

const retryAfter = (header: string | undefined, now: number): number | undefined => {
  if (header === undefined) return undefined
  const seconds = Number(header)
  const millis = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - now
  return Number.isNaN(millis) ? undefined : Math.min(Math.max(0, millis), RETRY_AFTER_MAX_MILLIS)
}

const parse = (text: string): unknown => {
  if (text === "") return undefined
  try {
    return JSON.parse(text)
  } catch {
    // Not JSON is an outcome: `decode` reports it where JSON is required.
    return undefined
  }
}

/** 404, 500 and the like, where the caller gives the status no meaning of its own. */
export const failed = (answer: Answer): RequestFailed =>
  new RequestFailed({
    operation: answer.operation,
    status: answer.status,
    ...(answer.detail === undefined ? {} : { detail: answer.detail }),
    ...(answer.retryAfterMillis === undefined ? {} : { retryAfterMillis: answer.retryAfterMillis })
  })

/** `{ detail }` where there is one, for error constructors. */
export const detailOf = (answer: Answer): { readonly detail?: string } =>
  answer.detail === undefined ? {} : { detail: answer.detail }

const invalid = (answer: Answer, path: string, issue: string) =>
  new InvalidResponse({ operation: answer.operation, status: answer.status, path, issue, own: answer.own })

/** Reads a 2xx body. The issue names what was expected, never what was found: that could be a secret. */
export const decode =
  <A, I>(schema: Schema.Schema<A, I>) =>
  (answer: Answer): Either.Either<A, InvalidResponse> => {
    if (answer.json === undefined) {
      return Either.left(invalid(answer, "", answer.text === "" ? "empty body" : "not JSON"))
    }
    return Either.mapLeft(Schema.decodeUnknownEither(schema)(answer.json), (error) => {
      const issue = ParseResult.ArrayFormatter.formatErrorSync(error)[0]
      return invalid(
        answer,
        issue?.path.map(String).join(".") ?? "",
        issue === undefined ? "does not decode" : (issue.message.split(", actual")[0] ?? "does not decode")
      )
    })
  }

/** Refuses an id that must not stand in a path. */
export const checkId = <Id extends string>(kind: IdInvalid["kind"], id: Id): Effect.Effect<Id, IdInvalid> =>
  pathSegment.test(id)
    ? Effect.succeed(id)
    : new IdInvalid({ kind, shown: JSON.stringify(String(id).slice(0, 80)) })

/** `?a=1&b=2`, leaving out what is undefined; "" where nothing is left. */
export const query = (params: { readonly [name: string]: string | number | undefined }): string => {
  const given = Object.entries(params).flatMap(([name, value]) =>
    value === undefined ? [] : [`${encodeURIComponent(name)}=${encodeURIComponent(value)}`]
  )
  return given.length === 0 ? "" : `?${given.join("&")}`
}

/** How the organisation is named: not at all, where it is known, or always (`OrganizationMissing` else). */
export type Organization = "none" | "known" | "required"

type RefreshError = HubUnreachable | CredentialsUnavailable

export const make = Effect.gen(function* () {
  // One span a call, ours: the platform's would carry what a peer or a transport says, and whole responses.
  const client = HttpClient.withTracerDisabledWhen(yield* HttpClient.HttpClient, () => true)

  /** Sends a request as part of the current span. */
  const execute = (request: HttpClientRequest.HttpClientRequest) =>
    Effect.flatMap(Effect.option(Effect.currentSpan), (span) =>
      client.execute(
        Option.match(span, {
          onNone: () => request,
          onSome: (current) => HttpClientRequest.setHeaders(request, HttpTraceContext.toHeaders(current))
        })
      )
    )
  const config = yield* ClientConfig
  const credentials = yield* Credentials

  const request = (ask: Ask, bearer: Redacted.Redacted, headers: { readonly [name: string]: string }) => {
    const base = HttpClientRequest.make(ask.method)(ask.url).pipe(
      HttpClientRequest.setHeaders({
        accept: "application/json",
        "user-agent": config.userAgent,
        [Wire.ANTHROPIC_VERSION_HEADER]: Wire.ANTHROPIC_VERSION,
        ...headers,
        ...ask.headers
      }),
      HttpClientRequest.bearerToken(bearer)
    )
    if (ask.body === undefined) return base
    return typeof ask.body === "string"
      ? HttpClientRequest.bodyText(base, ask.body, "application/json")
      : HttpClientRequest.bodyUint8Array(base, ask.body, "application/octet-stream")
  }

  const unreachable =
    (operation: string, bearer: Redacted.Redacted) => (error: HttpClientError.HttpClientError) => {
      // Of the error itself nothing is shown: it holds the request, whose headers hold a token.
      const { code, words } = TransportFailure.describe(error.cause ?? error.reason, error.request.url)
      return new HubUnreachable({
        operation,
        reason: "Transport",
        detail: scrub(words, bearer),
        ...(code === undefined ? {} : { code })
      })
    }

  const tooSlow = (operation: string, timeout: Duration.DurationInput) => () =>
    new HubUnreachable({
      operation,
      reason: "Timeout",
      detail: `no answer within ${Duration.format(Duration.decode(timeout))}`
    })

  const hubs = Whose.of(config)

  const foreign = (
    { operation, url }: Pick<Ask, "operation" | "url">,
    bearer: Redacted.Redacted,
    response: { readonly status: number; readonly headers: Answer["headers"]; readonly text: string },
    retryAfterMillis: number | undefined
  ) =>
    new HubUnreachable({
      operation,
      reason: "Intermediary",
      // What is shown of it is cut: the token goes before.
      detail: Whose.describe(url, response, (text) => redact(text, bearer)),
      status: response.status,
      ...(retryAfterMillis === undefined
        ? {}
        : { retryAfterMillis: Math.min(retryAfterMillis, FOREIGN_RETRY_AFTER_MAX_MILLIS) })
    })

  /** Reads an answer to its end. One that is not the hub's is no answer. */
  const read = (ask: Pick<Ask, "operation" | "url">, bearer: Redacted.Redacted) =>
    Effect.fnUntraced(function* (response: HttpClientResponse.HttpClientResponse) {
      const { headers, status } = response
      const text = yield* Effect.mapError(response.text, unreachable(ask.operation, bearer))
      const json = parse(text)
      const retryAfterMillis = retryAfter(headers["retry-after"], yield* Clock.currentTimeMillis)
      const whose = hubs.judge(ask.url, { status, headers, text, json })
      if (whose === "foreign") return yield* foreign(ask, bearer, { status, headers, text }, retryAfterMillis)
      const detail = extractErrorDetail(json)
      const answer: Answer = {
        operation: ask.operation,
        status,
        headers,
        text,
        json,
        detail: detail === undefined ? undefined : scrub(detail, bearer),
        retryAfterMillis,
        own: whose === "hub" && json !== undefined
      }
      return answer
    })

  /** The head of a stream; one that is no stream of the hub's is read as an answer, and is no answer at best. */
  const readStream = (ask: Pick<Ask, "operation" | "url">, bearer: Redacted.Redacted) =>
    Effect.fnUntraced(function* (response: HttpClientResponse.HttpClientResponse) {
      const { headers, status } = response
      if (status !== 200) return yield* read(ask, bearer)(response)
      return hubs.isStream(ask.url, headers)
        ? ({ status: 200, response, marked: Whose.isMarked(headers) } as const)
        : yield* foreign(ask, bearer, { status, headers, text: "" }, undefined)
    })

  /** Sends once. Interrupting it, or its timeout, aborts the request. */
  const send = (
    ask: Ask,
    bearer: Redacted.Redacted,
    headers: { readonly [name: string]: string } = {}
  ): Effect.Effect<Answer, HubUnreachable> =>
    client
      .execute(request(ask, bearer, headers))
      .pipe(
        Effect.mapError(unreachable(ask.operation, bearer)),
        Effect.flatMap(read(ask, bearer)),
        Effect.timeoutFail({ duration: ask.timeout, onTimeout: tooSlow(ask.operation, ask.timeout) })
      )

  /** Sends, and once more where the token is refused and a newer one is to be had. */
  const sendRefreshing = <A extends { readonly status: number }, E, E2>(
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

  /** Who calls with the access token: the token, whether it may be refreshed, and the organisation's header. */
  const caller = Effect.fnUntraced(function* (organization: Organization) {
    const override = yield* Override
    const token = override.accessToken ?? (yield* credentials.accessToken)
    const named =
      organization === "none"
        ? Option.none<string>()
        : override.organization !== undefined
          ? Option.some(override.organization)
          : organization === "required"
            ? yield* credentials.organization
            : yield* Effect.catchTag(credentials.organization, "OrganizationMissing", () =>
                Effect.succeed(Option.none<string>())
              )
    return {
      token,
      refreshable: override.accessToken === undefined,
      headers: Option.match(named, {
        onNone: (): { readonly [name: string]: string } => ({}),
        onSome: (uuid) => ({ [Wire.ORGANIZATION_HEADER]: uuid })
      })
    }
  })

  type WithAccess = AccessTokenMissing | OrganizationMissing | CredentialsUnavailable

  /** The same for any kind of attempt with the access token: one refresh on 401. */
  const accessing = <A extends { readonly status: number }, E>(
    organization: Organization,
    attempt: (bearer: Redacted.Redacted, headers: { readonly [name: string]: string }) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | WithAccess> =>
    Effect.flatMap(caller(organization), ({ headers, refreshable, token }) =>
      sendRefreshing(
        token,
        (bearer) => attempt(bearer, headers),
        (answer) => refreshable && answer.status === 401,
        credentials.refreshAccessToken
      )
    )

  /** A call with the access token; 401 and 403 are answered as `Unauthorized`. */
  const access = (
    ask: Ask,
    organization: Organization
  ): Effect.Effect<Answer, RefreshError | WithAccess | Unauthorized> =>
    Effect.flatMap(accessRaw(ask, organization), (answer) =>
      answer.status === 401 || answer.status === 403
        ? new Unauthorized({ operation: ask.operation, status: answer.status, ...detailOf(answer) })
        : Effect.succeed(answer)
    )

  /** A call with the access token, whatever its status. */
  const accessRaw = (ask: Ask, organization: Organization) =>
    accessing(organization, (bearer, headers) => send(ask, bearer, headers))

  /** A call with the session's ingress token, whatever its status. 401 (and 403 where asked) refreshes it once. */
  const ingress = (
    sessionId: SessionId,
    ask: Ask,
    options: { readonly refresh: "none" | "401" | "401/403" }
  ): Effect.Effect<Answer, RefreshError | IngressTokenMissing> =>
    Effect.flatMap(credentials.ingressToken(sessionId), (token) =>
      sendRefreshing(
        token,
        (bearer) => send(ask, bearer),
        (answer) =>
          (answer.status === 401 && options.refresh !== "none") ||
          (answer.status === 403 && options.refresh === "401/403"),
        (rejected) => credentials.refreshIngressToken(sessionId, rejected)
      )
    )

  /** A call with the environment's secret, whatever its status. 401 and 403 refresh it once. */
  const environment = (
    environmentId: EnvironmentId,
    ask: Ask
  ): Effect.Effect<Answer, RefreshError | EnvironmentSecretMissing> =>
    Effect.flatMap(credentials.environmentSecret(environmentId), (secret) =>
      sendRefreshing(
        secret,
        (bearer) => send(ask, bearer),
        (answer) => answer.status === 401 || answer.status === 403,
        (rejected) => credentials.refreshEnvironmentSecret(environmentId, rejected)
      )
    )

  return {
    config,
    credentials,
    execute,
    request,
    readStream,
    unreachable,
    tooSlow,
    send,
    sendRefreshing,
    accessing,
    access,
    accessRaw,
    ingress,
    environment
  } as const
})

export type Call = Effect.Effect.Success<typeof make>
