/** Drives the scripted agent: a Node program of this package, started with the Node that runs the host. */

import { randomUUID } from "node:crypto"
import { existsSync } from "node:fs"
import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import * as Repair from "@causeway/transcript/Repair"
import type { Repairs } from "@causeway/transcript/Repairs"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { AgentUnavailable } from "../Agent.ts"
import type { Driver } from "../Driver.ts"
import * as Environment from "../Environment.ts"
import type { Grace } from "../Process/AgentProcess.ts"
import * as StreamJson from "../StreamJson.ts"

export interface ScriptedOptions extends Environment.HostOptions {
  /** Path of the bundled program (`src/Scripted/main.ts`). */
  readonly scriptPath: string
  /** The Node that runs it. */
  readonly nodePath: string
  /** Where it keeps its conversations. */
  readonly directory: string
  /** It stands in for an agent that is not installed: each of its answers says so. */
  readonly standsIn?: boolean | undefined
  readonly grace?: Grace | undefined
}

export const make = (options: ScriptedOptions): Driver => {
  const file = (agentSessionId: string) => join(options.directory, `${agentSessionId}.jsonl`)
  return {
    connect: (spec) =>
      Effect.suspend(() => {
        // What is on disk decides: a conversation that was never begun cannot be resumed, and the reverse.
        const resumed = existsSync(file(spec.agentSessionId))
        const fork =
          !resumed && spec.forkOf !== undefined && existsSync(file(spec.forkOf)) ? spec.forkOf : undefined
        return StreamJson.connect(
          {
            agent: spec.agent,
            command: options.nodePath,
            args: [
              options.scriptPath,
              ...(fork === undefined ? [] : ["--resume", fork, "--fork-session"]),
              resumed ? "--resume" : "--session-id",
              spec.agentSessionId,
              "--config-dir",
              options.directory,
              "--include-partial-messages",
              ...(options.standsIn === true ? ["--stand-in"] : []),
              ...(spec.model === undefined ? [] : ["--model", spec.model]),
              ...(spec.permissionMode === undefined ? [] : ["--permission-mode", spec.permissionMode]),
              ...(spec.mayBypass === true ? ["--allow-dangerously-skip-permissions"] : [])
            ],
            cwd: spec.cwd,
            env: Environment.forAgent(options, spec, {
              CLAUDE_CODE_RESUME_INTERRUPTED_TURN: spec.resumeInterrupted ? "1" : undefined
            }),
            grace: options.grace
          },
          { runId: spec.runId, resumed: resumed || fork !== undefined }
        )
      }),
    adopt: (spec, entries) =>
      Effect.tryPromise({
        try: async () => {
          if (existsSync(file(spec.agentSessionId))) return Option.none<Repairs>()
          const { lines, repairs } = Repair.transcript(entries, randomUUID)
          await mkdir(options.directory, { recursive: true, mode: 0o700 })
          await writeFile(file(spec.agentSessionId), record(lines), { mode: 0o600, flag: "wx" })
          return Option.some(repairs)
        },
        catch: (cause) =>
          new AgentUnavailable({
            agent: spec.agent,
            reason: "Unknown",
            detail: `cannot write its record: ${cause instanceof Error ? cause.message : String(cause)}`
          })
      })
  }
}

const record = (entries: ReadonlyArray<Repair.Line>): string =>
  entries.map((entry) => `${JSON.stringify(entry.json)}\n`).join("")
