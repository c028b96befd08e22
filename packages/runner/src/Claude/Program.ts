/**
 * Agents that take the flags of the Claude CLI, speak its lines and keep its kind of record, one file of JSON lines a
 * conversation: the CLI and the scripted agent.
 */
import { existsSync } from "node:fs"
import { mkdir, writeFile } from "node:fs/promises"
import { dirname } from "node:path"
import * as FileFailure from "@causeway/protocol/FileFailure"
import type { Repairs } from "@causeway/transcript/Repairs"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { type AgentConversation, AgentUnavailable } from "../Agent.ts"
import type { Connection, ConnectSpec } from "../Driver.ts"
import * as Environment from "../Environment.ts"
import type { Grace } from "../Process/AgentProcess.ts"
import type { Needs } from "../Sandbox.ts"
import * as StreamJson from "../StreamJson.ts"
import * as Flags from "./Flags.ts"

export interface Program extends Environment.HostOptions {
  readonly command: string
  /** Arguments of every start, before the flags of the conversation and its options. */
  readonly args: ReadonlyArray<string>
  /** Variables of every start. */
  readonly variables?: Environment.Variables | undefined
  readonly grace?: Grace | undefined
  /** The record of a conversation. */
  readonly recordPath: (conversation: AgentConversation) => string
  /** Files of its own that it needs in a sandbox. */
  readonly own?: ((conversation: AgentConversation) => Omit<Needs, "cwd">) | undefined
}

/**
 * Starts the program. What is on disk decides how the conversation is taken up: `--session-id` refuses one that exists,
 * `--resume` one that does not.
 */
export const start = Effect.fn("Program.start")(function* (
  program: Program,
  spec: ConnectSpec,
  more: ReadonlyArray<string> = []
): Effect.fn.Return<Connection, AgentUnavailable, Scope.Scope> {
  const options = yield* Flags.ofSpec(spec)
  const { agent, agentSessionId, cwd, forkOf, runId } = spec
  const exists = (agentSessionId: string) => existsSync(program.recordPath({ ...spec, agentSessionId }))
  const known = exists(agentSessionId)
  const fork = !known && forkOf !== undefined && exists(forkOf) ? ["--resume", forkOf, "--fork-session"] : []
  const conversation = [...fork, known ? "--resume" : "--session-id", agentSessionId]
  const env = Environment.forAgent(program, spec, {
    ...program.variables,
    CLAUDE_CODE_RESUME_INTERRUPTED_TURN: spec.resumeInterrupted ? "1" : undefined
  })
  const { command, grace } = program
  const args = [...program.args, ...conversation, ...options.flags, ...more]
  const own = program.own?.(spec)
  const within = Environment.within(program, spec, {
    ...own,
    readOnly: [...(own?.readOnly ?? []), ...options.files]
  })
  const resumed = known || fork.length > 0
  return yield* StreamJson.connect({ agent, command, args, cwd, env, grace, within }, { runId, resumed })
})

/** Writes a record whole; one that is there already is left alone, and none answered. */
export const adopt = (
  { recordPath }: Program,
  conversation: AgentConversation,
  make: () => { readonly lines: ReadonlyArray<unknown>; readonly repairs: Repairs }
): Effect.Effect<Option.Option<Repairs>, AgentUnavailable> =>
  Effect.suspend(() => {
    const path = recordPath(conversation)
    return Effect.tryPromise({
      try: async () => {
        if (existsSync(path)) return Option.none<Repairs>()
        const { lines, repairs } = make()
        await mkdir(dirname(path), { recursive: true, mode: 0o700 })
        const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("")
        await writeFile(path, text, { mode: 0o600, flag: "wx" })
        return Option.some(repairs)
      },
      catch: (cause) =>
        new AgentUnavailable({
          agent: conversation.agent,
          reason: "Unknown",
          detail: `its record of the conversation is not written: ${FileFailure.describe(path, cause)}`
        })
    })
  })
