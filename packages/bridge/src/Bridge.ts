/**
 * The bridge of one directory: registers it, keeps its sessions attached, and leaves in order.
 *
 * Source: spec 1 §6; ARCHITECTURE.md ("A give-up never archives", "One writer").
 */
import { randomUUID } from "node:crypto"
import type * as ClientError from "@causeway/client/ClientError"
import { isTransient } from "@causeway/client/ClientError"
import type * as CodeSession from "@causeway/client/CodeSession"
import type * as Credentials from "@causeway/client/Credentials"
import * as Environments from "@causeway/client/Environments"
import type * as Ingress from "@causeway/client/Ingress"
import * as Poller from "@causeway/client/Poller"
import * as Sessions from "@causeway/client/Sessions"
import * as Elapsed from "@causeway/protocol/Elapsed"
import { type EnvironmentId, type SessionId, sameSession } from "@causeway/protocol/Ids"
import type * as Offers from "@causeway/protocol/Offers"
import * as Payload from "@causeway/protocol/Payload"
import type { AgentOutput } from "@causeway/runner/Agent"
import type { Serve } from "@causeway/runner/Engine"
import * as Journal from "@causeway/runner/Journal"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as AgentChoice from "./AgentChoice.ts"
import { BridgeEvent, type Unfinished } from "./BridgeEvent.ts"
import type { Config } from "./Config.ts"
import * as Connectivity from "./internal/Connectivity.ts"
import * as HeldSessions from "./internal/HeldSessions.ts"
import * as Registrar from "./internal/Registrar.ts"
import * as Shutdown from "./internal/Shutdown.ts"
import * as Supervised from "./internal/Supervised.ts"
import type * as Lifecycle from "./Lifecycle.ts"
import type { Link } from "./Link.ts"
import * as Pointer from "./Pointer.ts"
import * as Worktrees from "./Worktrees.ts"

export type { Config } from "./Config.ts"

/** What `start` can fail with: the directory is taken, or the hub refuses or cannot be reached. Nothing was archived. */
export type StartError =
  | Journal.DirectoryInUse
  | Journal.JournalFailed
  | Pointer.PointerFailed
  | ClientError.AccessError

export interface Handle {
  /** The home session. Another one after the environment was lost and replaced: see `SessionReady`. */
  readonly sessionId: Effect.Effect<SessionId>
  readonly environmentId: Effect.Effect<EnvironmentId>
  /** Address of the home session's log. */
  readonly ingressUrl: Effect.Effect<string>
  readonly state: SubscriptionRef.SubscriptionRef<Lifecycle.State>
  /**
   * What people write to the home session, each once; empty where `serve` is given. One consumer each. A message counts
   * as answered when a result is written or the next message is asked for, whichever comes first.
   */
  readonly userMessages: Stream.Stream<Payload.Payload>
  readonly controlRequests: Stream.Stream<Payload.Payload>
  /** Writes entries to the home session's log; durable when it returns. Entries without a uuid get one. */
  readonly writeMessages: (messages: ReadonlyArray<Payload.Payload>) => Effect.Effect<void>
  /** The same for messages as JSON. `PayloadInvalid`: one of them is no event; none was written. */
  readonly writeSdkMessages: (
    messages: ReadonlyArray<Payload.JsonObject>
  ) => Effect.Effect<void, Payload.PayloadInvalid>
  readonly sendControlRequest: (requestId: string, request: Payload.JsonObject) => Effect.Effect<void>
  readonly sendControlResponse: (response: Payload.JsonObject) => Effect.Effect<void>
  readonly sendControlCancelRequest: (requestId: string) => Effect.Effect<void>
  /** Ends the turn with a zeroed result. */
  readonly sendResult: Effect.Effect<void>
  /** Waits until the bridge has given up. */
  readonly failed: Effect.Effect<Extract<Lifecycle.State, { readonly _tag: "Failed" }>>
  /** Shuts down in order, once; answers what did not finish. The scope's end does it otherwise. */
  readonly teardown: Effect.Effect<ReadonlyArray<Unfinished>>
}

export class Bridge extends Context.Tag("@causeway/bridge/Bridge")<
  Bridge,
  {
    /**
     * Registers the directory, makes or takes up its session, and keeps it attached until the scope closes. While the
     * hub does not answer it tries again (`StartDelayed`) for as long as the poll schedule allows.
     */
    readonly start: (config: Config) => Effect.Effect<Handle, StartError, Scope.Scope>
  }
>() {}

