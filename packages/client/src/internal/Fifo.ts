/**
 * A lock that is taken strictly in the order in which it was asked for. Effect's semaphore wakes its waiters later
 * than it frees its permit, so that a newcomer can overtake them; here the lock is handed to the next in line.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"

/** A place in the line. */
export type Ticket = Deferred.Deferred<void>

export interface Fifo {
  /** Joins the line at once. Every ticket must be served. */
  readonly enter: () => Ticket
  /**
   * Waits for the turn of the ticket, then runs `use`. Both are interruptible as `restore` says; must be called in an
   * uninterruptible region. Who is interrupted leaves the line.
   */
  readonly serve: <A, E, R>(
    ticket: Ticket,
    restore: <A2, E2, R2>(effect: Effect.Effect<A2, E2, R2>) => Effect.Effect<A2, E2, R2>,
    use: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, R>
  /** Nothing runs or waits. */
  readonly isIdle: () => boolean
}

/** `onIdle` runs each time the last in line has ended. */
export const make = (onIdle: () => void): Fifo => {
  const waiting: Array<Ticket> = []
  let held = false

  const release = () => {
    const next = waiting.shift()
    if (next !== undefined) {
      Deferred.unsafeDone(next, Effect.void)
      return
    }
    held = false
    onIdle()
  }

  const abandon = (ticket: Ticket) => {
    const at = waiting.indexOf(ticket)
    if (at >= 0) waiting.splice(at, 1)
    // Not in line any more: the lock was handed to it while it was leaving.
    else release()
  }

  return {
    isIdle: () => !held,
    enter: () => {
      const ticket = Deferred.unsafeMake<void>(FiberId.none)
      if (held) waiting.push(ticket)
      else {
        held = true
        Deferred.unsafeDone(ticket, Effect.void)
      }
      return ticket
    },
    serve: (ticket, restore, use) =>
      Effect.matchCauseEffect(restore(Deferred.await(ticket)), {
        onFailure: (cause) =>
          Effect.zipRight(
            Effect.sync(() => abandon(ticket)),
            Effect.failCause(cause)
          ),
        onSuccess: () => Effect.ensuring(restore(use), Effect.sync(release))
      })
  }
}
