/**
 * Permissions that were decided ahead, and the one place where that settles a question of an agent: skip while it has not
 * expired, then auto-accept of edits, then a person. What the machine's ceiling keeps for people is theirs. Source: spec 3
 * (preface and §5).
 */
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import * as Payload from "@causeway/protocol/Payload"
import { uuid5 } from "@causeway/protocol/Uuid5"
import * as Approvals from "@causeway/transcript/Approvals"
import { object } from "@causeway/transcript/Read"
import * as Ceiling from "./Ceiling.ts"

type Settings = AgentSettings.AgentSettings

export type Decision = "skip_permissions" | "auto_accept_edits" | "ask"

/** Directories of programs: what stands in them is run, or allows what is run. */
const PROGRAMS = /(^|[\\/])\.(git|claude|husky|vscode|idea)([\\/]|$)/i

/** Whether an edit changes a file of the session's directory, and nothing that programs run by. */
const isPlain = (change: Approvals.Approval["change"]): boolean =>
  change !== undefined &&
  change.state !== "outside" &&
  change.state !== "unreadable" &&
  !PROGRAMS.test(change.path)

/** Decides about a request at a moment, in milliseconds since the epoch. What only a person can answer is asked. */
export const decide = (
  approval: Pick<Approvals.Approval, "kind" | "toolName" | "requiresUserInteraction" | "change">,
  settings: Settings,
  ceiling: Ceiling.Ceiling,
  now: number
): Decision => {
  const { kind, requiresUserInteraction, toolName } = approval
  if (kind !== "tool" || requiresUserInteraction || Ceiling.isAlwaysAsked(ceiling, toolName)) return "ask"
  if (ceiling.skipPermissions && AgentSettings.skipsPermissions(settings, now)) return "skip_permissions"
  const edits = ceiling.acceptEdits && settings.auto_accept_edits === true && isPlain(approval.change)
  return edits && Ceiling.editTools.has(toolName) ? "auto_accept_edits" : "ask"
}

/** Open requests of one agent, with the whole input of each. */
export interface Desk {
  readonly approvals: Approvals.Approvals
  readonly inputs: ReadonlyMap<string, unknown>
}

export const empty: Desk = { approvals: Approvals.empty, inputs: new Map() }

/** The desk after a line of the agent (`worker`) or an event that it was given (`client`). */
export const step = (
  desk: Desk,
  source: "worker" | "client",
  payload: Payload.Payload,
  now: number
): Desk => {
  const approvals = Approvals.step(desk.approvals, {
    seq: 0,
    uuid: payload.uuid ?? "",
    source,
    createdAt: now,
    payload
  })
  if (approvals === desk.approvals) return desk
  const input = object(payload.json["request"])["input"]
  const inputs = new Map(
    approvals.pending.map(({ requestId }) => [
      requestId,
      desk.inputs.get(requestId) ?? (payload.json["request_id"] === requestId ? input : undefined)
    ])
  )
  return { approvals, inputs }
}

/**
 * Answers that the settings give to open requests, as lines of the agent's side. A request has the same answer, under the
 * same uuid, whenever it is asked for.
 */
export const answers = (
  desk: Desk,
  settings: Settings,
  ceiling: Ceiling.Ceiling,
  agentSessionId: string,
  now: number
): ReadonlyArray<Payload.Payload> =>
  desk.approvals.pending.flatMap((approval) => {
    const decision = decide(approval, settings, ceiling, now)
    if (decision === "ask") return []
    const { requestId, toolUseId } = approval
    const input = object(desk.inputs.get(requestId) ?? {})
    return [
      Payload.make({
        ...Approvals.allow({ requestId, toolUseId, input }),
        uuid: uuid5(agentSessionId, `decided ${requestId}`),
        decided_by: decision
      })
    ]
  })

/** The change that is told when skipping has ended by itself. */
export const expired = (agentSessionId: string, until: number): Payload.Payload =>
  Payload.make({
    type: "session_update",
    skip_permissions: false,
    skip_permissions_until: null,
    reason: "expired",
    uuid: uuid5(agentSessionId, `skipping ended ${until}`)
  })
