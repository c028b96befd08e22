/**
 * One HTTP request and its answer: headers, the bound on its time, and words without the token. Every service of this
 * package sends through here. Source: spec 1 §1.
 */
import * as Wire from "@causeway/protocol/Headers"
import { type Endpoint, type Parameters, urlOf } from "@causeway/protocol/http/Endpoint"
import * as TransportFailure from "@causeway/protocol/TransportFailure"
import * as Visible from "@causeway/protocol/Visible"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import type * as HttpMethod from "@effect/platform/HttpMethod"
import * as HttpTraceContext from "@effect/platform/HttpTraceContext"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { ClientConfig } from "../ClientConfig.ts"
import { HubUnreachable } from "../ClientError.ts"
import { Credentials } from "../Credentials.ts"
import * as Answer from "./Answer.ts"
import * as Whose from "./Whose.ts"

export type Headers = { readonly [name: string]: string }

/** Where a call goes. */
export interface Place {
  /** `Service.method`, for errors and spans. */
  readonly operation: string
  readonly method: HttpMethod.HttpMethod
  /** Absolute URL, query included. */
  readonly url: string
}

/** A request. */
export interface Ask extends Place {
  readonly headers?: Headers | undefined
  /** JSON text, or bytes. */
  readonly body?: string | Uint8Array | undefined
  readonly timeout: Duration.DurationInput
}

/** The part of an endpoint that a call needs. */
export type Asked<Path, Query> = Pick<
  Endpoint<Path, Query>,
  "method" | "path" | "pathSchema" | "urlParamsSchema"
>

/** An endpoint of the hub at `base`. */
export const to = <Path, Query>(
  operation: string,
  endpoint: Asked<Path, Query>,
  base: string,
  parameters?: Parameters<Path, Query>
): Place => ({
  operation,
  method: endpoint.method as HttpMethod.HttpMethod,
  url: urlOf(base.replace(/\/+$/, ""), endpoint, parameters)
})

/** Client, configuration and credentials of a service. */
export interface Caller {
  readonly client: HttpClient.HttpClient
  readonly config: ClientConfig["Type"]
  readonly credentials: Credentials["Type"]
  readonly hubs: Whose.Hubs
}

export const make = Effect.gen(function* () {
  const config = yield* ClientConfig
  const caller: Caller = {
    // One span a call, ours: the platform's would carry what a peer or a transport says, and whole responses.
    client: HttpClient.withTracerDisabledWhen(yield* HttpClient.HttpClient, () => true),
    config,
    credentials: yield* Credentials,
    hubs: Whose.of(config)
  }
  return caller
})

// --- Words of others ---

const DETAIL_MAX = 500

const redact = (text: string, secret: Redacted.Redacted): string => {
  const value = Redacted.value(secret)
  return value === "" ? text : text.replaceAll(value, "<redacted>")
}

/** Takes a secret out of words that somebody else wrote. */
export const scrub = (text: string, secret: Redacted.Redacted): string =>
  Visible.clip(redact(text, secret), DETAIL_MAX)

export const tooSlow = (operation: string, timeout: Duration.DurationInput) => (): HubUnreachable =>
  new HubUnreachable({
    operation,
    reason: "Timeout",
    detail: `no answer within ${Duration.format(Duration.decode(timeout))}`
  })

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

/** Longest `Retry-After` that is believed of somebody in between. */
const FOREIGN_RETRY_AFTER_MAX_MILLIS = 60_000

const foreign = (
  { operation, url }: Place,
  bearer: Redacted.Redacted,
  response: Pick<Answer.Answer, "status" | "headers" | "text">,
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

// --- Sending ---

const request = ({ config }: Caller, ask: Ask, bearer: Redacted.Redacted, headers: Headers) => {
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

/** Sends as part of the current span, and has the response read within the bound. */
const execute = <A>(
  caller: Caller,
  ask: Ask,
  bearer: Redacted.Redacted,
  headers: Headers,
  read: (response: HttpClientResponse.HttpClientResponse) => Effect.Effect<A, HubUnreachable>
): Effect.Effect<A, HubUnreachable> =>
  Effect.flatMap(Effect.option(Effect.currentSpan), (span) =>
    caller.client.execute(
      HttpClientRequest.setHeaders(
        request(caller, ask, bearer, headers),
        Option.match(span, { onNone: () => ({}), onSome: HttpTraceContext.toHeaders })
      )
    )
  ).pipe(
    Effect.mapError(unreachable(ask.operation, bearer)),
    Effect.flatMap(read),
    Effect.timeoutFail({ duration: ask.timeout, onTimeout: tooSlow(ask.operation, ask.timeout) })
  )

/** Reads an answer to its end. One that is not the hub's is no answer. */
const read = ({ hubs }: Caller, place: Place, bearer: Redacted.Redacted) =>
  Effect.fnUntraced(function* (response: HttpClientResponse.HttpClientResponse) {
    const { headers, status } = response
    const text = yield* Effect.mapError(response.text, unreachable(place.operation, bearer))
    const json = Answer.parse(text)
    const retryAfterMillis = Answer.retryAfter(headers["retry-after"], yield* Clock.currentTimeMillis)
    const whose = hubs.judge(place.url, { status, headers, text, json })
    if (whose === "foreign") return yield* foreign(place, bearer, { status, headers, text }, retryAfterMillis)
    const answer: Answer.Answer = {
      operation: place.operation,
      status,
      headers,
      text,
      json,
      detail: Answer.detail(json, (words) => scrub(words, bearer)),
      retryAfterMillis,
      own: whose === "hub" && json !== undefined
    }
    return answer
  })

/** Sends once. Interrupting it, or its timeout, aborts the request. */
export const send = (
  caller: Caller,
  ask: Ask,
  bearer: Redacted.Redacted,
  headers: Headers = {}
): Effect.Effect<Answer.Answer, HubUnreachable> =>
  execute(caller, ask, bearer, headers, read(caller, ask, bearer))

// --- Streams ---

/** How long the head of a stream's answer may take. */
const CONNECT_TIMEOUT = "15 seconds"

/** Outcome of an attempt to open a stream: a stream that stands, or an answer that is none. */
export type Opened =
  | {
      readonly status: number
      readonly response: HttpClientResponse.HttpClientResponse
      /** It is a stream of a hub that marks its answers, which sends a comment at once. */
      readonly marked: boolean
    }
  | (Answer.Answer & { readonly response?: undefined })

/** Opens a stream of events after number `last`, and looks at the answer's head. Closing the scope ends the connection. */
export const open = (
  caller: Caller,
  place: Place,
  last: number,
  bearer: Redacted.Redacted,
  headers: Headers = {}
): Effect.Effect<Opened, HubUnreachable> =>
  execute(
    caller,
    {
      ...place,
      timeout: CONNECT_TIMEOUT,
      headers: { accept: "text/event-stream", ...(last === 0 ? {} : { "last-event-id": String(last) }) }
    },
    bearer,
    headers,
    (response): Effect.Effect<Opened, HubUnreachable> => {
      const { headers, status } = response
      if (status !== 200) return read(caller, place, bearer)(response)
      return caller.hubs.isStream(place.url, headers)
        ? Effect.succeed({ status, response, marked: Whose.isMarked(headers) })
        : foreign(place, bearer, { status, headers, text: "" }, undefined)
    }
  )
