/** Environment of an agent's process, made of the host's. */
import * as ChildEnvironment from "@causeway/protocol/ChildEnvironment"
import type { ConnectSpec } from "./Driver.ts"
import type { Within } from "./Process/AgentProcess.ts"
import type { Needs, Sandbox } from "./Sandbox.ts"

export type { Variables } from "@causeway/protocol/ChildEnvironment"

export interface HostOptions {
  /** The host's environment (`process.env`), of which the agents' is made. */
  readonly environment: ChildEnvironment.Variables
  /** Variables that agents get although their kind is left out. */
  readonly passEnv?: ReadonlyArray<string> | undefined
  /** Given to agents as `CAUSEWAY_HUB_URL`. */
  readonly hubUrl?: string | undefined
  /** What agents are started in; without it they are processes like any other of this user. */
  readonly sandbox?: Sandbox | undefined
}

/** The sandbox of an agent, with the directories that its session gives to it. */
export const within = (
  { sandbox }: HostOptions,
  { options }: Pick<ConnectSpec, "options">,
  needs: Omit<Needs, "cwd"> = {}
): Within | undefined =>
  sandbox && {
    sandbox,
    needs: { ...needs, writable: [...(needs.writable ?? []), ...(options?.additionalDirectories ?? [])] }
  }

/**
 * The host's variables as {@link ChildEnvironment.make} passes them on, then those of the driver and the session, then
 * the ones that tell an agent where it is.
 */
export const forAgent = (
  host: HostOptions,
  spec: Pick<ConnectSpec, "runId" | "sessionId" | "cwd" | "env">,
  more: ChildEnvironment.Variables = {}
): { readonly [name: string]: string } => {
  const out = ChildEnvironment.make(host.environment, host.passEnv)
  for (const [name, value] of Object.entries({ PWD: spec.cwd, ...more, ...spec.env })) {
    if (value !== undefined) out[name] = value
  }
  out["CAUSEWAY_RUN_ID"] = spec.runId
  out["CAUSEWAY_SESSION_ID"] = spec.sessionId
  if (host.hubUrl !== undefined) out["CAUSEWAY_HUB_URL"] = host.hubUrl
  return out
}
