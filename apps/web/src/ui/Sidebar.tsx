// biome-ignore-all lint/suspicious/noArrayIndexKey: parts of one text or call never move.
/** The list of sessions: by machine, what needs somebody first. */
import {
  Archive,
  ChartColumn,
  LogOut,
  MonitorSmartphone,
  Pin,
  Plus,
  Search,
  ShieldQuestion,
  WifiOff
} from "lucide-react"
import { type ReactNode, useEffect, useMemo, useState } from "react"
import type * as Hub from "../Hub.ts"
import * as Model from "../Model.ts"
import * as Route from "../Route.ts"
import * as Text from "../Text.ts"
import { Away } from "./Away.tsx"
import { Expiring } from "./Expiring.tsx"
import { NewSession } from "./NewSession.tsx"
import { Unkept } from "./Unkept.tsx"
import { useModel, useModelState, useNow } from "./use.ts"

const statusWords: ReadonlyMap<string, string> = new Map([
  ["pending", "waiting for a host"],
  ["idle", "ready"],
  ["running", "working"],
  ["requires_action", "needs you"]
])
/** What a session is doing, in words; one that has a host and has not been written to has nothing to wait for. */
export const statusText = (status: string, archived: boolean, hosted = false): string =>
  archived ? "archived" : status === "pending" && hosted ? "ready" : (statusWords.get(status) ?? status)

const urgency: ReadonlyMap<string, number> = new Map([
  ["requires_action", 0],
  ["running", 1],
  ["pending", 2]
])

const Row = ({
  session,
  current,
  pinned,
  now
}: {
  readonly session: Hub.Session
  readonly current: boolean
  readonly pinned: boolean
  readonly now: number
}) => {
  const status = session.archived ? "archived" : session.status
  return (
    <li>
      <a
        href={Route.toSession(session.id)}
        className={current ? "entry current" : "entry"}
        aria-current={current ? "page" : undefined}
      >
        <span className={`dot ${status}`} aria-hidden="true" />
        <span className="title">
          {pinned ? <Pin size={12} aria-label="Pinned" /> : null}
          <bdi>{Text.line(session.title ?? "New session", 120)}</bdi>
        </span>
        <time dateTime={session.updatedAt}>{Text.ago(Date.parse(session.updatedAt), now)}</time>
        <span className="last">
          <span className={`status ${status}`}>
            {statusText(session.status, session.archived, session.connected)}
          </span>
          <bdi>{session.lastMessage === null ? "" : Text.line(session.lastMessage, 120)}</bdi>
        </span>
      </a>
    </li>
  )
}

/** The words that were found, between two marks of the private area. */
const Excerpt = ({ text }: { readonly text: string }): ReactNode => (
  <>
    {text
      .split(/(\ue000[^\ue001]*\ue001)/u)
      .map((part, n) =>
        part.startsWith("\ue000") ? (
          <mark key={n}>{Text.line(part.slice(1, -1), 200)}</mark>
        ) : (
          Text.clean(part)
        )
      )}
  </>
)

