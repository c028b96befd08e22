/** What sessions cost, how they are, how the hub is, and which credentials expire. */
import * as Usage from "@causeway/transcript/Usage"
import { ChevronLeft } from "lucide-react"
import { useEffect, useState } from "react"
import * as Expiry from "../Expiry.ts"
import * as Figures from "../Figures.ts"
import * as Route from "../Route.ts"
import * as Text from "../Text.ts"
import { ALARM, WARN } from "./Context.tsx"
import { useTokens } from "./Expiring.tsx"
import { statusText } from "./Sidebar.tsx"
import { useModel, useModelState, useNow } from "./use.ts"

/** How often the hub is asked for its figures while they are looked at. */
const SAMPLE_MILLIS = 5000

const Bars = ({
  title,
  isKnown,
  rows,
  words
}: {
  readonly title: string
  readonly isKnown: boolean
  readonly rows: ReadonlyArray<{
    readonly id: string
    readonly name: string
    readonly value: number
    readonly max: number
    readonly kind: string
  }>
  readonly words: (value: number, max: number) => string
}) => (
  <section className="chart">
    <h2>{title}</h2>
    {rows.length === 0 ? (
      <p className="note">{isKnown ? "Nothing has been told yet." : "Not known while the hub is away."}</p>
    ) : null}
    <ul>
      {rows.map((row) => (
        <li key={row.id}>
          <a href={Route.toSession(row.id)}>
            <bdi>{Text.line(row.name, 60)}</bdi>
          </a>
          <span className="bar" aria-hidden="true">
            <span
              className={row.kind}
              style={{ width: `${Math.max(1, Math.min(100, (100 * row.value) / row.max))}%` }}
            />
          </span>
          <span className="value">{words(row.value, row.max)}</span>
        </li>
      ))}
    </ul>
  </section>
)

/** One figure over time. The picture says nothing that the words do not. */
const Line = ({ series }: { readonly series: Figures.Series }) => {
  const words = Figures.words(series)
  return (
    <figure className="spark">
      <figcaption>
        <b>{series.title}</b> <span className="note">{words}</span>
      </figcaption>
      <svg
        viewBox="0 0 240 56"
        preserveAspectRatio="none"
        role="img"
        aria-label={`${series.title}: ${words}`}
      >
        <polyline points={Figures.line(series.points, 240, 52)} transform="translate(0 2)" />
      </svg>
    </figure>
  )
}

const HubFigures = () => {
  const model = useModel()
  const { connection } = useModelState()
  const [samples, setSamples] = useState<ReadonlyArray<Figures.Sample>>([])
  const [problem, setProblem] = useState<string | null>(null)
  const isConnected = connection._tag === "connected"
  useEffect(() => {
    if (!isConnected) return
    let mounted = true
    const read = (): void => {
      if (document.visibilityState === "hidden") return
      void model.metrics().then((result) => {
        if (!mounted) return
        setProblem(result.ok ? null : result.message)
        if (!result.ok) return
        const sample = { at: Date.now(), metrics: result.value }
        setSamples((before) => Figures.add(before, sample))
      })
    }
    read()
    const timer = setInterval(read, SAMPLE_MILLIS)
    return () => {
      mounted = false
      clearInterval(timer)
    }
  }, [model, isConnected])
  const latest = samples.at(-1)
  return (
    <section className="chart">
      <h2>The hub, while this view is open</h2>
      {problem === null ? null : <p className="note bad">{problem}</p>}
      {latest === undefined && problem === null ? <p className="note">Reading…</p> : null}
      <div className="sparks">
        {Figures.series(samples).map((series) => (
          <Line key={series.name} series={series} />
        ))}
      </div>
      {latest === undefined ? null : (
        <details className="all">
          <summary>All figures</summary>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is scrolled by keyboard, too. */}
          {/* biome-ignore lint/a11y/useSemanticElements: the element that the rule names says something else. */}
          <div className="table" tabIndex={0} role="region" aria-label="All figures">
            <table>
              <thead>
                <tr>
                  <th scope="col">Name</th>
                  <th scope="col">Value</th>
                </tr>
              </thead>
              <tbody>
                {Figures.table(latest.metrics).map(({ name, labels, value }) => {
                  const whole = `${name}${Object.entries(labels)
                    .map(([label, text]) => ` ${label}=${text}`)
                    .join("")}`
                  return (
                    <tr key={whole}>
                      <td>{Text.line(whole, 160)}</td>
                      <td>{Figures.number(value)}</td>
                    </tr>
                  )
                })}
              </tbody>
            </table>
          </div>
        </details>
      )}
    </section>
  )
}

