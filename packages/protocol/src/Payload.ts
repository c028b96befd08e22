/**
 * What an event carries: one JSON object, kept as the text that arrived.
 *
 * The union of messages is open: agents add members and fields, so nothing here refuses an unknown one. The few
 * fields that the log itself needs are read by {@link decode}; everything else is read by whoever shows it
 * (`@causeway/transcript`). Source: spec 4 §1 ("treat the union as open"), spec 5 §3.1.
 */
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { EventUuid, isEventUuid } from "./Ids.ts"
import * as Limits from "./Limits.ts"
import * as RawJson from "./RawJson.ts"

/** Any JSON object. */
export type JsonObject = { readonly [key: string]: unknown }

/** Longest type, in UTF-16 units. */
const TYPE_MAX = 128

/** The fields of a payload that the log reads; all others pass untouched. */
const Envelope = Schema.Struct(
  {
    type: Schema.String.pipe(Schema.minLength(1), Schema.maxLength(TYPE_MAX)),
    uuid: Schema.optional(Schema.NullOr(EventUuid)),
    subtype: Schema.optional(Schema.Unknown),
    isReplay: Schema.optional(Schema.Unknown)
  },
  Schema.Record({ key: Schema.String, value: Schema.Unknown })
)

/** A payload: the text that arrived and its decoded object. `text` and `json` always say the same. */
export interface Payload {
  /** The JSON text as it arrived. Stored and sent on as it is. */
  readonly text: string
  /** The same, parsed. */
  readonly json: JsonObject
  /** `json.type`. */
  readonly type: string
  /** `json.uuid` where the sender gave one. */
  readonly uuid: EventUuid | undefined
}

/** A payload that cannot be accepted. `issue` says where and why, in words for the sender. */
export class PayloadInvalid extends Schema.TaggedError<PayloadInvalid>()("PayloadInvalid", {
  issue: Schema.String
}) {
  override get message(): string {
    return `not an event payload: ${this.issue}`
  }
}

const decodeEnvelope = Schema.decodeUnknownEither(Envelope)

/** {@link Envelope} as a look at its members: it says yes to nothing that the schema refuses, and words are the schema's. */
const isEnvelope = (json: unknown): json is JsonObject & Pick<typeof Envelope.Type, "type" | "uuid"> => {
  if (typeof json !== "object" || json === null || Array.isArray(json)) return false
  const { type, uuid } = json as JsonObject
  return (
    typeof type === "string" &&
    type.length > 0 &&
    type.length <= TYPE_MAX &&
    (uuid === undefined || uuid === null || (typeof uuid === "string" && isEventUuid(uuid)))
  )
}

const firstIssue = (error: ParseResult.ParseError): string => {
  const issue = ParseResult.ArrayFormatter.formatErrorSync(error)[0]
  return issue === undefined
    ? "does not decode"
    : `${issue.path.length === 0 ? "" : `at ${issue.path.map(String).join(".")}: `}${issue.message}`
}

/** Reads a parsed value as a payload whose text is `text`. */
export const fromJson = (json: unknown, text: string): Either.Either<Payload, PayloadInvalid> =>
  Either.mapBoth(isEnvelope(json) ? Either.right(json) : decodeEnvelope(json), {
    onLeft: (error) => new PayloadInvalid({ issue: firstIssue(error) }),
    onRight: (envelope) => ({
      text,
      json: json as JsonObject,
      type: envelope.type,
      uuid: envelope.uuid ?? undefined
    })
  })

/** Reads one JSON text as a payload. */
export const decode = (text: string): Either.Either<Payload, PayloadInvalid> => {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    return Either.left(
      new PayloadInvalid({ issue: `not JSON: ${cause instanceof Error ? cause.message : String(cause)}` })
    )
  }
  return fromJson(json, text)
}

