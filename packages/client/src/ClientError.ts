/**
 * Everything that can go wrong in a call, one class a decision of the caller. No message, field or cause ever holds
 * a token: what a peer or a transport says is scrubbed before it gets here. Source: spec 1 §1 to §5.
 */
import * as ErrorTable from "@causeway/protocol/ErrorTable"
import * as Schema from "effect/Schema"

const Millis = Schema.Number.pipe(Schema.nonNegative())

// --- Who is calling ---

/** There is no access token; nothing was sent. Sign in. */
export class AccessTokenMissing extends Schema.TaggedError<AccessTokenMissing>()("AccessTokenMissing", {
  /** Why there is none, where the source of credentials says so. */
  issue: Schema.optional(Schema.String)
}) {
  override get message(): string {
    return `no access token: sign in first${this.issue === undefined ? "" : ` (${this.issue})`}`
  }
}

/** No organisation is known; nothing was sent. */
export class OrganizationMissing extends Schema.TaggedError<OrganizationMissing>()("OrganizationMissing", {
  issue: Schema.optional(Schema.String)
}) {
  override get message(): string {
    return `no organization is known for this sign-in${this.issue === undefined ? "" : ` (${this.issue})`}`
  }
}

/** There is no ingress token for this session; nothing was sent. It comes with the session's work. */
export class IngressTokenMissing extends Schema.TaggedError<IngressTokenMissing>()("IngressTokenMissing", {
  sessionId: Schema.String
}) {
  override get message(): string {
    return `no ingress token for session ${this.sessionId}`
  }
}

/** There is no secret for this environment; nothing was sent. It comes from registering. */
export class EnvironmentSecretMissing extends Schema.TaggedError<EnvironmentSecretMissing>()(
  "EnvironmentSecretMissing",
  { environmentId: Schema.String }
) {
  override get message(): string {
    return `no secret for environment ${this.environmentId}: register it first`
  }
}

/** The source of credentials could not answer now; worth trying again. */
export class CredentialsUnavailable extends Schema.TaggedError<CredentialsUnavailable>()(
  "CredentialsUnavailable",
  { issue: Schema.String }
) {
  override get message(): string {
    return `credentials could not be read: ${this.issue}`
  }
}

// --- What any call can meet ---

/** An id that must not be put into a path: not 1 to 128 letters, digits, `_` or `-`. Nothing was sent. */
export class IdInvalid extends Schema.TaggedError<IdInvalid>()("IdInvalid", {
  kind: Schema.Literal("session", "environment", "work"),
  /** JSON of at most 80 characters of it. */
  shown: Schema.String
}) {
  override get message(): string {
    return `not a ${this.kind} id: ${this.shown}`
  }
}

/**
 * No answer of the hub came: it is down, out of reach, too slow, or somebody in between answered instead
 * (`Intermediary`: a proxy's own 404, a page that asks to sign in). Worth retrying.
 */
export class HubUnreachable extends Schema.TaggedError<HubUnreachable>()("HubUnreachable", {
  operation: Schema.String,
  reason: Schema.Literal("Transport", "Timeout", "Intermediary"),
  detail: Schema.String,
  /** Code of the transport, as Node names it: `ECONNREFUSED` and the like. */
  code: Schema.optional(Schema.String),
  /** Status that somebody in between answered. */
  status: Schema.optional(Schema.Int),
  /** `Retry-After` of whoever answered, in milliseconds. */
  retryAfterMillis: Schema.optional(Millis)
}) {
  override get message(): string {
    return `${this.operation}: the hub did not answer (${this.detail})`
  }
}

/** The hub answered with a status that has no meaning of its own here. */
export class RequestFailed extends Schema.TaggedError<RequestFailed>()("RequestFailed", {
  operation: Schema.String,
  status: Schema.Int,
  /** The error body's own words, see `extractErrorDetail`. */
  detail: Schema.optional(Schema.String),
  /** `Retry-After`, in milliseconds. */
  retryAfterMillis: Schema.optional(Millis)
}) {
  override get message(): string {
    return `${this.operation}: status ${this.status}${this.detail === undefined ? "" : `: ${this.detail}`}`
  }
}

