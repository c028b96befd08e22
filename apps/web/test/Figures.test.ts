import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Figures from "../src/Figures.ts"

const sample = (at: number, stored: number, polls: number): Figures.Sample => ({
  at,
  metrics: [
    { name: "store_log_events_total", labels: {}, value: stored },
    { name: "hub_work_polls_open", labels: { kind: "a" }, value: polls },
    { name: "hub_work_polls_open", labels: { kind: "b" }, value: 1 }
  ]
})

describe("Figures", () => {
  it("draws counters as their growth a second, also over a restart of the hub, and gauges as they are", () => {
    const samples = [sample(0, 100, 1), sample(5000, 150, 2), sample(10_000, 20, 3)]
    const drawn = Figures.series(samples)
    expect(drawn.map(({ name, points }) => [name, points])).toEqual([
      ["store_log_events_total", [10, 4]],
      ["hub_work_polls_open", [2, 3, 4]]
    ])
  })

  it("says in words what the line shows", () => {
    const series = { name: "a", title: "A", unit: "a second", points: [1, 12.345, 4] }
    expect(Figures.words(series)).toBe("now 4 a second, lowest 1 a second, highest 12.3 a second")
  })

  it("keeps so many samples", () => {
    let samples: ReadonlyArray<Figures.Sample> = []
    for (let n = 0; n < 300; n++) samples = Figures.add(samples, sample(n, n, 0))
    expect(samples).toHaveLength(Figures.KEPT)
    expect(samples.at(-1)?.at).toBe(299)
  })

  it.prop(
    "lines stay in their box",
    [FastCheck.array(FastCheck.double({ min: 0, max: 1e12, noNaN: true }), { minLength: 1, maxLength: 50 })],
    ([points]) => {
      for (const point of Figures.line(points, 240, 52).split(" ")) {
        const [x = Number.NaN, y = Number.NaN] = point.split(",").map(Number)
        expect(x).toBeGreaterThanOrEqual(0)
        expect(x).toBeLessThanOrEqual(240)
        expect(y).toBeGreaterThanOrEqual(0)
        expect(y).toBeLessThanOrEqual(52)
      }
    }
  )
})
