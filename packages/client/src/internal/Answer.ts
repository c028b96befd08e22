/** Answers of a hub, and what they mean. Source: spec 1 §1. */
import { extractErrorDetail } from "@causeway/protocol/WireError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { InvalidResponse, RequestFailed } from "../ClientError.ts"

/** An answer. */
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
  /** It is certainly the hub's, and whole. */
  readonly own: boolean
}

export const is2xx = ({ status }: { readonly status: number }): boolean => status >= 200 && status < 300

/** Longest `Retry-After` that is believed of the hub. */
const RETRY_AFTER_MAX_MILLIS = 3_600_000

/** `Retry-After`, in seconds or as a date, in milliseconds from `now`. */
export const retryAfter = (header: string | undefined, now: number): number | undefined => {
  if (header === undefined) return undefined
  const seconds = Number(header)
  const millis = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - now
  return Number.isNaN(millis) ? undefined : Math.min(Math.max(0, millis), RETRY_AFTER_MAX_MILLIS)
}

export const parse = (text: string): unknown => {
  if (text === "") return undefined
  try {
    return JSON.parse(text)
  } catch {
    // Not JSON is an outcome: `decode` reports it where JSON is required.
    return undefined
  }
}

/** The words of an error body, as `clean` leaves them. */
export const detail = (json: unknown, clean: (text: string) => string): string | undefined => {
  const found = extractErrorDetail(json)
  return found === undefined ? undefined : clean(found)
}

/** 404, 500 and the like, where the caller gives the status no meaning of its own. */
export const failed = (answer: Answer): RequestFailed =>
  new RequestFailed({
    operation: answer.operation,
    status: answer.status,
    ...detailOf(answer),
    ...(answer.retryAfterMillis === undefined ? {} : { retryAfterMillis: answer.retryAfterMillis })
  })

/** `{ detail }` where there is one, for error constructors. */
export const detailOf = (answer: Answer): { readonly detail?: string } =>
  answer.detail === undefined ? {} : { detail: answer.detail }

/** Meanings of statuses to a caller. */
export interface Meanings<E> {
  readonly [status: number]: (answer: Answer) => Effect.Effect<Answer, E>
}

/** The meanings of both; the second's go first. */
export const either = <E, E2>(one: Meanings<E>, other: Meanings<E2>): Meanings<E | E2> => ({
  ...one,
  ...other
})

/** Passes 2xx and what `meanings` lets pass; every status that has no meaning is `RequestFailed`. */
export const expect =
  <E = never>(meanings: Meanings<E> = {}) =>
  (answer: Answer): Effect.Effect<Answer, E | RequestFailed> =>
    meanings[answer.status]?.(answer) ?? (is2xx(answer) ? Effect.succeed(answer) : failed(answer))

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
