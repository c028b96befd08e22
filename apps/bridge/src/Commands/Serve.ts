/** `up`, `hub` and `connect`: what runs until it is told to stop. */
import { hostname } from "node:os"
import { join } from "node:path"
import * as Bridge from "@causeway/bridge/Bridge"
import * as BridgeEvent from "@causeway/bridge/BridgeEvent"
import * as MachinePolicy from "@causeway/bridge/MachinePolicy"
import * as Pointer from "@causeway/bridge/Pointer"
import * as Worktrees from "@causeway/bridge/Worktrees"
import * as ClientConfig from "@causeway/client/ClientConfig"
import * as CodeSession from "@causeway/client/CodeSession"
import * as Credentials from "@causeway/client/Credentials"
import * as Environments from "@causeway/client/Environments"
import * as Ingress from "@causeway/client/Ingress"
import * as Poller from "@causeway/client/Poller"
import * as Sessions from "@causeway/client/Sessions"
import * as Checkout from "@causeway/git/Checkout"
import * as Git from "@causeway/git/Git"
import * as Engine from "@causeway/runner/Engine"
import * as Journal from "@causeway/runner/Journal"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as AgentLayer from "../AgentLayer.ts"
import * as Agents from "../Agents.ts"
import * as Command from "../Cli/Command.ts"
import { asFailure, Failure } from "../Failure.ts"
import * as Flags from "../Flags.ts"
import * as HubHere from "../HubHere.ts"
import * as Network from "../Network/Network.ts"
import * as OpenFiles from "../OpenFiles.ts"
import { Output, snakeCase } from "../Output.ts"
import * as PageAddress from "../PageAddress.ts"
import * as Remote from "../Remote.ts"
import { Shutdown } from "../Run.ts"
import * as Sandboxed from "../Sandboxed.ts"
import * as SignIn from "../SignIn.ts"
import * as Sqlite from "../Sqlite.ts"
import * as StateDirectory from "../StateDirectory.ts"

// --- The bridge --------------------------------------------------------------

const bridgeLayer = (
  to: { readonly url: string; readonly token: Redacted.Redacted },
  stateDir: string,
  agents: Pick<Parameters<typeof AgentLayer.layer>[0], "idleStop" | "passEnv" | "sandbox" | "standsIn">
) =>
  Bridge.layer.pipe(
    Layer.provideMerge(
      Layer.mergeAll(
        Poller.layer.pipe(Layer.provideMerge(Environments.layer)),
        Sessions.layer,
        Ingress.layer(),
        CodeSession.layer
      )
    ),
    Layer.provideMerge(Credentials.layerStatic({ accessToken: to.token }, { organization: "token" })),
    Layer.provideMerge(ClientConfig.layer({ baseUrl: to.url })),
    Layer.provideMerge(Network.layer),
    Layer.provideMerge(Journal.layer({ stateDirectory: stateDir })),
    Layer.provideMerge(Pointer.layer({ stateDirectory: stateDir })),
    Layer.provideMerge(Worktrees.layer({ root: join(stateDir, "worktrees"), environment: process.env })),
    Layer.provideMerge(AgentLayer.layer({ ...agents, stateDir, hubUrl: to.url })),
    Layer.provide(NodeContext.layer)
  )

/** Node takes no notice of the end of processes that it did not start; the first process of a container inherits them. */
const AS_INIT =
  "this is process 1, which does not reap the processes that agents leave behind; start the container with an init (docker run --init, or tini)"

/** Files of the hub elsewhere than in the state directory. */
const secretsOf = ({ databaseUrl, tlsKey }: Flags.Serving): ReadonlyArray<string> =>
  [databaseUrl, tlsKey].flatMap(Option.toArray)

