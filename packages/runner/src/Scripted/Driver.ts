/** Drives the scripted agent: a Node program, started with the Node that runs the host. */
import { randomUUID } from "node:crypto"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import * as Repair from "@causeway/transcript/Repair"
import * as Program from "../Claude/Program.ts"
import type { Driver } from "../Driver.ts"
import type * as Environment from "../Environment.ts"
import type { Grace } from "../Process/AgentProcess.ts"

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
  const { directory, nodePath, scriptPath, standsIn } = options
  const program = {
    ...options,
    command: nodePath,
    args: [
      scriptPath,
      "--config-dir",
      directory,
      "--include-partial-messages",
      ...(standsIn === true ? ["--stand-in"] : [])
    ],
    recordPath: ({ agentSessionId }: { readonly agentSessionId: string }) =>
      join(directory, `${agentSessionId}.jsonl`),
    // Bound only where it is there.
    own: () => {
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      return { writable: [directory], readOnly: [scriptPath] }
    }
  }
  return {
    connect: (spec) => Program.start(program, spec),
    adopt: (conversation, entries) =>
      Program.adopt(program, conversation, () => {
        const { lines, repairs } = Repair.transcript(entries, randomUUID)
        return { lines: lines.map(({ json }) => json), repairs }
      })
  }
}
