import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Window from "../../src/View/Window.ts"

const entry = (seq: number, size = 10): Window.Entry => ({
  seq,
  uuid: `u${seq}`,
  source: "worker",
  createdAt: seq,
  payload: {
    type: "assistant",
    json: { type: "assistant", message: { id: `m${seq}`, content: [{ type: "text", text: `text ${seq}` }] } }
  },
  size
})
const run = (after: number, upTo: number, size?: number) =>
  Array.from({ length: upTo - after }, (_, n) => entry(after + n + 1, size))
const seqs = (window: Window.Window) => window.entries.map((each) => each.seq)

/** What always holds: dense numbers after `after`, and the conversation that exactly these entries make. */
const check = (window: Window.Window) => {
  expect(seqs(window)).toEqual(window.entries.map((_, n) => window.after + n + 1))
  expect(window.conversation.items.map((item) => item.seq)).toEqual(seqs(window))
}

describe("Window", () => {
  it("lets go of what is old while its end is followed", () => {
    let window = Window.empty(0)
    for (let at = 0; at < 10_000; at += 100) window = Window.arrive(window, run(at, at + 100), false)
    check(window)
    expect(window.entries.length).toBeLessThanOrEqual(Window.EVENTS_MAX + Window.SLACK)
    expect(window.last).toBe(10_000)
    expect(window.atEnd).toBe(true)
  })

  it("is bounded by size as well as by number", () => {
    let window = Window.empty(0)
    for (let at = 0; at < 100; at++) window = Window.arrive(window, [entry(at + 1, 1_048_576)], false)
    check(window)
    expect(window.entries.length).toBeLessThanOrEqual(32)
    expect(Window.arrive(Window.empty(0), [entry(1, Window.SIZE_MAX * 5)], false).entries).toHaveLength(1)
  })

  it("keeps what is being read, and lets go of the end instead", () => {
    const full = Window.arrive(Window.empty(0), run(0, 2400), true)
    const after = Window.arrive(full, run(2400, 2600), true)
    expect(seqs(after)).toEqual(seqs(full))
    expect(after.atEnd).toBe(false)
    expect(Window.arrive(after, run(2600, 2700), false)).toBe(after)
  })

  it("takes pages on both sides until it holds the end again", () => {
    const start = Window.arrive(Window.empty(5000), run(5000, 5500), false)
    let window = start
    for (let after = 4500; after >= 2000; after -= 500)
      window = Window.prepend(window, after, run(after, after + 500))
    check(window)
    expect(window.after).toBe(2000)
    expect(window.atEnd).toBe(false)
    while (!window.atEnd) {
      const last = window.last
      window = Window.append(window, run(last, Math.min(5600, last + 500)), 5600)
      check(window)
    }
    expect(window.last).toBe(5600)
  })

  it("takes nothing twice and no page that does not fit", () => {
    const window = Window.arrive(Window.empty(10), run(10, 20), false)
    expect(Window.arrive(window, run(15, 20), false)).toBe(window)
    expect(Window.prepend(window, 10, run(10, 20))).toBe(window)
    check(Window.prepend(window, 5, run(5, 12)))
  })

  const step = FastCheck.oneof(
    FastCheck.record({
      _tag: FastCheck.constant("arrive" as const),
      count: FastCheck.nat(900),
      keep: FastCheck.boolean()
    }),
    FastCheck.record({ _tag: FastCheck.constantFrom("older" as const, "newer" as const, "end" as const) })
  )
  it.prop(
    "is a part of the log without a gap, whatever comes in whatever order",
    { start: FastCheck.nat(3000), steps: FastCheck.array(step, { maxLength: 12 }) },
    ({ start, steps }) => {
      let window = Window.empty(start)
      let last = start
      for (const each of steps) {
        if (each._tag === "arrive") {
          window = Window.arrive(window, run(last, last + each.count), each.keep)
          last += each.count
        } else if (each._tag === "older") {
          const after = Math.max(0, window.after - Window.PAGE)
          window = Window.prepend(window, after, run(after, window.after))
        } else if (each._tag === "newer") {
          const from = window.last
          window = Window.append(window, run(from, Math.min(last, from + Window.PAGE)), last)
        } else {
          const after = Math.max(0, last - Window.PAGE)
          window = Window.replace(after, run(after, last), last)
        }
        check(window)
        expect(window.entries.length).toBeLessThanOrEqual(Window.EVENTS_MAX + Window.SLACK + 900)
        if (window.atEnd) expect(window.last).toBe(last)
      }
    },
    { fastCheck: { numRuns: 25 } }
  )
})
