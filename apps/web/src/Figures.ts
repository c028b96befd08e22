/** Figures of the hub over time: samples of its counters and gauges, as series to draw. */
import type { Metric } from "@causeway/protocol/Gateway/Answers"

export interface Sample {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly metrics: ReadonlyArray<Metric>
}

/** Samples that are kept. */
export const KEPT = 120

export const add = (samples: ReadonlyArray<Sample>, sample: Sample): ReadonlyArray<Sample> => [
  ...samples.slice(1 - KEPT),
  sample
]

/** The sum of a metric over its labels; null where it is not told. */
export const valueOf = (metrics: ReadonlyArray<Metric>, name: string): number | null => {
  const found = metrics.filter((metric) => metric.name === name)
  return found.length === 0 ? null : found.reduce((sum, { value }) => sum + value, 0)
}

export interface Series {
  readonly name: string
  readonly title: string
  readonly unit: string
  readonly points: ReadonlyArray<number>
}

/** Names of what is drawn; a counter is drawn as its growth a second. */
const drawn: ReadonlyArray<readonly [name: string, title: string, unit: string]> = [
  ["store_log_events_total", "Events stored", "a second"],
  ["store_log_refused_total", "Appends refused", "a second"],
  ["store_log_commits_failed_total", "Commits that failed", "a second"],
  ["hub_work_polls_open", "Machines that wait for work", ""],
  ["hub_work_offers_total", "Work given out", "a second"],
  ["hub_push_messages_total", "Pushes to browsers", "a second"],
  ["effect_fiber_active", "Tasks of the hub", ""]
]

const pointsOf = (name: string, samples: ReadonlyArray<Sample>): ReadonlyArray<number> => {
  const values = samples.flatMap(({ at, metrics }) => {
    const value = valueOf(metrics, name)
    return value === null ? [] : [{ at, value }]
  })
  if (!name.endsWith("_total")) return values.map(({ value }) => value)
  return values.slice(1).map(({ at, value }, n) => {
    const before = values[n]
    if (before === undefined || at <= before.at) return 0
    // A counter that is lower than before began anew with the hub.
    const grown = value >= before.value ? value - before.value : value
    return (grown / (at - before.at)) * 1000
  })
}

/** Series of what the hub tells, in a fixed order. */
export const series = (samples: ReadonlyArray<Sample>): ReadonlyArray<Series> =>
  drawn.flatMap(([name, title, unit]) => {
    const points = pointsOf(name, samples)
    return points.length === 0 ? [] : [{ name, title, unit, points }]
  })

/** A number for people. */
export const number = (value: number): string =>
  value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 2 : value < 100 ? 1 : 0 })

/** A series in words: what the picture shows. */
export const words = ({ points, unit }: Series): string => {
  const last = points.at(-1) ?? 0
  const told = (value: number) => `${number(value)}${unit === "" ? "" : ` ${unit}`}`
  return `now ${told(last)}, lowest ${told(Math.min(...points))}, highest ${told(Math.max(...points))}`
}

/** The points of an SVG line through `points`, in a box of `width` by `height`; the bottom is 0. */
export const line = (points: ReadonlyArray<number>, width: number, height: number): string => {
  const top = Math.max(...points, Number.MIN_VALUE)
  const step = width / Math.max(1, points.length - 1)
  return (points.length === 1 ? [points[0] ?? 0, points[0] ?? 0] : points)
    .map((value, n) => {
      const x = points.length === 1 ? n * width : n * step
      return `${x.toFixed(1)},${(height - (Math.max(0, value) / top) * height).toFixed(1)}`
    })
    .join(" ")
}

/** What is worth a table: no buckets, and no internals of the runtime. */
export const table = (metrics: ReadonlyArray<Metric>): ReadonlyArray<Metric> =>
  metrics.filter(({ name }) => !name.endsWith("_bucket") && !name.startsWith("effect_fiber_lifetimes"))
