/** A run: one prompt given to an agent, from its launch to its result. Source: spec 3 §1. */

import { EventUuid, SessionId } from "@causeway/protocol/Ids"
import * as Visible from "@causeway/protocol/Visible"
import type * as SessionRow from "@causeway/transcript/SessionRow"
import * as Usage from "@causeway/transcript/Usage"
import * as Schema from "effect/Schema"
import { AgentOptions } from "../AgentOptions.ts"
import { type Settings, of as settingsOf } from "./Settings.ts"
import { SpawnMode } from "./SpawnMode.ts"
import { Status } from "./Status.ts"

const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.NullOr(schema)

/** What the runner keeps of a run beside its log and the row that is computed from it. Times in ms since the epoch. */
export const Run = Schema.Struct({
  id: SessionId,
  /** The run that this one goes on from. */
  parentId: optional(SessionId),
  agent: Schema.String,
  agentSessionId: Schema.String,
  /** Where the agent works. */
  workingDirectory: Schema.String,
  /** The directory that was asked for; another one than the above where the run has a worktree of its own. */
  directory: Schema.String,
  /** The worktree that was made for this run and goes with it unless it holds work. */
  worktree: optional(Schema.Struct({ path: Schema.String, branch: Schema.String, base: Schema.String })),
  spawnMode: SpawnMode,
  query: Schema.String,
  promptUuid: EventUuid,
  /** The agent's id of the conversation that this one goes on from. */
  forkOf: optional(Schema.String),
  /** Whether the agent's conversation exists. */
  launched: Schema.Boolean,
  title: optional(Schema.String),
  options: optional(AgentOptions),
  status: Status,
  archived: Schema.Boolean,
  createdAt: Schema.Number,
  lastActivityAt: Schema.Number,
  completedAt: optional(Schema.Number),
  error: optional(Schema.String),
  result: optional(Schema.String),
  durationMillis: optional(Schema.Number)
})
export type Run = typeof Run.Type

/** A run as it is shown: what the runner keeps, and what its log says. */
export interface RunInfo extends Run {
  readonly settings: Settings
  readonly summary: string
  /** `opus`, `sonnet`, … as people say it; null where the name tells none. */
  readonly modelFamily: string | null
  readonly modelId: string | null
  readonly costUsd: number | null
  readonly usage: Usage.Usage | null
  readonly contextTokens: number | null
  readonly contextLimit: number
  readonly numTurns: number
  readonly pendingApprovals: SessionRow.SessionRow["approvals"]["pending"]
}

/** Longest summary, in characters. */
const SUMMARY_MAX = 80

const families = ["opus", "sonnet", "haiku"]

export const info = (run: Run, row: SessionRow.SessionRow): RunInfo => {
  const modelId = row.model ?? run.options?.model ?? null
  const line = run.query.replaceAll(/\s+/g, " ").trim()
  return {
    ...run,
    settings: settingsOf(row.chosen),
    summary: Visible.clip(line, SUMMARY_MAX),
    title: run.title ?? row.title,
    modelId,
    modelFamily: families.find((each) => modelId?.toLowerCase().includes(each)) ?? null,
    costUsd: row.totalCostUsd,
    usage: row.usage,
    contextTokens: row.contextTokens,
    contextLimit: Usage.contextLimit(modelId),
    numTurns: row.numTurns,
    pendingApprovals: row.approvals.pending
  }
}
