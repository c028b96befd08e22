/**
 * Credentials that were refused, at every door. A proof is looked at first, whoever has failed before: a right one is never held
 * up. Only refusals are: each later and later, by the credential that was shown and by the address that it came from.
 */
import type { IncomingMessage } from "node:http"
import { BoundedMap } from "@causeway/protocol/BoundedMap"
import * as WireError from "@causeway/protocol/WireError"
import * as Secret from "@causeway/store/Secret"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import { Config } from "./Config.ts"
import * as Forwarded from "./Forwarded.ts"
import * as HotRoutes from "./HotRoutes.ts"

/** How late a refusal is, from the first that is not free on: 250 ms doubling to 8 s. */
const DELAYS = [250, 500, 1000, 2000, 4000, 8000] as const

/** Failures are forgotten this long after the last one. */
const FORGOTTEN = Duration.minutes(5)

/** Credentials and addresses that are remembered; the ones that failed longest ago give way. */
const REMEMBERED_MAX = 10_000

/** Refusals of one address that wait at a time; further ones are answered at once, with 429. */
export const WAITING_MAX = 32

/** Who failed. */
export interface Failed {
  /** Of the caller; undefined where it is not known. */
  readonly address: string | undefined
  /** What was shown. Only its hash is kept. */
  readonly credential: string
}

export class Attempts extends Context.Tag("@causeway/hub/Attempts")<
  Attempts,
  {
    /**
     * Counts a failure and completes when its refusal may be answered. `TooManyRequests`: so many refusals of this address wait
     * already that this one is not waited for.
     */
    readonly failed: (who: Failed) => Effect.Effect<void, WireError.TooManyRequests>
  }
>() {}

interface Failures {
  readonly count: number
  /** Of the last one, in milliseconds since the epoch. */
  readonly at: number
}

interface State {
  /** Failures that are answered at once. */
  readonly free: number
  readonly failures: BoundedMap<string, Failures>
  /** Refusals of each address that wait now. */
  readonly waiting: Map<string, number>
}

/** Counts one more; answers how many there are. */
const note = ({ failures }: State, key: string, now: number): number => {
  const before = failures.get(key)
  const isRecent = before !== undefined && now - before.at < Duration.toMillis(FORGOTTEN)
  const count = isRecent ? before.count + 1 : 1
  failures.set(key, { count, at: now })
  return count
}

const delayOf = (beyond: number): number =>
  beyond <= 0 ? 0 : (DELAYS[Math.min(beyond, DELAYS.length) - 1] ?? 0)

const tooMany = (): WireError.TooManyRequests =>
  WireError.TooManyRequests.of("too many failed sign-ins from this address; try again in 8 s", {
    reason: "too_many_failures",
    retry_after_ms: DELAYS.at(-1)
  })

const failed =
  (state: State): Attempts["Type"]["failed"] =>
  ({ address = "", credential }) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const { free, waiting } = state
      const counts = [
        note(state, `address ${address}`, now),
        note(state, `credential ${Secret.hashOf(credential)}`, now)
      ]
      const delay = delayOf(Math.max(...counts) - free)
      if (delay === 0) return Effect.void
      const others = waiting.get(address) ?? 0
      if (others >= WAITING_MAX) return tooMany()
      return Effect.acquireUseRelease(
        Effect.sync(() => waiting.set(address, others + 1)),
        () => Effect.sleep(delay),
        () =>
          Effect.sync(() => {
            const left = (waiting.get(address) ?? 1) - 1
            if (left > 0) waiting.set(address, left)
            else waiting.delete(address)
          })
      )
    })

export const layer: Layer.Layer<Attempts, never, Config> = Layer.effect(
  Attempts,
  Effect.map(Config, ({ freeFailures }) => {
    const state: State = {
      free: freeFailures,
      failures: new BoundedMap(REMEMBERED_MAX),
      waiting: new Map()
    }
    return Attempts.of({ failed: failed(state) })
  })
)

// --- HTTP ---

/** Refusals of credentials that were good once, or are good for something else: nobody guesses these. */
const known: ReadonlySet<unknown> = new Set(["expired", "superseded", "other_session", "session_unknown"])

/** A refused credential, not a missing one nor one whose time is over. */
const isGuess = (error: WireError.WireError): boolean =>
  error._tag === "Unauthenticated" &&
  !(Predicate.hasProperty(error.error.details, "reason") && known.has(error.error.details.reason))

/** The refusal that a request is answered with, once it may be answered. */
export const slowed: Effect.Effect<
  (incoming: IncomingMessage, error: WireError.WireError) => Effect.Effect<WireError.WireError>,
  never,
  Attempts
> = Effect.gen(function* () {
  const attempts = yield* Attempts
  const trusted = yield* Forwarded.TrustedProxies
  return (incoming, error) => {
    const credential = HotRoutes.bearer(incoming.headers)
    if (credential === undefined || !isGuess(error)) return Effect.succeed(error)
    const { address } = Forwarded.read(Forwarded.arrivedOf(incoming), trusted)
    return Effect.match(attempts.failed({ address, credential }), {
      onFailure: (tooMany) => tooMany,
      onSuccess: () => error
    })
  }
})
