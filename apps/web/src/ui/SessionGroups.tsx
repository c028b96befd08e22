/** Sessions by machine, what needs somebody first. */
import type { Environment } from "@causeway/protocol/Gateway/Answers"
import type { Session } from "@causeway/protocol/http/Sessions"
import { Pin, WifiOff } from "lucide-react"
import { useMemo } from "react"
import * as Route from "../Route.ts"
import type { State } from "../State.ts"
import * as Text from "../Text.ts"
import { statusText } from "./status.ts"
import { useModelState, useNow } from "./use.ts"

const Row = ({
  session,
  current,
  pinned,
  now
}: {
  readonly session: Session
  readonly current: boolean
  readonly pinned: boolean
  readonly now: number
}) => {
  const isArchived = session.archived_at != null
  const status = isArchived ? "archived" : session.status
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
        <time dateTime={session.updated_at}>{Text.ago(Date.parse(session.updated_at), now)}</time>
        <span className="last">
          <span className={`status ${status}`}>
            {statusText(session.status, isArchived, session.connection_status === "connected")}
          </span>
          <bdi>{Text.line(session.last_message ?? "", 120)}</bdi>
        </span>
      </a>
    </li>
  )
}

/** A machine, whether it is there, and the directory that it works in. */
const Machine = ({ environment, now }: { readonly environment: Environment; readonly now: number }) => (
  <>
    <bdi>{Text.line(environment.name, 60)}</bdi>
    {environment.online ? (
      <span className="online">
        <span className="dot good" aria-hidden="true" /> online
      </span>
    ) : (
      <span className="offline">
        <WifiOff size={12} aria-hidden="true" /> offline
        {environment.lastSeenAt === null ? "" : ` · last seen ${Text.since(environment.lastSeenAt, now)}`}
      </span>
    )}
    <span className="path" translate="no" title={Text.line(environment.directory)}>
      {environment.machineName === "" ? null : (
        <>
          <bdi>{Text.line(environment.machineName, 60)}</bdi>:
        </>
      )}
      <bdi>{Text.line(environment.directory)}</bdi>
    </span>
  </>
)

const urgency: ReadonlyMap<string, number> = new Map([
  ["requires_action", 0],
  ["running", 1],
  ["pending", 2]
])
const order = (a: Session, b: Session): number =>
  (urgency.get(a.status) ?? 3) - (urgency.get(b.status) ?? 3) || b.updated_at.localeCompare(a.updated_at)

/** Those that hold the words, pinned ones apart; while nothing is looked for, machines without sessions too. */
const grouped = (
  {
    archived,
    environments,
    pinned,
    sessions
  }: Pick<State, "archived" | "environments" | "pinned" | "sessions">,
  words: string
) => {
  const wanted = sessions.filter(
    (session) =>
      (session.archived_at != null) === archived &&
      [session.title, session.last_message].some((text) => (text ?? "").toLowerCase().includes(words))
  )
  const byPlace = new Map<string | null, Array<Session>>()
  if (!archived && words === "") for (const { id } of environments) byPlace.set(id, [])
  for (const session of wanted) {
    if (pinned.has(session.id)) continue
    const list = byPlace.get(session.environment_id)
    if (list === undefined) byPlace.set(session.environment_id, [session])
    else list.push(session)
  }
  const places = [...byPlace].map(([id, sessions]) => ({
    environment: environments.find((environment) => environment.id === id),
    sessions: sessions.sort(order)
  }))
  places.sort(
    (a, b) =>
      Number(b.environment?.online ?? false) - Number(a.environment?.online ?? false) ||
      b.sessions.length - a.sessions.length ||
      (a.environment?.name ?? "~").localeCompare(b.environment?.name ?? "~")
  )
  return { pinned: wanted.filter((session) => pinned.has(session.id)).sort(order), places }
}

/** Why there are none. */
const whyNone = ({ archived, connection, searchProblem, searching }: State, words: string): string => {
  const isConnected = connection._tag === "connected"
  if (words === "") {
    if (!isConnected) return "Not known while the hub is away."
    return archived ? "Nothing is archived." : "No machine has connected yet."
  }
  if (!isConnected) {
    return "Not among the sessions that are loaded; all are searched once the hub is reached."
  }
  if (searching) return "Searching…"
  return searchProblem === null ? "No session is named like this." : "Not all sessions could be searched."
}

/** `words`: what is looked for, in lower case. */
export const SessionGroups = ({ words }: { readonly words: string }) => {
  const state = useModelState()
  const now = useNow(30_000)
  const { archived, environments, pinned, sessions } = state
  const groups = useMemo(
    () => grouped({ archived, environments, pinned, sessions }, words),
    [archived, environments, pinned, sessions, words]
  )
  const row = (session: Session) => (
    <Row
      key={session.id}
      session={session}
      current={session.id === state.open?.id}
      pinned={pinned.has(session.id)}
      now={now}
    />
  )
  const isKnown = state.loaded || /^(?:reconnecting|offline)$/.test(state.connection._tag)
  return (
    <>
      {groups.pinned.length === 0 ? null : (
        <section>
          <h2>Pinned</h2>
          <ul>{groups.pinned.map(row)}</ul>
        </section>
      )}
      {groups.places.map(({ environment, sessions }) => (
        <section key={environment?.id ?? "none"}>
          <h2>
            {environment === undefined ? (
              <bdi>No machine</bdi>
            ) : (
              <Machine environment={environment} now={now} />
            )}
          </h2>
          {sessions.length === 0 ? (
            <p className="note">{state.more ? "None of the newest" : "No sessions"}</p>
          ) : (
            <ul>{sessions.map(row)}</ul>
          )}
        </section>
      ))}
      {isKnown && groups.places.length === 0 && groups.pinned.length === 0 ? (
        <p className="note center">{whyNone(state, words)}</p>
      ) : null}
    </>
  )
}
