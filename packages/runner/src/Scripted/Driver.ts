/** Drives the scripted agent: a Node program, started with the Node that runs the host. */
import { randomUUID } from "node:crypto"
import { join } from "node:path"
import * as Repair from "@causeway/transcript/Repair"
import * as Effect from "effect/Effect"
import * as AgentRecord from "../AgentRecord.ts"
import * as Flags from "../Claude/Flags.ts"
import type { Driver } from "../Driver.ts"
import * as Environment from "../Environment.ts"
import type { Grace } from "../Process/AgentProcess.ts"
import * as StreamJson from "../StreamJson.ts"

export interface ScriptedOptions extends Environment.HostOptions {
  /** Path of the bundled program. */
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
  const pathOf = (agentSessionId: string) => join(options.directory, `${agentSessionId}.jsonl`)
  return {
    connect: (spec) =>
      Effect.flatMap(Flags.ofSpec(spec), (own) => {
        const { args, resumed } = AgentRecord.flags(spec, pathOf)
        return StreamJson.connect(
          {
            agent: spec.agent,
            command: options.nodePath,
            args: [
              options.scriptPath,
              ...args,
              "--config-dir",
              options.directory,
              "--include-partial-messages",
              ...(options.standsIn === true ? ["--stand-in"] : []),
              ...own
            ],
            cwd: spec.cwd,
            env: Environment.forAgent(options, spec, {
              CLAUDE_CODE_RESUME_INTERRUPTED_TURN: spec.resumeInterrupted ? "1" : undefined
            }),
            grace: options.grace
          },
          { runId: spec.runId, resumed }
        )
      }),
    adopt: ({ agent, agentSessionId }, entries) =>
      AgentRecord.write(agent, pathOf(agentSessionId), () => {
        const { lines, repairs } = Repair.transcript(entries, randomUUID)
        return { lines: lines.map(({ json }) => json), repairs }
      })
  }
}
