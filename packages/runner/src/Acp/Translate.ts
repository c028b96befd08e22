/**
 * Translation of an ACP agent's words into the lines of spec 4 §1. Pure and incremental: a state, an input, the lines it causes.
 *
 * Nothing that the agent says is refused or lost, in whatever order it comes: an update after the end of its turn is
 * attributed to that turn (`user_message_uuid`), an unknown one is passed on as it is. Every tool use that was said
 * has its result when the turn ends. Source: spec 4 §2 and §3.7.
 */
import type { JsonObject, Payload } from "@causeway/protocol/Payload"
import * as Match from "effect/Match"
import type * as Settings from "./Settings.ts"
import { flush } from "./Translate/Messages.ts"
import {
  onPermissionAnswered,
  onPermissionAsked,
  onQuestionAsked,
  withdraw
} from "./Translate/Permissions.ts"
import { attribution, type Draft, promptNow, replaced, type State, synthetic } from "./Translate/State.ts"
import { endTurn, startTurn, type TurnEnd } from "./Translate/Turns.ts"
import { notice, onUpdate, status } from "./Translate/Updates.ts"

export { initial, type Opened, type State } from "./Translate/State.ts"
export type { TurnEnd } from "./Translate/Turns.ts"

/** An event of a session. Times are in milliseconds since the epoch. */
export type Input =
  | { readonly _tag: "TurnStarted"; readonly prompt: string; readonly words: string; readonly at: number }
  /** `params.update` of a `session/update`, whatever it is. */
  | { readonly _tag: "Update"; readonly update: unknown }
  | {
      readonly _tag: "PermissionAsked"
      readonly requestId: string
      readonly toolCall: unknown
      readonly options: unknown
    }
  /** A question to the person. `input` is an `AskUserQuestion`'s; `toolCallId` names the call that it is about. */
  | {
      readonly _tag: "QuestionAsked"
      readonly requestId: string
      readonly toolCallId: string | null
      readonly title: string
      readonly input: JsonObject
    }
  | { readonly _tag: "PermissionAnswered"; readonly requestId: string; readonly allowed: boolean }
  | { readonly _tag: "PermissionWithdrawn"; readonly requestId: string }
  /** Output of a terminal so far, for the calls that show it. */
  | { readonly _tag: "TerminalOutput"; readonly terminalId: string; readonly output: string }
  /** `told`: whoever listens hears of it. */
  | { readonly _tag: "SettingsChanged"; readonly settings: Settings.Settings; readonly told: boolean }
  | { readonly _tag: "TurnEnded"; readonly end: TurnEnd; readonly at: number; readonly queued: number }
  /** Nothing has come for a while, or nothing can come any more: what was begun is written. */
  | { readonly _tag: "Quiet" }
  /** A line of our own among the agent's: a notice to the person, or a message that this program gave the agent. */
  | { readonly _tag: "Notice"; readonly text: string; readonly severity: string }
  | { readonly _tag: "Said"; readonly text: string }

/** The lines that an input causes, in order, and the state after it. */
export interface Step {
  readonly state: State
  readonly lines: ReadonlyArray<Payload>
}

const apply = (draft: Draft, input: Input): void =>
  Match.valueTags(input, {
    TurnStarted: ({ at, prompt, words }) => startTurn(draft, prompt, words, at),
    Update: ({ update }) => onUpdate(draft, update),
    PermissionAsked: ({ options, requestId, toolCall }) =>
      onPermissionAsked(draft, requestId, toolCall, options),
    QuestionAsked: (question) => onQuestionAsked(draft, question),
    PermissionAnswered: ({ allowed, requestId }) => onPermissionAnswered(draft, requestId, allowed),
    PermissionWithdrawn: ({ requestId }) => withdraw(draft, requestId),
    TerminalOutput: ({ output, terminalId }) => {
      draft.terminals = replaced(draft.terminals, terminalId, output)
    },
    SettingsChanged: ({ settings, told }) => {
      draft.settings = settings
      if (told) status(draft, null)
    },
    TurnEnded: ({ at, end, queued }) => endTurn(draft, end, at, queued),
    // Within a turn the agent may only be thinking.
    Quiet: () => (draft.turn === null ? flush(draft) : undefined),
    Notice: ({ severity, text }) => notice(draft, text, severity),
    Said: ({ text }) => void synthetic(draft, text, attribution(promptNow(draft)))
  })

/** The lines that `input` causes. Never throws. */
export const step = (state: State, input: Input): Step => {
  const draft: Draft = { ...state, out: [] }
  apply(draft, input)
  const { out, ...next } = draft
  return { state: next, lines: out }
}
