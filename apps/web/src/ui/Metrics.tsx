/** What sessions cost, how they are, how the hub is, and which credentials expire. */
import type { Session } from "@causeway/protocol/http/Sessions"
import * as Usage from "@causeway/transcript/Usage"
import { useCallback, useState } from "react"
import * as Expiry from "../Expiry.ts"
import * as Figures from "../Figures.ts"
import * as Route from "../Route.ts"
import * as Text from "../Text.ts"
import { kinds } from "./Context.tsx"
import { useTokens } from "./Expiring.tsx"
import { Page } from "./Page.tsx"
import { statusText } from "./status.ts"
import { useModel, useModelState, useNow, useRead, useTitle } from "./use.ts"

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
  const { hub } = useModel()
  const isConnected = useModelState().connection._tag === "connected"
  const [samples, setSamples] = useState<ReadonlyArray<Figures.Sample>>([])
  const read = useCallback(async () => {
    if (document.visibilityState === "hidden") return null
    const result = await hub.metrics()
    const sample = result.ok ? { at: Date.now(), metrics: result.value } : undefined
    if (sample !== undefined) setSamples((before) => Figures.add(before, sample))
    return { problem: result.ok ? null : result.message }
  }, [hub])
  const problem = useRead(isConnected ? read : null, SAMPLE_MILLIS)?.problem ?? null
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
          const left = token.expiresAtMs === null ? null : token.expiresAtMs - now
          const isNear = left !== null && left <= Expiry.WARN_MILLIS
          return (
            <li key={token.id}>
              <bdi>{Text.line(token.name, 80)}</bdi>
              <span className={isNear ? "state warn" : "state"}>
                {left === null ? "does not expire" : Expiry.words(left)}
              </span>
              <span className="value">
                {token.lastUsedAtMs === null ? "not used yet" : `used ${Text.since(token.lastUsedAtMs, now)}`}
              </span>
            </li>
          )
        })}
      </ul>
    </section>
  )
}

/** Sessions that are drawn, the first ones. */
const DRAWN = 12

const rowsOf = <A,>(
  sessions: ReadonlyArray<Session>,
  read: (session: Session) => A | null
): ReadonlyArray<A & { readonly id: string; readonly name: string }> =>
  sessions.flatMap((session) => {
    const found = read(session)
    return found === null ? [] : [{ ...found, id: session.id, name: session.title ?? "New session" }]
  })

export const Metrics = () => {
  const { totals, environments, connection } = useModelState()
  useTitle("Cost and health")
  const count = (value: number | undefined): string | null => value?.toLocaleString("en") ?? null
  const online = environments.filter(({ online }) => online).length
  const tiles: ReadonlyArray<readonly [name: string, value: string | null]> = [
    ["Cost of all sessions", totals && Text.dollars(totals.costUsd)],
    ["Turns", count(totals?.turns)],
    [
      "Sessions",
      count(totals === null ? undefined : Object.values(totals.open).reduce((sum, n) => sum + n, 0))
    ],
    ["Machines online", connection._tag === "connected" ? `${online} of ${environments.length}` : null],
    ...["requires_action", "running", "pending", "idle"].map(
      (status) =>
        [statusText(status, false), count(totals === null ? undefined : (totals.open[status] ?? 0))] as const
    )
  ]
  const byCost = rowsOf(totals?.byCost ?? [], ({ total_cost_usd: value }) =>
    value ? { value, kind: "" } : null
  ).slice(0, DRAWN)
  const byContext = rowsOf(totals?.byContext ?? [], ({ model = null, usage }) => {
    const used = Usage.read(usage)
    const value = used === null ? 0 : Usage.contextTokens(used)
    return value === 0
      ? null
      : {
          value,
          max: Usage.contextLimit(model),
          kind: kinds[Usage.filling(value, model).level]
        }
  })
    .toSorted((a, b) => b.value / b.max - a.value / a.max)
    .slice(0, DRAWN)
  return (
    <Page name="Cost and health">
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
          rows={byCost.map((row) => ({ ...row, max: byCost[0]?.value ?? 1 }))}
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
    </Page>
  )
}
