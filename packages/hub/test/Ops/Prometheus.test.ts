import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import type * as MetricPair from "effect/MetricPair"
import * as Prometheus from "../../src/Ops/Prometheus.ts"

/** The metrics of the process whose name begins with this. */
const taken = (prefix: string) =>
  Effect.map(Metric.snapshot, (pairs) =>
    pairs.filter((pair: MetricPair.MetricPair.Untyped) => pair.metricKey.name.startsWith(prefix))
  )

describe("encode", () => {
  it.effect("writes each kind as the format has it", () =>
    Effect.gen(function* () {
      yield* Metric.incrementBy(
        Metric.counter("kinds_a_total", { description: "A\\B\nC", incremental: true }).pipe(
          Metric.tagged("route", 'p"o\\ll\n')
        ),
        3
      )
      yield* Metric.incrementBy(
        Metric.counter("kinds_a_total", { description: "A\\B\nC", incremental: true }),
        1
      )
      yield* Metric.set(Metric.gauge("kinds_b", { bigint: true }), 12345678901234567890n)
      const histogram = Metric.histogram("kinds_c.seconds", MetricBoundaries.fromIterable([0.1, 1]))
      for (const value of [0.05, 0.5, 0.5, 7]) yield* Metric.update(histogram, value)
      yield* Metric.update(Metric.frequency("kinds_d"), "yes")
      const pairs = yield* taken("kinds_")
      expect(Prometheus.encode(pairs).split("\n")).toEqual([
        "# HELP kinds_a_total A\\\\B\\nC",
        "# TYPE kinds_a_total counter",
        ...[1, 3].map((value) =>
          value === 1 ? "kinds_a_total 1" : 'kinds_a_total{route="p\\"o\\\\ll\\n"} 3'
        ),
        "# TYPE kinds_b gauge",
        "kinds_b 12345678901234567890",
        "# TYPE kinds_c_seconds histogram",
        'kinds_c_seconds_bucket{le="0.1"} 1',
        'kinds_c_seconds_bucket{le="1"} 3',
        'kinds_c_seconds_bucket{le="+Inf"} 4',
        "kinds_c_seconds_sum 8.05",
        "kinds_c_seconds_count 4",
        "# TYPE kinds_d counter",
        'kinds_d{value="yes"} 1',
        ""
      ])
    })
  )

  it.effect.prop(
    "every line is a comment or a sample, whatever names and labels are",
    [FastCheck.string({ minLength: 1, unit: "binary" }), FastCheck.string({ unit: "binary" })],
    ([key, value]) =>
      Effect.gen(function* () {
        yield* Metric.update(Metric.counter(`any_${key}`).pipe(Metric.tagged(key, value)), 1)
        for (const line of Prometheus.encode(yield* taken("any_")).split("\n")) {
          expect(line).toMatch(
            /^$|^# (HELP|TYPE) [a-zA-Z_:][\w:]* .*$|^[a-zA-Z_:][\w:]*\{[a-zA-Z_]\w*="([^"\\\n]|\\["\\n])*"\} \d+$/u
          )
        }
      }),
    { fastCheck: { numRuns: 50 } }
  )
})
