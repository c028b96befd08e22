/**
 * The Sessions API: create, read, list, rename, archive, send. Source: spec 1 §2, spec 5 §2 ("Claude's own Remote
 * Control") and §3.
 */
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as Schema from "effect/Schema"
import { SequenceNum } from "../Event.ts"
import { EventUuid, SessionId } from "../Ids.ts"
import * as WireError from "../WireError.ts"
import { Access } from "./Authorization.ts"

/** A JSON object whose members pass through unread. */
export const JsonObject = Schema.Record({ key: Schema.String, value: Schema.Unknown })

/** Adds what else a peer may send: kept where the value is kept, ignored where it is read. */
const open = <F extends Schema.Struct.Fields>(fields: F) =>
  Schema.Struct(fields, Schema.Record({ key: Schema.String, value: Schema.Unknown }))

/** Where a session's code comes from. */
export const GitSource = open({
  type: Schema.Literal("git_repository"),
  url: Schema.String,
  revision: Schema.optional(Schema.NullOr(Schema.String))
})
/** Where a session's work goes. */
export const GitOutcome = open({
  type: Schema.Literal("git_repository"),
  git_info: open({
    type: Schema.String,
    repo: Schema.String,
    branches: Schema.Array(Schema.String)
  })
})
/** The context of a session. Sources and outcomes of kinds unknown here are kept as they are. */
export const SessionContext = open({
  sources: Schema.optional(Schema.NullOr(Schema.Array(Schema.Union(GitSource, JsonObject)))),
  outcomes: Schema.optional(Schema.NullOr(Schema.Array(Schema.Union(GitOutcome, JsonObject)))),
  model: Schema.optional(Schema.NullOr(Schema.String)),
  cwd: Schema.optional(Schema.NullOr(Schema.String)),
  /** Which of the environment's agents works on it; default: the first. See Offers. */
  agent: Schema.optional(Schema.NullOr(Schema.String)),
  /** True, or a string: it works in a git worktree of its own. */
  worktree: Schema.optional(Schema.NullOr(Schema.Union(Schema.Boolean, Schema.String)))
})
export type SessionContext = typeof SessionContext.Type

/** One event to append, as the Sessions API wraps it. */
export const EventInput = open({ type: Schema.Literal("event"), data: JsonObject })

export const CreateSession = open({
  title: Schema.optional(Schema.NullOr(Schema.String)),
  events: Schema.optional(Schema.Array(EventInput)),
  session_context: Schema.optional(Schema.NullOr(SessionContext)),
  environment_id: Schema.optional(Schema.NullOr(Schema.String)),
  source: Schema.optional(Schema.NullOr(Schema.String)),
  permission_mode: Schema.optional(Schema.NullOr(Schema.String))
})

/**
 * What a session is doing: `pending` (waits for a worker that has never come), `running`, `requires_action` (an
 * approval or a question is open), `idle`. Archived is told by `archived_at`.
 */
export const SessionStatus = Schema.Literal("pending", "idle", "running", "requires_action")
export type SessionStatus = typeof SessionStatus.Type

/** An approval that is open, as the session row shows it. */
export const PendingApproval = Schema.Struct({
  tool_use_id: Schema.String,
  request_id: Schema.String,
  tool_name: Schema.String,
  input: Schema.Unknown,
  /** What it does to a file; `added` and `removed` (lines) are null where what stands there could not be read. */
  change: Schema.optional(
    Schema.Struct({
      path: Schema.String,
      state: Schema.String,
      added: Schema.NullOr(Schema.Int),
      removed: Schema.NullOr(Schema.Int)
    })
  ),
  /** Position of the request in the log; what was asked stands there whole, `input` may be shortened. */
  sequence_num: Schema.optional(Schema.Int),
  created_at: Schema.String
})
export type PendingApproval = typeof PendingApproval.Type

/**
 * A session. Token counts are those of the latest turn of the main context, cost is the running total in US dollars,
 * times are ISO 8601. `id` is the compat spelling.
 */
