/**
 * Drivers turn the description of an agent into something that takes client payloads and gives lines.
 *
 * Whatever the agent speaks, the lines are those of spec 4 §1, so that all that stands above (delivery, status,
 * restarts) is written once: a prompt is acknowledged by a `user` line with `isReplay: true` and its uuid, a turn ends
 * with a `result` that names the prompts it answers, a question is a `control_request` from the agent.
 */

import type { Payload } from "@causeway/protocol/Payload"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Adopt, AgentSessionSpec, AgentUnavailable } from "./Agent.ts"
import type { AgentProcess, ProcessGone } from "./Process/AgentProcess.ts"

/** One start of an agent. */
export interface ConnectSpec extends Omit<AgentSessionSpec, "unanswered" | "settings"> {
  /** It may be moved to work without asking: the session was made so, or the machine's owner allows it. */
  readonly mayBypass?: boolean
  /** Names this start; unique. `CAUSEWAY_RUN_ID` in the agent's environment. */
  readonly runId: string
  /** The agent takes up a turn that a crash interrupted, under its prompt's own uuid. */
  readonly resumeInterrupted: boolean
}

/** One thing that came out of an agent. */
export type DriverLine =
  | { readonly _tag: "Payload"; readonly payload: Payload }
  /** Not a payload: not JSON, not an object with a type, or too long. `excerpt` is its start. */
  | { readonly _tag: "Bad"; readonly issue: string; readonly excerpt: string }

/** A running agent. */
export interface Connection extends Pick<AgentProcess, "endInput" | "signal" | "exit" | "stderr"> {
  /** For a person who looks for the process; `undefined` where the agent is none. */
  readonly pid: number | undefined
  /** This start took up an existing conversation. */
  readonly resumed: boolean
  /** In order; ends when the agent is gone. One consumer, whose pace the agent must follow. */
  readonly lines: Stream.Stream<DriverLine>
  readonly send: (payload: Payload) => Effect.Effect<void, ProcessGone>
}

export interface Driver {
  /** Starts the agent and returns when it is ready for payloads. Closing the scope ends it within a bound. */
  readonly connect: (spec: ConnectSpec) => Effect.Effect<Connection, AgentUnavailable, Scope.Scope>
  readonly adopt: Adopt
}

/** Finds the driver of an agent by the name that an {@link AgentSessionSpec} gives. */
export class Drivers extends Context.Tag("@causeway/runner/Drivers")<
  Drivers,
  { readonly resolve: (agent: string) => Effect.Effect<Driver, AgentUnavailable> }
>() {}
