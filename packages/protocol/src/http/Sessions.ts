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
import { Hot } from "./Endpoint.ts"
import { JsonObject, nullish, open, page, QueryInt } from "./Schemas.ts"
import { SessionContext } from "./SessionContext.ts"
import * as Manager from "./SessionManager.ts"

export { SessionContext } from "./SessionContext.ts"

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

/** States of a session's latest turn. Source: spec 3 §1. */
export const RunStatus = Schema.Literal(
  "starting",
  "running",
  "waiting_input",
  "interrupting",
  "completed",
  "failed",
  "interrupted"
)
export type RunStatus = typeof RunStatus.Type

/** An approval that is open, as the session row shows it. */
export const PendingApproval = Schema.Struct({
  tool_use_id: Schema.String,
  request_id: Schema.String,
  tool_name: Schema.String,
  input: Schema.Unknown,
  /** Its change of a file; `added` and `removed` (lines) are null where what stands there could not be read. */
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
  /** Of the latest turn, in the words of spec 3 §1; null before the first. */
  run_status: nullish(RunStatus),
  /** Key of the session that this one goes on from. */
  parent_key: nullish(Schema.String),
  /** Where one session is asked for: the session that it goes on from, and those that go on from it, oldest first. */
  continued_from: nullish(SessionId),
  continued_in: Schema.optional(Schema.Array(SessionId)),
  /** Settings of its agent, which every start of it is given. See AgentSettings. */
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

/** Outcome of each sent event, in order; `duplicate` where its uuid was in the log already. */
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
      /** Those that none goes on from. */
      leaves: Schema.optional(Schema.Literal("true", "false")),
      environment_id: Schema.optional(Schema.String)
    })
  )
  .addSuccess(SessionPage)
export const get = HttpApiEndpoint.get("get")`/v1/sessions/${id}`.addSuccess(Session)
export const update = HttpApiEndpoint.patch("update")`/v1/sessions/${id}`
  .setPayload(
    open({
      title: Schema.optional(Schema.String.pipe(Schema.maxLength(512))),
      agent_settings: Schema.optional(Manager.SettingsChange)
    })
  )
  .addSuccess(Session)
  .addError(WireError.Conflict)
  .addError(WireError.TooManyRequests)
export const archive = HttpApiEndpoint.post("archive")`/v1/sessions/${id}/archive`
  .setPayload(JsonObject)
  .addSuccess(Session)
  .addError(WireError.Conflict)

export const goOn = HttpApiEndpoint.post("continue")`/v1/sessions/${id}/continue`
  .setPayload(Manager.ContinueSession)
  .addSuccess(Session, { status: 201 })
  .addError(WireError.Conflict)
  .addError(WireError.TooManyRequests)
export const snapshots = HttpApiEndpoint.get("snapshots")`/v1/sessions/${id}/snapshots`.addSuccess(
  Manager.FileSnapshots
)
export const stopAll = HttpApiEndpoint.post("stopAll")`/v1/sessions/stop`
  .setPayload(Manager.StopAll)
  .addSuccess(Manager.StoppedAll)
  .addError(WireError.Conflict)
  .addError(WireError.TooManyRequests)
export const directories = HttpApiEndpoint.get("directories")`/v1/directories`
  .setUrlParams(Schema.Struct({ limit: Schema.optional(QueryInt(1, 100)) }))
  .addSuccess(Manager.RecentDirectories)

export class ColdSessionsApi extends HttpApiGroup.make("sessions")
  .add(list)
  .add(get)
  .add(update)
  .add(archive)
  .add(goOn)
  .add(snapshots)
  .add(stopAll)
  .add(directories)
  .addError(WireError.BadRequest)
  .addError(WireError.NotFound)
  .addError(WireError.Unavailable)
  .middleware(Access) {}

/** `/v1/sessions`. Answers 404 without the `anthropic-beta: ccr-byoc-2025-07-29` header. */
export class SessionsApi extends ColdSessionsApi.add(create).add(sendEvents) {}
