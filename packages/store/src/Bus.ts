/**
 * Who is told when something changed.
 *
 * Signals carry no data that must not be lost: a subscriber that is woken reads the database again from its own cursor,
 * and one that subscribes reads first. So a signal may come too often, may stand for many changes, and nothing depends on
 * the memory of one process. Only ephemeral messages (partial text, progress) travel on the bus itself; a subscriber that
 * does not take them in time loses them, and nothing else.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"

/** How many ephemeral messages wait for one subscriber before the oldest are dropped. */
export const EPHEMERAL_LIMIT = 256

/** How many bytes (UTF-16 units) of ephemeral payload wait for one subscriber before the oldest are dropped. */
export const EPHEMERAL_LIMIT_UNITS = 1024 * 1024

/** `session:<body>` (see `Ids.sessionBody`): its log, its row or a delivery state. `environment:<id>`: its work. */
export type Topic = `session:${string}` | `environment:${string}`

/** A payload that is shown to whoever watches now, and never stored. */
export interface Ephemeral {
  /** The payload's uuid, given by the hub where the sender gave none. */
  readonly uuid: string
  /** `payload.type`. */
  readonly type: string
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  /** The JSON text as it arrived. */
  readonly payload: string
}

/** Changes of a topic since the last one was taken. */
export interface Signal {
  /** Read the database again. */
  readonly changed: boolean
  /** In the order of their publication. */
  readonly ephemerals: ReadonlyArray<Ephemeral>
  /** How many ephemeral messages were dropped because this subscriber was slow. */
  readonly lost: number
}

export interface Subscription {
  /** Waits until something happened since the last take, and answers with all of it. One taker at a time. */
  readonly take: Effect.Effect<Signal>
}

export class Bus extends Context.Tag("@causeway/store/Bus")<
  Bus,
  {
    /** Wakes the subscribers of a topic. To be called after the commit. Cheap where nobody listens. */
    readonly changed: (topic: Topic) => void
    /** Hands a message to the present subscribers of a session. */
    readonly ephemeral: (session: string, message: Ephemeral) => void
    /** Listens until the scope closes. Subscribe first, then read: what is committed in between is signalled. */
    readonly subscribe: (topic: Topic) => Effect.Effect<Subscription, never, Scope.Scope>
    /**
     * Listens to every topic until the scope closes: for whoever watches all sessions at once. What waits is bounded by
     * the number of topics, and per session by the limits of ephemeral messages.
     */
    readonly subscribeAll: Effect.Effect<SubscriptionToAll, never, Scope.Scope>
    /**
     * Listens to every topic, but for what is not stored, until the scope closes: for whoever is slower than the hub. Waits
     * until something changed since the last take; what waits is bounded by the number of topics.
     */
    readonly subscribeChanges: Effect.Effect<
      { readonly take: Effect.Effect<ReadonlySet<Topic>> },
      never,
      Scope.Scope
    >
  }
>() {}

/** Changes of all topics since the last take. */
export interface SubscriptionToAll {
  /** Waits until something happened on any topic. One taker at a time. */
  readonly take: Effect.Effect<ReadonlyMap<Topic, Signal>>
}

const NOTHING: Signal = { changed: false, ephemerals: [], lost: 0 }

/** Where signals arrive. */
interface Listener {
  readonly changed: (topic: Topic) => void
  readonly ephemeral: (topic: Topic, message: Ephemeral) => void
}

/** A taker that waits until there is something. What was not drained, because it was interrupted, stays. */
const taker = <A>(has: () => boolean, drain: () => A) => {
  let waiting: (() => void) | undefined
  return {
    wake: () => {
      const answer = waiting
      waiting = undefined
      answer?.()
    },
    take: Effect.async<A>((resume) => {
      const answer = () => resume(Effect.sync(drain))
      if (has()) return answer()
      waiting = answer
      return Effect.sync(() => {
        waiting = undefined
      })
    })
  }
}

/** Changes of one topic that wait to be taken. */
class Pending {
  private dirty = false
  private ephemerals: Array<Ephemeral> = []
  private units = 0
  private lost = 0

  changed(): void {
    this.dirty = true
  }

  offer(message: Ephemeral): void {
    this.ephemerals.push(message)
    this.units += message.payload.length
    while (
      this.ephemerals.length > EPHEMERAL_LIMIT ||
      (this.units > EPHEMERAL_LIMIT_UNITS && this.ephemerals.length > 1)
    ) {
      const dropped = this.ephemerals.shift()
      this.units -= dropped?.payload.length ?? 0
      this.lost++
    }
  }

  drain(): Signal {
    return { changed: this.dirty, ephemerals: this.ephemerals, lost: this.lost }
  }
}

/** Gathers what happens, by topic, until it is taken. */
const gather = (ephemerals: boolean) => {
  const topics = new Map<Topic, Pending>()
  const { take, wake } = taker(
    () => topics.size > 0,
    (): ReadonlyMap<Topic, Signal> => {
      const signals = new Map([...topics].map(([topic, pending]) => [topic, pending.drain()] as const))
      topics.clear()
      return signals
    }
  )
  const pendingOf = (topic: Topic): Pending => {
    const pending = topics.get(topic) ?? new Pending()
    topics.set(topic, pending)
    return pending
  }
  const listener: Listener = {
    changed: (topic) => {
      pendingOf(topic).changed()
      wake()
    },
    ephemeral: (topic, message) => {
      if (!ephemerals) return
      pendingOf(topic).offer(message)
      wake()
    }
  }
  return { listener, take }
}

/** A bus inside one process. */
export const make = Effect.sync(() => {
  const topics = new Map<Topic, Set<Listener>>()
  const all = new Set<Listener>()

  /** Listens until the scope closes. */
  const listen = (
    ephemerals: boolean,
    add: (listener: Listener) => void,
    remove: (listener: Listener) => void
  ) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const gathered = gather(ephemerals)
        add(gathered.listener)
        return gathered
      }),
      ({ listener }) => Effect.sync(() => remove(listener))
    )
  const listenToAll = (ephemerals: boolean) =>
    listen(
      ephemerals,
      (listener) => all.add(listener),
      (listener) => all.delete(listener)
    )

  return Bus.of({
    changed: (topic) => {
      for (const listener of topics.get(topic) ?? []) listener.changed(topic)
      for (const listener of all) listener.changed(topic)
    },
    ephemeral: (session, message) => {
      const topic: Topic = `session:${session}`
      for (const listener of topics.get(topic) ?? []) listener.ephemeral(topic, message)
      for (const listener of all) listener.ephemeral(topic, message)
    },
    subscribe: (topic) =>
      Effect.map(
        listen(
          true,
          (listener) => topics.set(topic, (topics.get(topic) ?? new Set()).add(listener)),
          (listener) => {
            const present = topics.get(topic)
            present?.delete(listener)
            if (present?.size === 0) topics.delete(topic)
          }
        ),
        ({ take }): Subscription => ({ take: Effect.map(take, (signals) => signals.get(topic) ?? NOTHING) })
      ),
    subscribeAll: Effect.map(listenToAll(true), ({ take }) => ({ take })),
    subscribeChanges: Effect.map(listenToAll(false), ({ take }) => ({
      take: Effect.map(take, (signals) => new Set(signals.keys()))
    }))
  })
})

export const layer: Layer.Layer<Bus> = Layer.effect(Bus, make)
