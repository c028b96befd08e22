/**
 * The bridge of one directory: registers it, keeps its sessions attached, and leaves in order.
 *
 * Source: spec 1 §6; ARCHITECTURE.md ("A give-up never archives", "One writer"). Reads nothing global: everything
 * comes in the configuration or as a service.
 */
import { randomUUID } from "node:crypto"
import * as Backoff from "@causeway/client/Backoff"
import * as ClientError from "@causeway/client/ClientError"
import type * as CodeSession from "@causeway/client/CodeSession"
import * as Credentials from "@causeway/client/Credentials"
import * as Environments from "@causeway/client/Environments"
import * as Ingress from "@causeway/client/Ingress"
import * as Poller from "@causeway/client/Poller"
import * as Sessions from "@causeway/client/Sessions"
import { type EnvironmentId, EventUuid, type SessionId, sessionBody, toCompat } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberHandle from "effect/FiberHandle"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { BridgeEvent, type ShutdownStep, type Unfinished } from "./BridgeEvent.ts"
import type { Serve } from "./Host.ts"
import * as Journal from "./Journal.ts"
import * as Lifecycle from "./Lifecycle.ts"
import * as Link from "./Link.ts"
import * as Pointer from "./Pointer.ts"

// --- Configuration ---

export interface Config {
  /** The directory to work in; absolute. One bridge a directory. */
  readonly dir: string
  readonly machineName: string
  readonly branch?: string | undefined
  readonly gitRepoUrl?: string | undefined
  /** Title of a session that is created here. */
  readonly title?: string | undefined
  /** The title to give a session that replaces another one; default `title`. */
  readonly currentTitle?: Effect.Effect<string | undefined>
  /** The hub. */
  readonly baseUrl: string
  /** Base of the ingress logs; default `baseUrl`. */
  readonly sessionIngressUrl?: string | undefined
  /** Opaque; sent as `metadata.worker_type`. */
  readonly workerType: string
  /** Sessions held at once, the home session among them; work beyond that is not acknowledged. At least 1. */
  readonly maxSessions: number
  /** SDK messages that a session created here starts with. */
  readonly initialEvents?: ReadonlyArray<Payload.JsonObject>
  /** Keep environment, session and pointer at an orderly shutdown, and take them up again at the next start. */
  readonly perpetual: boolean
  /** `blockMs`: how long the hub may hold a poll; default 25,000, which a Causeway hub allows. */
  readonly poll?: Environments.PollOptions
  /** What the sessions' agents are started with, unless the session says otherwise. */
  readonly agent: string
  readonly model?: string | undefined
  readonly permissionMode?: string | undefined
  /** Run for every session that is held, the home session included. Without it the handle's streams bring what comes. */
  readonly serve?: Serve
  readonly onEvent?: (event: BridgeEvent) => Effect.Effect<void>
  /** Bound of the whole orderly shutdown; default 15 s. */
  readonly shutdownTimeout?: Duration.DurationInput
}

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
  /** What people write to the home session, each once. Empty where `serve` is given. One consumer each. */
  readonly userMessages: Stream.Stream<Payload.Payload>
  readonly controlRequests: Stream.Stream<Payload.Payload>
  /** Writes entries to the home session's log; durable when it returns. Entries without a uuid get one. */
  readonly writeMessages: (messages: ReadonlyArray<Payload.Payload>) => Effect.Effect<void>
  readonly writeSdkMessages: (
    messages: ReadonlyArray<Payload.JsonObject & { readonly type: string }>
  ) => Effect.Effect<void>
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

// --- Internals ---

/** A session in this bridge's hands. */
interface Held {
  readonly link: Link.OwnedLink
  readonly scope: Scope.CloseableScope
  readonly serving: Fiber.RuntimeFiber<void>
  /** The one attachment that works. */
  readonly attaching: FiberHandle.FiberHandle
  readonly turn: Effect.Semaphore
  readonly attachment: Ref.Ref<Option.Option<Link.Attachment>>
  /** Times at which another worker took the session, in milliseconds since the epoch. */
  readonly taken: Ref.Ref<ReadonlyArray<number>>
}

/** Time for work that is on its way to arrive before it is asked for: an offer comes again after 5 s. */
const REOFFER = Duration.seconds(10)

/** A session that others take this often within {@link TAKEN_WINDOW} is left to them. */
const TAKEN_LIMIT = 3
const TAKEN_WINDOW = Duration.minutes(2)

/** Time for the work of the home session to come by itself before it is asked for. */
const HOME_PATIENCE = Duration.seconds(3)

