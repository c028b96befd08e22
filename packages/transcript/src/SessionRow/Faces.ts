/** A session's row for the store, and as the Sessions API shows it. */
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import type { PendingApproval, RunStatus, Session } from "@causeway/protocol/http/Sessions"
import * as SessionAttributes from "@causeway/protocol/SessionAttributes"
import { amount, type JsonObject, object } from "../Read.ts"
import * as Usage from "../Usage.ts"
import { initial, type SessionRow, VERSION } from "./Row.ts"

/** The row as JSON text, for the store; without the attributes, which may be large and seldom change. */
export const toJson = ({ attributes: _, ...row }: SessionRow): string => JSON.stringify(row)

/**
 * The row that {@link toJson} wrote. Undefined where the text is no row of this version: the log must then be replayed.
 */
export const fromJson = (
  text: string,
  attributes: SessionAttributes.Attributes = SessionAttributes.none
): SessionRow | undefined => {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return undefined
  }
  const stored = object(json)
  if (stored["version"] !== VERSION) return undefined
  // Rows from before settings were kept whole: those that were awaited then are told by the log no more.
  const older = {
    ...("chosen" in stored ? {} : { chosen: AgentSettings.none, settings: [] }),
    ...("turn" in stored ? {} : { turn: null })
  }
  const row: JsonObject = { ...stored, ...older, attributes }
  // A row of this version was written by `toJson`; the shape is checked so far that `step` can rely on it.
  const approvals = object(row["approvals"])
  const counts = object(row["counts"])
  const whole =
    Object.keys(initial).every((key) => key in row) &&
    Array.isArray(approvals["pending"]) &&
    Array.isArray(approvals["settled"]) &&
    Array.isArray(row["settings"]) &&
    Object.keys(initial.counts).every((key) => amount(counts[key]) !== null)
  return whole ? (row as unknown as SessionRow) : undefined
}

const millis = (text: string | null | undefined): number => {
  const at = Date.parse(text ?? "")
  return Number.isFinite(at) ? at : 0
}

/** A row to begin with where a log is read in part, from what the hub says; the events after it make it exact. */
export const ofSession = (session: Session): SessionRow => {
  const usage = Usage.read(session.usage)
  // The approvals that it waits for are in the log.
  const activity = session.status === "requires_action" ? "running" : session.status
  return {
    ...initial,
    lastSeq: session.last_sequence_num ?? 0,
    createdAt: millis(session.created_at),
    updatedAt: millis(session.updated_at),
    title: session.title,
    titleOrigin: session.title === null ? "none" : "given",
    status: session.status,
    activity,
    begun: activity === "running",
    archivedAt: session.archived_at === null ? null : millis(session.archived_at),
    model: session.model ?? null,
    permissionMode: session.permission_mode ?? null,
    usage,
    contextTokens: usage === null ? null : Usage.contextTokens(usage),
    totalCostUsd: session.total_cost_usd ?? null,
    numTurns: session.num_turns ?? 0
  }
}

/** The state of the latest turn; null before the first. */
const runStatus = (row: SessionRow): RunStatus | null => {
  const { activity, approvals, lastError, prompted, turn } = row
  if (activity === "pending") return prompted ? "starting" : null
  if (turn?.endedAt === null && turn.interrupting === true) return "interrupting"
  if (approvals.pending.length > 0) return "waiting_input"
  if (activity === "running" || activity === "requires_action") return "running"
  if (turn?.stopped === true) return "interrupted"
  return lastError === null ? (turn === null ? null : "completed") : "failed"
}

const iso = (at: number): string => new Date(Math.min(at, 8.64e15)).toISOString()

/** The open approvals as the Sessions API shows them, oldest first. */
export const pendingApprovals = (row: SessionRow): ReadonlyArray<PendingApproval> =>
  row.approvals.pending.map((p) => ({
    tool_use_id: p.toolUseId,
    request_id: p.requestId,
    tool_name: p.toolName,
    input: p.input,
    ...(p.change === undefined
      ? {}
      : {
          change: {
            path: p.change.path,
            state: p.change.state,
            added: p.change.counts?.added ?? null,
            removed: p.change.counts?.removed ?? null
          }
        }),
    sequence_num: p.seq,
    created_at: iso(p.createdAt)
  }))

/** The members of the Sessions API's `Session` that come from the log. */
export const toSession = (
  row: SessionRow
): Pick<
  Session,
  | "title"
  | "status"
  | "archived_at"
  | "last_sequence_num"
  | "last_message"
  | "model"
  | "permission_mode"
  | "agent_settings"
  | "run_status"
  | "parent_key"
  | "usage"
  | "total_cost_usd"
  | "num_turns"
  | "pending_approvals"
> => ({
  title: row.title,
  status: row.status,
  archived_at: row.archivedAt === null ? null : iso(row.archivedAt),
  last_sequence_num: row.lastSeq,
  last_message: row.lastMessage === null ? null : row.lastMessage.text,
  model: row.model,
  permission_mode: row.permissionMode,
  run_status: runStatus(row),
  parent_key: row.attributes.parentKey ?? null,
  agent_settings: { ...row.chosen },
  ...(row.usage === null
    ? {}
    : {
        usage: {
          input_tokens: row.usage.inputTokens,
          output_tokens: row.usage.outputTokens,
          cache_read_input_tokens: row.usage.cacheReadTokens,
          cache_creation_input_tokens: row.usage.cacheCreationTokens
        }
      }),
  total_cost_usd: row.totalCostUsd,
  num_turns: row.numTurns,
  pending_approvals: pendingApprovals(row)
})