/** A 2xx whose body is not what it must be. `path` leads to the first thing that is wrong ("" is the whole body). */
export class InvalidResponse extends Schema.TaggedError<InvalidResponse>()("InvalidResponse", {
  operation: Schema.String,
  status: Schema.Int,
  path: Schema.String,
  issue: Schema.String,
  /** The hub's own answer, and whole: asked again it says the same. Else it may be somebody's in between. */
  own: Schema.optional(Schema.Boolean)
}) {
  override get message(): string {
    return `${this.operation}: the answer does not decode${this.path === "" ? "" : ` at ${this.path}`}: ${this.issue}`
  }
}

/** 401 or 403 to an access token that could not be refreshed. Never retried. */
export class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", {
  operation: Schema.String,
  status: Schema.Literal(401, 403),
  detail: Schema.optional(Schema.String)
}) {
  override get message(): string {
    const why = this.detail === undefined ? "" : `: ${this.detail}`
    return this.status === 401
      ? `${this.operation}: the sign-in was refused${why}; sign in again`
      : `${this.operation}: not allowed${why}`
  }
}

// --- Sessions, ingress, teleport ---

/** 404: no such session in this organisation. */
export class SessionNotFound extends Schema.TaggedError<SessionNotFound>()("SessionNotFound", {
  sessionId: Schema.String,
  detail: Schema.optional(Schema.String)
}) {
  override get message(): string {
    return `session ${this.sessionId} does not exist${this.detail === undefined ? "" : `: ${this.detail}`}`
  }
}

/** 409 on a session: its state refuses the call (archived, say). */
export class SessionConflict extends Schema.TaggedError<SessionConflict>()("SessionConflict", {
  sessionId: Schema.String,
  operation: Schema.String,
  detail: Schema.optional(Schema.String)
}) {
  override get message(): string {
    return `${this.operation}: session ${this.sessionId} refuses${this.detail === undefined ? "" : `: ${this.detail}`}`
  }
}

/** 401 while reading a session. */
export class SessionExpired extends Schema.TaggedError<SessionExpired>()("SessionExpired", {
  sessionId: Schema.String,
  detail: Schema.optional(Schema.String)
}) {
  override get message(): string {
    return `the sign-in for session ${this.sessionId} has expired: sign in again`
  }
}

/** 401 (or 403 on a worker route) to the session's ingress token, after the one refresh that is allowed. */
export class IngressTokenRejected extends Schema.TaggedError<IngressTokenRejected>()("IngressTokenRejected", {
  sessionId: Schema.String,
  detail: Schema.optional(Schema.String)
}) {
  override get message(): string {
    return `the ingress token of session ${this.sessionId} was refused${this.detail === undefined ? "" : `: ${this.detail}`}`
  }
}

/** The log refused the entry, named no head, and has none to adopt. */
export class ConcurrentModification extends Schema.TaggedError<ConcurrentModification>()(
  "ConcurrentModification",
  { sessionId: Schema.String, detail: Schema.String }
) {
  override get message(): string {
    return `the log of session ${this.sessionId} was changed by another writer: ${this.detail}`
  }
}

/** A conflict, as the cause of an append that ran out of attempts: the head moved away each time. */
export class HeadMoved extends Schema.TaggedError<HeadMoved>()("HeadMoved", { head: Schema.String }) {
  override get message(): string {
    return `another writer stored ${this.head}`
  }
}

/** The tenth attempt to append failed too. The entry may or may not be stored: append it again. */
export class RetriesExhausted extends Schema.TaggedError<RetriesExhausted>()("RetriesExhausted", {
  sessionId: Schema.String,
  attempts: Schema.Int,
  lastCause: Schema.Union(HubUnreachable, RequestFailed, InvalidResponse, HeadMoved, CredentialsUnavailable)
}) {
  override get message(): string {
    return `gave up appending to session ${this.sessionId} after ${this.attempts} attempts: ${this.lastCause.message}`
  }
}

/** 404 on the first page: the server has no transcript of this session under teleport-events. */
export class TranscriptNotFound extends Schema.TaggedError<TranscriptNotFound>()("TranscriptNotFound", {
  sessionId: Schema.String
}) {
  override get message(): string {
    return `no transcript of session ${this.sessionId} was found`
  }
}

// --- Code sessions ---

