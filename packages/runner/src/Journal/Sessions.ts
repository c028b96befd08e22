/** Sessions in the journal: as much as it takes to resume each of them unattended. */
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import { EnvironmentId, EventUuid, SessionId, sessionBody } from "@causeway/protocol/Ids"
import type * as Payload from "@causeway/protocol/Payload"
import * as Array from "effect/Array"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Database } from "./Database.ts"
import { JournalFailed, Launch, type NewSession, type SessionRecord, type SessionState } from "./Model.ts"

/** Why a line is kept that nobody refused. */
const NOT_SENT = "the session ended before it was sent"

interface Row {
  readonly session_id: string
  readonly environment_id: string
  readonly directory: string
  readonly home: number
  readonly state: SessionState
  readonly agent_session_id: string
  readonly agent: string
  readonly cwd: string
  readonly model: string | null
  readonly permission_mode: string | null
  readonly settings: string
  readonly launch: string
  readonly launched: number
  readonly head: string | null
  readonly cursor: number
}

const LaunchText = Schema.parseJson(Launch)
const decodeLaunch = Schema.decodeUnknownOption(LaunchText)
const encodeLaunch = Schema.encodeSync(LaunchText)

const decodeSettings = Schema.decodeUnknownOption(
  Schema.parseJson(Schema.Record({ key: Schema.String, value: Schema.Unknown }))
)

const settingsOf = (text: string): AgentSettings.AgentSettings =>
  Option.match(decodeSettings(text), { onNone: () => AgentSettings.none, onSome: AgentSettings.of })

/** What an event says was set of the agent. */
export const settingsIn = (payload: Payload.Payload): AgentSettings.AgentSettings =>
  payload.type === "session_update" ? AgentSettings.of(payload.json) : AgentSettings.none

const toRecord = (row: Row): SessionRecord => ({
  sessionId: SessionId.make(row.session_id),
  environmentId: EnvironmentId.make(row.environment_id),
  directory: row.directory,
  home: row.home === 1,
  state: row.state,
  agentSessionId: row.agent_session_id,
  agent: row.agent,
  cwd: row.cwd,
  model: row.model ?? undefined,
  permissionMode: row.permission_mode ?? undefined,
  settings: settingsOf(row.settings),
  launch: Option.getOrElse(decodeLaunch(row.launch), () => ({})),
  launched: row.launched === 1,
  head: row.head === null ? undefined : EventUuid.make(row.head),
  cursor: row.cursor
})

/** Notes what is set of the agent. Inside a transaction. */
export const set = ({ sql }: Database, session: string, change: AgentSettings.AgentSettings) =>
  AgentSettings.isEmpty(change)
    ? Effect.void
    : Effect.gen(function* () {
        const rows = yield* sql<{
          readonly settings: string
        }>`SELECT settings FROM sessions WHERE session = ${session}`
        const settings = AgentSettings.merge(settingsOf(rows[0]?.settings ?? "{}"), change)
        yield* sql`UPDATE sessions SET settings = ${JSON.stringify(settings)} WHERE session = ${session}`
      })

/** Lines that wait in a session's outbox. */
export const countOutbox = ({ sql }: Database, session: string) =>
  sql<{ readonly n: number }>`SELECT count(*) AS n FROM outbox WHERE session = ${session}`.pipe(
    Effect.map((rows) => rows[0]?.n ?? 0)
  )

export const make = (database: Database) => {
  const { atomically, run, sql } = database
  const find = (id: SessionId) =>
    sql<Row>`SELECT * FROM sessions WHERE session = ${sessionBody(id)}`.pipe(
      Effect.map((rows) => Option.map(Array.head(rows), toRecord))
    )
  const enter = (session: NewSession) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      yield* sql`INSERT INTO sessions (session, session_id, environment_id, directory, home, state,
          agent_session_id, agent, cwd, model, permission_mode, launch, cursor, created_at)
        VALUES (${sessionBody(session.sessionId)}, ${session.sessionId}, ${session.environmentId},
          ${session.directory}, ${session.home ? 1 : 0}, 'live', ${session.agentSessionId}, ${session.agent},
          ${session.cwd}, ${session.model ?? null}, ${session.permissionMode ?? null}, ${encodeLaunch(session.launch ?? {})},
          ${session.cursor ?? 0},
          ${now})
        ON CONFLICT (session) DO UPDATE SET state = 'live', ended_at = NULL,
          environment_id = excluded.environment_id, directory = excluded.directory,
          home = max(home, excluded.home)`
      return yield* find(session.sessionId)
    }).pipe(
      run("enter"),
      Effect.flatMap(
        Option.match({
          onNone: () => new JournalFailed({ operation: "enter", detail: "the session is not there" }),
          onSome: Effect.succeed
        })
      )
    )
  const sessions = (directory: string) =>
    sql<Row>`SELECT * FROM sessions WHERE directory = ${directory} AND state <> 'ended'
      ORDER BY created_at, session`.pipe(
      Effect.map((rows) => rows.map(toRecord)),
      run("sessions")
    )
  /** Inside a transaction. */
  const chosen = (id: SessionId, settings: AgentSettings.AgentSettings) =>
    Effect.asVoid(
      run("chosen")(
        sql`UPDATE sessions SET settings = ${JSON.stringify(settings)} WHERE session = ${sessionBody(id)}
          AND NOT EXISTS (SELECT 1 FROM outbox WHERE session = ${sessionBody(id)})`
      )
    )
  const launched = (id: SessionId) =>
    Effect.asVoid(run("launched")(sql`UPDATE sessions SET launched = 1 WHERE session = ${sessionBody(id)}`))
  const moved = (id: SessionId, environmentId: EnvironmentId) =>
    Effect.asVoid(
      run("moved")(
        sql`UPDATE sessions SET environment_id = ${environmentId} WHERE session = ${sessionBody(id)}`
      )
    )
  const park = (id: SessionId) =>
    Effect.asVoid(
      run("park")(
        sql`UPDATE sessions SET state = 'parked' WHERE session = ${sessionBody(id)} AND state = 'live'`
      )
    )
  const end = (id: SessionId) =>
    Effect.gen(function* () {
      const session = sessionBody(id)
      const now = yield* Clock.currentTimeMillis
      yield* sql`UPDATE sessions SET state = 'ended', ended_at = ${now} WHERE session = ${session}`
      const lost = yield* countOutbox(database, session)
      yield* sql`INSERT INTO kept (session, payload, why, kept_at)
        SELECT session, payload, ${NOT_SENT}, ${now} FROM outbox WHERE session = ${session} ORDER BY position`
      yield* sql`DELETE FROM outbox WHERE session = ${session}`
      yield* sql`DELETE FROM inbox WHERE session = ${session}`
      return lost
    }).pipe(atomically("end"))
  return {
    enter,
    session: (id: SessionId) => run("session")(find(id)),
    sessions,
    chosen,
    launched,
    moved,
    park,
    end
  }
}
