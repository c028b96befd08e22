/**
 * Drives any agent that speaks the Agent Client Protocol, version 1, over its standard streams: `acp:<command>`.
 *
 * The agent chooses the id of its session; the record kept here joins it to the owner's. An agent that can neither load
 * nor resume a session begins anew after a restart, and the person is told so. Source: spec 4 §2 and §3.
 */
import { realpath } from "node:fs/promises"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Scope from "effect/Scope"
import type { AgentUnavailable } from "../Agent.ts"
import * as Ceiling from "../Ceiling.ts"
import type { Connection, ConnectSpec, Driver } from "../Driver.ts"
import * as Environment from "../Environment.ts"
import * as AgentProcess from "../Process/AgentProcess.ts"
import * as Command from "./Command.ts"
import * as Conversation from "./Conversation.ts"
import * as Handshake from "./Handshake.ts"
import * as JsonRpc from "./JsonRpc.ts"
import * as Lines from "./Lines.ts"
import * as Record from "./Record.ts"
import * as Services from "./Services.ts"
import * as Session from "./Session.ts"
import * as Settings from "./Settings.ts"
import * as Surroundings from "./Surroundings.ts"
import * as Terminal from "./Terminal.ts"

/** Prefix of the command in an agent's name. */
export const PREFIX = "acp:"

export interface AcpOptions extends Environment.HostOptions {
  /** Where the records of conversations are kept. */
  readonly directory: string
  readonly grace?: AgentProcess.Grace | undefined
  /** How long the agent may take to answer `initialize`, and again to open its session. Default 60 s each. */
  readonly readyWithin?: Duration.DurationInput | undefined
}

/** Notices of what the agent does not know or take, and the settings that the options ask for. */
const settle = (
  start: Handshake.Start,
  agent: Handshake.Announced,
  session: Session.Session,
  spec: ConnectSpec,
  warnings: ReadonlyArray<string>
): Effect.Effect<void, AgentUnavailable> =>
  Effect.gen(function* () {
    for (const warning of warnings) yield* session.notice(warning, "warning")
    const choices = Settings.chosen(spec.options ?? {})
    for (const [at, choose] of choices.entries()) {
      // What is set half is no state to be told of.
      const told = at === choices.length - 1
      const chosen = Handshake.bounded(start, "the choice of a setting", session.set(choose, told))
      const done = yield* Handshake.explained(start, chosen, "took no setting", agent)
      if (Either.isLeft(done)) yield* session.notice(done.left, "warning")
    }
  })

const connect = Effect.fn("Acp.connect")(function* (
  options: AcpOptions,
  spec: ConnectSpec
): Effect.fn.Return<Connection, AgentUnavailable, Scope.Scope> {
  const line = spec.agent.startsWith(PREFIX) ? spec.agent.slice(PREFIX.length) : spec.agent
  const { args, program } = yield* Effect.mapError(Command.parse(line), ({ message }) =>
    Handshake.unavailable(spec, "NotFound", message)
  )
  const cwd = yield* Effect.tryPromise({
    try: () => realpath(spec.cwd),
    catch: () =>
      Handshake.unavailable(spec, "DirectoryMissing", `${spec.cwd} is not a directory; give an existing one`)
  })
  const recorded = Effect.mapError(({ message }: Record.RecordUnavailable) =>
    Handshake.unavailable(spec, "Unknown", message)
  )
  const record = yield* recorded(Record.open(options.directory, spec.agentSessionId))

  const env = Environment.forAgent(options, { ...spec, cwd })
  const sandboxed = Environment.within(options, spec)
  const process = yield* AgentProcess.spawn({
    agent: spec.agent,
    command: program,
    args,
    cwd,
    env,
    grace: options.grace,
    within: sandboxed
  })
  const peer = JsonRpc.make(process)
  const lines = yield* Lines.make
  const terminals = yield* Terminal.make(cwd, env, sandboxed)
  const session = yield* Session.make({
    sessionId: spec.agentSessionId,
    run: spec.runId,
    cwd,
    mcpServers: Surroundings.mcpServers(spec).map(({ name }) => name),
    peer,
    record,
    services: Services.make(cwd, terminals, sandboxed !== undefined),
    terminals,
    refuses: (names, isMode) => spec.ceiling && Ceiling.choiceRefused(spec.ceiling, names, isMode)?.message,
    emit: (payloads) => lines.offer(payloads.map((payload) => ({ _tag: "Payload", payload })))
  })
  yield* peer
    .run({ ...session.handlers, onBad: (issue, excerpt) => lines.offer([{ _tag: "Bad", issue, excerpt }]) })
    .pipe(Effect.zipRight(session.gone), Effect.zipRight(lines.end), Effect.forkScoped)

  const within = options.readyWithin ?? "60 seconds"
  const start = { agent: spec.agent, line, program, process, peer, lines, within }
  const agent = yield* Handshake.initialize(start)
  const { params, warnings } = Surroundings.make(agent, { ...spec, cwd })
  const fork =
    spec.forkOf === undefined
      ? undefined
      : { parent: yield* recorded(Record.acpSessionIdOf(options.directory, spec.forkOf)) }
  const opening = Conversation.open(start, agent, session, record, params, fork)
  const { id, lost, resumed } = yield* Handshake.explained(start, opening, "opened no session", agent)
  yield* recorded(record.setAcpSessionId(id))
  yield* settle(start, agent, session, spec, [
    ...(lost === undefined
      ? []
      : [`${agent.name} begins a new conversation and does not know what was said before: ${lost}`]),
    ...warnings
  ])
  const { endInput, exit, pid, signal, stderr } = process
  return { pid, resumed, lines: lines.open(), send: session.send, endInput, signal, exit, stderr }
})

export const make = (options: AcpOptions): Driver => ({
  connect: (spec) => connect(options, spec),
  adopt: (spec) =>
    Handshake.unavailable(
      spec,
      "Unknown",
      "an ACP agent cannot be given a conversation that it did not have itself; start a new session with it"
    )
})
