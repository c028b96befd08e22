/**
 * Which agents the sessions of a bridge may ask for. A session is somebody's wish from afar: it chooses among what this
 * machine offers, and never names a command.
 *
 * A session that asked for an agent which is not offered is served by none: each prompt is told so, until the bridge
 * starts again and offers it.
 */
import * as Data from "effect/Data"
import * as Either from "effect/Either"

/** The agent that a session asked for is none that this bridge offers. */
export class AgentNotOffered extends Data.TaggedError("AgentNotOffered")<{
  readonly name: string
  readonly offered: ReadonlyArray<string>
}> {
  override get message(): string {
    return `the session asks for the agent ${JSON.stringify(this.name.slice(0, 200))}, which is not offered here; offered: ${this.offered.join(", ")} (--offer adds it)`
  }
}

/** An agent under the name that sessions know it by. */
export interface Offered {
  readonly name: string
  /** As drivers know it: `claude`, `scripted`, `acp:<command>`. */
  readonly agent: string
}

/** The arguments of an agent's command may hold secrets, and are nobody's business: its name is that of its program. */
const shortened = (agent: string): string => {
  if (!agent.startsWith("acp:")) return agent.replaceAll(",", " ")
  const program = agent.slice("acp:".length).trim().split(/\s+/, 1)[0] ?? ""
  return `acp:${(program.split(/[\\/]/).at(-1) ?? program).replaceAll(",", " ")}`
}

/** Names the agents of a bridge; the first is what a session gets that asks for none. */
export const offer = (agents: ReadonlyArray<string>): ReadonlyArray<Offered> => {
  const offered: Array<Offered> = []
  for (const agent of new Set(agents)) {
    const short = shortened(agent)
    let name = short
    for (let n = 2; offered.some((each) => each.name === name); n += 1) name = `${short} ${n}`
    offered.push({ name, agent })
  }
  return offered
}

/** In the journal, before the name of an agent that was asked for and not offered. */
const ASKED = "asked:"

/** What the journal keeps for a session that asked for `name`, by its name or as drivers know it. */
export const entered = (offered: ReadonlyArray<Offered>, name: string): string =>
  offered.find((each) => each.name === name || each.agent === name)?.agent ?? `${ASKED}${name}`

/** The agent of a session as the journal has it. */
export const chosen = (
  offered: ReadonlyArray<Offered>,
  agent: string
): Either.Either<string, AgentNotOffered> => {
  if (!agent.startsWith(ASKED)) return Either.right(agent)
  const name = agent.slice(ASKED.length)
  const now = entered(offered, name)
  return now === agent
    ? Either.left(new AgentNotOffered({ name, offered: offered.map((each) => each.name) }))
    : Either.right(now)
}
