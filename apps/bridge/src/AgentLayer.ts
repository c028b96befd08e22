/** The agents of this machine, as the commands drive them. */
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as AgentSessions from "@causeway/runner/AgentSessions"
import * as Drivers from "@causeway/runner/Drivers"
import * as ProcessRegistry from "@causeway/runner/Process/ProcessRegistry"
import type { Sandbox } from "@causeway/runner/Sandbox"
import type * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"

/**
 * Building it ends the agents that a killed bridge of this state directory left behind. `idleStop`: how long an agent's
 * process may do nothing before it is ended, to be started again with the next message; default: for ever.
 */
export const layer = (options: {
  readonly stateDir: string
  /** None: the agents run without a hub. */
  readonly hubUrl?: string | undefined
  /** Variables that agents get although their kind is left out. */
  readonly passEnv?: ReadonlyArray<string> | undefined
  readonly idleStop?: Duration.DurationInput | undefined
  /** The scripted agent stands in for one that is not installed, and says so. */
  readonly standsIn?: boolean | undefined
  readonly sandbox?: Sandbox | undefined
}) =>
  AgentSessions.layerWith({ idleStop: options.idleStop }).pipe(
    Layer.provide(ProcessRegistry.layer(join(options.stateDir, "agents"))),
    Layer.provide(
      Drivers.layer({
        environment: process.env,
        passEnv: options.passEnv,
        sandbox: options.sandbox,
        hubUrl: options.hubUrl,
        scriptedAgentPath: fileURLToPath(new URL("./scripted-agent.js", import.meta.url)),
        scriptedDirectory: join(options.stateDir, "scripted"),
        scriptedStandsIn: options.standsIn,
        acpDirectory: join(options.stateDir, "acp")
      })
    )
  )
