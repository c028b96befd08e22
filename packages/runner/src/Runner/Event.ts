/** Events of a runner, numbered without holes over all of its runs. */
import { SessionId } from "@causeway/protocol/Ids"
import type { Payload } from "@causeway/protocol/Payload"
import * as Schema from "effect/Schema"
import { Settings } from "./Settings.ts"
import { Status } from "./Status.ts"

const common = { sequence: Schema.Int, at: Schema.Number, runId: SessionId }

export const RunnerEvent = Schema.Union(
  /** `from` is null for a run that is new. */
  Schema.Struct({
    type: Schema.Literal("status_changed"),
    ...common,
    from: Schema.NullOr(Status),
    to: Status,
    parentId: Schema.NullOr(SessionId),
    error: Schema.NullOr(Schema.String)
  }),
  Schema.Struct({
    type: Schema.Literal("settings_changed"),
    ...common,
    settings: Settings,
    reason: Schema.Literal("set", "expired")
  }),
  Schema.Struct({
    type: Schema.Literal("approval_requested"),
    ...common,
    toolUseId: Schema.String,
    toolName: Schema.String
  }),
  Schema.Struct({
    type: Schema.Literal("approval_settled"),
    ...common,
    toolUseId: Schema.String,
    outcome: Schema.Literal("allowed", "denied", "answered", "cancelled"),
    /** Who decided: a person, or the setting that did. */
    by: Schema.Literal("person", "skip_permissions", "auto_accept_edits", "run")
  }),
  /** An entry of a run's log; `entry` is its position there. */
  Schema.Struct({
    type: Schema.Literal("entry"),
    ...common,
    entry: Schema.Int,
    source: Schema.Literal("worker", "client"),
    payload: Schema.Record({ key: Schema.String, value: Schema.Unknown })
  }),
  /** A file as the agent read it. */
  Schema.Struct({
    type: Schema.Literal("file_snapshot"),
    ...common,
    toolUseId: Schema.String,
    path: Schema.String,
    sha256: Schema.String,
    bytes: Schema.Int,
    truncated: Schema.Boolean
  }),
  Schema.Struct({ type: Schema.Literal("archived"), ...common, archived: Schema.Boolean })
)
export type RunnerEvent = typeof RunnerEvent.Type

/** Who settled a question: a person, or the setting that did. */
export type By = "person" | "skip_permissions" | "auto_accept_edits"

/** An event before it has its place; spread over the members of the union. */
export type NewEvent = RunnerEvent extends infer E
  ? E extends RunnerEvent
    ? Omit<E, "sequence" | "at">
    : never
  : never

/** Events that are gone: a watcher was away for longer than they are kept. What holds now is in the runs themselves. */
export interface Gap {
  readonly type: "gap"
  readonly from: number
  readonly to: number
}

/** Partial text and progress, never stored. `after`: the entry of the run's log that it follows; 0 before the first. */
export interface Partial {
  readonly runId: SessionId
  readonly after: number
  readonly payload: Payload
}
