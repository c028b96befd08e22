/** What the agent offers, and whether its turn is being stopped; null where the events that are read do not say. */
import { array, object, type ReadableEvent } from "../Read.ts"

export interface Turn {
  /** Names that the agent offers behind a slash. */
  readonly commands: ReadonlyArray<string> | null
  /** Whether somebody has asked the agent to stop and the turn has not ended since. */
  readonly isStopping: boolean | null
}

export const unknown: Turn = { commands: null, isStopping: null }

/** Longest name of a command that is offered. */
const COMMAND_MAX = 128

const step = (turn: Turn, { source, payload }: ReadableEvent): Turn => {
  const json = object(payload.json)
  const { type } = json
  if (source === "client") {
    return type === "control_request" && object(json["request"])["subtype"] === "interrupt"
      ? { ...turn, isStopping: true }
      : turn
  }
  if (type === "result" || type === "bridge_error") return { ...turn, isStopping: false }
  if (type !== "system" || json["subtype"] !== "init") return turn
  const commands = array(json["slash_commands"]).flatMap((one) =>
    typeof one === "string" && one.length <= COMMAND_MAX ? [one.replace(/^\//, "")] : []
  )
  return { commands, isStopping: false }
}

export const steps = (turn: Turn, events: Iterable<ReadableEvent>): Turn => {
  let next = turn
  for (const event of events) next = step(next, event)
  return next
}

/** With what events before those of `turn` say. */
export const before = (turn: Turn, earlier: Turn): Turn => ({
  commands: turn.commands ?? earlier.commands,
  isStopping: turn.isStopping ?? earlier.isStopping
})
