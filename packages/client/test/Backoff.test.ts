import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Random from "effect/Random"
import type * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as Intervals from "effect/ScheduleIntervals"
import * as Backoff from "../src/Backoff.ts"

interface Step<Out> {
  /** When the failure came. */
  readonly at: number
  readonly delay: number | "done"
  readonly out: Out
}

/**
 * Drives a schedule by hand: a failure, the delay, an attempt that takes `took(n)` and fails with `input(n)`, and so
 * on until it is done or `limit` failures have been. The machine sleeps for `slept(n)` during delay n.
 */
const drive = <Out, In>(
  schedule: Schedule.Schedule<Out, In>,
  options: {
    readonly input: (failure: number) => In
    readonly took?: (failure: number) => number
    readonly slept?: (failure: number) => number
    readonly limit?: number
  }
): Effect.Effect<ReadonlyArray<Step<Out>>> =>
  Effect.gen(function* () {
    const steps: Array<Step<Out>> = []
    let state: unknown = schedule.initial
    let now = 1_000_000
    for (let failure = 1; failure <= (options.limit ?? 200); failure++) {
      const [next, out, decision] = yield* schedule.step(now, options.input(failure), state)
      state = next
      const delay = ScheduleDecision.isDone(decision)
        ? "done"
        : Math.max(0, Intervals.start(decision.intervals) - now)
      steps.push({ at: now, delay, out })
      if (delay === "done") break
      now += delay + (options.slept?.(failure) ?? 0) + (options.took?.(failure) ?? 0)
    }
    return steps
  })

const delaysOf = (steps: ReadonlyArray<Step<unknown>>) =>
  steps.flatMap(({ delay }) => (delay === "done" ? [] : [delay]))

const seeded = <A>(seed: number, effect: Effect.Effect<A>) => Effect.withRandom(effect, Random.make(seed))

/** 2 s doubling to 60 s. */
const pollBase = (failure: number) => Math.min(2_000 * 2 ** (failure - 1), 60_000)

const seed = FastCheck.integer()

describe("poll", () => {
  it.effect.prop(
    "doubles up to 60 s, is only ever shortened, and by 20 % at most",
    { seed, took: FastCheck.array(FastCheck.integer({ min: 0, max: 60_000 }), { minLength: 1 }) },
    ({ seed, took }) =>
      Effect.gen(function* () {
        const steps = yield* seeded(
          seed,
          drive(Backoff.poll, { input: () => "down", took: (n) => took[n % took.length] ?? 0 })
        )
        const delays = delaysOf(steps)
        for (const [at, delay] of delays.entries()) {
          expect(delay).toBeLessThanOrEqual(pollBase(at + 1))
          expect(delay).toBeGreaterThanOrEqual(pollBase(at + 1) * 0.8)
          expect(delay).toBeLessThanOrEqual(60_000)
        }
        // Monotone up to the cap: shortened by 20 %, twice as much is still more than the whole.
        for (let at = 1; at < delays.length && pollBase(at + 1) < 60_000; at++) {
          expect(delays[at]).toBeGreaterThan(delays[at - 1] ?? 0)
        }
      })
  )

  it.effect.prop(
    "gives up at the first failure 15 minutes or more after the first, within one delay and one attempt",
    { seed, took: FastCheck.array(FastCheck.integer({ min: 0, max: 60_000 }), { minLength: 1 }) },
    ({ seed, took }) =>
      Effect.gen(function* () {
        const steps = yield* seeded(
          seed,
          drive(Backoff.poll, { input: () => "down", took: (n) => took[n % took.length] ?? 0 })
        )
        const [first, last, before] = [steps[0], steps.at(-1), steps.at(-2)]
        if (first === undefined || last === undefined || before === undefined) return expect.unreachable()
        expect(last.delay).toBe("done")
        expect(last.at - first.at).toBeGreaterThanOrEqual(15 * 60_000)
        expect(before.at - first.at).toBeLessThan(15 * 60_000)
        expect(last.at - first.at).toBeLessThanOrEqual(15 * 60_000 + 120_000)
        expect(last.out).toMatchObject({ since: first.at, attempts: steps.length })
      })
  )

  it.effect.prop(
    "time asleep does not count",
    {
      seed,
      took: FastCheck.integer({ min: 0, max: 60_000 }),
      sleeps: FastCheck.array(FastCheck.integer({ min: 120_001, max: 10 * 3_600_000 }), {
        minLength: 1,
        maxLength: 4
      }),
      every: FastCheck.integer({ min: 1, max: 12 })
    },
    ({ every, seed, sleeps, took }) =>
      Effect.gen(function* () {
        const sleptAt = (failure: number) =>
          failure % every === 0 ? (sleeps[Math.floor(failure / every) - 1] ?? 0) : 0
        const steps = yield* seeded(
          seed,
          drive(Backoff.poll, { input: () => "down", took: () => took, slept: sleptAt, limit: 500 })
        )
        const last = steps.at(-1)
        expect(last?.delay).toBe("done")
        // The clock starts at the first failure after the last sleep: fifteen minutes awake.
        const woke = steps.findLast((_, at) => at > 0 && sleptAt(at) > 0) ?? steps[0]
        expect(last?.out).toMatchObject({ since: woke?.at })
        expect((last?.at ?? 0) - (woke?.at ?? 0)).toBeGreaterThanOrEqual(15 * 60_000)
      })
  )

  it.effect("starts anew for the next run", () =>
    Effect.gen(function* () {
      const one = yield* seeded(1, drive(Backoff.poll, { input: () => "down", limit: 8 }))
      const other = yield* seeded(1, drive(Backoff.poll, { input: () => "down", limit: 8 }))
      expect(delaysOf(other)).toEqual(delaysOf(one))
      expect(delaysOf(one)[0]).toBeLessThanOrEqual(2_000)
    })
  )
})