export const Session = open({
  id: SessionId,
  type: Schema.optional(Schema.String),
  title: Schema.NullOr(Schema.String),
  status: SessionStatus,
  environment_id: Schema.NullOr(Schema.String),
  source: Schema.optional(Schema.NullOr(Schema.String)),
  session_context: SessionContext,
  permission_mode: Schema.optional(Schema.NullOr(Schema.String)),
  created_at: Schema.String,
  updated_at: Schema.String,
  archived_at: Schema.NullOr(Schema.String),
  connection_status: Schema.optional(Schema.Literal("connected", "disconnected")),
  last_sequence_num: Schema.optional(Schema.Int),
  last_message: Schema.optional(Schema.NullOr(Schema.String)),
  model: Schema.optional(Schema.NullOr(Schema.String)),
  /** What was set of its agent, which every start of it is given. See AgentSettings. */
  agent_settings: Schema.optional(JsonObject),
  usage: Schema.optional(
    Schema.Struct({
      input_tokens: Schema.Number,
      output_tokens: Schema.Number,
      cache_read_input_tokens: Schema.Number,
      cache_creation_input_tokens: Schema.Number
    })
  ),
  total_cost_usd: Schema.optional(Schema.NullOr(Schema.Number)),
  num_turns: Schema.optional(Schema.Int),
  pending_approvals: Schema.optional(Schema.Array(PendingApproval)),
  waiting_for: Schema.optional(Schema.NullOr(Schema.String))
})
export type Session = typeof Session.Type

/** A page of sessions, most recently updated first. `next_cursor` is opaque; absent or null ends the list. */
export const SessionPage = Schema.Struct({
  data: Schema.Array(Session),
  next_cursor: Schema.optional(Schema.NullOr(Schema.String))
})

export const SendEvents = open({ events: Schema.Array(EventInput) })

/** What became of each sent event, in order; `duplicate` where its uuid was in the log already. */
export const SentEvents = Schema.Struct({
  events: Schema.Array(
    Schema.Struct({
      uuid: EventUuid,
      sequence_num: SequenceNum,
      duplicate: Schema.Boolean
    })
  ),
  /** Says what the events wait for, where no worker is there to take them (spec 5 §3.5). */
  waiting_for: Schema.optional(Schema.NullOr(Schema.String))
})

/** A whole number in a query string, between `min` and `max`. */
export const QueryInt = (min: number, max: number) =>
  Schema.NumberFromString.pipe(Schema.int(), Schema.between(min, max)).annotations({
    jsonSchema: { type: "integer", minimum: min, maximum: max }
  })

/** `/v1/sessions`. Answers 404 without the `anthropic-beta: ccr-byoc-2025-07-29` header. */
export class SessionsApi extends HttpApiGroup.make("sessions")
  .add(
    HttpApiEndpoint.post("create")`/v1/sessions`
      .setPayload(CreateSession)
      .addSuccess(Session, { status: 201 })
  )
  .add(
    HttpApiEndpoint.get("list")`/v1/sessions`
      .setUrlParams(
        Schema.Struct({
          limit: Schema.optional(QueryInt(1, 1000)),
          cursor: Schema.optional(Schema.String),
          archived: Schema.optional(Schema.Literal("true", "false", "all")),
          environment_id: Schema.optional(Schema.String)
        })
      )
      .addSuccess(SessionPage)
  )
  .add(HttpApiEndpoint.get("get")`/v1/sessions/${HttpApiSchema.param("id", SessionId)}`.addSuccess(Session))
  .add(
    HttpApiEndpoint.patch("update")`/v1/sessions/${HttpApiSchema.param("id", SessionId)}`
      .setPayload(open({ title: Schema.String.pipe(Schema.maxLength(512)) }))
      .addSuccess(Session)
  )
  .add(
    HttpApiEndpoint.post("archive")`/v1/sessions/${HttpApiSchema.param("id", SessionId)}/archive`
      .setPayload(JsonObject)
      .addSuccess(Session)
      .addError(WireError.Conflict)
  )
  .add(
    HttpApiEndpoint.post("sendEvents")`/v1/sessions/${HttpApiSchema.param("id", SessionId)}/events`
      .setPayload(SendEvents)
      .addSuccess(SentEvents)
      .addError(WireError.PayloadTooLarge)
      .addError(WireError.Conflict)
  )
  .addError(WireError.BadRequest)
  .addError(WireError.NotFound)
  .addError(WireError.Unavailable)
  .middleware(Access) {}
