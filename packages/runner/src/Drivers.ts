/** The drivers of this package, by the names that people give: `scripted`, `claude`, `acp:<command>`. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Acp from "./Acp/Driver.ts"
import { AgentUnavailable } from "./Agent.ts"
import * as Claude from "./Claude/Driver.ts"
import { type Driver, Drivers } from "./Driver.ts"
import type { HostOptions } from "./Environment.ts"
import type { Grace } from "./Process/AgentProcess.ts"
import * as Scripted from "./Scripted/Driver.ts"

export interface DriversOptions extends HostOptions {
  /** Path of the bundled scripted agent; without it there is no agent `scripted`. */
  readonly scriptedAgentPath?: string | undefined
  /** Where the scripted agent keeps its conversations. */
  readonly scriptedDirectory?: string | undefined
  /** It stands in for an agent that is not installed: each of its answers says so. */
  readonly scriptedStandsIn?: boolean | undefined
  /** The Node that runs the scripted agent; the one of this process by default. */
  readonly nodePath?: string | undefined
  /** The Claude CLI; `claude` on the path by default. */
  readonly claudePath?: string | undefined
  /** Where the records of conversations with ACP agents are kept; without it there are no agents `acp:<command>`. */
  readonly acpDirectory?: string | undefined
  readonly grace?: Grace | undefined
  /** More agents, by name; they come before the ones of this package. */
  readonly named?: { readonly [name: string]: Driver } | undefined
}

const unknown = (agent: string, detail: string) =>
  Effect.fail(new AgentUnavailable({ agent, reason: "NotFound", detail }))

export const make = (options: DriversOptions): Effect.Effect<typeof Drivers.Service> =>
  Effect.gen(function* () {
    const claude = yield* Claude.make({ ...options, command: options.claudePath ?? "claude" })
    return { resolve: (agent) => resolve(options, claude, agent) }
  })

const resolve = (
  options: DriversOptions,
  claude: Driver,
  agent: string
): Effect.Effect<Driver, AgentUnavailable> => {
  const named = options.named?.[agent]
  if (named !== undefined) return Effect.succeed(named)
  if (agent === "claude") return Effect.succeed(claude)
  if (agent === "scripted") {
    return options.scriptedAgentPath === undefined || options.scriptedDirectory === undefined
      ? unknown(agent, "the scripted agent's program or directory is not configured")
      : Effect.succeed(
          Scripted.make({
            ...options,
            scriptPath: options.scriptedAgentPath,
            directory: options.scriptedDirectory,
            standsIn: options.scriptedStandsIn === true,
            nodePath: options.nodePath ?? process.execPath
          })
        )
  }
  if (agent.startsWith(Acp.PREFIX)) {
    return options.acpDirectory === undefined
      ? unknown(agent, "the directory for conversations with ACP agents is not configured")
      : Effect.succeed(Acp.make({ ...options, directory: options.acpDirectory }))
  }
  return unknown(agent, "no such agent; known are scripted, claude and acp:<command>")
}

export const layer = (options: DriversOptions): Layer.Layer<Drivers> => Layer.effect(Drivers, make(options))
