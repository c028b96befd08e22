/**
 * The bridge of one directory: registers it, keeps its sessions attached, and leaves in order.
 *
 * Source: spec 1 §6; ARCHITECTURE.md ("A give-up never archives", "One writer").
 */
import type * as ClientError from "@causeway/client/ClientError"
import type * as CodeSession from "@causeway/client/CodeSession"
import type * as Credentials from "@causeway/client/Credentials"
import * as Environments from "@causeway/client/Environments"
import type * as Ingress from "@causeway/client/Ingress"
import * as Poller from "@causeway/client/Poller"
import * as Sessions from "@causeway/client/Sessions"
import type * as EnvironmentCapabilities from "@causeway/protocol/EnvironmentCapabilities"
import { sameSession } from "@causeway/protocol/Ids"
import * as Ceiling from "@causeway/runner/Ceiling"
import * as Launch from "@causeway/runner/Ceiling/Launch"
import * as Journal from "@causeway/runner/Journal"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as AgentChoice from "./AgentChoice.ts"
import { BridgeEvent } from "./BridgeEvent.ts"
import type { Config } from "./Config.ts"
import * as Handle from "./Handle.ts"
import * as AttachedSessions from "./internal/AttachedSessions.ts"
import * as Connectivity from "./internal/Connectivity.ts"
import * as Polling from "./internal/Polling.ts"
import * as Registrar from "./internal/Registrar.ts"
import { background, openHome, type Running, sessionsOf } from "./internal/Running.ts"
import * as Shutdown from "./internal/Shutdown.ts"
import * as TakeUp from "./internal/TakeUp.ts"
import * as Pointer from "./Pointer.ts"
import * as Worktrees from "./Worktrees.ts"

export type { Config } from "./Config.ts"
export type { Handle } from "./Handle.ts"

/**
 * What `start` can fail with: the machine's owner does not allow it, the directory is taken, or the hub refuses or cannot be
 * reached. Nothing was archived.
 */
export type StartError =
  | Ceiling.NotAllowed
  | Journal.DirectoryInUse
  | Journal.JournalFailed
  | Pointer.PointerFailed
  | ClientError.AccessError

export class Bridge extends Context.Tag("@causeway/bridge/Bridge")<
  Bridge,
  {
    /**
     * Registers the directory, makes or takes up its session, and keeps it attached until the scope closes. While the
     * hub does not answer it tries again (`StartDelayed`) for as long as the poll schedule allows.
     */
    readonly start: (config: Config) => Effect.Effect<Handle.Handle, StartError, Scope.Scope>
  }
>() {}

/** Time for the work of a new home session to come by itself before it is asked for. */
const HOME_PATIENCE = Duration.seconds(3)

type Services =
  | Journal.Journal
  | Pointer.Pointers
  | Environments.Environments
  | Sessions.Sessions
  | Poller.Poller
  | Ingress.Ingress
  | CodeSession.CodeSession
  | Credentials.Credentials
  | Worktrees.Worktrees

/** That the bridge's own agents, directory and mode are allowed: sessions get them unasked. */
const allowed = (config: Config): Effect.Effect<void, Ceiling.NotAllowed> =>
  Effect.gen(function* () {
    const ceiling = config.ceiling ?? Ceiling.standard
    for (const agent of [config.agent, ...(config.agents ?? [])]) {
      if (!Ceiling.allowsAgent(ceiling, agent)) yield* Ceiling.byFile(`the agent ${Ceiling.word(agent)}`)
    }
    const mode =
      config.permissionMode === undefined ? undefined : Ceiling.modeRefused(ceiling, config.permissionMode)
    if (mode !== undefined) yield* mode
    const [place] = yield* Launch.place(ceiling, config.dir)
    if (place !== undefined) yield* place
  })

/** Offers what this directory has, and asks for the environment that it had. */
const register = (
  config: Config,
  emit: Running["emit"],
  reuse: Parameters<Registrar.Registrar["register"]>[0]
) =>
  Effect.gen(function* () {
    const ceiling = config.ceiling ?? Ceiling.standard
    const worktrees = yield* Worktrees.Worktrees
    const offered = AgentChoice.offer([config.agent, ...(config.agents ?? [])])
    const furtherSessions = config.spawnMode !== "session"
    const capabilities: EnvironmentCapabilities.EnvironmentCapabilities = {
      agents: offered.map(({ name }) => name),
      worktrees: furtherSessions && (yield* worktrees.canBeMadeOf(config.dir)),
      sessions: furtherSessions,
      standIn: config.standsIn === true,
      notAllowed: Ceiling.refused(ceiling),
      alwaysAsk: ceiling.alwaysAsk
    }
    const registrar = yield* Registrar.make(config, capabilities, emit)
    return { offered, registrar, registered: yield* registrar.register(reuse) }
  })

/** Shuts down in order. */
const shutDown = (
  { attached, config, connectivity, emit, environment, environments, pointers, scope, sessions }: Running,
  polling: Fiber.RuntimeFiber<void> | undefined
) =>
  Effect.gen(function* () {
    const served = [...attached.attached.values()]
    const { _tag } = yield* SubscriptionRef.get(connectivity.state)
    const unfinished = yield* Shutdown.run({
      timeout: config.shutdownTimeout,
      orderly: polling !== undefined && _tag !== "Failed",
      perpetual: config.perpetual,
      held: served,
      asleep: [...attached.slept.values()],
      environmentId: yield* Ref.get(environment),
      polling,
      journal: attached.journal,
      environments,
      sessions,
      removePointer: pointers.remove(config.dir),
      cleared: (id) => AttachedSessions.cleared(attached, id)
    })
    yield* Scope.close(scope, Exit.void)
    yield* Effect.forEach(served, ({ link }) => AttachedSessions.forget(attached, link.sessionId), {
      discard: true
    })
    yield* emit(BridgeEvent.ShutDown({ unfinished }))
    return unfinished
  })