// --- Which session is home ---

/** Time for the work of a new home session to come by itself before it is asked for. */
const HOME_PATIENCE = Duration.seconds(3)

/** A secret that is refused this soon after registering will be refused again. */
const SECRET_GRACE = Duration.minutes(1)

/**
 * The session that a start takes up as its own: the pointer's, where the bridge is perpetual or was killed while it
 * held it; else the home session that a killed bridge held.
 */
const homeCandidate = (
  perpetual: boolean,
  saved: ReadonlyArray<Journal.SessionRecord>,
  pointer: Option.Option<Pointer.Pointer>
): Option.Option<SessionId> => {
  const killed = saved.filter(({ home, state }) => home && state === "live")
  return pointer.pipe(
    Option.map(({ sessionId }) => sessionId),
    Option.filter((id) => perpetual || killed.some(({ sessionId }) => sameSession(sessionId, id))),
    Option.orElse(() => Option.fromNullable(killed.at(-1)?.sessionId))
  )
}

export const make = Effect.gen(function* () {
  const journal = yield* Journal.Journal
  const pointers = yield* Pointer.Pointers
  const environments = yield* Environments.Environments
  const sessions = yield* Sessions.Sessions
  const poller = yield* Poller.Poller
  const worktrees = yield* Worktrees.Worktrees
  const services = yield* Effect.context<
    | Journal.Journal
    | Environments.Environments
    | Sessions.Sessions
    | Ingress.Ingress
    | CodeSession.CodeSession
    | Credentials.Credentials
    | Poller.Poller
    | Worktrees.Worktrees
  >()

  const start = (given: Config): Effect.Effect<Handle, StartError, Scope.Scope> =>
    Effect.gen(function* () {
      const config: Config = given.spawnMode === "session" ? { ...given, maxSessions: 1 } : given
      // Whoever listens is not of the bridge: a fault there stops nothing here.
      const emit = (event: BridgeEvent) =>
        Effect.catchAllDefect(config.onEvent?.(event) ?? Effect.void, (defect) =>
          Effect.logError("an event was not taken", defect)
        )
      yield* journal.claim(config.dir)
      const connectivity = yield* Connectivity.make(emit)
      const offered = AgentChoice.offer([config.agent, ...(config.agents ?? [])])
      const furtherSessions = config.spawnMode !== "session"
      const offers: Offers.Offers = {
        agents: offered.map(({ name }) => name),
        worktrees: furtherSessions && (yield* worktrees.canBeMadeOf(config.dir)),
        sessions: furtherSessions,
        standIn: config.standsIn === true
      }
      const registrar = yield* Effect.provide(Registrar.make(config, offers, emit), services)

      const saved = yield* journal.sessions(config.dir)
      const pointer = yield* pointers.read(config.dir)
      const removePointer = pointers.remove(config.dir)
      const registered = yield* registrar.register(
        Option.match(pointer, {
          onSome: ({ environmentId }) => environmentId,
          onNone: () => saved.at(-1)?.environmentId
        })
      )
      const environment = yield* Ref.make(registered.environmentId)

      // --- Sessions ---

      // Everything that works for the sessions lives in it; the shutdown closes it last.
      const scope = yield* Scope.make()
      const background = (what: string, effect: Effect.Effect<void>) =>
        Effect.forkIn(Effect.interruptible(Supervised.supervised({ what, emit })(effect)), scope)

      const userMessages = yield* Queue.unbounded<Payload.Payload>()
      const controlRequests = yield* Queue.unbounded<Payload.Payload>()
      /** Without a host, the home session's messages are for whoever holds the handle. */
      const toHandle: Serve<Link> = (link) =>
        Effect.gen(function* () {
          if (!link.home) return yield* Effect.never
          const sort = (payload: Payload.Payload) =>
            Queue.offer(payload.type === "user" ? userMessages : controlRequests, payload)
          yield* Queue.takeAll(link.inbound)
          const before = yield* link.unanswered
          yield* Effect.forEach(before, sort, { discard: true })
          const known = new Set(before.map(({ uuid }) => uuid))
          return yield* Effect.forever(
            Effect.flatMap(Queue.take(link.inbound), (payload) =>
              known.has(payload.uuid) ? Effect.void : sort(payload)
            )
          )
        })

      const hands = yield* HeldSessions.make({
        config,
        offered,
        emit,
        environment,
        connectivity,
        registrar,
        serve: toHandle,
        onHomeEnded: Effect.catchAll(removePointer, (error) =>
          emit(BridgeEvent.Warning({ message: error.message, sessionId: undefined }))
        ),
        scope
      }).pipe(Effect.provide(services))
      const { complain } = hands

      const home = yield* Ref.make<Option.Option<HeldSessions.Held>>(Option.none())
      const openHome = (sessionId: SessionId, environmentId: EnvironmentId, reused: boolean) =>
        Effect.gen(function* () {
          const held = yield* hands.take(sessionId, { environmentId, home: true })
          yield* pointers.write({ sessionId, environmentId, directory: config.dir })
          yield* Ref.set(home, Option.some(held))
          yield* connectivity.saw({ homeless: false }, "the session is not attached yet")
          yield* emit(BridgeEvent.SessionReady({ sessionId, reused }))
          return held
        })

      // --- Polling ---

      const pollOnce = Effect.flatMap(Ref.get(environment), (environmentId) =>
        poller
          .work(environmentId, {
            ...config.poll,
            blockMs: config.poll?.blockMs ?? 25_000,
            makeRoom: true,
            onFailure: ({ error, attempt }) =>
              connectivity.saw({ polls: false }, error.message, Registrar.pollDelay(attempt)),
            onRecovery: connectivity.saw({ polls: true }, "waiting for the session's work"),
            onUnusable: (item, error) =>
              emit(
                BridgeEvent.Warning({
                  message: `work ${item.id} cannot be done here: ${error.message}`,
                  sessionId: undefined
                })
              )
          })
          .pipe(Stream.runForEach(hands.accept))
      )

      /** The hub gave this directory another environment: the home session is replaced, the others move. */
      const moveTo = (environmentId: EnvironmentId) =>
        Effect.gen(function* () {
          const old = yield* Ref.get(home)
          const title = yield* config.currentTitle ?? Effect.succeed(config.title)
          const sessionId = yield* registrar.create(environmentId, title)
          if (Option.isSome(old)) {
            const { sessionId } = old.value.link
            yield* sessions.archive(sessionId).pipe(complain("session not archived", sessionId))
            yield* hands.finish(old.value, "its environment is gone; another session replaces it")
          }
          for (const { link } of hands.all()) yield* journal.moved(link.sessionId, environmentId)
          yield* openHome(sessionId, environmentId, false)
        })

      /** Registers again asking for the same environment; keeps the sessions if it comes back. */
      const registerAgain = Effect.gen(function* () {
        const before = yield* Ref.get(environment)
        const { environmentId } = yield* registrar.register(before)
        yield* Ref.set(environment, environmentId)
        const kept = hands.all()
        if (environmentId !== before) yield* moveTo(environmentId)
        for (const held of kept) {
          if (hands.find(held.link.sessionId) === held)
            yield* background("the asking for work", hands.askAgain(held))
        }
      })

      const cannotRegister = (error: StartError) => {
        if (isTransient(error)) {
          return connectivity.giveUp(
            "gave_up",
            error.message,
            "start again when the hub is back; the session is kept"
          )
        }
        switch (error._tag) {
          case "AccessTokenMissing":
          case "OrganizationMissing":
          case "Unauthorized":
            return connectivity.giveUp("credentials_rejected", error.message, "sign in again and start again")
          default:
            return connectivity.giveUp("protocol", error.message, "see the log, then start again")
        }
      }

      const polling = Effect.gen(function* () {
        let registeredAt = yield* Elapsed.millis
        while (true) {
          const end = yield* Effect.either(pollOnce)
          if (end._tag === "Right") continue
          const error = end.left
          const { message } = error
          if (error._tag === "PollGaveUp") {
            return yield* connectivity.giveUp(
              "gave_up",
              message,
              "start again when the hub is back; the session is kept"
            )
          }
          if (error._tag === "IdInvalid") {
            return yield* connectivity.giveUp("protocol", message, "check the hub's version")
          }
          yield* connectivity.saw({ polls: false }, message)
          const since = (yield* Elapsed.millis) - registeredAt
          if (error._tag === "EnvironmentUnauthorized" && since < Duration.toMillis(SECRET_GRACE)) {
            return yield* connectivity.giveUp(
              "credentials_rejected",
              message,
              "is another bridge registered for this directory? stop it, or sign in again"
            )
          }
          const again = yield* Effect.either(registerAgain)
          if (again._tag === "Left") return yield* cannotRegister(again.left)
          registeredAt = yield* Elapsed.millis
        }
      })

      // --- Shutdown ---

      const started = yield* Ref.make(false)
      const pollFiber = yield* Ref.make<Fiber.RuntimeFiber<void> | undefined>(undefined)
      const shutdown = Effect.gen(function* () {
        const held = hands.all()
        const { _tag } = yield* SubscriptionRef.get(connectivity.state)
        const unfinished = yield* Shutdown.run({
          timeout: config.shutdownTimeout,
          orderly: (yield* Ref.get(started)) && _tag !== "Failed",
          perpetual: config.perpetual,
          held,
          asleep: hands.asleep(),
          environmentId: yield* Ref.get(environment),
          polling: yield* Ref.get(pollFiber),
          journal,
          environments,
          sessions,
          removePointer,
          cleared: hands.cleared
        })
        yield* Scope.close(scope, Exit.void)
        yield* Effect.forEach(held, ({ link }) => hands.forget(link.sessionId), { discard: true })
        yield* emit(BridgeEvent.ShutDown({ unfinished }))
        return unfinished
      })
      const done = yield* Deferred.make<ReadonlyArray<Unfinished>>()
      const begun = yield* Ref.make(false)
      // In a fiber of its own: nothing that happens to the caller cuts it short.
      const teardown = Effect.flatMap(Ref.getAndSet(begun, true), (already) =>
        already ? Effect.void : Effect.forkDaemon(Effect.interruptible(Effect.intoDeferred(shutdown, done)))
      ).pipe(Effect.zipRight(Deferred.await(done)), Effect.uninterruptible)
      yield* Effect.addFinalizer(() => teardown)

      // --- Start ---

      /** A saved session that cannot be taken up is forgotten at once, and said so. */
      const discard = (sessionId: SessionId, why: string) =>
        Effect.gen(function* () {
          yield* journal.end(sessionId)
          yield* hands.cleared(sessionId)
          yield* emit(BridgeEvent.SavedSessionDropped({ sessionId, why }))
        })

      const usable = (sessionId: SessionId) =>
        Effect.gen(function* () {
          if (!registered.reused) {
            yield* removePointer
            const message = `the environment of session ${sessionId} is gone; a new session is made`
            yield* emit(BridgeEvent.Warning({ message, sessionId }))
            return Option.none<SessionId>()
          }
          const dead = yield* Registrar.untilGivenUp(registrar.whyDead(sessionId))
          if (Option.isNone(dead)) return Option.some(sessionId)
          yield* removePointer
          yield* discard(sessionId, dead.value)
          return Option.none<SessionId>()
        })
      const candidate = homeCandidate(config.perpetual, saved, pointer)
      const reuse = Option.isSome(candidate) ? yield* usable(candidate.value) : candidate
      const sessionId = Option.isSome(reuse)
        ? reuse.value
        : yield* registrar.create(registered.environmentId, config.title)
      const first = yield* openHome(sessionId, registered.environmentId, Option.isSome(reuse))

      /** Sessions that were alive here, or that have something to say, come back without anybody asking. */
      const comeBack = ({ sessionId: id, state }: Journal.SessionRecord) =>
        Effect.gen(function* () {
          const waits =
            state === "live" ||
            (yield* journal.unconfirmed(id)) > 0 ||
            (yield* journal.unanswered(id)).length > 0
          if (!waits) return
          yield* registrar.askForWork(registered.environmentId, id, (dead, message) =>
            Option.match(dead, {
              onSome: (why) => discard(id, why),
              onNone: () => emit(BridgeEvent.Warning({ message, sessionId: id }))
            })
          )
        }).pipe(complain("session not taken up again", id))
      const others = Effect.map(journal.sessions(config.dir), (now) =>
        now.filter((record) => !sameSession(record.sessionId, sessionId))
      )
      if (config.spawnMode !== "session") {
        const earlier = yield* others
        yield* background(
          "the taking up of earlier sessions",
          Effect.forEach(earlier, comeBack, { concurrency: "unbounded", discard: true })
        )
      }

      /** Worktrees of sessions that ended while nobody was here, or in the moment in which their bridge was killed. */
      const sweep = Effect.gen(function* () {
        const apart = yield* worktrees.of(config.dir)
        const known = yield* journal.sessions(config.dir)
        for (const id of apart) {
          const record = known.find((record) => sameSession(record.sessionId, id))
          if (record === undefined) yield* hands.cleared(id)
          else if (record.state === "parked" && hands.find(id) === undefined) {
            const dead = yield* Registrar.untilGivenUp(registrar.whyDead(id))
            if (Option.isSome(dead)) yield* discard(id, dead.value)
          }
        }
      }).pipe(complain("worktrees not looked through", sessionId))
      yield* background("the look through the worktrees", sweep)

      const ask = Effect.flatMap(Ref.get(first.attachment), (attachment) =>
        Option.isNone(attachment) ? hands.askAgain(first) : Effect.void
      )
      yield* background("the asking for work", Option.isSome(reuse) ? ask : Effect.delay(ask, HOME_PATIENCE))

      const touch = Effect.gen(function* () {
        const current = Option.getOrUndefined(yield* Ref.get(home))
        if (current === undefined || hands.find(current.link.sessionId) !== current) return
        const { sessionId } = current.link
        yield* pointers
          .write({ sessionId, environmentId: yield* Ref.get(environment), directory: config.dir })
          .pipe(complain("pointer not touched", sessionId))
      })
      yield* background("the care for the pointer", Effect.forever(Effect.delay(touch, Pointer.TOUCH_EVERY)))
      yield* Ref.set(pollFiber, yield* background("the polling for work", polling))
      yield* Ref.set(started, true)

      // --- Handle ---

      const homeLink = Effect.flatMap(
        Ref.get(home),
        Option.match({
          onNone: () => Effect.dieMessage("a started bridge has a home session"),
          onSome: ({ link }) => Effect.succeed(link)
        })
      )
      const delivered = ({ uuid }: Payload.Payload, state: Journal.Delivery): ReadonlyArray<AgentOutput> =>
        uuid === undefined ? [] : [{ _tag: "Delivery", uuid, state }]
      /** The message that whoever holds the handle works on. */
      const current = yield* Ref.make<Payload.Payload | undefined>(undefined)
      const write = (messages: ReadonlyArray<Payload.Payload>) =>
        Effect.gen(function* () {
          const link = yield* homeLink
          const answered = messages.some(({ type }) => type === "result")
            ? yield* Ref.getAndSet(current, undefined)
            : undefined
          yield* link.write([
            ...messages.map((payload) => ({ _tag: "Line" as const, payload })),
            ...(answered === undefined ? [] : delivered(answered, "processed"))
          ])
        })
      const send = (json: Payload.JsonObject & { readonly type: string }) =>
        write([Payload.make({ uuid: randomUUID(), ...json })])
      /** Emits each, and counts the one before as answered when the next is asked for. */
      const consumed = (queue: Queue.Dequeue<Payload.Payload>) =>
        Stream.unfoldEffect(undefined as Payload.Payload | undefined, (before) =>
          Effect.gen(function* () {
            const link = yield* homeLink
            if (before !== undefined) yield* link.write(delivered(before, "processed"))
            const next = yield* Queue.take(queue)
            if (next.type === "user") yield* Ref.set(current, next)
            yield* link.write(delivered(next, "processing"))
            return Option.some([next, next] as const)
          })
        )

      const handle: Handle = {
        sessionId: Effect.map(homeLink, (link) => link.sessionId),
        environmentId: Ref.get(environment),
        ingressUrl: Effect.map(homeLink, (link) => link.ingressUrl),
        state: connectivity.state,
        userMessages: consumed(userMessages),
        controlRequests: consumed(controlRequests),
        writeMessages: write,
        writeSdkMessages: (messages) =>
          Effect.flatMap(
            Effect.forEach(messages, (message) => {
              const json = { uuid: randomUUID(), ...message }
              return Payload.fromJson(json, JSON.stringify(json))
            }),
            write
          ),
        sendControlRequest: (requestId, request) =>
          send({ type: "control_request", request_id: requestId, request }),
        sendControlResponse: (response) => send({ type: "control_response", response }),
        sendControlCancelRequest: (requestId) =>
          send({ type: "control_cancel_request", request_id: requestId }),
        sendResult: Effect.flatMap(homeLink, (link) => write([Shutdown.zeroedResult(link.sessionId)])),
        failed: connectivity.failed,
        teardown
      }
      return handle
    }).pipe(Effect.annotateLogs({ module: "Bridge" }), Effect.withSpan("Bridge.start"))

  return Bridge.of({ start })
})

export const layer: Layer.Layer<
  Bridge,
  never,
  | Journal.Journal
  | Pointer.Pointers
  | Environments.Environments
  | Sessions.Sessions
  | Poller.Poller
  | Ingress.Ingress
  | CodeSession.CodeSession
  | Credentials.Credentials
  | Worktrees.Worktrees
> = Layer.effect(Bridge, make)
