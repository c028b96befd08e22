/** What sessions cost and how they are. */
import * as Usage from "@causeway/transcript/Usage"
import { ChevronLeft } from "lucide-react"
import { useEffect } from "react"
import * as Route from "../Route.ts"
import * as Text from "../Text.ts"
import { ALARM, WARN } from "./Session.tsx"
import { statusText } from "./Sidebar.tsx"
import { useModelState } from "./use.ts"

const Bars = ({
  title,
  rows,
  words
}: {
  readonly title: string
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
    <h3>{title}</h3>
    {rows.length === 0 ? <p className="note">Nothing has been told yet.</p> : null}
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

export const Metrics = () => {
  const { sessions, environments } = useModelState()
  useEffect(() => {
    document.title = "Cost and health · Causeway"
  }, [])
  const active = sessions.filter((session) => !session.archived)
  const total = sessions.reduce((sum, session) => sum + (session.costUsd ?? 0), 0)
  const turns = sessions.reduce((sum, session) => sum + session.turns, 0)
  const tiles = [
    ["Cost of all sessions", `$${total.toFixed(2)}`],
    ["Turns", turns.toLocaleString()],
    ["Sessions", active.length.toLocaleString()],
    ["Machines online", `${environments.filter(({ online }) => online).length} of ${environments.length}`],
    ...["requires_action", "running", "pending", "idle"].map((status) => [
      statusText(status, false),
      String(active.filter((session) => session.status === status).length)
    ])
  ]
  const byCost = sessions
    .flatMap(({ id, title, costUsd }) =>
      costUsd === null || costUsd === 0
        ? []
        : [{ id, name: title ?? "New session", value: costUsd, kind: "" }]
    )
    .sort((a, b) => b.value - a.value)
    .slice(0, 12)
  const most = byCost[0]?.value ?? 1
  const byContext = active
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
          <h2>Cost and health</h2>
        </div>
      </header>
      <div className="scroll">
        <dl className="tiles">
          {tiles.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
        <Bars
          title="Cost by session"
          rows={byCost.map((row) => ({ ...row, max: most }))}
          words={(value) => `$${value.toFixed(2)}`}
        />
        <Bars
          title="Context by session"
          rows={byContext}
          words={(value, max) => `${Math.round((100 * value) / max)} % · ${Text.tokens(value)}`}
        />
      </div>
    </section>
  )
}
