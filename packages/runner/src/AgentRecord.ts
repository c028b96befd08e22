/** The records that stream-JSON agents keep of their conversations: one file of JSON lines each. */
import { existsSync } from "node:fs"
import { mkdir, writeFile } from "node:fs/promises"
import { dirname } from "node:path"
import type { Repairs } from "@causeway/transcript/Repairs"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { AgentUnavailable } from "./Agent.ts"
import type { ConnectSpec } from "./Driver.ts"

/**
 * The flags that begin, resume or fork a conversation. What is on disk decides: `--session-id` refuses a conversation
 * that exists, `--resume` one that does not.
 */
export const flags = (
  { agentSessionId, forkOf }: Pick<ConnectSpec, "agentSessionId" | "forkOf">,
  pathOf: (agentSessionId: string) => string
): { readonly resumed: boolean; readonly args: ReadonlyArray<string> } => {
  const resumed = existsSync(pathOf(agentSessionId))
  const fork = !resumed && forkOf !== undefined && existsSync(pathOf(forkOf)) ? forkOf : undefined
  return {
    resumed: resumed || fork !== undefined,
    args: [
      ...(fork === undefined ? [] : ["--resume", fork, "--fork-session"]),
      resumed ? "--resume" : "--session-id",
      agentSessionId
    ]
  }
}

/** Writes a record whole; one that is there already is left alone, and none answered. */
export const write = (
  agent: string,
  path: string,
  make: () => { readonly lines: ReadonlyArray<unknown>; readonly repairs: Repairs }
): Effect.Effect<Option.Option<Repairs>, AgentUnavailable> =>
  Effect.tryPromise({
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
        agent,
        reason: "Unknown",
        detail: `its record of the conversation cannot be written to ${path}: ${cause instanceof Error ? cause.message : String(cause)}`
      })
  })
