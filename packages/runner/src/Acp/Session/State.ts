/** The state of a session with an ACP agent, and how its inputs become lines. */
import type { ContentBlock, PromptCapabilities } from "@agentclientprotocol/sdk"
import type { Payload } from "@causeway/protocol/Payload"
import * as Read from "@causeway/transcript/Read"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ProcessGone } from "../../Process/AgentProcess.ts"
import type * as Elicitation from "../Elicitation.ts"
import type * as JsonRpc from "../JsonRpc.ts"
import type { Record } from "../Record.ts"
import type { Service } from "../Services.ts"
import type { Terminals } from "../Terminal.ts"
import * as Translate from "../Translate.ts"

export interface SessionOptions extends Pick<Translate.Opened, "sessionId" | "run" | "cwd" | "mcpServers"> {
  readonly peer: JsonRpc.Peer
  readonly record: Record
  readonly services: ReadonlyMap<string, Service>
  readonly terminals: Terminals
  /** Why the agent may not be moved to what goes by these names, in words; `isMode`: it is a mode. */
  readonly refuses: (names: ReadonlyArray<string>, isMode: boolean) => string | undefined
  /** Where lines go; slow when their reader is. */
  readonly emit: (lines: ReadonlyArray<Payload>) => Effect.Effect<void>
}

/** A prompt that waits for its turn. */
export interface Waiting {
  readonly uuid: string
  readonly words: string
  readonly blocks: ReadonlyArray<ContentBlock>
  readonly omitted: ReadonlyArray<string>
  /** `person`: from the log; `host`: this program's own, which the log gets to see now. */
  readonly from: "person" | "host"
  /** Why it is not given to the agent. */
  readonly refused: string | undefined
}

/** A question of the agent that waits: for permission, or a form. */
export interface Asked {
  readonly id: JsonRpc.RequestId
  readonly form: Elicitation.Form | undefined
}

/**
 * The prompt that was given to the agent. The turn is begun, and the prompt acknowledged, at the first sign that the
 * agent has taken it: what was written to an agent that is gone already was not taken.
 */
export interface Running {
  readonly prompt: Waiting
  readonly at: number
  begun: boolean
  cancelled: boolean
}

export interface State extends SessionOptions {
  readonly scope: Scope.Scope
  /** Inputs are translated one after the other. */
  readonly lock: Effect.Semaphore
  /** Undefined until the agent has opened the session. */
  translation: Translate.State | undefined
  takes: PromptCapabilities
  isGone: boolean
  /** Updates that came before the session was opened. */
  early: Array<unknown>
  /** The agent's id of the conversation whose history it tells now. */
  replaying: string | undefined
  /** The newest message of a person in that history; undefined where none was. */
  history: { text: string; open: boolean } | undefined
  readonly queue: Array<Waiting>
  /** Uuids of the prompts that this process was given. */
  readonly known: Set<string>
  running: Running | undefined
  /** The agent's questions that wait, by the request's id in the log. */
  readonly asked: Map<string, Asked>
}

export const make = (options: SessionOptions): Effect.Effect<State, never, Scope.Scope> =>
  Effect.all({ scope: Effect.scope, lock: Effect.makeSemaphore(1) }).pipe(
    Effect.map((made) => ({
      ...options,
      ...made,
      translation: undefined,
      takes: {},
      isGone: false,
      early: [],
      replaying: undefined,
      history: undefined,
      queue: [],
      known: new Set(),
      running: undefined,
      asked: new Map()
    }))
  )

/** Writes the lines of an input, in the order of the inputs. */
export const translate = (state: State, input: Translate.Input): Effect.Effect<void> =>
  state.lock.withPermits(1)(
    Effect.suspend(() => {
      if (state.translation === undefined) return Effect.void
      const next = Translate.step(state.translation, input)
      state.translation = next.state
      return next.lines.length === 0 ? Effect.void : state.emit(next.lines)
    })
  )

/** Tells what terminals have printed since the last call. */
export const terminalNews = (state: State): Effect.Effect<void> =>
  Effect.suspend(() =>
    Effect.forEach(state.terminals.news(), (news) => translate(state, { _tag: "TerminalOutput", ...news }), {
      discard: true
    })
  )

/** Runs it beside the fiber that reads: the agent may be waiting to be read while it is written to. */
export const later = <E>(state: State, effect: Effect.Effect<void, E>): Effect.Effect<void> =>
  Effect.asVoid(Effect.forkIn(Effect.ignore(effect), state.scope))

/** A failed request in words for a person. */
export const describe = (cause: JsonRpc.RpcError | ProcessGone): string => {
  if (cause._tag === "ProcessGone") return cause.detail
  const data = Read.object(cause.data)
  const detail = Read.string(cause.data) ?? Read.string(data["details"]) ?? Read.string(data["message"])
  return detail === null || cause.message.includes(detail) ? cause.message : `${cause.message}: ${detail}`
}
