/** What a session's row holds. */
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import type { SessionStatus } from "@causeway/protocol/http/Sessions"
import * as SessionAttributes from "@causeway/protocol/SessionAttributes"
import * as Approvals from "../Approvals.ts"
import type * as Usage from "../Usage.ts"

/** Bumped when rows of older versions cannot be read any more; the store then replays the log. */
export const VERSION = 1

/** Where a title comes from; a stronger origin is not replaced by a weaker one. */
export type TitleOrigin = "none" | "derived" | "suggested" | "given"
/** What the agent itself is doing, approvals aside. */
export type Activity = "pending" | "idle" | "running" | "requires_action"

/** A session's row. Times are in milliseconds since the epoch; what is not known is null. */
export interface SessionRow {
  readonly version: typeof VERSION
  /** Position of the last event that the row has seen; 0 for an empty log. */
  readonly lastSeq: number
  readonly createdAt: number
  readonly updatedAt: number
  readonly title: string | null
  readonly titleOrigin: TitleOrigin
  readonly status: SessionStatus
  /** The status without open approvals; `pending` until a worker has written anything. */
  readonly activity: Activity
  /** Whether people's messages wait for a first worker. */
  readonly prompted: boolean
  /** Whether the agent works on a turn, as far as it has said. */
  readonly begun: boolean
  /** People's messages that no result has answered and nobody has taken back, oldest first. */
  readonly open: ReadonlyArray<string>
  /** Whether the agent says of results which prompts they answer. */
  readonly names: boolean
  readonly archivedAt: number | null
  readonly model: string | null
  readonly permissionMode: string | null
  /** What was set of the agent, which every start of it is given; `model` and `permissionMode` are what it tells. */
  readonly chosen: AgentSettings.AgentSettings
  /** Kept beside the row, see {@link toJson}. */
  readonly attributes: SessionAttributes.Attributes
  /** The agent's own id of the conversation, by which it resumes. */
  readonly agentSessionId: string | null
  readonly workingDirectory: string | null
  /** Of the latest message of the main context. */
  readonly usage: Usage.Usage | null
  /** Tokens in the main context: input, output, cache reads and writes of `usage`. */
  readonly contextTokens: number | null
  /** US dollars: the agent's running total, the latest one told; never a sum. */
  readonly totalCostUsd: number | null
  /** Turns that ended with a result. */
  readonly numTurns: number
  /** The latest turn that the agent has begun; `endedAt` is null while it lasts. */
  readonly turn: {
    readonly startedAt: number
    readonly endedAt: number | null
    /** People stopped it. */
    readonly stopped: boolean
    /** People want it to stop. */
    readonly interrupting?: boolean
  } | null
  readonly firstPrompt: string | null
  readonly lastMessage: {
    readonly role: "user" | "assistant"
    readonly text: string
    readonly at: number
  } | null
  /** Of the latest turn, or of the bridge since; null after a turn that went well. */
  readonly lastError: { readonly text: string; readonly at: number } | null
  readonly approvals: Approvals.Approvals
  readonly settings: ReadonlyArray<{
    readonly requestId: string
    readonly change: AgentSettings.AgentSettings
  }>
  readonly counts: {
    readonly events: number
    readonly prompts: number
    readonly answers: number
    readonly toolCalls: number
    readonly compactions: number
  }
  /** `message.id` of the latest answer, so that its other blocks are not counted again. */
  readonly answerId: string | null
}

/** The row of an empty log. */
export const initial: SessionRow = {
  version: VERSION,
  lastSeq: 0,
  createdAt: 0,
  updatedAt: 0,
  title: null,
  titleOrigin: "none",
  status: "pending",
  activity: "pending",
  prompted: false,
  begun: false,
  open: [],
  names: false,
  archivedAt: null,
  model: null,
  permissionMode: null,
  chosen: AgentSettings.none,
  attributes: SessionAttributes.none,
  agentSessionId: null,
  workingDirectory: null,
  usage: null,
  contextTokens: null,
  totalCostUsd: null,
  numTurns: 0,
  turn: null,
  firstPrompt: null,
  lastMessage: null,
  lastError: null,
  approvals: Approvals.empty,
  settings: [],
  counts: { events: 0, prompts: 0, answers: 0, toolCalls: 0, compactions: 0 },
  answerId: null
}
