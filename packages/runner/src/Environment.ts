/** What an agent's process sees of the environment that its host runs in. */
import type { ConnectSpec } from "./Driver.ts"

export type Variables = { readonly [name: string]: string | undefined }

/**
 * The host's variables without those of Causeway (its token, its database's address: nothing of the host's own
 * secrets reaches an agent), then the session's own, then the three that tell an agent where it is.
 */
export const forAgent = (
  host: Variables,
  spec: Pick<ConnectSpec, "runId" | "sessionId" | "env">,
  hubUrl: string | undefined,
  more: Variables = {}
): { readonly [name: string]: string } => {
  const out: Record<string, string> = {}
  for (const [name, value] of Object.entries(host)) {
    if (value !== undefined && !name.toUpperCase().startsWith("CAUSEWAY_")) out[name] = value
  }
  for (const [name, value] of Object.entries({ ...more, ...spec.env })) {
    if (value !== undefined) out[name] = value
  }
  out["CAUSEWAY_RUN_ID"] = spec.runId
  out["CAUSEWAY_SESSION_ID"] = spec.sessionId
  if (hubUrl !== undefined) out["CAUSEWAY_HUB_URL"] = hubUrl
  return out
}