const Credentials = () => {
  const tokens = useTokens()
  const now = useNow(60_000)
  if (tokens === null) return null
  return (
    <section className="chart">
      <h2>Access tokens</h2>
      {tokens.length === 0 ? <p className="note">There are none.</p> : null}
      <ul className="tokens">
        {tokens.map((token) => {
          const left = token.expiresAt === null ? null : token.expiresAt - now
          const isNear = left !== null && left <= Expiry.WARN_MILLIS
          return (
            <li key={token.id}>
              <bdi>{Text.exactLine(token.name, 80)}</bdi>
              <span className={isNear ? "state warn" : "state"}>
                {left === null ? "does not expire" : Expiry.words(left)}
              </span>
              <span className="value">
                {token.lastUsedAt === null
                  ? "not used yet"
                  : `used ${Text.ago(token.lastUsedAt, now)}${now - token.lastUsedAt < 60_000 ? "" : " ago"}`}
              </span>
            </li>
          )
        })}
      </ul>
    </section>
  )
}

export const Metrics = () => {
  const { totals, environments, connection } = useModelState()
  useEffect(() => {
    document.title = "Cost and health · Causeway"
  }, [])
  const open = totals === null ? 0 : [...totals.open.values()].reduce((sum, count) => sum + count, 0)
  const isConnected = connection._tag === "connected"
  const tiles: ReadonlyArray<readonly [name: string, value: string | null]> = [
    ["Cost of all sessions", totals && Text.dollars(totals.costUsd)],
    ["Turns", totals?.turns.toLocaleString("en") ?? null],
    ["Sessions", totals && open.toLocaleString("en")],
    [
      "Machines online",
      isConnected ? `${environments.filter(({ online }) => online).length} of ${environments.length}` : null
    ],
    ...["requires_action", "running", "pending", "idle"].map(
      (status) =>
        [statusText(status, false), totals && (totals.open.get(status) ?? 0).toLocaleString("en")] as const
    )
  ]
  const byCost = (totals?.byCost ?? [])
    .flatMap(({ id, title, costUsd }) =>
      costUsd === null || costUsd === 0
        ? []
        : [{ id, name: title ?? "New session", value: costUsd, kind: "" }]
    )
    .slice(0, 12)
  const most = byCost[0]?.value ?? 1
  const byContext = (totals?.byContext ?? [])
    .flatMap(({ id, title, contextTokens, model }) => {
      if (contextTokens === null || contextTokens === 0) return []
      const max = Usage.contextLimit(model)
      const share = contextTokens / max
      const kind = share >= ALARM ? "bad" : share >= WARN ? "warn" : ""
      return [{ id, name: title ?? "New session", value: contextTokens, max, kind }]
    })
    .sort((a, b) => b.value / b.max - a.value / a.max)
    .slice(0, 12)
  return (
    <section className="page" aria-label="Cost and health">
      <header>
        <div className="line">
          <a className="icon back" href={Route.toList} aria-label="Sessions">
            <ChevronLeft size={20} aria-hidden="true" />
          </a>
          <h1 className="title">Cost and health</h1>
        </div>
      </header>
      <div className="scroll">
        <dl className="tiles">
          {tiles.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd title={value === null ? "Not known while the hub is away" : undefined}>{value ?? "–"}</dd>
            </div>
          ))}
        </dl>
        <Bars
          title="Cost by session"
          isKnown={totals !== null}
          rows={byCost.map((row) => ({ ...row, max: most }))}
          words={Text.dollars}
        />
        <Bars
          title="Context by session"
          isKnown={totals !== null}
          rows={byContext}
          words={(value, max) => `${Math.round((100 * value) / max)} % · ${Text.tokens(value)}`}
        />
        <Credentials />
        <HubFigures />
      </div>
    </section>
  )
}