/** The same for a text that comes from outside: what is deeper than {@link Limits.JSON_DEPTH} is refused. */
export const arrived = (text: string): Either.Either<Payload, PayloadInvalid> =>
  RawJson.isDeeperThan(text, Limits.JSON_DEPTH)
    ? Either.left(new PayloadInvalid({ issue: RawJson.tooDeep(Limits.JSON_DEPTH) }))
    : decode(text)

/** A payload made here. */
export const make = (json: JsonObject & { readonly type: string; readonly uuid?: string }): Payload => ({
  text: JSON.stringify(json),
  json,
  type: json.type,
  uuid: json.uuid === undefined ? undefined : EventUuid.make(json.uuid)
})

const controlTypes = ["control_request", "control_response", "control_cancel_request"] as const

/** Messages by which the two sides steer each other; in the log, never in the transcript. */
export const isControl = (payload: Pick<Payload, "type">): boolean =>
  (controlTypes as ReadonlyArray<string>).includes(payload.type)

/** Types of the events of source client that are carried to the worker; the others only the hub reads. */
export const workerTypes: ReadonlyArray<string> = ["user", ...controlTypes]

export const isForWorker = (payload: Pick<Payload, "type">): boolean => workerTypes.includes(payload.type)

/** Types of an agent's output stream that report progress or state rather than conversation. */
const streamTypes: ReadonlySet<string> = new Set([
  "active_goal",
  "auth_status",
  "bridge_error",
  "command_lifecycle",
  "conversation_reset",
  "keep_alive",
  "prompt_suggestion",
  "rate_limit_event",
  "result",
  "session_update",
  "stream_event",
  "tool_progress",
  "tool_use_summary",
  "transcript_mirror",
  "update_environment_variables"
])

/** Subtypes of `system` that belong to the stream; all others (a compaction boundary, say) are transcript. */
const streamSystemSubtypes: ReadonlySet<string> = new Set([
  "api_retry",
  "background_tasks_changed",
  "commands_changed",
  "elicitation_complete",
  "files_persisted",
  "hook_progress",
  "hook_response",
  "hook_started",
  "init",
  "mirror_error",
  "model_refusal_fallback",
  "notification",
  "permission_denied",
  "session_state_changed",
  "session_writes_lost",
  "status",
  "task_notification",
  "task_progress",
  "task_started",
  "task_updated",
  "thinking_tokens",
  "worker_shutting_down"
])

/**
 * Whether a payload belongs to the transcript: the agent's transcript entries and the people's messages, each
 * once. Control messages, echoes and the stream's own reports are in the log but not in the transcript; an unknown
 * type is (a foreign writer's entry must come back when it reads). Source: spec 5 §3.1.
 */
export const isTranscript = (payload: Pick<Payload, "type" | "json">): boolean => {
  if (isControl(payload) || streamTypes.has(payload.type) || payload.json["isReplay"] === true) return false
  return !(
    payload.type === "system" &&
    typeof payload.json["subtype"] === "string" &&
    streamSystemSubtypes.has(payload.json["subtype"])
  )
}

const chainTypes: ReadonlySet<string> = new Set(["assistant", "attachment", "system", "user"])

/**
 * Whether an entry is a link of the log's chain, so that its writer must name it by a uuid; summaries, tags and the like
 * have none. Source: spec 1 §3, spec 4 §1 ("Transcript on disk").
 */
export const isChained = (payload: Payload): boolean => chainTypes.has(payload.type) && isTranscript(payload)

/** The payload is the boundary of a compaction. */
export const isCompaction = (payload: Payload): boolean =>
  (payload.type === "system" && payload.json["subtype"] === "compact_boundary") || payload.type === "summary"

/** The payload is partial text or progress: sent on to whoever watches, never stored. Source: spec 5 §1. */
export const isEphemeral = (payload: Payload): boolean =>
  payload.type === "stream_event" ||
  payload.type === "keep_alive" ||
  payload.type === "tool_progress" ||
  (payload.type === "system" &&
    (payload.json["subtype"] === "thinking_tokens" || payload.json["subtype"] === "status"))
