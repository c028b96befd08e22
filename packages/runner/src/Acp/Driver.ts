/**
 * Drives any agent that speaks the Agent Client Protocol, version 1, over its standard streams: `acp:<command>`.
 *
 * The agent chooses the id of its session; the record kept here joins it to the owner's. An agent that can neither load
 * nor resume a session begins anew after a restart, and the person is told so. Source: spec 4 §2 and §3.
 */
import { realpath } from "node:fs/promises"
import type { McpServer } from "@agentclientprotocol/sdk"
import type { JsonObject, Payload } from "@causeway/protocol/Payload"
import * as Read from "@causeway/transcript/Read"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Mailbox from "effect/Mailbox"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { AgentUnavailable } from "../Agent.ts"
import type { ConnectSpec, Driver, DriverLine } from "../Driver.ts"
import * as Environment from "../Environment.ts"
import * as AgentProcess from "../Process/AgentProcess.ts"
import * as Command from "./Command.ts"
import * as JsonRpc from "./JsonRpc.ts"
import * as Record from "./Record.ts"
import * as Services from "./Services.ts"
import * as Session from "./Session.ts"
import * as Settings from "./Settings.ts"
import * as Surroundings from "./Surroundings.ts"
import * as Terminal from "./Terminal.ts"

/** What comes before the command in an agent's name. */
export const PREFIX = "acp:"

/** The protocol's version that this driver speaks. */
export const PROTOCOL_VERSION = 1

export interface AcpOptions extends Environment.HostOptions {
  /** Where the records of conversations are kept. */
  readonly directory: string
  readonly grace?: AgentProcess.Grace | undefined
  /** Given to the agent with every session, where it can use them. Their headers and variables are never logged. */
  readonly mcpServers?: ReadonlyArray<McpServer> | undefined
  /** How long the agent may take to answer `initialize`, and again to open its session. Default 60 s each. */
  readonly readyWithin?: Duration.DurationInput | undefined
}

/** Lines that wait for their reader. A line has at most 10 MiB; more than these stay in the agent's pipe. */
const LINES_BUFFER = 16
/** Unreadable lines that are kept while the agent starts. */
const EARLY_MAX = 1000
/** Of the end of stderr, this many characters go into an error for people. */
const STDERR_IN_ERROR = 2000

/** Lines on their way out: kept until the connection is handed over, then held back for their reader. */
const outbox = Effect.gen(function* () {
  const mailbox = yield* Mailbox.make<DriverLine>(LINES_BUFFER)
  let early: Array<DriverLine> | undefined = []
  return {
    offer: (lines: ReadonlyArray<DriverLine>): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (early === undefined) return Effect.asVoid(mailbox.offerAll(lines))
        for (const line of lines) if (line._tag === "Payload" || early.length < EARLY_MAX) early.push(line)
        return Effect.void
      }),
    early: (): ReadonlyArray<DriverLine> => early ?? [],
    end: Effect.asVoid(mailbox.end),
    open: (): Stream.Stream<DriverLine> => {
      const first = early ?? []
      early = undefined
      return Stream.concat(Stream.fromIterable(first), Mailbox.toStream(mailbox))
    }
  }
})

interface Agent {
  readonly name: string
  readonly version: string
  readonly capabilities: JsonObject
  readonly authMethods: ReadonlyArray<JsonObject>
}

const agentOf = (reply: JsonObject, program: string): Agent => {
  const info = Read.object(reply["agentInfo"])
  return {
    name: Read.name(info["title"]) ?? Read.name(info["name"]) ?? program,
    version: Read.name(info["version"]) ?? "",
    capabilities: Read.object(reply["agentCapabilities"]),
    authMethods: Read.array(reply["authMethods"]).map(Read.object)
  }
}

const signIn = (agent: Agent, command: string): string => {
  const ways = agent.authMethods.map((method) => {
    const name = Read.name(method["name"]) ?? Read.name(method["id"]) ?? "sign in"
    const description = Read.name(method["description"], 1024)
    const args = method["type"] === "terminal" ? Read.array(method["args"]).join(" ") : ""
    return `${name}${description === null ? "" : ` (${description})`}${args === "" ? "" : `: run ${command} ${args}`}`
  })
  return `${agent.name} is not signed in; sign in on this machine, then start it again. ${
    ways.length === 0 ? `Run ${command} in a terminal to see how.` : `It offers: ${ways.join("; ")}`
  }`
}