const SHUTDOWN_TIMEOUT = Duration.seconds(15)

/** Parts of the shutdown's bound by which the agents have ended and the lines are sent; the rest is for the calls. */
const AGENTS_UNTIL = 0.5
const FLUSH_UNTIL = 0.75

const zeroedResult = (sessionId: SessionId): Payload.Payload =>
  Payload.make({
    type: "result",
    subtype: "success",
    is_error: false,
    result: "",
    duration_ms: 0,
    duration_api_ms: 0,
    num_turns: 0,
    stop_reason: null,
    total_cost_usd: 0,
    usage: { input_tokens: 0, output_tokens: 0, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 },
    modelUsage: {},
    permission_denials: [],
    session_id: sessionId,
    uuid: randomUUID()
  })

/** What the poll schedule waits after this many failures, before its shortening. Source: spec 1 §5. */
const pollDelay = (failures: number): Duration.Duration =>
  Duration.millis(
    Math.min(Backoff.POLL_FIRST_MILLIS * 2 ** Math.min(failures - 1, 10), Backoff.POLL_CAP_MILLIS)
  )

const messageOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return error instanceof Error ? error.message : String(error)
}

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
  const pointed = Option.filter(
    pointer,
    ({ sessionId }) =>
      perpetual || killed.some((record) => sessionBody(record.sessionId) === sessionBody(sessionId))
  )
  return Option.orElse(
    Option.map(pointed, ({ sessionId }) => sessionId),
    () => Option.fromNullable(killed.at(-1)?.sessionId)
  )
}

const member = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Payload.JsonObject)[name]
    : undefined

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value.length > 0 ? value : undefined