/** 409 on a worker route: a newer worker has the session. This one must stop writing. */
export class WorkerSuperseded extends Schema.TaggedError<WorkerSuperseded>()("WorkerSuperseded", {
  sessionId: Schema.String,
  detail: Schema.optional(Schema.String)
}) {
  override get message(): string {
    return `a newer worker holds session ${this.sessionId}${this.detail === undefined ? "" : `: ${this.detail}`}`
  }
}

// --- Environments and work ---

/** 401/403 to the environment's secret, after the one refresh that is allowed. Register again or sign in. */
export class EnvironmentUnauthorized extends Schema.TaggedError<EnvironmentUnauthorized>()(
  "EnvironmentUnauthorized",
  { environmentId: Schema.String, detail: Schema.optional(Schema.String) }
) {
  override get message(): string {
    return `environment ${this.environmentId} is not allowed to work${this.detail === undefined ? "" : `: ${this.detail}`}`
  }
}

/** 404/410, or to a poller an environment without a secret: the environment is gone. Register again. */
export class EnvironmentGone extends Schema.TaggedError<EnvironmentGone>()("EnvironmentGone", {
  environmentId: Schema.String,
  detail: Schema.optional(Schema.String)
}) {
  override get message(): string {
    return `environment ${this.environmentId} is gone${this.detail === undefined ? "" : `: ${this.detail}`}`
  }
}

/** 412, 404, 410 or a refused extension: the lease is another's now, or nobody's. Stop the work; do not call stop. */
export class LeaseLost extends Schema.TaggedError<LeaseLost>()("LeaseLost", {
  workId: Schema.String,
  reason: Schema.Literal("Moved", "Refused", "Silent", "Gone"),
  /** State of the item as the hub knows it, where it says so. */
  state: Schema.optional(Schema.String),
  /** Last heartbeat as the hub knows it, where it says so. */
  lastHeartbeat: Schema.optional(Schema.String)
}) {
  override get message(): string {
    return `the lease of work item ${this.workId} is lost (${this.reason})`
  }
}

/** 409 on a work item: its state refuses the call (already acknowledged by another, or stopped). */
export class WorkConflict extends Schema.TaggedError<WorkConflict>()("WorkConflict", {
  workId: Schema.String,
  operation: Schema.String,
  detail: Schema.optional(Schema.String)
}) {
  override get message(): string {
    return `${this.operation}: work item ${this.workId} refuses${this.detail === undefined ? "" : `: ${this.detail}`}`
  }
}

/** Polling failed for 15 minutes without one success. Nothing was archived. */
export class PollGaveUp extends Schema.TaggedError<PollGaveUp>()("PollGaveUp", {
  environmentId: Schema.String,
  /** Time of the first failure of this run, in milliseconds since the epoch. */
  since: Schema.Number,
  attempts: Schema.Int,
  lastError: Schema.Union(HubUnreachable, RequestFailed, InvalidResponse, CredentialsUnavailable)
}) {
  override get message(): string {
    return `gave up polling for work after ${this.attempts} attempts since ${new Date(this.since).toISOString()}: ${this.lastError.message}`
  }
}

// --- Groups ---

/** No usable answer: what every call can meet, whoever calls. */
export type CallError = HubUnreachable | RequestFailed | InvalidResponse | CredentialsUnavailable | IdInvalid

/** Errors of any call with the access token. */
export type AccessError = CallError | AccessTokenMissing | OrganizationMissing | Unauthorized

/** Errors of any call with a session's ingress token. */
export type IngressError = CallError | IngressTokenMissing | IngressTokenRejected

/** Errors of any call with an environment's secret. */
export type EnvironmentError =
  | CallError
  | EnvironmentSecretMissing
  | EnvironmentUnauthorized
  | EnvironmentGone

/**
 * Whether the same call may succeed later without anybody doing anything: no answer of the hub, 408, 425, 429 or 5xx of
 * it, or an answer that may not be the hub's.
 */
export const isTransient = (error: {
  readonly _tag: string
  readonly status?: unknown
  readonly own?: unknown
}): boolean => {
  switch (error._tag) {
    case "HubUnreachable":
    case "CredentialsUnavailable":
      return true
    case "InvalidResponse":
      return error.own !== true
    case "RequestFailed":
      return typeof error.status === "number" && ErrorTable.isTransient(error.status)
    default:
      return false
  }
}
