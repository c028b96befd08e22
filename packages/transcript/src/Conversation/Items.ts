/** What a person reads of a session, piece by piece. */
import type * as Approvals from "../Approvals.ts"
import type * as FileChange from "../FileChange.ts"
import type { JsonObject } from "../Read.ts"
import type * as Usage from "../Usage.ts"

export interface Common {
  /** Stable and unique within a conversation: the event's uuid and the block's place in it. */
  readonly id: string
  readonly seq: number
  /** Milliseconds since the epoch. */
  readonly at: number
  /** The call that started the subagent which wrote this (or the subagent's id); null in the main context. */
  readonly parentToolUseId: string | null
  /** Replaced by a later line (spec 4 §1, `supersedes`); readers leave it out. */
  readonly superseded: boolean
}

/** Words of a person or of the agent. Text blocks of one agent message that follow each other are one item. */
export interface Message extends Common {
  readonly kind: "message"
  readonly role: "user" | "assistant"
  /** Uuid of the event that began it; a person's message is followed by it. */
  readonly uuid: string
  readonly source: "worker" | "client"
  readonly text: string
  readonly parts: ReadonlyArray<{
    readonly uuid: string
    readonly text: string
    readonly superseded: boolean
  }>
  readonly messageId: string | null
  readonly model: string | null
  /** Blocks that cannot be shown as text: images, documents. */
  readonly attachments: ReadonlyArray<JsonObject>
  /** Cut short by an interrupt. */
  readonly aborted: boolean
  /** The agent's name for what went wrong with this message. */
  readonly error: string | null
}

export interface Thinking extends Common {
  readonly kind: "thinking"
  readonly messageId: string | null
  readonly text: string
  readonly redacted: boolean
}

/** What a tool answered. Text parts are joined by newlines, other parts are named in brackets. */
export interface Outcome {
  readonly text: string
  readonly isError: boolean
  readonly at: number
  /** Images that the tool answered with. */
  readonly attachments: ReadonlyArray<JsonObject>
}

export interface ToolCall extends Common {
  readonly kind: "tool_call"
  readonly toolUseId: string
  readonly messageId: string | null
  readonly name: string
  readonly input: unknown
  readonly completed: boolean
  /** What it belongs to has ended without its result: it does not run any more. */
  readonly unfinished: boolean
  readonly result: Outcome | null
  /** Milliseconds from the call to its result, as the log's clock saw them; null until it is completed. */
  readonly durationMs: number | null
  readonly approval: { readonly requestId: string; readonly state: "pending" | Approvals.Outcome } | null
  /** What stood in the file that it was to change, where the agent's side has told. */
  readonly before: FileChange.Told | null
}

export interface ToolResult extends Common {
  readonly kind: "tool_result"
  readonly toolUseId: string
  readonly outcome: Outcome
  /** Whether its call is known, which then shows it. */
  readonly linked: boolean
}

/** A report of the agent's program. `quiet` ones matter to programs rather than to people. */
export interface System extends Common {
  readonly kind: "system"
  readonly subtype: string
  readonly text: string | null
  readonly quiet: boolean
}

/** A plan: its steps (`TodoWrite`, ACP) or its text (`ExitPlanMode`). */
export interface Plan extends Common {
  readonly kind: "plan"
  readonly toolUseId: string | null
  readonly text: string | null
  readonly steps: ReadonlyArray<{
    readonly text: string
    readonly status: "pending" | "in_progress" | "completed"
  }>
}

export interface Compaction extends Common {
  readonly kind: "compaction"
  readonly trigger: string | null
  readonly tokensBefore: number | null
  readonly summary: string | null
}

export interface Failure extends Common {
  readonly kind: "error"
  readonly text: string
}

/** The end of a turn. */
export interface Turn extends Common {
  readonly kind: "turn"
  readonly text: string | null
  readonly isError: boolean
  /** Stopped by a person. */
  readonly stopped: boolean
  readonly durationMs: number | null
  /** Running total at this point, in US dollars. */
  readonly totalCostUsd: number | null
  /** Of this turn's calls of the model, summed: cache reads count once for every call. */
  readonly usage: Usage.Usage | null
}

/** A line or a block that this program does not know, as it came. */
export interface Unknown extends Common {
  readonly kind: "unknown"
  readonly type: string
  readonly value: unknown
}

export type Item =
  | Message
  | Thinking
  | ToolCall
  | ToolResult
  | System
  | Plan
  | Compaction
  | Failure
  | Turn
  | Unknown