export const make = Effect.gen(function* () {
  const journal = yield* Journal.Journal
  const pointers = yield* Pointer.Pointers
  const environments = yield* Environments.Environments
  const sessions = yield* Sessions.Sessions
  const poller = yield* Poller.Poller
  const ingress = yield* Ingress.Ingress
  const credentials = yield* Credentials.Credentials
  const linkServices = yield* Effect.context<
    Journal.Journal | Ingress.Ingress | CodeSession.CodeSession | Credentials.Credentials | Poller.Poller
  >()

  const start = (config: Config): Effect.Effect<Handle, StartError, Scope.Scope> =>
    Effect.gen(function* () {
      const emit = (event: BridgeEvent) => config.onEvent?.(event) ?? Effect.void
      const lifecycle = yield* Lifecycle.make
      const held = new Map<string, Held>()
      const failed = yield* Deferred.make<Extract<Lifecycle.State, { readonly _tag: "Failed" }>>()
      yield* journal.claim(config.dir)
      // Everything that works for the sessions lives here; the shutdown ends it step by step.
      const scope = yield* Scope.make()

      // --- Lifecycle ---

      const gate = yield* Ref.make({ polls: false, home: false, homeless: false })
      const entered = (state: Lifecycle.State) =>
        Effect.zipRight(
          emit(BridgeEvent.StateChanged({ state })),
          state._tag === "Failed" ? Effect.asVoid(Deferred.succeed(failed, state)) : Effect.void
        )
      const signal = (signal: Lifecycle.Signal) =>
        Effect.flatMap(lifecycle.signal(signal), (states) =>
          Effect.forEach(states, entered, { discard: true })
        )
      /** Connected is: polls come through, and the home session's stream stands (or it was ended meanwhile). */
      const look = (
        change: Partial<{ polls: boolean; home: boolean; homeless: boolean }>,
        why: string,
        retryIn?: Duration.Duration
      ) =>
        Effect.flatMap(
          Ref.updateAndGet(gate, (now) => ({ ...now, ...change })),
          ({ polls, home, homeless }) =>
            polls && (home || homeless)
              ? signal(Lifecycle.Signal.IngressLive())
              : signal(Lifecycle.Signal.Interrupted({ why, retryIn }))
        )
      const giveUp = (reason: Lifecycle.FailureReason, detail: string, nextStep: string) =>
        signal(Lifecycle.Signal.GaveUp({ reason, detail, nextStep }))

      // --- Registering and creating ---

      const untilAnswered = <A, E extends { readonly _tag: string; readonly message: string }>(
        call: Effect.Effect<A, E>
      ): Effect.Effect<A, E> =>
        call.pipe(
          Effect.tapError((error) =>
            ClientError.isTransient(error)
              ? Effect.logWarning("the hub does not answer").pipe(
                  Effect.annotateLogs({ detail: error.message })
                )
              : Effect.void
          ),
          Effect.retry({ while: ClientError.isTransient, schedule: Backoff.poll })
        )

      const register = (reuseEnvironmentId: EnvironmentId | undefined) =>
        untilAnswered(
          environments
            .register({
              machineName: config.machineName,
              directory: config.dir,
              branch: config.branch,
              gitRepoUrl: config.gitRepoUrl,
              maxSessions: config.maxSessions,
              workerType: config.workerType,
              reuseEnvironmentId
            })
            .pipe(
              Effect.tapError((error) => (ClientError.isTransient(error) ? startDelayed(error) : Effect.void))
            )
        ).pipe(
          Effect.tap(({ environmentId, reused }) => emit(BridgeEvent.Registered({ environmentId, reused })))
        )
      const delays = yield* Ref.make(0)
      const startDelayed = (error: { readonly message: string }) =>
        Effect.flatMap(
          Ref.getAndUpdate(delays, (n) => n + 1),
          (n) => emit(BridgeEvent.StartDelayed({ why: error.message, retryIn: pollDelay(n + 1) }))
        )

      const create = (environmentId: EnvironmentId, title: string | undefined) =>
        untilAnswered(
          sessions.create({
            environmentId,
            title,
            events: config.initialEvents ?? [],
            gitRepoUrl: config.gitRepoUrl,
            branch: config.branch,
            model: config.model,
            permissionMode: config.permissionMode
          })
        ).pipe(Effect.map(toCompat))

      /** Whether the hub still has a session that can be worked on; why not otherwise. */
      const whyDead = (id: SessionId): Effect.Effect<Option.Option<string>, ClientError.AccessError> =>
        sessions.get(id).pipe(
          Effect.map(({ archivedAt }) => Option.map(archivedAt, () => "it is archived")),
          Effect.catchTag("SessionNotFound", () => Effect.succeedSome("the hub does not know it"))
        )

      const enter = (
        sessionId: SessionId,
        environmentId: EnvironmentId,
        home: boolean,
        settings: { readonly model?: string | undefined; readonly permissionMode?: string | undefined } = {}
      ) =>
        journal.enter({
          sessionId,
          environmentId,
          directory: config.dir,
          home,
          agentSessionId: randomUUID(),
          agent: config.agent,
          cwd: config.dir,
          model: settings.model ?? config.model,
          permissionMode: settings.permissionMode ?? config.permissionMode
        })

      const saved = yield* journal.sessions(config.dir)
      const pointer = yield* pointers.read(config.dir)
      const wanted = Option.match(pointer, {
        onSome: ({ environmentId }) => environmentId,
        onNone: () => saved.at(-1)?.environmentId
      })
      const registered = yield* register(wanted)
      const { environmentId } = registered
      const environment = yield* Ref.make(environmentId)

      // --- Sessions in hand ---

      const homeBox = yield* Ref.make<Option.Option<Held>>(Option.none())
      const userMessages = yield* Queue.unbounded<Payload.Payload>()
      const controlRequests = yield* Queue.unbounded<Payload.Payload>()

      /** Without a host, the home session's messages are for whoever holds the handle. */
      const toHandle: Serve = (link) =>
        Effect.gen(function* () {
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

      const take = (record: Journal.SessionRecord): Effect.Effect<Held, Journal.JournalFailed> =>
        Effect.gen(function* () {
          const own = yield* Scope.fork(scope, { _tag: "Sequential" })
          const link = yield* Link.make({
            record,
            sessionIngressUrl: config.sessionIngressUrl ?? config.baseUrl,
            onEvent: emit,
            onConnection: (connection) =>
              record.home
                ? connection._tag === "Connected"
                  ? look({ home: true }, "")
                  : look({ home: false }, connection.error, Duration.millis(connection.delayMillis))
                : Effect.void
          }).pipe(Scope.extend(own), Effect.provide(linkServices))
          const serve = config.serve ?? (record.home ? toHandle : () => Effect.never)
          const serving = yield* Effect.forkDaemon(Effect.interruptible(Effect.scoped(serve(link))))
          const attaching = yield* FiberHandle.make().pipe(Scope.extend(own))
          const entry: Held = {
            link,
            scope: own,
            serving,
            attaching,
            turn: yield* Effect.makeSemaphore(1),
            attachment: yield* Ref.make(Option.none<Link.Attachment>()),
            taken: yield* Ref.make<ReadonlyArray<number>>([])
          }
          held.set(sessionBody(record.sessionId), entry)
          if (record.home) yield* Ref.set(homeBox, Option.some(entry))
          return entry
        }).pipe(Effect.uninterruptible)

      /** Lets a session go: its agent is ended, its link closed. What the journal says of it is the caller's. */
      const drop = (entry: Held, why: string, unsent: number) =>
        Effect.gen(function* () {
          const { sessionId, home } = entry.link
          if (held.get(sessionBody(sessionId)) !== entry) return
          held.delete(sessionBody(sessionId))
          yield* Fiber.interrupt(entry.serving)
          yield* Scope.close(entry.scope, Exit.void)
          yield* forget(sessionId)
          yield* emit(BridgeEvent.SessionEnded({ sessionId, why, unsent }))
          if (home) yield* look({ homeless: true }, why)
        }).pipe(Effect.uninterruptible)
      const forget = (sessionId: SessionId) =>
        Effect.zipRight(ingress.clear(sessionId), credentials.forgetIngressToken(sessionId))

      const finish = (entry: Held, why: string) =>
        Effect.gen(function* () {
          yield* Fiber.interrupt(entry.serving)
          const unsent = yield* journal.end(entry.link.sessionId)
          if (entry.link.home) yield* pointers.remove(config.dir)
          yield* drop(entry, why, unsent)
        }).pipe(complain("session not ended", entry.link.sessionId))
      const release = (entry: Held, why: string) =>
        Effect.zipRight(journal.park(entry.link.sessionId), drop(entry, why, 0)).pipe(
          complain("session not released", entry.link.sessionId)
        )

      const complain =
        (what: string, sessionId: SessionId) =>
        <E extends { readonly message: string }>(effect: Effect.Effect<void, E>): Effect.Effect<void> =>
          Effect.catchAll(effect, (error) =>
            Effect.zipRight(
              Effect.logError(what).pipe(Effect.annotateLogs({ session: sessionId, detail: error.message })),
              emit(BridgeEvent.Warning({ message: `${what}: ${error.message}`, sessionId }))
            )
          )

      /**
       * Asks the hub to offer a session's work, until it answers. `refused` is told why where it will not: a reason
       * that ends the session, or none.
       */
      const askFor = (
        id: SessionId,
        refused: (dead: Option.Option<string>, detail: string) => Effect.Effect<void, Journal.JournalFailed>
      ): Effect.Effect<void> =>
        Effect.flatMap(Ref.get(environment), (environmentId) =>
          environments.reconnect(environmentId, id)
        ).pipe(
          Effect.retry({ schedule: Backoff.uploads, while: ClientError.isTransient }),
          Effect.catchIf(
            (error) => error._tag === "SessionNotFound" || error._tag === "SessionConflict",
            (error) =>
              whyDead(id).pipe(
                Effect.retry({ schedule: Backoff.uploads, while: ClientError.isTransient }),
                Effect.flatMap((dead) => refused(dead, error.message))
              )
          ),
          // The poll loop meets it too, and registers again; all sessions are asked for then.
          Effect.catchTag("EnvironmentGone", () => Effect.void),
          complain("work not asked for", id)
        )

      const askAgain = (entry: Held): Effect.Effect<void> =>
        askFor(entry.link.sessionId, (dead, detail) =>
          aside(
            Option.match(dead, {
              onSome: (why) => finish(entry, why),
              onNone: () => release(entry, detail)
            })
          )
        )
      /** Out of the fiber that is ended by it. */
      const aside = (effect: Effect.Effect<void>) => Effect.asVoid(Effect.forkIn(effect, scope))

      const afterDetached = (entry: Held, { reason, detail }: Link.Detached): Effect.Effect<void> =>
        Effect.gen(function* () {
          const { sessionId, home } = entry.link
          yield* emit(BridgeEvent.SessionDetached({ sessionId, reason, detail }))
          yield* Effect.logInfo("session detached").pipe(
            Effect.annotateLogs({ session: sessionId, reason, detail })
          )
          if (home) yield* look({ home: false }, detail)
          const dead = yield* whyDead(sessionId).pipe(
            Effect.retry({ schedule: Backoff.uploads, while: ClientError.isTransient }),
            Effect.orElseSucceed(Option.none)
          )
          if (Option.isSome(dead)) return yield* aside(finish(entry, dead.value))
          if (reason === "lease_ended") return yield* aside(release(entry, detail))
          if (reason === "superseded" || reason === "token_refused") {
            const now = yield* Clock.currentTimeMillis
            const recent = yield* Ref.updateAndGet(entry.taken, (times) => [
              ...times.filter((at) => now - at < Duration.toMillis(TAKEN_WINDOW)),
              now
            ])
            if (recent.length >= TAKEN_LIMIT) {
              return yield* aside(release(entry, "another worker has it"))
            }
            // An offer to this bridge whose answer was lost supersedes too: that one comes again by itself.
            yield* Effect.sleep(REOFFER)
          }
          yield* askAgain(entry)
        })

      const attach = (entry: Held, attachment: Link.Attachment) =>
        entry.turn.withPermits(1)(
          Effect.gen(function* () {
            yield* FiberHandle.clear(entry.attaching)
            yield* Ref.set(entry.attachment, Option.some(attachment))
            yield* FiberHandle.run(
              entry.attaching,
              Effect.flatMap(entry.link.attach(attachment), (end) => afterDetached(entry, end))
            )
          })
        )

      // --- Work ---

      const settingsOf = (sessionId: SessionId) =>
        sessions.get(sessionId).pipe(
          Effect.map(({ raw }) => ({
            model: text(member(raw["session_context"], "model")),
            permissionMode: text(raw["permission_mode"])
          })),
          Effect.catchAll((error) =>
            Effect.as(
              Effect.logWarning("settings of the session not read").pipe(
                Effect.annotateLogs({ session: sessionId, detail: error.message })
              ),
              {}
            )
          )
        )

      const acknowledge = (work: Poller.Work) =>
        environments.ack(work.environmentId, work.workId).pipe(
          Effect.retry({
            while: ClientError.isTransient,
            schedule: Schedule.intersect(Backoff.uploads, Schedule.recurs(3))
          })
        )

      const onWork = (work: Poller.Work) =>
        Effect.gen(function* () {
          const attachment: Link.Attachment = {
            environmentId: work.environmentId,
            workId: work.workId,
            token: work.secret.sessionIngressToken,
            apiBaseUrl: work.secret.apiBaseUrl
          }
          const known = held.get(sessionBody(work.sessionId))
          if (known === undefined && held.size >= config.maxSessions) {
            yield* emit(
              BridgeEvent.AtCapacity({ sessionId: work.sessionId, maxSessions: config.maxSessions })
            )
            return
          }
          yield* acknowledge(work)
          if (known !== undefined) return yield* aside(attach(known, attachment))
          const sessionId = toCompat(work.sessionId)
          const before = yield* journal.session(sessionId)
          const settings = Option.isSome(before) ? {} : yield* settingsOf(sessionId)
          const record = yield* enter(sessionId, work.environmentId, false, settings)
          const entry = yield* take({ ...record, home: false })
          yield* aside(attach(entry, attachment))
        }).pipe(
          Effect.catchAll((error) =>
            Effect.zipRight(
              Effect.logWarning("work not taken").pipe(
                Effect.annotateLogs({ session: work.sessionId, work: work.workId, detail: error.message })
              ),
              emit(BridgeEvent.WorkRefused({ sessionId: work.sessionId, why: error.message }))
            )
          )
        )

      /** Polls until it cannot go on; answers what to do about it. */
      const pollOnce = Effect.flatMap(Ref.get(environment), (environmentId) =>
        poller
          .work(environmentId, {
            blockMs: config.poll?.blockMs ?? 25_000,
            ...(config.poll?.reclaimOlderThanMs === undefined
              ? {}
              : { reclaimOlderThanMs: config.poll.reclaimOlderThanMs }),
            onFailure: ({ error, attempt }) => look({ polls: false }, error.message, pollDelay(attempt)),
            onRecovery: look({ polls: true }, "waiting for the session's work"),
            onUnusable: (item, error) =>
              emit(
                BridgeEvent.Warning({
                  message: `work ${item.id} cannot be done here: ${error.message}`,
                  sessionId: undefined
                })
              )
          })
          .pipe(Stream.runForEach(onWork))
      )

      const polling = Effect.gen(function* () {
        let registeredAt = yield* Clock.currentTimeMillis
        while (true) {
          const end = yield* Effect.either(pollOnce)
          if (end._tag === "Right") continue
          const error = end.left
          if (error._tag === "PollGaveUp") {
            return yield* giveUp(
              "gave_up",
              error.message,
              "start again when the hub is back; the session is kept"
            )
          }
          if (error._tag === "IdInvalid") {
            return yield* giveUp("protocol", error.message, "check the hub's version")
          }
          yield* look({ polls: false }, error.message)
          const now = yield* Clock.currentTimeMillis
          if (error._tag === "EnvironmentUnauthorized" && now - registeredAt < 60_000) {
            return yield* giveUp(
              "credentials_rejected",
              error.message,
              "is another bridge registered for this directory? stop it, or sign in again"
            )
          }
          const again = yield* Effect.either(registerAgain)
          registeredAt = yield* Clock.currentTimeMillis
          if (again._tag === "Left") return yield* cannotRegister(again.left)
        }
      })

      const cannotRegister = (error: StartError) => {
        if (ClientError.isTransient(error)) {
          return giveUp("gave_up", error.message, "start again when the hub is back; the session is kept")
        }
        switch (error._tag) {
          case "AccessTokenMissing":
          case "OrganizationMissing":
          case "Unauthorized":
            return giveUp("credentials_rejected", error.message, "sign in again and start again")
          default:
            return giveUp("protocol", error.message, "see the log, then start again")
        }
      }

      /** The environment is gone: ask for it again; keep the sessions if it comes back, move on if it does not. */
      const registerAgain = Effect.gen(function* () {
        const before = yield* Ref.get(environment)
        const registered = yield* register(before)
        yield* Ref.set(environment, registered.environmentId)
        if (registered.environmentId !== before) yield* replaceHome(registered.environmentId)
        const others = [...held.values()].filter(
          (entry) => entry.link.environmentId === registered.environmentId || !entry.link.home
        )
        for (const entry of others) {
          if (registered.environmentId !== before) {
            yield* journal.moved(entry.link.sessionId, registered.environmentId)
          }
          yield* aside(askAgain(entry))
        }
      })

      const replaceHome = (environmentId: EnvironmentId) =>
        Effect.gen(function* () {
          const old = yield* Ref.get(homeBox)
          const title = yield* config.currentTitle ?? Effect.succeed(config.title)
          const sessionId = yield* create(environmentId, title)
          if (Option.isSome(old)) {
            yield* sessions
              .archive(old.value.link.sessionId)
              .pipe(complain("session not archived", old.value.link.sessionId))
            yield* finish(old.value, "its environment is gone; it was replaced")
          }
          yield* openHome(sessionId, environmentId, false)
        })

      const openHome = (sessionId: SessionId, environmentId: EnvironmentId, reused: boolean) =>
        Effect.gen(function* () {
          const record = yield* enter(sessionId, environmentId, true)
          yield* pointers.write({ sessionId, environmentId, directory: config.dir })
          yield* Ref.update(gate, (now) => ({ ...now, homeless: false }))
          yield* take({ ...record, home: true })
          yield* emit(BridgeEvent.SessionReady({ sessionId, reused }))
        })

      // --- Shutdown ---

      const pollFiber = yield* Ref.make(Option.none<Fiber.RuntimeFiber<void>>())

      const shutdown: Effect.Effect<ReadonlyArray<Unfinished>> = Effect.gen(function* () {
        const unfinished: Array<Unfinished> = []
        const bound = Duration.toMillis(config.shutdownTimeout ?? SHUTDOWN_TIMEOUT)
        const begun = yield* Clock.currentTimeMillis
        const note = (step: ShutdownStep, sessionId: SessionId | undefined, detail: string) =>
          Effect.zipRight(
            Effect.sync(() => void unfinished.push({ step, sessionId, detail })),
            Effect.logWarning("shutdown step not finished").pipe(
              Effect.annotateLogs({
                step,
                detail,
                ...(sessionId === undefined ? {} : { session: sessionId })
              })
            )
          )
        /** Runs a step until its part of the bound is over; true where it succeeded. */
        const step = <E>(
          name: ShutdownStep,
          sessionId: SessionId | undefined,
          until: number,
          effect: Effect.Effect<unknown, E>
        ): Effect.Effect<boolean> =>
          Effect.gen(function* () {
            const left = Math.max(begun + bound * until - (yield* Clock.currentTimeMillis), 0)
            const outcome = yield* Effect.exit(Effect.disconnect(effect).pipe(Effect.timeoutOption(left)))
            if (Exit.isFailure(outcome)) {
              yield* note(name, sessionId, messageOf(outcome.cause))
              return false
            }
            if (Option.isNone(outcome.value)) {
              yield* note(name, sessionId, "no time left")
              return false
            }
            return true
          })
        const orderly = (yield* SubscriptionRef.get(lifecycle.state))._tag !== "Failed"
        const leaves = orderly && !config.perpetual
        const all = [...held.values()]
        const each = (run: (entry: Held) => Effect.Effect<unknown>) =>
          Effect.forEach(all, run, { concurrency: "unbounded", discard: true })

        // 1. No more work.
        const polls = yield* Ref.get(pollFiber)
        if (Option.isSome(polls)) yield* Fiber.interrupt(polls.value)
        yield* each((entry) =>
          step("agents", entry.link.sessionId, AGENTS_UNTIL, Fiber.interrupt(entry.serving))
        )
        // 2. and 3. What was said, and the result of a turn that nobody will end.
        const flushed = new Set<Held>()
        if (orderly) {
          yield* each((entry) =>
            Effect.gen(function* () {
              const { sessionId } = entry.link
              if (leaves && (yield* entry.link.isTurnOpen)) {
                yield* step(
                  "result",
                  sessionId,
                  FLUSH_UNTIL,
                  entry.link.write([{ _tag: "Line", payload: zeroedResult(sessionId) }])
                )
              }
              if (yield* step("flush", sessionId, FLUSH_UNTIL, entry.link.flush)) flushed.add(entry)
            })
          )
        }
        // 4. The work items.
        yield* each((entry) =>
          Effect.gen(function* () {
            const attachment = yield* Ref.get(entry.attachment)
            yield* step("stop", entry.link.sessionId, FLUSH_UNTIL, FiberHandle.clear(entry.attaching))
            if (Option.isNone(attachment) || !orderly) return
            const { environmentId, workId } = attachment.value
            yield* step(
              "stop",
              entry.link.sessionId,
              1,
              environments.stop(environmentId, workId, { force: true })
            )
          })
        )
        // 5. The sessions, unless lines of theirs are still here: those are sent by the next start.
        let allArchived = true
        yield* each((entry) =>
          Effect.gen(function* () {
            const { sessionId } = entry.link
            if (!orderly) return
            if (config.perpetual) return yield* step("archive", sessionId, 1, journal.park(sessionId))
            const archived =
              flushed.has(entry) && (yield* step("archive", sessionId, 1, sessions.archive(sessionId)))
            if (archived) yield* step("archive", sessionId, 1, journal.end(sessionId))
            else allArchived = false
          })
        )
        // 6. The environment, unless a session of it is to be taken up again.
        if (leaves && allArchived) {
          yield* step("pointer", undefined, 1, pointers.remove(config.dir))
          yield* step(
            "deregister",
            undefined,
            1,
            Effect.flatMap(Ref.get(environment), environments.deregister)
          )
        }
        yield* Scope.close(scope, Exit.void)
        yield* each((entry) => forget(entry.link.sessionId))
        yield* emit(BridgeEvent.ShutDown({ unfinished }))
        return unfinished
      }).pipe(Effect.withSpan("Bridge.shutdown"))

      const done = yield* Deferred.make<ReadonlyArray<Unfinished>>()
      const begun = yield* Ref.make(false)
      /** In a fiber of its own: nothing that happens to the caller cuts it short. */
      const teardown = Effect.flatMap(Ref.getAndSet(begun, true), (already) =>
        already ? Effect.void : Effect.forkDaemon(Effect.interruptible(Effect.intoDeferred(shutdown, done)))
      ).pipe(Effect.zipRight(Deferred.await(done)), Effect.uninterruptible)
      yield* Effect.addFinalizer(() => teardown)

      // --- Start ---

      /** A saved session that cannot be taken up is forgotten at once, and said so. */
      const discard = (sessionId: SessionId, why: string) =>
        Effect.gen(function* () {
          yield* journal.end(sessionId)
          yield* Effect.logWarning("saved session dropped").pipe(
            Effect.annotateLogs({ session: sessionId, why })
          )
          yield* emit(BridgeEvent.SavedSessionDropped({ sessionId, why }))
        })
      const candidate = homeCandidate(config.perpetual, saved, pointer)
      const home = yield* Option.match(candidate, {
        onNone: () => Effect.succeedNone,
        onSome: (sessionId) =>
          Effect.gen(function* () {
            if (!registered.reused) {
              yield* pointers.remove(config.dir)
              yield* emit(BridgeEvent.SavedSessionDropped({ sessionId, why: "its environment is gone" }))
              return Option.none<SessionId>()
            }
            const dead = yield* untilAnswered(whyDead(sessionId))
            if (Option.isNone(dead)) return Option.some(sessionId)
            yield* pointers.remove(config.dir)
            yield* discard(sessionId, dead.value)
            return Option.none<SessionId>()
          })
      })
      const sessionId = yield* Option.match(home, {
        onSome: Effect.succeed,
        onNone: () => create(environmentId, config.title)
      })
      yield* openHome(sessionId, environmentId, Option.isSome(home))

      // --- Running ---

      const background = <A, E>(effect: Effect.Effect<A, E>) =>
        Effect.forkIn(Effect.interruptible(effect), scope)

      /** Sessions that were alive here, or that have something to say, come back without anybody asking. */
      const back = (record: Journal.SessionRecord) =>
        Effect.gen(function* () {
          const id = record.sessionId
          const waits =
            record.state === "live" ||
            (yield* journal.unconfirmed(id)) > 0 ||
            (yield* journal.unanswered(id)).length > 0
          if (!waits) return
          yield* askFor(id, (dead, message) =>
            Option.match(dead, {
              onSome: (why) => discard(id, why),
              onNone: () => emit(BridgeEvent.Warning({ message, sessionId: id }))
            })
          )
        }).pipe(complain("session not taken up again", record.sessionId))
      const others = saved.filter(
        (record) =>
          sessionBody(record.sessionId) !== sessionBody(sessionId) &&
          !(
            Option.isSome(candidate) &&
            Option.isNone(home) &&
            sessionBody(candidate.value) === sessionBody(record.sessionId)
          )
      )
      yield* background(Effect.forEach(others, back, { concurrency: "unbounded", discard: true }))
      const homeEntry = held.get(sessionBody(sessionId))
      if (homeEntry !== undefined) {
        const nudge = Effect.flatMap(Ref.get(homeEntry.attachment), (attachment) =>
          Option.isNone(attachment) ? askAgain(homeEntry) : Effect.void
        )
        yield* background(Option.isSome(home) ? nudge : Effect.zipRight(Effect.sleep(HOME_PATIENCE), nudge))
      }
      yield* background(
        Effect.gen(function* () {
          const current = yield* Ref.get(homeBox)
          if (Option.isNone(current)) return
          const { link } = current.value
          if (held.get(sessionBody(link.sessionId)) !== current.value) return
          yield* pointers
            .write({
              sessionId: link.sessionId,
              environmentId: yield* Ref.get(environment),
              directory: config.dir
            })
            .pipe(complain("pointer not touched", link.sessionId))
        }).pipe(Effect.delay(Pointer.TOUCH_EVERY), Effect.forever)
      )
      yield* Ref.set(pollFiber, Option.some(yield* background(polling)))

      // --- Handle ---

      const home_ = Effect.flatMap(
        Ref.get(homeBox),
        Option.match({
          onNone: () => Effect.dieMessage("a started bridge has a home session"),
          onSome: ({ link }) => Effect.succeed(link)
        })
      )
      const say = (payloads: ReadonlyArray<Payload.Payload>) =>
        Effect.flatMap(home_, (link) =>
          link.write(payloads.map((payload) => ({ _tag: "Line" as const, payload })))
        )
      /** Emits each, and counts the one before as answered when the next is asked for. */
      const consumed = (queue: Queue.Dequeue<Payload.Payload>) =>
        Stream.unfoldEffect(undefined as Payload.Payload | undefined, (before) =>
          Effect.gen(function* () {
            const link = yield* home_
            const mark = (payload: Payload.Payload, state: Journal.Delivery) =>
              payload.uuid === undefined
                ? Effect.void
                : link.write([{ _tag: "Delivery", uuid: EventUuid.make(payload.uuid), state }])
            if (before !== undefined) yield* mark(before, "processed")
            const next = yield* Queue.take(queue)
            yield* mark(next, "processing")
            return Option.some([next, next] as const)
          })
        )

      const handle: Handle = {
        sessionId: Effect.map(home_, (link) => link.sessionId),
        environmentId: Ref.get(environment),
        ingressUrl: Effect.map(home_, (link) => link.ingressUrl),
        state: lifecycle.state,
        userMessages: consumed(userMessages),
        controlRequests: consumed(controlRequests),
        writeMessages: say,
        writeSdkMessages: (messages) =>
          say(messages.map((json) => Payload.make({ uuid: randomUUID(), ...json }))),
        sendControlRequest: (requestId, request) =>
          say([
            Payload.make({ type: "control_request", request_id: requestId, request, uuid: randomUUID() })
          ]),
        sendControlResponse: (response) =>
          say([Payload.make({ type: "control_response", response, uuid: randomUUID() })]),
        sendControlCancelRequest: (requestId) =>
          say([Payload.make({ type: "control_cancel_request", request_id: requestId, uuid: randomUUID() })]),
        sendResult: Effect.flatMap(home_, (link) => say([zeroedResult(link.sessionId)])),
        failed: Deferred.await(failed),
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
> = Layer.effect(Bridge, make)