describe("append", () => {
  it.effect("is 0.5 s doubling to 8 s, ten attempts", () =>
    Effect.gen(function* () {
      const steps = yield* drive(Backoff.append, { input: () => ({}) })
      expect(steps.map(({ delay }) => delay)).toEqual([
        500,
        1000,
        2000,
        4000,
        8000,
        8000,
        8000,
        8000,
        8000,
        "done"
      ])
      expect(steps.at(-1)?.out).toBe(10)
    })
  )

  it.effect.prop(
    "waits as long as it is told where that is longer, not at all where something changed",
    {
      failures: FastCheck.array(
        FastCheck.record({
          retryAfterMillis: FastCheck.option(FastCheck.integer({ min: 0, max: 60_000 }), { nil: undefined }),
          immediately: FastCheck.boolean()
        }),
        { minLength: 9, maxLength: 9 }
      )
    },
    ({ failures }) =>
      Effect.gen(function* () {
        const steps = yield* drive(Backoff.append, { input: (n) => failures[n - 1] ?? {} })
        for (const [at, failure] of failures.entries()) {
          const expected = failure.immediately
            ? 0
            : Math.max(Math.min(500 * 2 ** at, 8_000), failure.retryAfterMillis ?? 0)
          expect(steps[at]?.delay).toBe(expected)
        }
        expect(steps).toHaveLength(10)
      })
  )
})

describe("stream", () => {
  it.effect.prop(
    "doubles to 30 s, starts anew after 30 s of a stable connection, and never ends",
    {
      seed,
      held: FastCheck.array(FastCheck.integer({ min: 0, max: 60_000 }), { minLength: 60, maxLength: 60 })
    },
    ({ held, seed }) =>
      Effect.gen(function* () {
        const steps = yield* seeded(
          seed,
          drive(Backoff.stream, { input: (n) => ({ heldMillis: held[n - 1] ?? 0 }), limit: held.length })
        )
        let failures = 0
        for (const [at, { delay }] of steps.entries()) {
          failures = (held[at] ?? 0) >= 30_000 ? 1 : failures + 1
          const base = Math.min(1_000 * 2 ** (failures - 1), 30_000)
          expect(delay).toBeLessThanOrEqual(base)
          expect(delay).toBeGreaterThanOrEqual(base * 0.8)
        }
        expect(steps).toHaveLength(held.length)
      })
  )
})

describe("uploads", () => {
  it.effect.prop(
    "doubles from 0.5 s to 30 s and honours Retry-After",
    { seed, wait: FastCheck.integer({ min: 0, max: 90_000 }) },
    ({ seed, wait }) =>
      Effect.gen(function* () {
        const steps = yield* seeded(
          seed,
          drive(Backoff.uploads, { input: () => ({ retryAfterMillis: wait }), limit: 40 })
        )
        for (const [at, { delay }] of steps.entries()) {
          const base = Math.min(500 * 2 ** at, 30_000)
          expect(delay).toBeLessThanOrEqual(Math.max(base, wait))
          expect(delay).toBeGreaterThanOrEqual(Math.max(base * 0.8, wait))
        }
        expect(steps).toHaveLength(40)
      })
  )
})
