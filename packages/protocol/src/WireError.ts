/**
 * Errors as they cross the wire.
 *
 * Every error body is `{ "type": "error", "error": { "type", "message", "details"? }, "_tag" }`: `error.message` is for
 * people, `error.type` for foreign programs, `_tag` for ours. Statuses stand beside each class and are attached to the
 * API definitions by annotation. Source: spec 1 §1 (`extractErrorDetail`), spec 5 §1 to §3.
 */
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as Schema from "effect/Schema"

/** What `error` holds. */
const Detail = Schema.Struct({
  type: Schema.String,
  message: Schema.String,
  details: Schema.optional(Schema.Unknown)
})

const fields = { type: Schema.Literal("error"), error: Detail }

const body = (type: string) => (message: string, details?: unknown) => ({
  type: "error" as const,
  error: { type, message, ...(details === undefined ? {} : { details }) }
})

/** 400: can never be accepted as it is. Says where and why. */
export class BadRequest extends Schema.TaggedError<BadRequest>()(
  "BadRequest",
  fields,
  HttpApiSchema.annotations({ status: 400 })
) {
  static of = (message: string, details?: unknown) =>
    new BadRequest(body("invalid_request_error")(message, details))
  override get message(): string {
    return this.error.message
  }
}

/** 401: no token, or one that is unknown, expired, revoked or superseded. */
export class Unauthenticated extends Schema.TaggedError<Unauthenticated>()(
  "Unauthenticated",
  fields,
  HttpApiSchema.annotations({ status: 401 })
) {
  static of = (message: string, details?: unknown) =>
    new Unauthenticated(body("authentication_error")(message, details))
  override get message(): string {
    return this.error.message
  }
}

/** 403: the token is good, but not for this. */
export class Forbidden extends Schema.TaggedError<Forbidden>()(
  "Forbidden",
  fields,
  HttpApiSchema.annotations({ status: 403 })
) {
  static of = (message: string, details?: unknown) =>
    new Forbidden(body("permission_error")(message, details))
  override get message(): string {
    return this.error.message
  }
}

/** 404: no such thing in the caller's organisation. */
export class NotFound extends Schema.TaggedError<NotFound>()(
  "NotFound",
  fields,
  HttpApiSchema.annotations({ status: 404 })
) {
  static of = (message: string, details?: unknown) => new NotFound(body("not_found_error")(message, details))
  override get message(): string {
    return this.error.message
  }
}

/** 409: refused by the state of the thing: a moved head, an old epoch, already archived, stopped or answered. */
export class Conflict extends Schema.TaggedError<Conflict>()(
  "Conflict",
  fields,
  HttpApiSchema.annotations({ status: 409 })
) {
  static of = (message: string, details?: unknown) => new Conflict(body("conflict_error")(message, details))
  override get message(): string {
    return this.error.message
  }
}

/** 410: was there and is gone for good. */
export class Gone extends Schema.TaggedError<Gone>()(
  "Gone",
  fields,
  HttpApiSchema.annotations({ status: 410 })
) {
  static of = (message: string, details?: unknown) => new Gone(body("gone_error")(message, details))
  override get message(): string {
    return this.error.message
  }
}

/** 412: the lease moved; `error.details.current_state` is the work item's state. */
export class PreconditionFailed extends Schema.TaggedError<PreconditionFailed>()(
  "PreconditionFailed",
  fields,
  HttpApiSchema.annotations({ status: 412 })
) {
  static of = (message: string, details?: unknown) =>
    new PreconditionFailed(body("precondition_failed_error")(message, details))
  override get message(): string {
    return this.error.message
  }
}

/** 413: larger than this hub accepts. */
export class PayloadTooLarge extends Schema.TaggedError<PayloadTooLarge>()(
  "PayloadTooLarge",
  fields,
  HttpApiSchema.annotations({ status: 413 })
) {
  static of = (message: string, details?: unknown) =>
    new PayloadTooLarge(body("request_too_large")(message, details))
  override get message(): string {
    return this.error.message
  }
}

/** 429: too much at once; try again after `Retry-After`. */
export class TooManyRequests extends Schema.TaggedError<TooManyRequests>()(
  "TooManyRequests",
  fields,
  HttpApiSchema.annotations({ status: 429 })
) {
  static of = (message: string, details?: unknown) =>
    new TooManyRequests(body("rate_limit_error")(message, details))
  override get message(): string {
    return this.error.message
  }
}

/** 503: the hub cannot answer now (starting, shutting down, database out of reach). */
export class Unavailable extends Schema.TaggedError<Unavailable>()(
  "Unavailable",
  fields,
  HttpApiSchema.annotations({ status: 503 })
) {
  static of = (message: string, details?: unknown) =>
    new Unavailable(body("overloaded_error")(message, details))
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
  | Conflict
  | Gone
  | PreconditionFailed
  | PayloadTooLarge
  | TooManyRequests
  | Unavailable

/** The status of each error, for the routes that answer without HttpApi. */
export const statusOf: { readonly [T in WireError["_tag"]]: number } = {
  BadRequest: 400,
  Unauthenticated: 401,
  Forbidden: 403,
  NotFound: 404,
  Conflict: 409,
  Gone: 410,
  PreconditionFailed: 412,
  PayloadTooLarge: 413,
  TooManyRequests: 429,
  Unavailable: 503
}

/** The first of `message`, `error.message` of a decoded error body that is a string. Source: spec 1 §1. */
export const extractErrorDetail = (body: unknown): string | undefined => {
  if (typeof body !== "object" || body === null) return undefined
  const { message, error } = body as { readonly message?: unknown; readonly error?: unknown }
  if (typeof message === "string") return message
  if (typeof error !== "object" || error === null) return undefined
  const nested = (error as { readonly message?: unknown }).message
  return typeof nested === "string" ? nested : undefined
}
