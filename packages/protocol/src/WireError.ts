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

interface Body {
  readonly type: "error"
  readonly error: { readonly type: string; readonly message: string; readonly details?: unknown }
}

const status = <A>(tag: ErrorTag): Schema.Annotations.Schema<A> =>
  HttpApiSchema.annotations({ status: errorTable[tag].status })

const body = (type: string, message: string, details?: unknown): Body => ({
  type: "error",
  error: { type, message, ...(details === undefined ? {} : { details }) }
})

/** An error that speaks the words of its body. `of`: from words for people and, for programs, `details`. */
// biome-ignore lint/suspicious/noExplicitAny: the language asks for it of the base of a mixin
const spoken = <Base extends (new (...args: Array<any>) => Body) & { readonly _tag: ErrorTag }>(base: Base) =>
  class extends base {
    static of<Self>(this: new (body: Body) => Self, message: string, details?: unknown): Self {
      return new this(body(errorTable[base._tag].type, message, details))
    }
    get message(): string {
      return this.error.message
    }
  }

/** Can never be accepted as it is. Says where and why. */
export class BadRequest extends spoken(
  Schema.TaggedError<BadRequest>()("BadRequest", fields, status("BadRequest"))
) {}

/** No token, or one that is unknown, expired, revoked or superseded. */
export class Unauthenticated extends spoken(
  Schema.TaggedError<Unauthenticated>()("Unauthenticated", fields, status("Unauthenticated"))
) {}

/** The token is good, but not for this. */
export class Forbidden extends spoken(
  Schema.TaggedError<Forbidden>()("Forbidden", fields, status("Forbidden"))
) {}

/** No such thing in the caller's organisation. */
export class NotFound extends spoken(
  Schema.TaggedError<NotFound>()("NotFound", fields, status("NotFound"))
) {}

/** The address is there, but not for this method. */
export class MethodNotAllowed extends spoken(
  Schema.TaggedError<MethodNotAllowed>()("MethodNotAllowed", fields, status("MethodNotAllowed"))
) {}

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
export class RequestTimeout extends spoken(
  Schema.TaggedError<RequestTimeout>()("RequestTimeout", fields, status("RequestTimeout"))
) {}

/** Refused by the state of the thing: a moved head, an old epoch, already archived, stopped or answered. */
export class Conflict extends spoken(
  Schema.TaggedError<Conflict>()("Conflict", fields, status("Conflict"))
) {}

/** Was there and is gone for good. */
export class Gone extends spoken(Schema.TaggedError<Gone>()("Gone", fields, status("Gone"))) {}

/** The lease moved; `error.details.current_state` is the work item's state. */
export class PreconditionFailed extends spoken(
  Schema.TaggedError<PreconditionFailed>()("PreconditionFailed", fields, status("PreconditionFailed"))
) {}

/** Larger than this hub accepts. */
export class PayloadTooLarge extends spoken(
  Schema.TaggedError<PayloadTooLarge>()("PayloadTooLarge", fields, status("PayloadTooLarge"))
) {}

/** Too much at once; try again after `Retry-After`. */
export class TooManyRequests extends spoken(
  Schema.TaggedError<TooManyRequests>()("TooManyRequests", fields, status("TooManyRequests"))
) {}

/** More headers than this hub reads. */
export class HeadersTooLarge extends spoken(
  Schema.TaggedError<HeadersTooLarge>()("HeadersTooLarge", fields, status("HeadersTooLarge"))
) {}

/** A fault of the hub; its log says more. */
export class InternalError extends spoken(
  Schema.TaggedError<InternalError>()("InternalError", fields, status("InternalError"))
) {}

/** The hub cannot answer now (starting, shutting down, database out of reach). */
export class Unavailable extends spoken(
  Schema.TaggedError<Unavailable>()("Unavailable", fields, status("Unavailable"))
) {}

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
