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

/** What happened on a topic since the last one was taken. */
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
  }
>() {}

/** What happened since the last take, by topic. */
export interface SubscriptionToAll {
  /** Waits until something happened on any topic. One taker at a time. */
  readonly take: Effect.Effect<ReadonlyMap<Topic, Signal>>
}

class SubscriberToAll {
  private topics = new Map<Topic, Subscriber>()
  private waiting: (() => void) | undefined = undefined

  of(topic: Topic): Subscriber {
    let subscriber = this.topics.get(topic)
    if (subscriber === undefined) {
      subscriber = new Subscriber()
      this.topics.set(topic, subscriber)
    }
    return subscriber
  }

  wake(): void {
    const waiting = this.waiting
    this.waiting = undefined
    waiting?.()
  }

  private drain(): ReadonlyMap<Topic, Signal> {
    const signals = new Map<Topic, Signal>()
    for (const [topic, subscriber] of this.topics) signals.set(topic, subscriber.drain())
    this.topics.clear()
    return signals
  }

  readonly take: Effect.Effect<ReadonlyMap<Topic, Signal>> = Effect.async((resume) => {
    const answer = () => resume(Effect.sync(() => this.drain()))
    if (this.topics.size > 0) return answer()
    this.waiting = answer
    return Effect.sync(() => {
      this.waiting = undefined
    })
  })
}

class Subscriber {
  private dirty = false
  private ephemerals: Array<Ephemeral> = []
  private units = 0
  private lost = 0
  private waiting: (() => void) | undefined = undefined

  changed(): void {
    this.dirty = true
    this.wake()
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
    this.wake()
  }

  readonly take: Effect.Effect<Signal> = Effect.suspend(() =>
    this.pending() ? Effect.succeed(this.drain()) : this.wait
  )

  private readonly wait: Effect.Effect<Signal> = Effect.async<Signal>((resume) => {
    if (this.pending()) return resume(Effect.sync(() => this.drain()))
    this.waiting = () => resume(Effect.sync(() => this.drain()))
    return Effect.sync(() => {
      this.waiting = undefined
    })
  })

  private pending(): boolean {
    return this.dirty || this.ephemerals.length > 0
  }

  drain(): Signal {
    const signal = { changed: this.dirty, ephemerals: this.ephemerals, lost: this.lost }
    this.dirty = false
    this.ephemerals = []
    this.units = 0
    this.lost = 0
    return signal
  }

  private wake(): void {
    const waiting = this.waiting
    this.waiting = undefined
    waiting?.()
  }
}

/** A bus inside one process. */
export const make = Effect.sync(() => {
  const topics = new Map<Topic, Set<Subscriber>>()
  const all = new Set<SubscriberToAll>()
  return Bus.of({
    changed: (topic) => {
      for (const subscriber of topics.get(topic) ?? []) subscriber.changed()
      for (const each of all) {
        each.of(topic).changed()
        each.wake()
      }
    },
    ephemeral: (session, message) => {
      for (const subscriber of topics.get(`session:${session}`) ?? []) subscriber.offer(message)
      for (const each of all) {
        each.of(`session:${session}`).offer(message)
        each.wake()
      }
    },
    subscribe: (topic) =>
      Effect.map(
        Effect.acquireRelease(
          Effect.sync(() => {
            const subscriber = new Subscriber()
            const present = topics.get(topic)
            if (present === undefined) topics.set(topic, new Set([subscriber]))
            else present.add(subscriber)
            return subscriber
          }),
          (subscriber) =>
            Effect.sync(() => {
              const present = topics.get(topic)
              present?.delete(subscriber)
              if (present?.size === 0) topics.delete(topic)
            })
        ),
        (subscriber): Subscription => ({ take: subscriber.take })
      ),
    subscribeAll: Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => {
          const subscriber = new SubscriberToAll()
          all.add(subscriber)
          return subscriber
        }),
        (subscriber) => Effect.sync(() => all.delete(subscriber))
      ),
      (subscriber): SubscriptionToAll => ({ take: subscriber.take })
    )
  })
})

export const layer: Layer.Layer<Bus> = Layer.effect(Bus, make)
