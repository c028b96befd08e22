/**
 * The sessions in a bridge's hands: taken, attached, attached again, and let go.
 *
 * Each has one link for as long as it is held, one agent (or whatever `serve` is), and at most one attachment at a
 * time. Who lets a session go is told why; what the journal says of it is decided here: ended where nobody can work
 * on it any more, parked where it may come back.
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
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import { type EnvironmentId, type SessionId, sessionBody, toCompat } from "@causeway/protocol/Ids"
import type * as Payload from "@causeway/protocol/Payload"
import * as Engine from "@causeway/runner/Engine"
import { Journal, type JournalFailed, type SessionRecord } from "@causeway/runner/Journal"
import * as JournalRetry from "@causeway/runner/JournalRetry"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberHandle from "effect/FiberHandle"
import * as FiberMap from "effect/FiberMap"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as AgentChoice from "../AgentChoice.ts"
import { BridgeEvent } from "../BridgeEvent.ts"
import type { Config } from "../Config.ts"
import * as Link from "../Link.ts"
import * as Metrics from "../Metrics.ts"
import { Worktrees } from "../Worktrees.ts"
import * as Capacity from "./Capacity.ts"
import type { Connectivity } from "./Connectivity.ts"
import { type Registrar, untilAnswered } from "./Registrar.ts"
import * as Supervised from "./Supervised.ts"

/** Time for work that is on its way to arrive before it is asked for: an offer comes again after 5 s. */
const REOFFER = Duration.seconds(10)

/** How often it is looked whether a place has become free. */
const ROOM_CHECK = Duration.millis(250)

/** For how long an offer is kept for a place to become free: 4 s, of the 5 s after which it is offered again. */
const whileOffered = Schedule.spaced(ROOM_CHECK).pipe(Schedule.upTo("4 seconds"))

/** An attachment that ended within this time was not stable. */
const UNSTABLE_MILLIS = 10_000

/** Longest wait before the work of a session whose attachments do not last is asked for again. */
const ASK_CAP_MILLIS = 60_000

/** How often it is checked whether a worker that took a session is there still. */
const YIELD_CHECK = Duration.seconds(30)

/** A session in a bridge's hands. */
export interface Held {
  readonly link: Link.OwnedLink
  readonly scope: Scope.CloseableScope
  /** What serves it; interrupting it ends the agent and waits for its last lines. */
  readonly serving: Ref.Ref<Fiber.RuntimeFiber<void>>
  /** The home session alone: its agent was ended to make room, and takes a place again when it is needed. */
  readonly asleep: Ref.Ref<boolean>
  /** The one attachment that works, and what follows it. */
  readonly attaching: FiberHandle.FiberHandle
  /** Attachments follow each other. */
  readonly turn: Effect.Semaphore
  /** The newest attachment, also after its end. */
  readonly attachment: Ref.Ref<Option.Option<Link.Attachment>>
  /** How many attachments in a row were not stable. */
  readonly unstable: Ref.Ref<number>
  /** Renews the attachment's lease. Not ended with the attachment: a session may be left and its lease kept. */
  readonly lease: FiberHandle.FiberHandle<never, Link.Detached>
}

export interface HeldSessions {
  readonly all: () => ReadonlyArray<Held>
  readonly find: (id: SessionId) => Held | undefined
  /** Enters a session into the journal and takes it. */
  readonly take: (
    id: SessionId,
    options: {
      readonly environmentId: EnvironmentId
      readonly home: boolean
      readonly model?: string | undefined
      readonly permissionMode?: string | undefined
      /** What its log says was set of its agent. */
      readonly settings?: AgentSettings.AgentSettings | undefined
      /** The agent that the session asks for; default: the bridge's own. */
      readonly agent?: string | undefined
      /** Whether the session asks for a worktree of its own. */
      readonly worktree?: boolean
    }
  ) => Effect.Effect<Held, JournalFailed>
  /** Sessions that were put to sleep to make room, and have not come back. */
  readonly asleep: () => ReadonlyArray<SessionId>
  /**
   * Answers an offer: attaches the session, anew if it is held already. At capacity the session that is idle for longest is
   * put to sleep for it; it is left alone while every place is busy.
   */
  readonly accept: (work: Poller.Work) => Effect.Effect<void>
  /** Asks for the work of a session in hand; lets it go where the hub will not offer it again. */
  readonly askAgain: (held: Held) => Effect.Effect<void>
  /** Lets a session go for good. */
  readonly finish: (held: Held, why: string) => Effect.Effect<void>
  /** Settles what the machine keeps of a session that has ended for good, when nobody works on it any more. */
  readonly cleared: (id: SessionId) => Effect.Effect<void>
  /** Forgets what the client services keep of a session. */
  readonly forget: (id: SessionId) => Effect.Effect<void>
  /** Reports a failure that stops nothing. */
  readonly complain: (
    what: string,
    id: SessionId
  ) => <E extends { readonly message: string }>(effect: Effect.Effect<void, E>) => Effect.Effect<void>
}

