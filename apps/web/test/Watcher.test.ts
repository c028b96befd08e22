import type { Frame } from "@causeway/transcript/View/Frame"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Gateway from "../src/Gateway.ts"
import * as Watcher from "../src/Watcher.ts"
import * as Wire from "./Wire.ts"

const TOTAL = 12

const eventOf = (seq: number): Wire.Json => ({
  event: "client_event",
  data: {
    event_id: `u${seq}`,
    sequence_num: seq,
    event_type: "user",
    source: "client",
    created_at: "2026-01-01T00:00:00.000Z",
    payload: { type: "user", message: { content: `m${seq}` } }
  }
})

/** What one connection does: greets or not, answers a watch or not, sends some events, then ends. */
interface Script {
  readonly greet: "good" | "refuse" | "mute"
  readonly watch: "good" | "unavailable" | "mute"
  readonly send: number
  /** Events before those asked for, which come again. */
  readonly back: number
  /** Whether frames come before the answer to the watch. */
  readonly early: boolean
  /** Frames of another watch, which are nobody's here. */
  readonly foreign: boolean
  readonly end: "close" | "silence" | "failed" | "stay"
}
const serves: Script = {
  greet: "good",
  watch: "good",
  send: TOTAL,
  back: 0,
  early: false,
  foreign: false,
  end: "stay"
}

const run = (scripts: ReadonlyArray<Partial<Script>>, how: { readonly notFound?: boolean } = {}) => {
  const positions: Array<number> = []
  let watches = 0
  let used = 0
  const script = (n: number): Script => ({ ...serves, ...scripts[n] })
  const at = Wire.world({
    open: (line, n) => {
      if (script(n).greet === "refuse") line.close()
      else if (script(n).greet === "good") line.tell(Wire.challenge)
    },
    request: (line, request, n) => {
      const { method } = request
      if (method === "connect") line.answer(request, Wire.hello())
      else if (method === "health") {
        if (script(n).end !== "silence") line.answer(request, {})
      } else if (method === "causeway.sessions.watch") {
        // A connection that is asked again after a failure has done its part of the script.
        const now = n < used ? serves : script(n)
        used = n + 1
        const { afterSeq, untilSeq } = Wire.params(request)
        const after = Number(afterSeq)
        positions.push(after)
        if (how.notFound === true) line.refuse(request, { code: "SESSION_NOT_FOUND", message: "no" })
        else if (now.watch === "unavailable") line.refuse(request, { code: "UNAVAILABLE", message: "busy" })
        else if (now.watch === "good") {
          const watch = `w${++watches}`
          const last = Math.min(Number(untilSeq ?? TOTAL), TOTAL)
          const first = Math.max(0, after - now.back) + 1
          const frames: Array<Wire.Json> = []
          for (let seq = first; seq <= last && frames.length < now.send; seq++) frames.push(eventOf(seq))
          const tell = (): void => {
            if (now.foreign) {
              const payload = { watch: "other", frames: [eventOf(TOTAL)] }
              line.tell({ type: "event", event: "session.frames", payload })
            }
            // In two portions.
            for (const portion of [frames.slice(0, 2), frames.slice(2)]) {
              line.tell({ type: "event", event: "session.frames", payload: { watch, frames: portion } })
            }
          }
          if (now.early) tell()
          line.answer(request, { watch, lastSeq: TOTAL })
          if (!now.early) tell()
          const reason = untilSeq === undefined ? now.end : "until"
          if (reason === "failed" || reason === "until") {
            line.tell({
              type: "event",
              event: "session.watch.ended",
              payload: { watch, reason, message: "disk" }
            })
          } else if (reason === "close") line.close()
        } else if (now.end === "close") line.close()
      }
    }
  })
  at.credentials.keep({ deviceToken: "kept", scopes: [] })
  const gateway = Gateway.open(at.gateway, {
    credentials: at.credentials,
    ticket: null,
    displayName: "Test"
  })
  const seqs: Array<number> = []
  const states: Array<Watcher.Connection> = []
  const watcher = Watcher.watch(at.gateway, gateway, {
    session: "session_1",
    from: 0,
    onFrames: (frames: ReadonlyArray<Frame>) => {
      for (const frame of frames) if (frame._tag === "Event") seqs.push(frame.event.seq)
    },
    onConnection: (state) => states.push(state)
  })
  return { ...at, open: gateway, watcher, positions, seqs, states }
}