const connect = (
  options: AcpOptions,
  spec: ConnectSpec
): Effect.Effect<Effect.Effect.Success<ReturnType<Driver["connect"]>>, AgentUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const unavailable = (reason: AgentUnavailable["reason"], detail: string) =>
      new AgentUnavailable({ agent: spec.agent, reason, detail })
    const line = spec.agent.startsWith(PREFIX) ? spec.agent.slice(PREFIX.length) : spec.agent
    const command = yield* Effect.mapError(Command.parse(line), (cause) =>
      unavailable("NotFound", cause.message)
    )
    const cwd = yield* Effect.tryPromise({
      try: () => realpath(spec.cwd),
      catch: () => unavailable("DirectoryMissing", `${spec.cwd} is not a directory; give an existing one`)
    })
    const record = yield* Effect.mapError(Record.open(options.directory, spec.agentSessionId), (cause) =>
      unavailable("Unknown", cause.message)
    )

    // --- Process and peer ---

    const env = Environment.forAgent(options, { ...spec, cwd })
    const agent = yield* AgentProcess.spawn({
      agent: spec.agent,
      command: command.program,
      args: command.args,
      cwd,
      env,
      grace: options.grace
    })
    const peer = JsonRpc.make(agent)
    const out = yield* outbox
    const terminals = yield* Terminal.make(cwd, env)
    const servers = [...(options.mcpServers ?? []), ...Surroundings.mcpServers(spec)]
    const session = yield* Session.make({
      sessionId: spec.agentSessionId,
      run: spec.runId,
      cwd,
      mcpServers: servers.map(({ name }) => name),
      peer,
      record,
      services: Services.make(cwd, terminals),
      terminals,
      emit: (lines) => out.offer(lines.map((payload: Payload): DriverLine => ({ _tag: "Payload", payload })))
    })
    yield* peer
      .run({
        ...session.handlers,
        onBad: (issue, excerpt) => out.offer([{ _tag: "Bad", issue, excerpt }])
      })
      .pipe(Effect.zipRight(session.gone), Effect.zipRight(out.end), Effect.forkScoped)

    // --- Handshake ---

    const endedAtOnce = Effect.gen(function* () {
      const exit = yield* agent.exit
      const stderr = (yield* agent.stderr).trim().slice(-STDERR_IN_ERROR)
      const printed = out.early().flatMap((each) => (each._tag === "Bad" ? [each.excerpt] : []))
      const words = stderr !== "" ? stderr : printed.join("\n").slice(0, STDERR_IN_ERROR)
      return yield* unavailable(
        "ExitedAtOnce",
        `${command.program} ended at once (${AgentProcess.describeExit(exit)}): ${words === "" ? "it said nothing" : words}`
      )
    })
    const bounded = <A, E>(method: string, effect: Effect.Effect<A, E>) =>
      Effect.timeoutFail(effect, {
        duration: options.readyWithin ?? "60 seconds",
        onTimeout: () =>
          unavailable(
            "Unknown",
            `${command.program} did not answer ${method} in time; does it speak ACP over stdio?`
          )
      })

    const hello = yield* peer
      .request("initialize", {
        protocolVersion: PROTOCOL_VERSION,
        clientCapabilities: Services.capabilities,
        clientInfo: { name: "causeway", title: "Causeway", version: "0.1.0" }
      })
      .pipe(
        Effect.catchTag("ProcessGone", () => endedAtOnce),
        Effect.catchTag("RpcError", (cause) =>
          unavailable("Unknown", `${command.program} refused to initialize: ${Session.describe(cause)}`)
        ),
        (effect) => bounded("initialize", effect),
        Effect.map(Read.object)
      )
    if (hello["protocolVersion"] !== PROTOCOL_VERSION) {
      return yield* unavailable(
        "WrongVersion",
        `${command.program} speaks version ${JSON.stringify(hello["protocolVersion"])} of ACP, this program version ${PROTOCOL_VERSION}`
      )
    }
    const told = agentOf(hello, command.program)
    const abilities = Read.object(told.capabilities["sessionCapabilities"])
    const can = (ability: string): boolean =>
      typeof abilities[ability] === "object" && abilities[ability] !== null
    const { params: surroundings, warnings } = Surroundings.make(told, can, { ...spec, cwd }, servers)

    /** Opens a session; the session takes over within the reading fiber, before any update that follows the reply. */
    const open = (method: string, params: JsonObject, known: string | undefined) =>
      Effect.gen(function* () {
        const done = yield* Deferred.make<string, JsonRpc.RpcError | AgentProcess.ProcessGone>()
        yield* peer.call(method, params, (reply) =>
          Either.match(reply, {
            onLeft: (cause) => Effect.asVoid(Deferred.fail(done, cause)),
            onRight: (result) => {
              const json = Read.object(result)
              const acpSessionId = known ?? Read.string(json["sessionId"])
              if (acpSessionId === null) {
                const cause = new JsonRpc.RpcError({
                  code: JsonRpc.codes.internal,
                  message: "it named no session"
                })
                return Effect.asVoid(Deferred.fail(done, cause))
              }
              return Effect.zipRight(
                session.opened({
                  acpSessionId,
                  agent: told,
                  takes: Read.object(told.capabilities["promptCapabilities"]),
                  settings: Settings.opened(json)
                }),
                Effect.asVoid(Deferred.succeed(done, acpSessionId))
              )
            }
          })
        )
        return yield* bounded(method, Deferred.await(done))
      })

    const earlier = record.acpSessionId()
    const parent =
      earlier === undefined && spec.forkOf !== undefined
        ? yield* Record.acpSessionIdOf(options.directory, spec.forkOf)
        : undefined
    const canLoad = told.capabilities["loadSession"] === true
    const canResume = can("resume")
    /** The history tells whether the agent had taken a prompt; otherwise resuming is enough. */
    const loads = canLoad && (!canResume || record.open().length > 0)

    const fresh = open("session/new", surroundings, undefined)
    const again = (id: string) =>
      Effect.suspend(() => {
        if (loads) session.replay(id)
        return open(loads ? "session/load" : "session/resume", { sessionId: id, ...surroundings }, id)
      })
    /** Takes a conversation up, or begins another one and says what was lost. */
    const orFresh = (takeUp: typeof fresh) =>
      Effect.gen(function* () {
        const outcome = yield* Effect.either(takeUp)
        if (Either.isRight(outcome)) return { id: outcome.right, resumed: true, lost: undefined }
        const cause = outcome.left
        if (cause._tag !== "RpcError" || cause.code === JsonRpc.codes.authRequired) return yield* cause
        return { id: yield* fresh, resumed: false, lost: Session.describe(cause) }
      })
    const lost = (why: string) => Effect.map(fresh, (id) => ({ id, resumed: false, lost: why }))
    const begin =
      earlier !== undefined
        ? canLoad || canResume
          ? orFresh(again(earlier))
          : lost("it can neither load nor resume a session")
        : spec.forkOf === undefined
          ? Effect.map(fresh, (id) => ({ id, resumed: false, lost: undefined }))
          : parent === undefined
            ? lost("the conversation that this one starts from is not known on this machine")
            : can("fork")
              ? orFresh(open("session/fork", { sessionId: parent, ...surroundings }, undefined))
              : lost("it cannot fork a session")
    const opened = yield* begin.pipe(
      Effect.catchTag("ProcessGone", () => endedAtOnce),
      Effect.catchTag("RpcError", (cause) =>
        unavailable(
          cause.code === JsonRpc.codes.authRequired ? "SignedOut" : "Unknown",
          cause.code === JsonRpc.codes.authRequired
            ? signIn(told, line)
            : `${told.name} opened no session: ${Session.describe(cause)}`
        )
      )
    )
    yield* Effect.mapError(record.setAcpSessionId(opened.id), (cause) =>
      unavailable("Unknown", cause.message)
    )

    // --- Notices and settings ---

    if (opened.lost !== undefined) {
      yield* session.notice(
        `${told.name} begins a new conversation and does not know what was said before: ${opened.lost}`,
        "warning"
      )
    }
    for (const warning of warnings) yield* session.notice(warning, "warning")
    const choices = Settings.chosen(spec.options ?? {})
    for (const [at, choose] of choices.entries()) {
      // What is set half is no state to be told of.
      const told = at === choices.length - 1
      const done = yield* bounded("the choice of a setting", session.set(choose, told)).pipe(
        Effect.catchTag("ProcessGone", () => endedAtOnce)
      )
      if (Either.isLeft(done)) yield* session.notice(done.left, "warning")
    }

    return {
      pid: agent.pid,
      resumed: opened.resumed,
      lines: out.open(),
      send: session.send,
      endInput: agent.endInput,
      signal: agent.signal,
      exit: agent.exit,
      stderr: agent.stderr
    }
  })

export const make = (options: AcpOptions): Driver => ({
  connect: (spec) => connect(options, spec),
  adopt: (spec) =>
    new AgentUnavailable({
      agent: spec.agent,
      reason: "Unknown",
      detail:
        "an ACP agent cannot be given a conversation that it did not have itself; start a new session with it"
    })
})
