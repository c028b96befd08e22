/**
 * Effect's metrics as Prometheus text, format version 0.0.4.
 *
 * Exact in what the format asks for: one HELP and TYPE a name before all its samples, escaped help and label values,
 * cumulative buckets that end in `+Inf`, names and labels of legal characters.
 */

import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as MetricKey from "effect/MetricKey"
import * as MetricKeyType from "effect/MetricKeyType"
import type * as MetricPair from "effect/MetricPair"
import * as MetricState from "effect/MetricState"
import * as Option from "effect/Option"

export const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

const legalName = (name: string): string => {
  const legal = name.replace(/[^A-Za-z0-9_:]/g, "_")
  return /^[0-9]/.test(legal) || legal.length === 0 ? `_${legal}` : legal
}
const legalLabel = (name: string): string => legalName(name).replaceAll(":", "_")

const escapeHelp = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")
const escapeValue = (text: string): string => escapeHelp(text).replaceAll('"', '\\"')

const number = (value: number | bigint): string =>
  value === Number.POSITIVE_INFINITY ? "+Inf" : value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value)

type Labels = ReadonlyArray<readonly [string, string]>

/** One number, as the format has it: a histogram is several, `<name>_bucket` and so on. */
export interface Sample {
  readonly name: string
  readonly labels: Labels
  readonly value: number | bigint
}

const sample = (name: string, labels: Labels, value: number | bigint): Sample => ({
  name,
  labels: labels.map(([key, text]) => [legalLabel(key), text] as const),
  value
})

const lineOf = ({ labels, name, value }: Sample): string => {
  const inside = labels.map(([key, text]) => `${key}="${escapeValue(text)}"`).join(",")
  return `${name}${inside.length === 0 ? "" : `{${inside}}`} ${number(value)}`
}

interface Family {
  readonly type: "counter" | "gauge" | "histogram" | "summary"
  readonly samples: ReadonlyArray<Sample>
}

const familyOf = (
  name: string,
  labels: Labels,
  key: MetricKey.MetricKey.Untyped,
  state: MetricState.MetricState.Untyped
): Family | undefined => {
  if (MetricState.isCounterState(state)) {
    const incremental = MetricKeyType.isCounterKey(key.keyType) && key.keyType.incremental
    return { type: incremental ? "counter" : "gauge", samples: [sample(name, labels, state.count)] }
  }
  if (MetricState.isGaugeState(state)) {
    return { type: "gauge", samples: [sample(name, labels, state.value)] }
  }
  if (MetricState.isFrequencyState(state)) {
    return {
      type: "counter",
      samples: [...state.occurrences].map(([value, count]) =>
        sample(name, [...labels, ["value", value]], count)
      )
    }
  }
  if (MetricState.isHistogramState(state)) {
    const buckets = state.buckets
      .filter(([boundary]) => Number.isFinite(boundary))
      .map(([boundary, count]) => sample(`${name}_bucket`, [...labels, ["le", number(boundary)]], count))
    return {
      type: "histogram",
      samples: [
        ...buckets,
        sample(`${name}_bucket`, [...labels, ["le", "+Inf"]], state.count),
        sample(`${name}_sum`, labels, state.sum),
        sample(`${name}_count`, labels, state.count)
      ]
    }
  }
  if (MetricState.isSummaryState(state)) {
    return {
      type: "summary",
      samples: [
        ...state.quantiles.map(([quantile, value]) =>
          sample(
            name,
            [...labels, ["quantile", String(quantile)]],
            Option.getOrElse(value, () => Number.NaN)
          )
        ),
        sample(`${name}_sum`, labels, state.sum),
        sample(`${name}_count`, labels, state.count)
      ]
    }
  }
  return undefined
}

const labelText = (pair: MetricPair.MetricPair.Untyped): string =>
  pair.metricKey.tags.map((tag) => `${tag.key}=${tag.value}`).join(",")

interface NamedFamily {
  readonly name: string
  readonly type: Family["type"]
  readonly help: string | undefined
  readonly samples: Array<Sample>
}

/** Sorted by name and labels. Where two kinds share a name, the first one keeps it. */
const familiesOf = (pairs: ReadonlyArray<MetricPair.MetricPair.Untyped>): ReadonlyArray<NamedFamily> => {
  const families = new Map<string, NamedFamily>()
  const sorted = [...pairs].sort((a, b) => (labelText(a) < labelText(b) ? -1 : 1))
  for (const { metricKey, metricState } of sorted) {
    const name = legalName(metricKey.name)
    const labels = metricKey.tags.map((tag) => [tag.key, tag.value] as const)
    const family = familyOf(name, labels, metricKey, metricState)
    if (family === undefined) continue
    const known = families.get(name)
    if (known === undefined) {
      const help = Option.getOrUndefined(metricKey.description)
      families.set(name, { name, type: family.type, help, samples: [...family.samples] })
    } else if (known.type === family.type) {
      known.samples.push(...family.samples)
    }
  }
  return [...families.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** The text of these metrics. */
export const encode = (pairs: ReadonlyArray<MetricPair.MetricPair.Untyped>): string =>
  familiesOf(pairs)
    .map(({ name, type, help, samples }) => {
      const head = help === undefined ? [] : [`# HELP ${name} ${escapeHelp(help)}`]
      return `${[...head, `# TYPE ${name} ${type}`, ...samples.map(lineOf)].join("\n")}\n`
    })
    .join("")

/** The samples of these metrics, in the order of the text. */
export const samples = (pairs: ReadonlyArray<MetricPair.MetricPair.Untyped>): ReadonlyArray<Sample> =>
  familiesOf(pairs).flatMap((family) => family.samples)

/** The text of the process's metrics now. */
export const snapshot: Effect.Effect<string> = Effect.map(Metric.snapshot, encode)