/** Attaches a directory until the scope closes; it is attached when calls for its session have arrived. */
const attach = (
  flags: Flags.Attaching,
  choice: Agents.Choice,
  to: { readonly url: string; readonly token: Redacted.Redacted },
  stateDir: string,
  secrets: ReadonlyArray<string>
) =>
  Effect.gen(function* () {
    const output = yield* Output
    const dir = yield* Agents.directory(flags.dir)
    const idleStop = flags.idleStop === 0 ? undefined : Duration.minutes(flags.idleStop)
    if (choice.guessed && !choice.standsIn) yield* output.progress("agent: claude")
    yield* Effect.forEach([choice.agent, ...flags.offer], (agent) => Agents.installed(agent, dir))
    const capacity = yield* OpenFiles.capacity(flags.capacity)
    // Programs read nothing before the line that says ready.
    const say = (words: string) => (output.json ? Effect.logWarning(words) : output.progress(words))
    yield* Option.match(capacity.says, { onNone: () => Effect.void, onSome: say })
    if (process.pid === 1) yield* say(AS_INIT)
    const passEnv = Option.getOrUndefined(flags.passEnv)
    const machine = yield* Effect.mapError(MachinePolicy.load(stateDir), asFailure)
    const ceiling = flags.allowSkipping ? { ...machine.ceiling, skipPermissions: true } : machine.ceiling
    const sandbox = yield* Sandboxed.of({ asked: flags.sandbox, machine, stateDir, dir, secrets })
    const [checkout, files] = yield* Effect.all([Checkout.read(dir), Checkout.files(dir)], {
      concurrency: 2
    }).pipe(Effect.provide(Git.layer(process.env)))
    yield* Sqlite.loaded
    const report = yield* makeReport
    const services = yield* Layer.build(
      bridgeLayer(to, stateDir, { idleStop, passEnv, sandbox, standsIn: choice.standsIn })
    ).pipe(Effect.mapError(asFailure))
    const serve = yield* Engine.make({ ceiling }).pipe(Effect.provide(services))
    const handle = yield* Context.get(services, Bridge.Bridge)
      .start({
        dir,
        machineName: hostname(),
        branch: Option.getOrUndefined(checkout.branch),
        gitRepoUrl: Option.getOrUndefined(checkout.remote),
        title: Option.getOrUndefined(flags.title),
        baseUrl: to.url,
        workerType: "causeway",
        maxSessions: capacity.sessions,
        spawnMode: flags.spawn,
        perpetual: flags.perpetual,
        agent: choice.agent,
        agents: flags.offer,
        standsIn: choice.standsIn,
        files,
        model: Option.getOrUndefined(flags.model),
        permissionMode: Option.getOrUndefined(flags.permissionMode),
        ceiling,
        serve,
        onEvent: report.onEvent
      })
      .pipe(Effect.mapError(startFailure))
    yield* Effect.raceFirst(
      Stream.runHead(Stream.filter(handle.state.changes, ({ _tag }) => _tag === "Connected")),
      givenUp(handle.failed)
    )
    return {
      choice,
      dir,
      failed: handle.failed,
      sessionId: yield* handle.sessionId,
      environmentId: yield* handle.environmentId,
      ready: report.ready
    }
  })

/**
 * Prints what the bridge tells. The values for programs wait for `ready`, which is the first line that they read; people
 * see everything at once.
 */
const makeReport = Effect.gen(function* () {
  const output = yield* Output
  const ready = yield* Effect.makeLatch(false)
  const values = yield* Queue.unbounded<BridgeEvent.BridgeEvent>()
  yield* Queue.take(values).pipe(
    Effect.flatMap((event) => output.value(eventValue(event))),
    Effect.forever,
    ready.whenOpen,
    Effect.forkScoped
  )
  const onEvent = (event: BridgeEvent.BridgeEvent) =>
    Effect.zipRight(
      output.json ? Queue.offer(values, event) : Effect.void,
      output.progress(BridgeEvent.describe(event))
    )
  return { onEvent, ready: ready.open }
})

const startFailure = (error: Bridge.StartError): Failure => {
  switch (error._tag) {
    case "DirectoryInUse":
      return Failure.failed(
        error.message,
        `what runs there: ${SignIn.HOW} opens its page, \`attach latest\` shows it in the terminal`
      )
    case "JournalFailed":
    case "NotAllowed":
    case "PointerFailed":
      return asFailure(error)
    default:
      return Remote.failure(error)
  }
}

/** An event of the bridge as a line of JSON: `event` is its name in snake_case. */
const eventValue = (event: BridgeEvent.BridgeEvent) => ({
  event: snakeCase(event._tag),
  message: BridgeEvent.describe(event),
  ...("sessionId" in event && event.sessionId !== undefined ? { session_id: event.sessionId } : {})
})

// --- Until told to stop ------------------------------------------------------

/** The line that programs read first. `hub`: the one that was found or started here. */
const announce = (
  url: string,
  hub?: HubHere.RunningHub,
  attached?: Effect.Effect.Success<ReturnType<typeof attach>>,
  printCode = false
) =>
  Effect.gen(function* () {
    const output = yield* Output
    if (!output.json) return
    // What programs print is kept in files and logs: a code that opens the hub stands there only where it was asked for.
    const code =
      hub === undefined || !printCode ? undefined : yield* hub.code("printed at the start, as asked for")
    yield* output.value({
      event: "ready",
      url,
      gateway_url: url.replace(/^http/, "ws"),
      public_url: hub === undefined ? undefined : Option.getOrUndefined(hub.others),
      token: hub?.made === true ? Redacted.value(hub.token) : undefined,
      code: code === undefined ? undefined : Redacted.value(code.code),
      code_expires_at: code === undefined ? undefined : new Date(code.expiresAt).toISOString(),
      session_id: attached?.sessionId,
      environment_id: attached?.environmentId,
      agent: attached?.choice.agent,
      stand_in: attached?.choice.standsIn,
      pid: process.pid
    })
    if (attached !== undefined) yield* attached.ready
  })

/**
 * How people get in: on this machine by the access token when it was made just now, else by a one-time code; on another
 * one by a QR code, which is drawn on terminals alone.
 */