const isObject = (value: unknown): value is Payload.JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const member = (value: unknown, name: string): unknown => (isObject(value) ? value[name] : undefined)

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value.length > 0 ? value : undefined

/** A name stands for the wish to have one. */
const worktree = (value: unknown): boolean => value === true || text(value) !== undefined

export const make = (options: {
  readonly config: Config
  /** The agents that sessions may ask for. */
  readonly offered: ReadonlyArray<AgentChoice.Offered>
  readonly emit: (event: BridgeEvent) => Effect.Effect<void>
  readonly environment: Ref.Ref<EnvironmentId>
  readonly connectivity: Connectivity
  readonly registrar: Registrar
  /** Serves a session where the configuration has no `serve`. */
  readonly serve: Engine.Serve<Link.Link>
  /** Told when the home session is let go for good. */
  readonly onHomeEnded: Effect.Effect<void>
  /** In it, everything that works for the sessions lives. */
  readonly scope: Scope.Scope
}): Effect.Effect<
  HeldSessions,
  never,
  | Journal
  | Environments.Environments
  | Sessions.Sessions
  | Ingress.Ingress
  | CodeSession.CodeSession
  | Credentials.Credentials
  | Poller.Poller
  | Worktrees
> =>
  Effect.gen(function* () {
    const { config, connectivity, emit, environment, offered, registrar, scope } = options
    const journal = yield* Journal
    const environments = yield* Environments.Environments
    const sessions = yield* Sessions.Sessions
    const ingress = yield* Ingress.Ingress
    const credentials = yield* Credentials.Credentials
    const services = yield* Effect.context<
      Journal | Ingress.Ingress | CodeSession.CodeSession | Credentials.Credentials
    >()
    const poller = yield* Poller.Poller
    const worktrees = yield* Worktrees
    const held = new Map<string, Held>()
    /** Body of the home session's id; also when it was let go, and may come back. */
    let homeBody: string | undefined
    /** Sessions that sleep, by the body of their ids. */
    const slept = new Map<string, SessionId>()
    /** Sessions that were left to other workers, by the body of their ids. */
    const yielded = yield* Scope.extend(FiberMap.make<string>(), scope)

    const complain: HeldSessions["complain"] = (what, sessionId) => (effect) =>
      Effect.catchAll(effect, (error) =>
        Effect.zipRight(
          Effect.logError(what).pipe(Effect.annotateLogs({ session: sessionId, detail: error.message })),
          emit(BridgeEvent.Warning({ message: `${what}: ${error.message}`, sessionId }))
        )
      )

    const retryForever = JournalRetry.make((message) =>
      emit(BridgeEvent.Warning({ message, sessionId: undefined }))
    )

    /** In a fiber that the end of a session does not end. */
    const aside = (effect: Effect.Effect<void>) =>
      effect.pipe(
        Supervised.contained({ what: "a step of a session", emit }, () => undefined),
        Effect.interruptible,
        Effect.forkIn(scope),
        Effect.asVoid
      )

    // --- Taking and letting go ---

    /**
     * A session that works elsewhere than in the bridge's directory works in its worktree; one whose agent is not offered
     * is not served.
     */
    const servingOf = (
      { cwd, sessionId }: SessionRecord,
      agent: Either.Either<string, AgentChoice.AgentNotOffered>
    ): Engine.Serve<Link.Link> => {
      const serve = config.serve ?? options.serve
      if (Either.isRight(agent) && cwd === config.dir) return serve
      return Engine.within(
        Effect.zipRight(agent, cwd === config.dir ? Effect.void : worktrees.open(sessionId, config.dir)),
        (why) => emit(BridgeEvent.WorkRefused({ sessionId, why })),
        serve
      )
    }

    /** Serves a link in a fiber of its own. */
    const served = (link: Link.OwnedLink, serve: Engine.Serve<Link.Link>) =>
      Effect.scoped(serve(link)).pipe(
        Supervised.supervised({ what: `the work on ${link.sessionId}`, sessionId: link.sessionId, emit }),
        Effect.interruptible,
        Effect.forkDaemon
      )

    const open = (entered: SessionRecord): Effect.Effect<Held, JournalFailed> =>
      Effect.gen(function* () {
        const agent = AgentChoice.chosen(offered, entered.agent)
        const record = { ...entered, agent: Either.getOrElse(agent, () => entered.agent) }
        const own = yield* Scope.fork(scope, ExecutionStrategy.sequential)
        const link = yield* Link.make({
          record,
          sessionIngressUrl: config.sessionIngressUrl ?? config.baseUrl,
          onEvent: emit,
          onConnection: (connection) => {
            if (!record.home) return Effect.void
            return connection._tag === "Connected"
              ? // The hub can be reached, whatever the poll that waits will say.
                connectivity.saw({ home: true, polls: true }, "")
              : connectivity.saw({ home: false }, connection.error, Duration.millis(connection.delayMillis))
          }
        }).pipe(Scope.extend(own), Effect.provide(services))
        const serve = servingOf(record, agent)
        const entry: Held = {
          link,
          scope: own,
          serving: yield* Ref.make(yield* served(link, serve)),
          asleep: yield* Ref.make(false),
          attaching: yield* Scope.extend(FiberHandle.make(), own),
          turn: yield* Effect.makeSemaphore(1),
          attachment: yield* Ref.make(Option.none<Link.Attachment>()),
          unstable: yield* Ref.make(0),
          lease: yield* Scope.extend(FiberHandle.make<never, Link.Detached>(), scope)
        }
        held.set(sessionBody(record.sessionId), entry)
        slept.delete(sessionBody(record.sessionId))
        return entry
      }).pipe(Effect.uninterruptible)

    const take: HeldSessions["take"] = (sessionId, settings) =>
      Effect.gen(function* () {
        if (settings.home) homeBody = sessionBody(sessionId)
        const apart = (config.spawnMode === "worktree" || settings.worktree === true) && !settings.home
        const record = yield* journal.enter({
          sessionId,
          environmentId: settings.environmentId,
          directory: config.dir,
          home: settings.home,
          agentSessionId: randomUUID(),
          agent: settings.agent === undefined ? config.agent : AgentChoice.entered(offered, settings.agent),
          cwd: apart ? yield* worktrees.placeOf(sessionId, config.dir) : config.dir,
          model: settings.model ?? config.model,
          permissionMode: settings.permissionMode ?? config.permissionMode
        })
        if (settings.settings !== undefined) yield* journal.chosen(sessionId, settings.settings)
        return yield* open({ ...record, home: settings.home })
      })

    const cleared: HeldSessions["cleared"] = (sessionId) =>
      Effect.flatMap(
        worktrees.close(sessionId),
        Option.match({
          onNone: () => Effect.void,
          onSome: ({ path, removal }) =>
            removal._tag === "Removed"
              ? Effect.void
              : emit(
                  BridgeEvent.Warning({
                    message: `the worktree ${path} of session ${sessionId} stays: ${removal.reason}`,
                    sessionId
                  })
                )
        })
      )

    const forget = (id: SessionId) => Effect.zipRight(ingress.clear(id), credentials.forgetIngressToken(id))

    /** Ends the agent, then closes the link. `settle` answers with how many lines stay unsent. */
    const letGo = (
      entry: Held,
      why: string,
      settle: Effect.Effect<number, JournalFailed>,
      asleep: boolean = false
    ) =>
      Effect.gen(function* () {
        const { sessionId, home } = entry.link
        if (held.get(sessionBody(sessionId)) !== entry) return
        held.delete(sessionBody(sessionId))
        yield* Effect.flatMap(Ref.get(entry.serving), Fiber.interrupt)
        yield* Scope.close(entry.scope, Exit.void)
        yield* forget(sessionId)
        const unsent = yield* settle
        yield* emit(
          asleep
            ? BridgeEvent.SessionAsleep({ sessionId })
            : BridgeEvent.SessionEnded({ sessionId, why, unsent })
        )
        if (home) yield* connectivity.saw({ home: false, homeless: true }, why)
      }).pipe(Effect.uninterruptible, complain("session not let go in order", entry.link.sessionId))

    const finish = (entry: Held, why: string) =>
      Effect.gen(function* () {
        yield* FiberHandle.clear(entry.lease)
        const { sessionId } = entry.link
        yield* letGo(entry, why, Effect.zipLeft(journal.end(sessionId), cleared(sessionId)))
        if (entry.link.home) yield* options.onHomeEnded
      })

    const parked = (entry: Held, why: string, asleep: boolean = false) => {
      const { sessionId } = entry.link
      return letGo(
        entry,
        why,
        Effect.zipRight(journal.park(sessionId), journal.unconfirmed(sessionId)),
        asleep
      )
    }

    const stopWork = (sessionId: SessionId, { environmentId, workId }: Link.Attachment) =>
      environments.stop(environmentId, workId, { force: true }).pipe(complain("work not stopped", sessionId))

    /** Lets a session go that may come back. Its work item is stopped; a message that comes makes another. */
    const release = (entry: Held, why: string, asleep: boolean = false) =>
      Effect.gen(function* () {
        const attachment = yield* Ref.get(entry.attachment)
        yield* FiberHandle.clear(entry.lease)
        yield* parked(entry, why, asleep)
        if (Option.isSome(attachment)) yield* stopWork(entry.link.sessionId, attachment.value)
      })

    // --- Places ---

    /** Sessions that hold a place, and whether they may be put to sleep. */
    const places = Effect.gen(function* () {
      const all: Array<Capacity.Place<Held>> = []
      for (const entry of held.values()) {
        if (yield* Ref.get(entry.asleep)) continue
        const { sessionId, atWork, lastActive } = entry.link
        const works = yield* Ref.get(atWork)
        const isBusy =
          works === undefined ||
          (yield* works) ||
          (yield* journal.unanswered(sessionId)).length > 0 ||
          (yield* journal.unconfirmed(sessionId)) > 0
        all.push({ session: entry, isBusy, lastActive: yield* lastActive })
      }
      return all
    })

    /** The agent of the home session ends, and the session stays: it takes a place again once there is something to do. */
    const sleepAtHome = (entry: Held) =>
      Effect.gen(function* () {
        yield* Ref.set(entry.asleep, true)
        yield* Effect.flatMap(Ref.get(entry.serving), Fiber.interrupt)
        const { record } = entry.link
        const woken: Engine.Serve<Link.Link> = (link) =>
          Effect.gen(function* () {
            yield* Engine.awaitWork(link)
            yield* Effect.repeat(room, { until: (room) => room, schedule: Schedule.spaced(ROOM_CHECK) })
            yield* Ref.set(entry.asleep, false)
            return yield* servingOf(record, AgentChoice.chosen(offered, record.agent))(link)
          }).pipe(Effect.orDie)
        yield* Ref.set(entry.serving, yield* served(entry.link, woken))
        yield* emit(BridgeEvent.SessionAsleep({ sessionId: record.sessionId }))
      }).pipe(Effect.uninterruptible)

    /**
     * Puts a session to sleep. What was written to it in the moment in which it was let go has either reached the journal,
     * and its work is asked for again, or has not, and the hub queues it.
     */
    const sleep = (entry: Held) =>
      Effect.gen(function* () {
        const { home, sessionId } = entry.link
        if (home) return yield* sleepAtHome(entry)
        slept.set(sessionBody(sessionId), sessionId)
        yield* release(entry, "it sleeps", true)
        const left = (yield* journal.unanswered(sessionId)).length + (yield* journal.unconfirmed(sessionId))
        if (left > 0) yield* aside(askAgain(entry))
      })

    const making = yield* Effect.makeSemaphore(1)
    /** Whether there is a place, after one was made where that can be done. */
    const room = Effect.gen(function* () {
      const taken = yield* places
      if (taken.length < config.maxSessions) return true
      const idle = Capacity.sleeper(taken, config.maxSessions)
      if (idle === undefined) return false
      yield* sleep(idle)
      return (yield* places).length < config.maxSessions
    }).pipe(making.withPermits(1))

    /**
     * Leaves a session to a worker that is attached to it. An offer would fence that worker, so the lease is kept, and
     * with it the offer away, for as long as the worker stays.
     */
    const yieldTo = (entry: Held) =>
      Effect.gen(function* () {
        const { sessionId } = entry.link
        const attachment = yield* Ref.get(entry.attachment)
        yield* parked(entry, "another worker has it")
        if (Option.isNone(attachment)) return
        const lease = yield* Effect.match(FiberHandle.get(entry.lease), {
          onFailure: () => Effect.never,
          onSuccess: (fiber) => Fiber.join(fiber)
        })
        const left = untilAnswered(registrar.isAttached(sessionId)).pipe(
          Effect.delay(YIELD_CHECK),
          Effect.repeat({ while: (attached) => attached })
        )
        const keep = Effect.raceFirst(lease, left).pipe(
          Effect.zipRight(stopWork(sessionId, attachment.value)),
          Effect.catchAll(({ message }) =>
            Effect.logInfo("session watched no more").pipe(
              Effect.annotateLogs({ session: sessionId, detail: message })
            )
          ),
          Effect.ensuring(FiberHandle.clear(entry.lease))
        )
        yield* FiberMap.run(yielded, sessionBody(sessionId), keep)
      })

    // --- Attachments ---

    const askAgain = (entry: Held): Effect.Effect<void> => {
      const { sessionId } = entry.link
      return Effect.flatMap(Ref.get(environment), (environmentId) =>
        registrar.askForWork(environmentId, sessionId, (dead, detail) =>
          aside(
            Option.match(dead, {
              onSome: (why) => finish(entry, why),
              onNone: () => release(entry, detail)
            })
          )
        )
      ).pipe(complain("work not asked for", sessionId))
    }

    /** What follows the end of an attachment. A newer attachment interrupts it. */
    const afterDetached = (entry: Held, { detail, reason }: Link.Detached): Effect.Effect<void> =>
      Effect.gen(function* () {
        const { home, sessionId } = entry.link
        yield* emit(BridgeEvent.SessionDetached({ sessionId, reason, detail }))
        yield* Metric.increment(Metric.tagged(Metrics.detachments, "reason", reason))
        if (home) yield* connectivity.saw({ home: false }, detail)
        const dead = yield* untilAnswered(registrar.whyDead(sessionId))
        if (Option.isSome(dead)) return yield* aside(finish(entry, dead.value))
        if (reason === "lease_ended") return yield* aside(release(entry, detail))
        if (reason === "superseded" || reason === "token_refused") {
          // An offer to this bridge whose answer was lost supersedes too: that one comes again by itself. Where
          // another worker is attached by then, it was meant to be, and the session is its own.
          yield* Effect.sleep(REOFFER)
          if (yield* untilAnswered(registrar.isAttached(sessionId))) {
            return yield* aside(yieldTo(entry))
          }
        }
        // The first loss is asked for at once; a hub that goes on refusing what it offers is not hammered.
        const unstable = yield* Ref.get(entry.unstable)
        if (unstable > 1) {
          yield* Effect.sleep(Duration.millis(Math.min(1_000 * 2 ** (unstable - 1), ASK_CAP_MILLIS)))
        }
        yield* askAgain(entry)
      }).pipe(complain("session not attached again", entry.link.sessionId))

    const leaseOf = (attachment: Link.Attachment): Effect.Effect<never, Link.Detached> =>
      poller.hold(attachment, config.lease === undefined ? {} : { ttl: config.lease }).pipe(
        Effect.mapError(({ message }) => new Link.Detached({ reason: "lease_lost", detail: message })),
        Effect.zipRight(new Link.Detached({ reason: "lease_ended", detail: "the hub ended the work" }))
      )

    const attach = (entry: Held, attachment: Link.Attachment) =>
      entry.turn.withPermits(1)(
        Effect.gen(function* () {
          yield* FiberHandle.clear(entry.attaching)
          yield* Ref.set(entry.attachment, Option.some(attachment))
          const lease = yield* FiberHandle.run(entry.lease, leaseOf(attachment))
          yield* FiberHandle.run(
            entry.attaching,
            Effect.gen(function* () {
              const from = yield* Clock.currentTimeMillis
              const end = yield* entry.link.attach(attachment, Fiber.join(lease)).pipe(
                Supervised.contained(
                  {
                    what: `the connection of ${entry.link.sessionId} to the hub`,
                    sessionId: entry.link.sessionId,
                    emit
                  },
                  (detail) => new Link.Detached({ reason: "refused", detail })
                )
              )
              const held = (yield* Clock.currentTimeMillis) - from
              yield* Ref.update(entry.unstable, (n) => (held < UNSTABLE_MILLIS ? n + 1 : 0))
              yield* afterDetached(entry, end)
            })
          )
        })
      )

    // --- Work ---

    const retried = <A, E extends { readonly _tag: string }>(call: Effect.Effect<A, E>) =>
      Effect.retry(call, {
        while: ClientError.isTransient,
        schedule: Schedule.intersect(Backoff.uploads, Schedule.recurs(3))
      })

    /** What a session asks of its agent; the bridge's own settings where the hub does not tell. */
    const settingsOf = (sessionId: SessionId) =>
      sessions.get(sessionId).pipe(
        Effect.map(({ raw }) => ({
          model: text(member(raw["session_context"], "model")),
          permissionMode: text(raw["permission_mode"]),
          settings: isObject(raw["agent_settings"]) ? AgentSettings.of(raw["agent_settings"]) : undefined,
          agent: text(member(raw["session_context"], "agent")),
          worktree: worktree(member(raw["session_context"], "worktree"))
        })),
        retried,
        // What cannot be read now may name another agent: the work comes again. A hub that never tells names none.
        Effect.catchIf(
          (error) => !ClientError.isTransient(error),
          (error) =>
            Effect.as(
              Effect.logWarning("settings of the session not read").pipe(
                Effect.annotateLogs({ session: sessionId, detail: error.message })
              ),
              {}
            )
        )
      )

    const acknowledge = (work: Poller.Work) => retried(environments.ack(work.environmentId, work.workId))

    const accept = (work: Poller.Work) =>
      Effect.gen(function* () {
        const known = held.get(sessionBody(work.sessionId))
        if (config.spawnMode === "session" && homeBody !== sessionBody(work.sessionId)) {
          const why = "this bridge runs only its own session (--spawn session)"
          return yield* emit(BridgeEvent.WorkRefused({ sessionId: toCompat(work.sessionId), why }))
        }
        // The offer holds for a while: a turn may end meanwhile.
        const taken =
          known !== undefined ||
          (yield* Effect.repeat(room, { until: (room) => room, schedule: whileOffered }).pipe(
            Effect.zipRight(room)
          ))
        if (!taken) {
          const { maxSessions } = config
          return yield* emit(BridgeEvent.AtCapacity({ sessionId: work.sessionId, maxSessions }))
        }
        // Another machine may have had it meanwhile.
        const settings = known === undefined ? yield* settingsOf(toCompat(work.sessionId)) : {}
        yield* acknowledge(work)
        yield* FiberMap.remove(yielded, sessionBody(work.sessionId))
        const attachment: Link.Attachment = {
          environmentId: work.environmentId,
          workId: work.workId,
          token: work.secret.sessionIngressToken,
          apiBaseUrl: work.secret.apiBaseUrl
        }
        if (known !== undefined) return yield* aside(attach(known, attachment))
        const sessionId = toCompat(work.sessionId)
        // Acknowledged work is not offered again for a while: a journal that fails now is waited for.
        const entry = yield* retryForever(
          take(sessionId, { environmentId: work.environmentId, home: false, ...settings })
        )
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

    return {
      all: () => [...held.values()],
      asleep: () => [...slept.values()],
      find: (id) => held.get(sessionBody(id)),
      take,
      accept,
      askAgain,
      finish,
      cleared,
      forget,
      complain
    }
  })
