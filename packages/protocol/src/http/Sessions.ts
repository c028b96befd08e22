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
import { LaunchOptions } from "../LaunchOptions.ts"
import * as WireError from "../WireError.ts"
import { Access } from "./Authorization.ts"
import { Hot } from "./Endpoint.ts"
import { JsonObject, nullish, open, page } from "./Schemas.ts"

/** Where a session's code comes from. */
export const GitSource = open({
  type: Schema.Literal("git_repository"),
  url: Schema.String,
  revision: nullish(Schema.String)
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
  sources: nullish(Schema.Array(Schema.Union(GitSource, JsonObject))),
  outcomes: nullish(Schema.Array(Schema.Union(GitOutcome, JsonObject))),
  model: nullish(Schema.String),
  cwd: nullish(Schema.String),
  /** Which of the environment's agents works on it; default: the first. See Offers. */
  agent: nullish(Schema.String),
  /** How its agent is started. */
  options: Schema.optional(Schema.NullOr(LaunchOptions)),
  /** True, or a string: it works in a git worktree of its own. */
  worktree: nullish(Schema.Union(Schema.Boolean, Schema.String))
})
export type SessionContext = typeof SessionContext.Type

/** One event to append, as the Sessions API wraps it. */
export const EventInput = open({ type: Schema.Literal("event"), data: JsonObject })

export const CreateSession = open({
  title: nullish(Schema.String),
  events: Schema.optional(Schema.Array(EventInput)),
  session_context: nullish(SessionContext),
  environment_id: nullish(Schema.String),
  source: nullish(Schema.String),
  permission_mode: nullish(Schema.String)
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
  source: nullish(Schema.String),
  session_context: SessionContext,
  permission_mode: nullish(Schema.String),
  created_at: Schema.String,
  updated_at: Schema.String,
  archived_at: Schema.NullOr(Schema.String),
  connection_status: Schema.optional(Schema.Literal("connected", "disconnected")),
  last_sequence_num: Schema.optional(Schema.Int),
  last_message: nullish(Schema.String),
  model: nullish(Schema.String),
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
  total_cost_usd: nullish(Schema.Number),
  num_turns: Schema.optional(Schema.Int),
  pending_approvals: Schema.optional(Schema.Array(PendingApproval)),
  waiting_for: nullish(Schema.String)
})
export type Session = typeof Session.Type

/** A page of sessions, most recently updated first. `next_cursor` is opaque; absent or null ends the list. */
export const SessionPage = Schema.Struct({
  data: Schema.Array(Session),
  next_cursor: nullish(Schema.String)
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
  waiting_for: nullish(Schema.String)
})

const id = HttpApiSchema.param("id", SessionId)

export const create = HttpApiEndpoint.post("create")`/v1/sessions`
  .setPayload(CreateSession)
  .addSuccess(Session, { status: 201 })
  .annotate(Hot, true)
export const sendEvents = HttpApiEndpoint.post("sendEvents")`/v1/sessions/${id}/events`
  .setPayload(SendEvents)
  .addSuccess(SentEvents)
  .addError(WireError.PayloadTooLarge)
  .addError(WireError.Conflict)
  .annotate(Hot, true)
export const list = HttpApiEndpoint.get("list")`/v1/sessions`
  .setUrlParams(
    Schema.Struct({
      ...page,
      archived: Schema.optional(Schema.Literal("true", "false", "all")),
      environment_id: Schema.optional(Schema.String)
    })
  )
  .addSuccess(SessionPage)
export const get = HttpApiEndpoint.get("get")`/v1/sessions/${id}`.addSuccess(Session)
export const update = HttpApiEndpoint.patch("update")`/v1/sessions/${id}`
  .setPayload(open({ title: Schema.String.pipe(Schema.maxLength(512)) }))
  .addSuccess(Session)
export const archive = HttpApiEndpoint.post("archive")`/v1/sessions/${id}/archive`
  .setPayload(JsonObject)
  .addSuccess(Session)
  .addError(WireError.Conflict)

export class ColdSessionsApi extends HttpApiGroup.make("sessions")
  .add(list)
  .add(get)
  .add(update)
  .add(archive)
  .addError(WireError.BadRequest)
  .addError(WireError.NotFound)
  .addError(WireError.Unavailable)
  .middleware(Access) {}

/** `/v1/sessions`. Answers 404 without the `anthropic-beta: ccr-byoc-2025-07-29` header. */
export class SessionsApi extends ColdSessionsApi.add(create).add(sendEvents) {}
