/**
 * Errors as they cross the wire.
 *
 * Every error body is `{ "type": "error", "error": { "type", "message", "details"? }, "_tag" }`: `error.message` is for
 * people, `error.type` for foreign programs, `_tag` for ours. Status and type of each stand in {@link errorTable}.
 * Source: spec 1 §1 (`extractErrorDetail`), spec 5 §1 to §3.
 */
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { type ErrorTag, errorTable, rowOf } from "./ErrorTable.ts"

const fields = {
  type: Schema.Literal("error"),
  error: Schema.Struct({
    type: Schema.String,
    message: Schema.String,
    details: Schema.optional(Schema.Unknown)
  })
}

const status = <A>(tag: ErrorTag): Schema.Annotations.Schema<A> =>
  HttpApiSchema.annotations({ status: errorTable[tag].status })

const body = (tag: ErrorTag, message: string, details?: unknown) => ({
  type: "error" as const,
  error: { type: errorTable[tag].type, message, ...(details === undefined ? {} : { details }) }
})

/** Can never be accepted as it is. Says where and why. */
export class BadRequest extends Schema.TaggedError<BadRequest>()("BadRequest", fields, status("BadRequest")) {
  static of = (message: string, details?: unknown) => new BadRequest(body("BadRequest", message, details))
  override get message(): string {
    return this.error.message
  }
}

/** No token, or one that is unknown, expired, revoked or superseded. */
export class Unauthenticated extends Schema.TaggedError<Unauthenticated>()(
  "Unauthenticated",
  fields,
  status("Unauthenticated")
) {
  static of = (message: string, details?: unknown) =>
    new Unauthenticated(body("Unauthenticated", message, details))
  override get message(): string {
    return this.error.message
  }
}

/** The token is good, but not for this. */
export class Forbidden extends Schema.TaggedError<Forbidden>()("Forbidden", fields, status("Forbidden")) {
  static of = (message: string, details?: unknown) => new Forbidden(body("Forbidden", message, details))
  override get message(): string {
    return this.error.message
  }
}

/** No such thing in the caller's organisation. */
export class NotFound extends Schema.TaggedError<NotFound>()("NotFound", fields, status("NotFound")) {
  static of = (message: string, details?: unknown) => new NotFound(body("NotFound", message, details))
  override get message(): string {
    return this.error.message
  }
}

/** The address is there, but not for this method. */
export class MethodNotAllowed extends Schema.TaggedError<MethodNotAllowed>()(
  "MethodNotAllowed",
  fields,
  status("MethodNotAllowed")
) {
  static of = (message: string, details?: unknown) =>
    new MethodNotAllowed(body("MethodNotAllowed", message, details))
  override get message(): string {
    return this.error.message
  }
}

/** The hub does not answer for the host that the request names. */
export class MisdirectedRequest extends Schema.TaggedError<MisdirectedRequest>()(
  "MisdirectedRequest",
  fields,
  status("MisdirectedRequest")
) {
  static of = (message: string, details?: unknown) =>
    new MisdirectedRequest(body("MisdirectedRequest", message, details))
  override get message(): string {
    return this.error.message
  }
}

/** The request did not arrive in time. */
export class RequestTimeout extends Schema.TaggedError<RequestTimeout>()(
  "RequestTimeout",
  fields,
  status("RequestTimeout")
) {
  static of = (message: string, details?: unknown) =>
    new RequestTimeout(body("RequestTimeout", message, details))
  override get message(): string {
    return this.error.message
  }
}

/** Refused by the state of the thing: a moved head, an old epoch, already archived, stopped or answered. */
export class Conflict extends Schema.TaggedError<Conflict>()("Conflict", fields, status("Conflict")) {
  static of = (message: string, details?: unknown) => new Conflict(body("Conflict", message, details))
  override get message(): string {
    return this.error.message
  }
}

/** Was there and is gone for good. */
export class Gone extends Schema.TaggedError<Gone>()("Gone", fields, status("Gone")) {
  static of = (message: string, details?: unknown) => new Gone(body("Gone", message, details))
  override get message(): string {
    return this.error.message
  }
}