const all = Array.from({ length: TOTAL }, (_, i) => i + 1)

const scripts = FastCheck.array(
  FastCheck.record<Script>({
    greet: FastCheck.constantFrom("good", "good", "good", "refuse", "mute"),
    watch: FastCheck.constantFrom("good", "good", "good", "unavailable", "mute"),
    send: FastCheck.nat(5),
    back: FastCheck.nat(3),
    early: FastCheck.boolean(),
    foreign: FastCheck.boolean(),
    end: FastCheck.constantFrom("close", "silence", "failed")
  }),
  { maxLength: 8 }
)

describe("Watcher", () => {
  it.effect.prop(
    "over any failures, every event comes once and in order, and each connection resumes after the last one",
    [scripts],
    ([failing]) =>
      Effect.promise(async () => {
        const at = run(failing)
        // Each entry costs at most the wait for an answer, for silence and for the next attempt.
        await at.pass((failing.length + 1) * 120_000)
        expect(at.seqs).toEqual(all)
        expect(at.positions).toEqual([...at.positions].sort((a, b) => a - b))
        expect(at.states.at(-1)?._tag).toBe("connected")
        at.watcher.stop()
        at.open.stop()
        expect(at.size()).toBe(0)
      })
  )

  it.effect("says that it reconnects while the connection is away", () =>
    Effect.promise(async () => {
      const at = run([{ send: 1, end: "close" }])
      await Wire.settle()
      expect(at.states.map(({ _tag }) => _tag)).toEqual([
        "connecting",
        "connecting",
        "connected",
        "reconnecting"
      ])
      await at.pass(500)
      expect(at.states.at(-1)?._tag).toBe("connected")
      expect(at.seqs).toEqual(all)
    })
  )

  it.effect("tries a watch again that the hub has ended, over the same connection", () =>
    Effect.promise(async () => {
      const at = run([{ send: 3, end: "failed" }])
      await Wire.settle()
      expect(at.states.at(-1)).toEqual({ _tag: "reconnecting", reason: "disk", inMillis: 500 })
      await at.pass(500)
      expect(at.seqs).toEqual(all)
      expect(at.positions).toEqual([0, 3])
      expect(at.lines.length).toBe(1)
    })
  )

  it.effect("ends where there is no such session", () =>
    Effect.promise(async () => {
      const at = run([], { notFound: true })
      await at.pass(60_000)
      expect(at.states.at(-1)).toEqual({ _tag: "ended", reason: "not-found" })
      expect(at.positions).toEqual([0])
    })
  )

  it.effect("tells the hub when it is stopped, and hears nothing more", () =>
    Effect.promise(async () => {
      const at = run([{ send: 2 }])
      await Wire.settle()
      at.watcher.stop()
      expect(Wire.params(at.asked("causeway.sessions.unwatch")[0])).toEqual({ watch: "w1" })
      const payload = { watch: "w1", frames: [eventOf(3)] }
      at.lines[0]?.tell({ type: "event", event: "session.frames", payload })
      expect(at.seqs).toEqual([1, 2])
    })
  )

  it.effect("reads a part of a log, and no more", () =>
    Effect.promise(async () => {
      const at = run([])
      await Wire.settle()
      const part = await Watcher.read(at.gateway, at.open, "session_1", 3, 7)
      const seqs = part.ok ? part.value.map((frame) => (frame._tag === "Event" ? frame.event.seq : 0)) : []
      expect(seqs).toEqual([4, 5, 6, 7])
      at.lines[0]?.close()
      expect(await Watcher.read(at.gateway, at.open, "session_1", 3, 7)).toMatchObject({
        ok: false,
        code: "UNREACHABLE"
      })
    })
  )
})