/** An effect that is run once, whoever asks and whatever happens to them; all get its outcome. */
const once = <A>(effect: Effect.Effect<A>): Effect.Effect<Effect.Effect<A>> =>
  Effect.gen(function* () {
    const done = yield* Deferred.make<A>()
    const begun = yield* Ref.make(false)
    return Effect.flatMap(Ref.getAndSet(begun, true), (already) =>
      already ? Effect.void : Effect.forkDaemon(Effect.interruptible(Effect.intoDeferred(effect, done)))
    ).pipe(Effect.zipRight(Deferred.await(done)), Effect.uninterruptible)
  })

/** Keeps the pointer's time fresh while the home session is served. */
const touchPointer = ({ attached, config, environment, home, pointers }: Running) =>
  Effect.gen(function* () {
    const current = yield* Ref.get(home)
    if (current === undefined) return
    const { sessionId } = current.link
    if (AttachedSessions.find(attached, sessionId) !== current) return
    yield* pointers
      .write({ sessionId, environmentId: yield* Ref.get(environment), directory: config.dir })
      .pipe(AttachedSessions.complain(attached, "pointer not touched", sessionId))
  })

const start = (given: Config): Effect.Effect<Handle.Handle, StartError, Services | Scope.Scope> =>
  Effect.gen(function* () {
    const config: Config = given.spawnMode === "session" ? { ...given, maxSessions: 1 } : given
    yield* allowed(config)
    const journal = yield* Journal.Journal
    const pointers = yield* Pointer.Pointers
    // Whoever listens is not of the bridge: a fault there stops nothing here.
    const emit = (event: BridgeEvent) =>
      Effect.catchAllDefect(config.onEvent?.(event) ?? Effect.void, (defect) =>
        Effect.logError("an event was not taken", defect)
      )
    yield* journal.claim(config.dir)
    const connectivity = yield* Connectivity.make(emit)
    const saved = yield* journal.sessions(config.dir)
    const pointer = yield* pointers.read(config.dir)
    const { offered, registered, registrar } = yield* register(
      config,
      emit,
      Option.match(pointer, {
        onSome: ({ environmentId }) => environmentId,
        onNone: () => saved.at(-1)?.environmentId
      })
    )
    const environment = yield* Ref.make(registered.environmentId)
    const scope = yield* Scope.make()
    const inbox = yield* Handle.inbox
    const attached = yield* AttachedSessions.make({
      config,
      offered,
      emit,
      environment,
      connectivity,
      registrar,
      serve: Handle.serve(inbox),
      onHomeEnded: Effect.catchAll(pointers.remove(config.dir), (error) =>
        emit(BridgeEvent.Warning({ message: error.message, sessionId: undefined }))
      ),
      scope
    })
    const running: Running = {
      config,
      emit,
      environments: yield* Environments.Environments,
      sessions: yield* Sessions.Sessions,
      poller: yield* Poller.Poller,
      pointers,
      connectivity,
      registrar,
      environment,
      attached,
      home: yield* Ref.make<AttachedSessions.Attached | undefined>(undefined),
      scope
    }

    const polling = yield* Ref.make<Fiber.RuntimeFiber<void> | undefined>(undefined)
    const teardown = yield* once(Effect.flatMap(Ref.get(polling), (fiber) => shutDown(running, fiber)))
    yield* Effect.addFinalizer(() => teardown)

    const reuse = yield* TakeUp.home(running, saved, pointer, registered.reused)
    const sessionId = Option.isSome(reuse)
      ? reuse.value
      : yield* registrar.create(registered.environmentId, config.title)
    const first = yield* openHome(running, sessionId, registered.environmentId, Option.isSome(reuse))

    if (config.spawnMode !== "session") {
      const earlier = (yield* sessionsOf(running)).filter(
        (record) => !sameSession(record.sessionId, sessionId)
      )
      yield* background(running, "the taking up of earlier sessions", TakeUp.others(running, earlier))
    }
    yield* background(running, "the look through the worktrees", TakeUp.sweep(running, sessionId))
    const ask = Effect.flatMap(Ref.get(first.attachment), (attachment) =>
      Option.isNone(attachment) ? AttachedSessions.askAgain(attached, first) : Effect.void
    )
    yield* background(
      running,
      "the asking for work",
      Option.isSome(reuse) ? ask : Effect.delay(ask, HOME_PATIENCE)
    )
    yield* background(
      running,
      "the care for the pointer",
      Effect.forever(Effect.delay(touchPointer(running), Pointer.TOUCH_EVERY))
    )
    yield* Ref.set(polling, yield* background(running, "the polling for work", Polling.run(running)))
    return yield* Handle.make(running, inbox, teardown)
  }).pipe(Effect.annotateLogs({ module: "Bridge" }), Effect.withSpan("Bridge.start"))

const make = Effect.map(Effect.context<Services>(), (context) => {
  // A start lives in its caller's scope, not in that of the layer.
  const services = Context.omit(Scope.Scope)(context as Context.Context<Services | Scope.Scope>)
  return Bridge.of({ start: (config) => Effect.provide(start(config), services) })
})

export const layer: Layer.Layer<Bridge, never, Services> = Layer.effect(Bridge, make)