/** The lease moved; `error.details.current_state` is the work item's state. */
export class PreconditionFailed extends Schema.TaggedError<PreconditionFailed>()(
  "PreconditionFailed",
  fields,
  status("PreconditionFailed")
) {
  static of = (message: string, details?: unknown) =>
    new PreconditionFailed(body("PreconditionFailed", message, details))
  override get message(): string {
    return this.error.message
  }
}

/** Larger than this hub accepts. */
export class PayloadTooLarge extends Schema.TaggedError<PayloadTooLarge>()(
  "PayloadTooLarge",
  fields,
  status("PayloadTooLarge")
) {
  static of = (message: string, details?: unknown) =>
    new PayloadTooLarge(body("PayloadTooLarge", message, details))
  override get message(): string {
    return this.error.message
  }
}

/** Too much at once; try again after `Retry-After`. */
export class TooManyRequests extends Schema.TaggedError<TooManyRequests>()(
  "TooManyRequests",
  fields,
  status("TooManyRequests")
) {
  static of = (message: string, details?: unknown) =>
    new TooManyRequests(body("TooManyRequests", message, details))
  override get message(): string {
    return this.error.message
  }
}

/** More headers than this hub reads. */
export class HeadersTooLarge extends Schema.TaggedError<HeadersTooLarge>()(
  "HeadersTooLarge",
  fields,
  status("HeadersTooLarge")
) {
  static of = (message: string, details?: unknown) =>
    new HeadersTooLarge(body("HeadersTooLarge", message, details))
  override get message(): string {
    return this.error.message
  }
}

/** A fault of the hub; its log says more. */
export class InternalError extends Schema.TaggedError<InternalError>()(
  "InternalError",
  fields,
  status("InternalError")
) {
  static of = (message: string, details?: unknown) =>
    new InternalError(body("InternalError", message, details))
  override get message(): string {
    return this.error.message
  }
}

/** The hub cannot answer now (starting, shutting down, database out of reach). */
export class Unavailable extends Schema.TaggedError<Unavailable>()(
  "Unavailable",
  fields,
  status("Unavailable")
) {
  static of = (message: string, details?: unknown) => new Unavailable(body("Unavailable", message, details))
  override get message(): string {
    return this.error.message
  }
}

/** Any of the above. */
export type WireError =
  | BadRequest
  | Unauthenticated
  | Forbidden
  | NotFound
  | MethodNotAllowed
  | RequestTimeout
  | Conflict
  | Gone
  | PreconditionFailed
  | PayloadTooLarge
  | MisdirectedRequest
  | TooManyRequests
  | HeadersTooLarge
  | InternalError
  | Unavailable

/** Answer to a fault of the hub: nothing of it is told to a caller. */
export const internalError: InternalError = InternalError.of("the hub failed to answer; its log says why")

/**
 * Milliseconds after which the same call may come again: those that the refusal names (`error.details.retry_after_ms`), else
 * those of its kind; undefined where waiting does not help.
 */
export const retryAfterMillis = (refused: WireError): number | undefined => {
  const details: unknown = refused.error.details
  return Predicate.hasProperty(details, "retry_after_ms") && typeof details.retry_after_ms === "number"
    ? details.retry_after_ms
    : rowOf(refused).retryAfterMillis
}

/** The body of an error answer. */
export const bodyOf = ({ _tag, error, type }: WireError): object => ({ type, error, _tag })

/** The first of `message`, `error.message` of a decoded error body that is a string. Source: spec 1 §1. */
export const extractErrorDetail = (body: unknown): string | undefined => {
  if (typeof body !== "object" || body === null) return undefined
  const { message, error } = body as { readonly message?: unknown; readonly error?: unknown }
  if (typeof message === "string") return message
  if (typeof error !== "object" || error === null) return undefined
  const nested = (error as { readonly message?: unknown }).message
  return typeof nested === "string" ? nested : undefined
}
