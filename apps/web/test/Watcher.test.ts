import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import type { Frame } from "../src/Frame.ts"
import * as Watcher from "../src/Watcher.ts"

const TOTAL = 12

const eventText = (seq: number): string =>
  `event: client_event\nid: ${seq}\ndata: ${JSON.stringify({
    event_id: `u${seq}`,
    sequence_num: seq,
    event_type: "user",
    source: "client",
    created_at: "2026-01-01T00:00:00.000Z",
    payload: { type: "user", message: { content: `m${seq}` } }
  })}\n\n`

/** What a connection does: answers a status, sends so many events (from `back` before those asked for), then ends. */
interface Script {
  readonly status: number
  readonly send: number
  readonly back: number
  readonly end: "close" | "error" | "silence"
}

/** A hub that follows a script, one entry a connection, and then serves everything; and a clock that tests turn. */
const world = (scripts: ReadonlyArray<Script>) => {
  const asked: Array<number> = []
  const timers = new Set<{ readonly millis: number; readonly then: () => void }>()
  let connections = 0
  const encoder = new TextEncoder()
  const hub: Watcher.World = {
    random: () => 0,
    after: (millis, then) => {
      const timer = { millis, then }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    fetch: async (_url, { headers, signal }) => {
      const after = Number(headers["last-event-id"])
      asked.push(after)
      const script = scripts[connections++] ?? { status: 200, send: TOTAL, back: 0, end: "silence" as const }
      if (script.status === 0) throw new TypeError("refused")
      let next = Math.max(0, after - script.back) + 1
      let left = script.send
      return {
        status: script.status,
        body: {
          getReader: () => ({
            read: () => {
              if (left > 0 && next <= TOTAL) {
                left--
                return Promise.resolve({ done: false, value: encoder.encode(eventText(next++)) })
              }
              if (script.end === "close") return Promise.resolve({ done: true })
              if (script.end === "error") return Promise.reject(new TypeError("reset"))
              return new Promise((_resolve, reject) => {
                signal.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")))
              })
            },
            cancel: () => Promise.resolve()
          })
        }
      }
    }
  }
  /** Lets promises run, then fires the shortest timer. */
  const turn = async (): Promise<number | undefined> => {
    for (let i = 0; i < 100; i++) await Promise.resolve()
    const first = [...timers].sort((a, b) => a.millis - b.millis)[0]
    if (first === undefined) return undefined
    timers.delete(first)
    first.then()
    for (let i = 0; i < 100; i++) await Promise.resolve()
    return first.millis
  }
  return { hub, asked, turn, connections: () => connections }
}

const run = (scripts: ReadonlyArray<Script>) => {
  const at = world(scripts)
  const seqs: Array<number> = []
  const states: Array<Watcher.Connection> = []
  const watcher = Watcher.watch(at.hub, {
    url: "/stream",
    token: "t",
    from: 0,
    onFrames: (frames: ReadonlyArray<Frame>) => {
      for (const frame of frames) if (frame._tag === "Event") seqs.push(frame.event.seq)
    },
    onConnection: (state) => states.push(state)
  })
  return { ...at, seqs, states, watcher }
}

const script: FastCheck.Arbitrary<Script> = FastCheck.record({
  status: FastCheck.constantFrom(0, 200, 200, 200, 429, 500, 503),
  send: FastCheck.nat(5),
  back: FastCheck.nat(3),
  end: FastCheck.constantFrom("close", "error", "silence")
})

describe("Watcher", () => {
  it.effect.prop(
    "over any failures, every event comes once and in order, and each connection resumes after the last one",
    [FastCheck.array(script, { maxLength: 8 })],
    ([scripts]) =>
      Effect.promise(async () => {
        const { seqs, turn, watcher, asked, states, connections } = run(scripts)
        for (let i = 0; i < 40 && connections() <= scripts.length; i++) await turn()
        for (let i = 0; i < 100; i++) await Promise.resolve()
        expect(seqs).toEqual(Array.from({ length: TOTAL }, (_, i) => i + 1))
        expect(asked).toEqual([...asked].sort((a, b) => a - b))
        expect(states.at(-1)?._tag).toBe("connected")
        watcher.stop()
      })
  )

  it.effect("says that it reconnects while it waits, and calls a silent connection lost", () =>
    Effect.promise(async () => {
      const { turn, states, watcher } = run([{ status: 200, send: 1, back: 0, end: "silence" }])
      expect(await turn()).toBe(Watcher.SILENCE_MILLIS)
      expect(states.map((state) => state._tag)).toEqual(["connecting", "connected", "reconnecting"])
      expect(states.at(-1)).toMatchObject({ reason: "the hub fell silent", inMillis: 500 })
      expect(await turn()).toBe(500)
      expect(states.at(-1)?._tag).toBe("connected")
      watcher.stop()
    })
  )

  it.effect.each([
    [401, "unauthenticated"],
    [404, "not-found"]
  ] as const)("ends at %s", ([status, reason]) =>
    Effect.promise(async () => {
      const { turn, states } = run([{ status, send: 0, back: 0, end: "close" }])
      expect(await turn()).toBeUndefined()
      expect(states.at(-1)).toEqual({ _tag: "ended", reason })
    })
  )

  it.effect("hurries when asked, and stops when stopped", () =>
    Effect.promise(async () => {
      const { watcher, connections, seqs, turn } = run([
        { status: 0, send: 0, back: 0, end: "close" },
        { status: 200, send: 2, back: 0, end: "silence" }
      ])
      for (let i = 0; i < 100; i++) await Promise.resolve()
      expect(connections()).toBe(1)
      watcher.hurry()
      for (let i = 0; i < 200; i++) await Promise.resolve()
      expect(seqs).toEqual([1, 2])
      watcher.stop()
      await turn()
      await turn()
      expect(connections()).toBe(2)
    })
  )

  it.prop(
    "waits longer each time, up to a bound",
    [FastCheck.nat(100), FastCheck.double({ min: 0, max: 1, noNaN: true })],
    ([n, random]) => {
      const delay = Watcher.backoffMillis(n, random)
      expect(delay).toBeGreaterThanOrEqual(250)
      expect(delay).toBeLessThanOrEqual(15_000)
      expect(Watcher.backoffMillis(n + 1, random)).toBeGreaterThanOrEqual(delay)
    }
  )
})