const showWaysIn = (hub: HubHere.RunningHub, stateDir: string) =>
  Effect.gen(function* () {
    const output = yield* Output
    if (output.json) return
    if (hub.made) {
      yield* output.line(`  ${hub.url}/#token=${Redacted.value(hub.token)}`, "strong")
    } else {
      const { code, expiresAt } = yield* hub.code("printed at the start")
      yield* output.line(`  ${PageAddress.withCode(hub.url, code)}`, "strong")
      yield* output.line(
        `  (signs in one browser, once, until ${SignIn.until(expiresAt)}; ${SignIn.HOW} makes another)`,
        "dim"
      )
    }
    yield* output.line(`  the access token is in ${StateDirectory.tokenFile(stateDir)}`, "dim")
    if (Option.isSome(hub.pushNotice)) yield* output.line(`  ${hub.pushNotice.value}`, "dim")
    if (Option.isNone(hub.others)) {
      yield* output.line(
        `  only this machine can reach it; for a phone: ${SignIn.HOW_OTHERS}, then ${SignIn.HOW}`,
        "dim"
      )
    } else if (Option.isNone(output.terminal)) {
      yield* output.line(`  others reach it at ${hub.others.value}; ${SignIn.HOW} lets a device in`, "dim")
    } else {
      const { code, expiresAt } = yield* hub.code("printed at the start, for another machine")
      const address = PageAddress.withCode(hub.others.value, code)
      yield* output.line("On a phone or another machine:")
      yield* SignIn.draw(address)
      yield* output.line(`  ${address}`, "strong")
      yield* output.line(`  (lets one device in, once, until ${SignIn.until(expiresAt)})`, "dim")
    }
  })

/** What serves goes on without its terminal. */
const detach = Effect.flatMap(Shutdown, (shutdown) => shutdown.detach)

/** Fails when the bridge gives up. */
const givenUp = (failed: Bridge.Handle["failed"]): Effect.Effect<never, Failure> =>
  Effect.flatMap(failed, ({ detail, nextStep }) => Failure.failed(detail, nextStep))

/** Waits for a signal, or for the bridge to give up. */
const untilStopped = (failed: Bridge.Handle["failed"]) =>
  Effect.gen(function* () {
    const shutdown = yield* Shutdown
    const output = yield* Output
    yield* Effect.raceFirst(shutdown.requested, givenUp(failed))
    yield* output.progress("shutting down (press Ctrl-C again to end at once)")
  })

export const up = Command.make(
  "up",
  "Hub, bridge for one directory and page, in one process",
  { ...Flags.common, ...Flags.serving, ...Flags.announcing, ...Flags.attaching },
  (flags) =>
    Effect.gen(function* () {
      yield* detach
      const output = yield* Output
      const stateDir = yield* StateDirectory.open(flags.stateDir)
      const dir = yield* Agents.directory(flags.dir)
      const choice = yield* Agents.choose(flags.agent, Agents.attended(output))
      const { hub, own } = yield* HubHere.findOrServe(flags, stateDir, dir)
      const attached = yield* attach(flags, choice, hub, stateDir, secretsOf(flags))
      yield* announce(hub.url, hub, attached, flags.printCode)
      if (choice.standsIn) yield* output.line(Agents.STANDS_IN, "warn")
      const what = own ? "Causeway is ready." : `${dir} is attached to the hub at ${hub.url}.`
      yield* output.line(`${what} Open this page:`)
      yield* showWaysIn(hub, stateDir)
      yield* output.line(`  session ${attached.sessionId}`, "dim")
      yield* Effect.ensuring(untilStopped(attached.failed), hub.ending)
    }).pipe(Effect.scoped)
)

export const hub = Command.make(
  "hub",
  "Run a hub alone",
  { ...Flags.common, ...Flags.serving, ...Flags.announcing },
  (flags) =>
    Effect.gen(function* () {
      yield* detach
      const output = yield* Output
      const stateDir = yield* StateDirectory.open(flags.stateDir)
      const hub = yield* HubHere.serveAlone(flags, stateDir)
      yield* announce(hub.url, hub, undefined, flags.printCode)
      yield* output.line(`The hub listens on ${hub.url}. Open this page:`)
      yield* showWaysIn(hub, stateDir)
      yield* Effect.ensuring(untilStopped(Effect.never), hub.ending)
    }).pipe(Effect.scoped)
)

export const connect = Command.make(
  "connect",
  "Attach a directory to a hub that runs elsewhere",
  { ...Flags.remote, ...Flags.attaching },
  (flags) =>
    Effect.gen(function* () {
      yield* detach
      const output = yield* Output
      // Whoever talks to it sits elsewhere and would take a stand-in for the agent.
      const choice = yield* Agents.choose(flags.agent, false)
      const to = yield* Remote.address(flags)
      const attached = yield* attach(flags, choice, to, to.stateDir, Option.toArray(flags.tokenFile))
      yield* announce(to.url, undefined, attached)
      yield* output.line(`${attached.dir} is attached to ${to.url} as session ${attached.sessionId}`)
      yield* untilStopped(attached.failed)
    }).pipe(Effect.scoped)
)