export const Sidebar = () => {
  const model = useModel()
  const state = useModelState()
  const now = useNow(30_000)
  const [query, setQuery] = useState("")
  const [beginning, setBeginning] = useState(false)
  const { archived } = state
  const openId = state.open?.id ?? null
  /** Null while it is not known. */
  const waiting = state.waiting === null ? null : Model.waitingCount(state.waiting)
  const asking = state.devices?.requests.length ?? 0

  useEffect(() => {
    const timer = setTimeout(() => void model.search(query.trim(), archived), query.trim() === "" ? 0 : 250)
    return () => clearTimeout(timer)
  }, [query, model, archived])

  const groups = useMemo(() => {
    const words = query.trim().toLowerCase()
    const wanted = state.sessions.filter(
      (session) =>
        session.archived === archived &&
        (words === "" ||
          (session.title ?? "").toLowerCase().includes(words) ||
          (session.lastMessage ?? "").toLowerCase().includes(words))
    )
    const order = (a: Hub.Session, b: Hub.Session): number =>
      (urgency.get(a.status) ?? 3) - (urgency.get(b.status) ?? 3) || b.updatedAt.localeCompare(a.updatedAt)
    const pinned = wanted.filter((session) => state.pinned.has(session.id)).sort(order)
    const byPlace = new Map<string | null, Array<Hub.Session>>()
    if (!archived && words === "") for (const { id } of state.environments) byPlace.set(id, [])
    for (const session of wanted) {
      if (state.pinned.has(session.id)) continue
      const list = byPlace.get(session.environmentId)
      if (list === undefined) byPlace.set(session.environmentId, [session])
      else list.push(session)
    }
    const places = [...byPlace].map(([id, sessions]) => ({
      environment: state.environments.find((environment) => environment.id === id),
      sessions: sessions.sort(order)
    }))
    places.sort(
      (a, b) =>
        Number(b.environment?.online ?? false) - Number(a.environment?.online ?? false) ||
        b.sessions.length - a.sessions.length ||
        (a.environment?.name ?? "~").localeCompare(b.environment?.name ?? "~")
    )
    return { pinned, places }
  }, [state.sessions, state.environments, state.pinned, archived, query])
  const row = (session: Hub.Session) => (
    <Row
      key={session.id}
      session={session}
      current={session.id === openId}
      pinned={state.pinned.has(session.id)}
      now={now}
    />
  )
  const titles = new Map(state.sessions.map((session) => [session.id, session.title]))

  return (
    <nav className="sidebar" aria-label="Sessions">
      <div className="brand">
        <svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
          <path d="M2 22h28M5 22c0-8 5-12 11-12s11 4 11 12M11 22v-8M16 22V10M21 22v-8" />
        </svg>
        {(state.route._tag === "List" && state.open === null) || state.route._tag === "Devices" ? (
          <h1>Causeway</h1>
        ) : (
          <p className="name">Causeway</p>
        )}
        <span className="grow" />
        <a
          className={state.route._tag === "Metrics" ? "icon current" : "icon"}
          href={Route.toMetrics}
          aria-label="Cost and health"
          title="Cost and health"
        >
          <ChartColumn size={17} aria-hidden="true" />
        </a>
        <a
          className={state.route._tag === "Devices" ? "icon current" : "icon"}
          href={Route.toDevices}
          aria-label={asking === 0 ? "Devices" : `Devices: ${asking} waiting for approval`}
          title="Devices and notifications"
        >
          <MonitorSmartphone size={17} aria-hidden="true" />
          {asking === 0 ? null : <span className="count">{asking}</span>}
        </a>
        <button
          type="button"
          className={archived ? "icon current" : "icon"}
          aria-pressed={archived}
          aria-label="Archived sessions"
          title="Archived sessions"
          onClick={() => model.showArchived(!archived)}
        >
          <Archive size={17} aria-hidden="true" />
        </button>
        <button
          type="button"
          className="icon"
          aria-label="Sign out"
          title="Sign out"
          onClick={() => model.signOut()}
        >
          <LogOut size={17} aria-hidden="true" />
        </button>
      </div>
      <div className="new">
        <button type="button" className="primary" onClick={() => setBeginning(true)}>
          <Plus size={16} aria-hidden="true" />
          New session
        </button>
      </div>
      {beginning ? <NewSession close={() => setBeginning(false)} /> : null}
      <label className="search">
        <Search size={15} aria-hidden="true" />
        <span className="hidden">Search sessions</span>
        <input
          type="search"
          placeholder="Search"
          value={query}
          onChange={(event) => setQuery(event.target.value)}
        />
      </label>
      <a
        className={`inbox${state.route._tag === "Approvals" ? " current" : ""}${(waiting ?? 0) > 0 ? " warn" : ""}`}
        href={Route.toApprovals}
      >
        <ShieldQuestion size={16} aria-hidden="true" />
        <span>Approvals</span>
        <span className="badge" title={waiting === null ? "Not known while the hub is away" : undefined}>
          {waiting ?? "–"}
        </span>
      </a>
      <Expiring />
      <Unkept />
      <Away />
      {state.listProblem === null ? null : (
        <p className="note bad" role="status">
          {state.listProblem}
        </p>
      )}
      <div className="groups">
        {groups.pinned.length === 0 ? null : (
          <section>
            <h2>Pinned</h2>
            <ul>{groups.pinned.map(row)}</ul>
          </section>
        )}
        {groups.places.map(({ environment, sessions }) => (
          <section key={environment?.id ?? "none"}>
            <h2>
              <bdi>{environment === undefined ? "No machine" : Text.line(environment.name, 60)}</bdi>
              {environment === undefined ? null : environment.online ? (
                <span className="online">
                  <span className="dot good" aria-hidden="true" /> online
                </span>
              ) : (
                <span className="offline">
                  <WifiOff size={12} aria-hidden="true" /> offline
                  {environment.lastSeenAt === null
                    ? ""
                    : ` · last seen ${Text.ago(Date.parse(environment.lastSeenAt), now)}${now - Date.parse(environment.lastSeenAt) < 60_000 ? "" : " ago"}`}
                </span>
              )}
              {environment === undefined ? null : (
                <span className="path" translate="no" title={Text.line(environment.directory)}>
                  {environment.machineName === "" ? null : (
                    <>
                      <bdi>{Text.line(environment.machineName, 60)}</bdi>:
                    </>
                  )}
                  <bdi>{Text.line(environment.directory)}</bdi>
                </span>
              )}
            </h2>
            {sessions.length === 0 ? (
              <p className="note">{state.more ? "None of the newest" : "No sessions"}</p>
            ) : (
              <ul>{sessions.map(row)}</ul>
            )}
          </section>
        ))}
        {(state.loaded || /^(?:reconnecting|offline)$/.test(state.connection._tag)) &&
        groups.places.length === 0 &&
        groups.pinned.length === 0 ? (
          <p className="note center">
            {query.trim() !== ""
              ? state.connection._tag !== "connected"
                ? "Not among the sessions that are loaded; all are searched once the hub is reached."
                : state.searching
                  ? "Searching…"
                  : state.searchProblem === null
                    ? "No session is named like this."
                    : "Not all sessions could be searched."
              : state.connection._tag !== "connected"
                ? "Not known while the hub is away."
                : archived
                  ? "Nothing is archived."
                  : "No machine has connected yet."}
          </p>
        ) : null}
        {query.trim() === "" ? null : (
          <section aria-live="polite">
            <h2>In transcripts</h2>
            {state.connection._tag !== "connected" ? (
              <p className="note">Transcripts can be searched once the hub is reached.</p>
            ) : state.searchProblem !== null ? (
              <p className="note bad">{state.searchProblem}</p>
            ) : state.hits.length === 0 ? (
              <p className="note">{state.searching ? "Searching…" : "Nothing found."}</p>
            ) : (
              <ul>
                {state.hits.map((hit) => (
                  <li key={`${hit.sessionId}/${hit.seq}`}>
                    <a className="entry hit" href={Route.toEvent(hit.sessionId, hit.seq)}>
                      <span className="title">
                        <bdi>{Text.line(titles.get(hit.sessionId) ?? "Session", 80)}</bdi>
                      </span>
                      <span className="last">
                        <bdi>
                          <Excerpt text={hit.excerpt} />
                        </bdi>
                      </span>
                    </a>
                  </li>
                ))}
              </ul>
            )}
          </section>
        )}
        {state.more ? (
          <button type="button" className="quiet" onClick={() => model.loadMoreSessions()}>
            More sessions
          </button>
        ) : null}
      </div>
    </nav>
  )
}
