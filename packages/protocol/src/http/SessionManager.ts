/**
 * The session manager's part of the Sessions API: settings, going on from a session, stopping all, files that agents read,
 * directories. Source: spec 3 §4.
 */
import * as Schema from "effect/Schema"
import { SequenceNum } from "../Event.ts"
import { SessionId } from "../Ids.ts"
import { open } from "./Schemas.ts"
import { SessionContext } from "./SessionContext.ts"

/** A change of `agent_settings`. `skip_permissions_for_ms` sets the end of the skipping from now; null: without an end. */
export const SettingsChange = open({
  auto_accept_edits: Schema.optional(Schema.Boolean),
  skip_permissions: Schema.optional(Schema.Boolean),
  skip_permissions_for_ms: Schema.optional(Schema.NullOr(Schema.Int.pipe(Schema.nonNegative()))),
  model: Schema.optional(Schema.NullOr(Schema.String)),
  permission_mode: Schema.optional(Schema.NullOr(Schema.String)),
  max_thinking_tokens: Schema.optional(Schema.NullOr(Schema.Int.pipe(Schema.nonNegative())))
})
export type SettingsChange = typeof SettingsChange.Type

/**
 * A session that goes on from another: its conversation is taken over, and the other one stays as it is. What is left out is
 * inherited, member by member, also of `session_context` and its `options`; `max_turns` is not.
 */
export const ContinueSession = open({
  message: Schema.String.pipe(Schema.minLength(1)),
  title: Schema.optional(Schema.NullOr(Schema.String.pipe(Schema.maxLength(512)))),
  environment_id: Schema.optional(Schema.NullOr(Schema.String)),
  session_context: Schema.optional(Schema.NullOr(SessionContext)),
  permission_mode: Schema.optional(Schema.NullOr(Schema.String)),
  agent_settings: Schema.optional(Schema.NullOr(SettingsChange))
})
export type ContinueSession = typeof ContinueSession.Type

/** Longest time that stopping all may take, in milliseconds. Default 20,000: signals follow what is not heard. */
export const STOP_ALL_MAX_MILLIS = 60_000

/** Without `environment_id`: those of all environments; with `session_ids`: these alone. */
export const StopAll = open({
  session_ids: Schema.optional(Schema.NullOr(Schema.Array(SessionId))),
  environment_id: Schema.optional(Schema.NullOr(Schema.String)),
  within_ms: Schema.optional(Schema.Int.pipe(Schema.between(0, STOP_ALL_MAX_MILLIS)))
})
export type StopAll = typeof StopAll.Type

/** `running`: those whose turns had not ended in time; they were told to stop all the same. */
export const StoppedAll = Schema.Struct({
  stopped: Schema.Array(SessionId),
  running: Schema.Array(SessionId)
})

/** A file as an agent read it. `text` is null where it is no text, or longer than the log carries. */
export const FileSnapshot = Schema.Struct({
  tool_use_id: Schema.String,
  path: Schema.String,
  /** Of what was kept, hexadecimal. */
  sha256: Schema.String,
  bytes: Schema.Int,
  truncated: Schema.Boolean,
  text: Schema.NullOr(Schema.String),
  sequence_num: SequenceNum,
  created_at: Schema.String
})
export type FileSnapshot = typeof FileSnapshot.Type

export const FileSnapshots = Schema.Struct({ data: Schema.Array(FileSnapshot) })

/** A directory that sessions worked in. */
export const RecentDirectory = Schema.Struct({
  path: Schema.String,
  machine_name: Schema.String,
  environment_id: Schema.String,
  last_used: Schema.String,
  usage_count: Schema.Int
})

/** The latest used first. */
export const RecentDirectories = Schema.Struct({ data: Schema.Array(RecentDirectory) })
