/**
 * The bridge's journal: what this host has taken responsibility for, in one SQLite file a state directory.
 *
 * - **Outbox.** An agent's line is here before the first attempt to send it and leaves when the hub has confirmed.
 * - **Inbox.** A client event is here before the agent gets it; its uuid is accepted once. `cursor` is the sequence
 *   number up to which a session's events were journalled.
 * - **Sessions.** What it takes to resume each session unattended.
 *
 * Nothing here is a secret except the conversation itself: no tokens are kept. The file is 0600, in WAL mode with
 * `synchronous = FULL`. Lines and deliveries of all sessions that wait at the same moment are committed as one
 * transaction. Source: ARCHITECTURE.md ("Up", "Down").
 */
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import * as FileFailure from "@causeway/protocol/FileFailure"
import { EnvironmentId, EventUuid, SessionId, sessionBody } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as Withdrawal from "@causeway/protocol/Withdrawal"
import * as ProcessTable from "@causeway/runner/Process/ProcessTable"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as SqlClient from "@effect/sql/SqlClient"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as Array from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

/** The journal was written by a newer version of this program; nothing was changed. */
export class JournalTooNew extends Schema.TaggedError<JournalTooNew>()("JournalTooNew", {
  file: Schema.String,
  found: Schema.Int,
  known: Schema.Int
}) {
  override get message(): string {
    return `${this.file} is of version ${this.found}, this program knows ${this.known}: upgrade Causeway, or use another --state-dir`
  }
}

/** The file is a database of another program; nothing was changed. */
export class JournalForeign extends Schema.TaggedError<JournalForeign>()("JournalForeign", {
  file: Schema.String
}) {
  override get message(): string {
    return `${this.file} is another program's database: move it away, or use another --state-dir`
  }
}

/** The journal cannot be read or written (disk full, no permission, damaged). */
export class JournalFailed extends Schema.TaggedError<JournalFailed>()("JournalFailed", {
  operation: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `the journal failed (${this.operation}): ${this.detail}`
  }
}

/** Another bridge on this machine holds the directory. */
export class DirectoryInUse extends Schema.TaggedError<DirectoryInUse>()("DirectoryInUse", {
  directory: Schema.String,
  pid: Schema.Int
}) {
  override get message(): string {
    return `a bridge for ${this.directory} is running already (process ${this.pid}): stop it first, or use another directory or --state-dir`
  }
}

/**
 * `live` attached, or to be attached again at the next start; `parked` left in order by a perpetual bridge;
 * `ended` archived, deleted or given away.
 */
export type SessionState = "live" | "parked" | "ended"

/** What the journal knows of a session. */
export interface SessionRecord {
  readonly sessionId: SessionId
  readonly environmentId: EnvironmentId
  /** The directory of the bridge that holds the session. */
  readonly directory: string
  /** Whether the bridge made it for itself at start, rather than taking it as work. */
  readonly home: boolean
  readonly state: SessionState
  /** The agent's own id of the conversation, chosen before the first launch. */
  readonly agentSessionId: string
  readonly agent: string
  readonly cwd: string
  readonly model: string | undefined
  readonly permissionMode: string | undefined
  /** What was set of the agent since; goes before `model` and `permissionMode`. */
  readonly settings: AgentSettings.AgentSettings
  /** Whether the agent was launched with that id before: if so it is resumed. */
  readonly launched: boolean
  /** The last entry of ours that the hub confirmed. */
  readonly head: EventUuid | undefined
  /** Sequence number of the last client event in the journal; 0 before the first. */
  readonly cursor: number
}

/** What a session is entered with. */
export type NewSession = Pick<
  SessionRecord,
  "sessionId" | "environmentId" | "directory" | "home" | "agentSessionId" | "agent" | "cwd"
> &
  Partial<Pick<SessionRecord, "model" | "permissionMode" | "cursor">>

/** How far a client event has come on this host. */
export type Delivery = "received" | "processing" | "processed"

/** What an agent session hands over for good, in its order. */
export type Outgoing =
  /** `original`: the line that the payload stands for, because it can never be sent; it is kept. */
  | { readonly _tag: "Line"; readonly payload: Identified; readonly original?: Kept }
  | { readonly _tag: "Delivery"; readonly uuid: EventUuid; readonly state: Delivery }

/** A line that the hub will never store, kept on this machine. */
export interface Kept {
  readonly payload: Payload.Payload
  readonly why: string
}

/** A payload that names itself. */
export type Identified = Payload.Payload & { readonly uuid: EventUuid }

/** A line that the hub has not confirmed. `position` orders a session's lines. */
export interface OutboxEntry {
  readonly position: number
  readonly payload: Identified
}

/** A client event as its stream brings it. */
export interface Incoming {
  readonly eventId: EventUuid
  readonly sequenceNum: number
  readonly payload: Payload.Payload
}

/** A delivery that the hub has not been told. */
export interface Report {
  readonly eventId: EventUuid
  readonly status: Delivery
}

/** How many processed client events a session keeps, as uuids only, to know them when they come again. */
export const REMEMBERED_EVENTS = 2_000

/** The version of the file's layout. */
export const JOURNAL_VERSION = 2

/** The journal of one state directory. All failures are `JournalFailed`. */
export class Journal extends Context.Tag("@causeway/bridge/Journal")<
  Journal,
  {
    /**
     * Takes the directory for this process until the scope closes. A claim whose process is dead (by pid and start
     * time) is taken over; of two who try at once, one succeeds.
     */
    readonly claim: (directory: string) => Effect.Effect<void, DirectoryInUse | JournalFailed, Scope.Scope>

    /** Enters a session as `live`, or makes a known one `live` again and answers with what is known of it. */
    readonly enter: (session: NewSession) => Effect.Effect<SessionRecord, JournalFailed>
    readonly session: (id: SessionId) => Effect.Effect<Option.Option<SessionRecord>, JournalFailed>
    /** A directory's sessions that have not ended, oldest first. */
    readonly sessions: (directory: string) => Effect.Effect<ReadonlyArray<SessionRecord>, JournalFailed>
    /**
     * Takes over what the session's log says was set of the agent, unless lines of this host are on their way there. What
     * this host hears itself (a `session_update` recorded or received) is noted with it.
     */
    readonly chosen: (
      id: SessionId,
      settings: AgentSettings.AgentSettings
    ) => Effect.Effect<void, JournalFailed>
    /** Notes that the agent conversation is about to exist. */
    readonly launched: (id: SessionId) => Effect.Effect<void, JournalFailed>
    /** Moves a session to another environment (the hub gave this directory a new one). */
    readonly moved: (id: SessionId, environmentId: EnvironmentId) => Effect.Effect<void, JournalFailed>
    readonly park: (id: SessionId) => Effect.Effect<void, JournalFailed>
    /** Ends a session and empties its boxes. Answers with how many lines had not been confirmed; they are kept. */
    readonly end: (id: SessionId) => Effect.Effect<number, JournalFailed>

    /**
     * Enters lines and deliveries in their order, whole or not at all; durable when it returns. A line whose uuid is
     * in the outbox already is entered once. Calls that wait at the same moment share a commit.
     */
    readonly record: (id: SessionId, outputs: ReadonlyArray<Outgoing>) => Effect.Effect<void, JournalFailed>
    /** The oldest unconfirmed lines, at most `count` and about `bytes` (at least one). */
    readonly pending: (
      id: SessionId,
      limit: { readonly count: number; readonly bytes: number }
    ) => Effect.Effect<ReadonlyArray<OutboxEntry>, JournalFailed>
    /** The hub has stored everything up to `position`; its head is `head`. */
    readonly confirm: (id: SessionId, position: number, head: EventUuid) => Effect.Effect<void, JournalFailed>
    /** Takes one line that the hub will never accept out of the outbox, keeps it, and puts another in its place. */
    readonly setAside: (
      id: SessionId,
      position: number,
      instead: Identified,
      why: string
    ) => Effect.Effect<void, JournalFailed>
    /** The lines of a session that could never be sent, oldest first. */
    readonly kept: (id: SessionId) => Effect.Effect<ReadonlyArray<Kept>, JournalFailed>
    readonly unconfirmed: (id: SessionId) => Effect.Effect<number, JournalFailed>

    /**
     * Enters client events that follow `cursor` and answers with those whose uuid is new, in order. A payload without
     * a uuid gets its event's. One whose uuid was seen under another event counts as processed. A message that an event
     * after it takes back, before the agent has begun it, is withdrawn in the same transaction: it is neither answered
     * with here nor unanswered later.
     */
    readonly receive: (
      id: SessionId,
      events: ReadonlyArray<Incoming>
    ) => Effect.Effect<ReadonlyArray<Identified>, JournalFailed>
    /** Client events that were journalled and not answered, oldest first. */
    readonly unanswered: (id: SessionId) => Effect.Effect<ReadonlyArray<Identified>, JournalFailed>
    /** Deliveries that the hub has not been told, oldest event first; of each event only the furthest. */
    readonly reports: (id: SessionId, limit: number) => Effect.Effect<ReadonlyArray<Report>, JournalFailed>
    /** The hub has been told. Processed events that it knows of are pruned to {@link REMEMBERED_EVENTS} uuids. */
    readonly reported: (id: SessionId, reports: ReadonlyArray<Report>) => Effect.Effect<void, JournalFailed>
  }
>() {}

const schema = [
  `CREATE TABLE IF NOT EXISTS claims (
    directory TEXT PRIMARY KEY, pid INTEGER NOT NULL, started TEXT NOT NULL
  ) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS sessions (
    session TEXT PRIMARY KEY,
    session_id TEXT NOT NULL,
    environment_id TEXT NOT NULL,
    directory TEXT NOT NULL,
    home INTEGER NOT NULL,
    state TEXT NOT NULL,
    agent_session_id TEXT NOT NULL,
    agent TEXT NOT NULL,
    cwd TEXT NOT NULL,
    model TEXT,
    permission_mode TEXT,
    launched INTEGER NOT NULL DEFAULT 0,
    head TEXT,
    cursor INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    ended_at INTEGER
  )`,
  // A position is never used twice, also after its line has left: `confirm` names positions.
  `CREATE TABLE IF NOT EXISTS outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    session TEXT NOT NULL,
    uuid TEXT NOT NULL,
    payload TEXT NOT NULL
  )`,
  `CREATE UNIQUE INDEX IF NOT EXISTS outbox_by_uuid ON outbox (session, uuid)`,
  `CREATE INDEX IF NOT EXISTS outbox_by_position ON outbox (session, position)`,
  // Lines that the hub will never store. They stay when their session ends.
  `CREATE TABLE IF NOT EXISTS kept (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session TEXT NOT NULL,
    payload TEXT NOT NULL,
    why TEXT NOT NULL,
    kept_at INTEGER NOT NULL
  )`,
  // `uuid` is null for an event that repeats another's. `state` and `reported`: 0 nothing, 1 received, 2 processing,
  // 3 processed, 4 withdrawn (reported as processed; the hub knows better).
  `CREATE TABLE IF NOT EXISTS inbox (
    session TEXT NOT NULL,
    seq INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    uuid TEXT,
    payload TEXT NOT NULL,
    state INTEGER NOT NULL,
    reported INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (session, seq)
  ) WITHOUT ROWID`,
  `CREATE UNIQUE INDEX IF NOT EXISTS inbox_by_uuid ON inbox (session, uuid) WHERE uuid IS NOT NULL`,
  `CREATE INDEX IF NOT EXISTS inbox_open ON inbox (session, seq) WHERE state < 3 OR reported < state`
]

/** What versions of the layout after the first have added. */
const migrations: ReadonlyArray<string> = [
  `ALTER TABLE sessions ADD COLUMN settings TEXT NOT NULL DEFAULT '{}'`
]

const rank: { readonly [D in Delivery]: number } = { received: 1, processing: 2, processed: 3 }
const byRank: ReadonlyArray<Delivery> = ["received", "received", "processing", "processed", "processed"]

/** Why a line is kept that nobody refused. */
const NOT_SENT = "the session ended before it was sent"

/** How long the rows of ended sessions are kept. */
const ENDED_KEPT_MILLIS = 7 * 24 * 3_600_000

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
  readonly launched: number
  readonly head: string | null
  readonly cursor: number
}

const decodeSettings = Schema.decodeUnknownOption(
  Schema.parseJson(Schema.Record({ key: Schema.String, value: Schema.Unknown }))
)

const settingsOf = (text: string): AgentSettings.AgentSettings =>
  Option.match(decodeSettings(text), { onNone: () => AgentSettings.none, onSome: AgentSettings.of })

/** What an event says was set of the agent. */
const settingsIn = (payload: Payload.Payload): AgentSettings.AgentSettings =>
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
  launched: row.launched === 1,
  head: row.head === null ? undefined : EventUuid.make(row.head),
  cursor: row.cursor
})

/** The payload with a uuid: its own, or its event's. */
const withUuid = (event: Incoming): Identified => {
  const { payload, eventId } = event
  if (payload.uuid !== undefined) return { ...payload, uuid: payload.uuid }
  const json = { ...payload.json, uuid: eventId }
  return { ...payload, json, text: JSON.stringify(json), uuid: eventId }
}

interface Waiting {
  readonly session: string
  readonly outputs: ReadonlyArray<Outgoing>
  readonly done: Deferred.Deferred<void, JournalFailed>
}

/** Lines of one statement; SQLite takes at most 32,766 parameters. */
const INSERT_CHUNK = 100

/** Waits for the callbacks that are due now, so that more writers join the commit. */
const nextTick = Effect.async<void>((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})

const make = (file: string) =>
  Effect.gen(function* () {
    const sql = yield* Layer.build(SqliteClient.layer({ filename: file })).pipe(
      Effect.map(Context.get(SqlClient.SqlClient)),
      // A file that cannot be opened is a defect of the client.
      Effect.catchAllCause(
        (cause) =>
          new JournalFailed({ operation: "open", detail: FileFailure.describe(file, Cause.squash(cause)) })
      )
    )

    const trouble = FileFailure.trouble(file, "Journal")

    /** Runs statements; foreign failures become ours, logged when they begin and when they are over. */
    const run =
      (operation: string) =>
      <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, JournalFailed> =>
        Effect.catchAllCause(effect, (cause) => {
          if (Cause.isInterruptedOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
          return Effect.flatMap(
            trouble.failed(Cause.squash(cause)),
            (detail) => new JournalFailed({ operation, detail })
          )
        })

    /**
     * One transaction. A commit that fails is a defect of the client and leaves its transaction open: it is rolled
     * back here, so that the next one can begin.
     */
    const atomically =
      (operation: string) =>
      <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, JournalFailed> =>
        sql.withTransaction(effect).pipe(
          Effect.tapDefect(() => Effect.ignore(sql.unsafe("ROLLBACK"))),
          run(operation),
          Effect.zipLeft(trouble.written)
        )

    const version = Effect.map(
      sql<{ readonly user_version: number }>`PRAGMA user_version`,
      (rows) => rows[0]?.user_version ?? 0
    )
    yield* run("open")(
      Effect.zipRight(sql`PRAGMA synchronous = FULL`, sql`PRAGMA busy_timeout = ${sql.literal("5000")}`)
    )
    const found = yield* run("open")(version)
    const tables = yield* run("open")(
      sql<{ readonly name: string }>`SELECT name FROM sqlite_master
        WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`
    )
    if (tables.length > 0 && !tables.some(({ name }) => name === "claims")) {
      return yield* new JournalForeign({ file })
    }
    if (found > JOURNAL_VERSION) return yield* new JournalTooNew({ file, found, known: JOURNAL_VERSION })
    if (found < JOURNAL_VERSION) {
      // Two processes may find the file empty at once: the later one begins again, and finds everything there.
      yield* atomically("create")(
        Effect.gen(function* () {
          const written = yield* version
          for (const statement of schema) yield* sql.unsafe(statement)
          for (const statement of migrations.slice(Math.max(written - 1, 0))) yield* sql.unsafe(statement)
          yield* sql.unsafe(`PRAGMA user_version = ${JOURNAL_VERSION}`)
        })
      ).pipe(Effect.retry(Schedule.intersect(Schedule.spaced("50 millis"), Schedule.recurs(10))))
    }
    const opened = yield* Clock.currentTimeMillis
    yield* run("prune")(
      sql`DELETE FROM sessions WHERE state = 'ended' AND ended_at < ${opened - ENDED_KEPT_MILLIS}`
    )

    // --- Claims ---

    /** A process that the system does not tell of is not taken for dead. */
    const startOf = (pid: number) =>
      Effect.mapError(
        ProcessTable.startOf(pid),
        ({ message }) => new JournalFailed({ operation: "claim", detail: message })
      )
    const self = { pid: process.pid, started: (yield* startOf(process.pid)) ?? "" }
    const holder = (directory: string) =>
      sql<{
        readonly pid: number
        readonly started: string
      }>`SELECT pid, started FROM claims WHERE directory = ${directory}`
    const takeClaim = (directory: string) =>
      Effect.gen(function* () {
        const insert = yield* sql`INSERT INTO claims (directory, pid, started)
          VALUES (${directory}, ${self.pid}, ${self.started}) ON CONFLICT DO NOTHING RETURNING pid`.pipe(
          run("claim")
        )
        if (insert.length === 1) return
        const [held] = yield* run("claim")(holder(directory))
        if (held === undefined) return yield* new JournalFailed({ operation: "claim", detail: "claim moved" })
        if ((yield* startOf(held.pid)) === held.started) {
          return yield* new DirectoryInUse({ directory, pid: held.pid })
        }
        // Only the claim that was judged is replaced: of two who judge it at once, one finds it.
        const replaced = yield* sql`UPDATE claims SET pid = ${self.pid}, started = ${self.started}
          WHERE directory = ${directory} AND pid = ${held.pid} AND started = ${held.started} RETURNING pid`.pipe(
          run("claim")
        )
        if (replaced.length === 0)
          return yield* new JournalFailed({ operation: "claim", detail: "claim moved" })
      })
    const claim = (directory: string) =>
      Effect.acquireRelease(
        takeClaim(directory).pipe(
          Effect.retry({
            while: (error) => error._tag === "JournalFailed" && error.detail === "claim moved",
            schedule: Schedule.recurs(3)
          })
        ),
        () =>
          sql`DELETE FROM claims
            WHERE directory = ${directory} AND pid = ${self.pid} AND started = ${self.started}`.pipe(
            run("release"),
            Effect.catchAll((error) => Effect.logWarning("claim not released").pipe(annotate(error)))
          )
      )

    // --- Sessions ---

    const find = (id: SessionId) =>
      sql<Row>`SELECT * FROM sessions WHERE session = ${sessionBody(id)}`.pipe(
        Effect.map((rows) => Option.map(Array.head(rows), toRecord))
      )
    const enter = (session: NewSession) =>
      Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        yield* sql`INSERT INTO sessions (session, session_id, environment_id, directory, home, state,
            agent_session_id, agent, cwd, model, permission_mode, cursor, created_at)
          VALUES (${sessionBody(session.sessionId)}, ${session.sessionId}, ${session.environmentId},
            ${session.directory}, ${session.home ? 1 : 0}, 'live', ${session.agentSessionId}, ${session.agent},
            ${session.cwd}, ${session.model ?? null}, ${session.permissionMode ?? null}, ${session.cursor ?? 0},
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
    const set = (session: string, change: AgentSettings.AgentSettings) =>
      AgentSettings.isEmpty(change)
        ? Effect.void
        : Effect.gen(function* () {
            const rows = yield* sql<{
              readonly settings: string
            }>`SELECT settings FROM sessions WHERE session = ${session}`
            const settings = AgentSettings.merge(settingsOf(rows[0]?.settings ?? "{}"), change)
            yield* sql`UPDATE sessions SET settings = ${JSON.stringify(settings)} WHERE session = ${session}`
          })
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
    const countOutbox = (session: string) =>
      sql<{ readonly n: number }>`SELECT count(*) AS n FROM outbox WHERE session = ${session}`.pipe(
        Effect.map((rows) => rows[0]?.n ?? 0)
      )
    const end = (id: SessionId) =>
      Effect.gen(function* () {
        const session = sessionBody(id)
        const now = yield* Clock.currentTimeMillis
        yield* sql`UPDATE sessions SET state = 'ended', ended_at = ${now} WHERE session = ${session}`
        const lost = yield* countOutbox(session)
        yield* sql`INSERT INTO kept (session, payload, why, kept_at)
          SELECT session, payload, ${NOT_SENT}, ${now} FROM outbox WHERE session = ${session} ORDER BY position`
        yield* sql`DELETE FROM outbox WHERE session = ${session}`
        yield* sql`DELETE FROM inbox WHERE session = ${session}`
        return lost
      }).pipe(atomically("end"))

    // --- Outbox ---

    const waiting = yield* Queue.unbounded<Waiting>()
    const commit = (batch: ReadonlyArray<Waiting>) =>
      Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        for (const { session, outputs } of batch) {
          for (const output of outputs) {
            if (output._tag !== "Line" || output.original === undefined) continue
            const { payload, why } = output.original
            yield* sql`INSERT INTO kept (session, payload, why, kept_at)
              VALUES (${session}, ${payload.text}, ${why}, ${now})`
          }
        }
        const lines = batch.flatMap(({ session, outputs }) =>
          outputs.flatMap((output) =>
            output._tag === "Line"
              ? [{ session, uuid: output.payload.uuid as string, payload: output.payload.text }]
              : []
          )
        )
        for (const chunk of Array.chunksOf(lines, INSERT_CHUNK)) {
          yield* sql`INSERT INTO outbox ${sql.insert(chunk)} ON CONFLICT DO NOTHING`
        }
        for (const { session, outputs } of batch) {
          for (const output of outputs) {
            if (output._tag === "Line") {
              yield* set(session, settingsIn(output.payload))
              continue
            }
            // What the agent had begun before it heard of the withdrawal was not taken back, and the hub is told so.
            yield* sql`UPDATE inbox SET
                reported = CASE WHEN state = 4 AND ${rank[output.state]} = 2 THEN 1 ELSE reported END,
                state = CASE WHEN state = 4 AND ${rank[output.state]} = 2 THEN 2
                  ELSE max(state, ${rank[output.state]}) END
              WHERE session = ${session} AND uuid = ${output.uuid}`
          }
        }
      }).pipe(atomically("record"))
    const settle = (batch: ReadonlyArray<Waiting>) =>
      Effect.flatMap(Effect.exit(commit(batch)), (exit) =>
        Effect.forEach(batch, ({ done }) => Deferred.done(done, exit), { discard: true })
      )
    const drain = Effect.flatMap(Queue.takeAll(waiting), (rest) =>
      rest.length === 0 ? Effect.void : settle(Array.fromIterable(rest))
    )
    // What was taken from the queue is settled, also while the writer is being ended.
    yield* Effect.uninterruptibleMask((restore) =>
      restore(Queue.take(waiting)).pipe(
        Effect.zipLeft(nextTick),
        Effect.flatMap((first) => Effect.flatMap(Queue.takeAll(waiting), (more) => settle([first, ...more])))
      )
    ).pipe(Effect.forever, Effect.forkScoped)
    yield* Effect.addFinalizer(() => drain)
    const record = (id: SessionId, outputs: ReadonlyArray<Outgoing>) =>
      outputs.length === 0
        ? Effect.void
        : Effect.flatMap(Deferred.make<void, JournalFailed>(), (done) =>
            Effect.zipRight(
              Queue.offer(waiting, { session: sessionBody(id), outputs, done }),
              Deferred.await(done)
            )
          )

    const pending = (id: SessionId, limit: { readonly count: number; readonly bytes: number }) =>
      sql<{
        readonly position: number
        readonly payload: string
      }>`SELECT position, payload FROM (
          SELECT position, payload, sum(length(payload)) OVER (ORDER BY position) - length(payload) AS before
          FROM (SELECT position, payload FROM outbox WHERE session = ${sessionBody(id)}
            ORDER BY position LIMIT ${limit.count}))
        WHERE before < ${limit.bytes} ORDER BY position`.pipe(
        run("pending"),
        Effect.flatMap((rows) =>
          Effect.forEach(rows, ({ position, payload }) =>
            Effect.map(readPayload(payload), (payload) => ({ position, payload }))
          )
        )
      )
    const confirm = (id: SessionId, position: number, head: EventUuid) =>
      Effect.gen(function* () {
        yield* sql`DELETE FROM outbox WHERE session = ${sessionBody(id)} AND position <= ${position}`
        yield* sql`UPDATE sessions SET head = ${head} WHERE session = ${sessionBody(id)}`
      }).pipe(atomically("confirm"))
    const setAside = (id: SessionId, position: number, instead: Identified, why: string) =>
      Effect.gen(function* () {
        const session = sessionBody(id)
        const now = yield* Clock.currentTimeMillis
        yield* sql`INSERT INTO kept (session, payload, why, kept_at)
          SELECT session, payload, ${why}, ${now} FROM outbox WHERE session = ${session} AND position = ${position}`
        yield* sql`UPDATE outbox SET uuid = ${instead.uuid}, payload = ${instead.text}
          WHERE session = ${session} AND position = ${position}`
      }).pipe(atomically("set aside"))
    const kept = (id: SessionId) =>
      sql<{
        readonly payload: string
        readonly why: string
      }>`SELECT payload, why FROM kept WHERE session = ${sessionBody(id)} ORDER BY id`.pipe(
        run("kept"),
        Effect.flatMap((rows) =>
          Effect.forEach(rows, ({ payload, why }) =>
            Either.match(Payload.decode(payload), {
              onLeft: (error) => new JournalFailed({ operation: "read", detail: error.message }),
              onRight: (payload) => Effect.succeed({ payload, why })
            })
          )
        )
      )
    const unconfirmed = (id: SessionId) => run("unconfirmed")(countOutbox(sessionBody(id)))

    // --- Inbox ---

    /** Takes messages back that no agent has begun; answers with what is left of `fresh`. */
    const withdraw = (session: string, seq: number, payload: Identified, fresh: Array<Identified>) =>
      Effect.gen(function* () {
        const withdrawal = Withdrawal.of(payload)
        if (withdrawal === undefined) return fresh
        const waiting = yield* sql<{
          readonly seq: number
          readonly uuid: string
        }>`SELECT seq, uuid FROM inbox
          WHERE session = ${session} AND seq < ${seq} AND (state < 3 OR reported < state)
            AND CASE WHEN state = 1 THEN json_extract(payload, '$.type') = 'user' ELSE 0 END`
        for (const message of waiting) {
          if (!Withdrawal.covers(withdrawal, message.uuid)) continue
          yield* sql`UPDATE inbox SET state = 4 WHERE session = ${session} AND seq = ${message.seq}`
        }
        return fresh.filter(({ type, uuid }) => type !== "user" || !Withdrawal.covers(withdrawal, uuid))
      })
    const receive = (id: SessionId, events: ReadonlyArray<Incoming>) =>
      Effect.gen(function* () {
        const session = sessionBody(id)
        let fresh: Array<Identified> = []
        // The write comes first: a transaction that reads first can find itself behind another process's.
        yield* sql`UPDATE sessions SET cursor = cursor WHERE session = ${session}`
        const rows = yield* sql<{
          readonly cursor: number
        }>`SELECT cursor FROM sessions WHERE session = ${session}`
        let cursor = rows[0]?.cursor
        if (cursor === undefined) return fresh
        for (const event of events) {
          if (event.sequenceNum <= cursor) continue
          cursor = event.sequenceNum
          const payload = withUuid(event)
          const entered = yield* sql`INSERT INTO inbox (session, seq, event_id, uuid, payload, state)
            VALUES (${session}, ${event.sequenceNum}, ${event.eventId}, ${payload.uuid}, ${payload.text}, 1)
            ON CONFLICT DO NOTHING RETURNING seq`
          if (entered.length === 1) {
            fresh = yield* withdraw(session, event.sequenceNum, payload, fresh)
            fresh.push(payload)
            yield* set(session, settingsIn(payload))
          } else {
            yield* sql`INSERT INTO inbox (session, seq, event_id, uuid, payload, state)
              VALUES (${session}, ${event.sequenceNum}, ${event.eventId}, NULL, '', 3) ON CONFLICT DO NOTHING`
          }
        }
        yield* sql`UPDATE sessions SET cursor = ${cursor} WHERE session = ${session}`
        return fresh
      }).pipe(atomically("receive"))
    const unanswered = (id: SessionId) =>
      sql<{ readonly payload: string }>`SELECT payload FROM inbox
        WHERE session = ${sessionBody(id)} AND state < 3 ORDER BY seq`.pipe(
        run("unanswered"),
        Effect.flatMap((rows) => Effect.forEach(rows, (row) => readPayload(row.payload)))
      )
    const reports = (id: SessionId, limit: number) =>
      sql<{ readonly event_id: string; readonly state: number }>`SELECT event_id, state FROM inbox
        WHERE session = ${sessionBody(id)} AND reported < state ORDER BY seq LIMIT ${limit}`.pipe(
        Effect.map((rows) =>
          rows.map(({ event_id, state }) => ({
            eventId: EventUuid.make(event_id),
            status: byRank[state] ?? "received"
          }))
        ),
        run("reports")
      )
    const reported = (id: SessionId, told: ReadonlyArray<Report>) =>
      Effect.gen(function* () {
        const session = sessionBody(id)
        for (const { eventId, status } of told) {
          yield* sql`UPDATE inbox SET reported = CASE WHEN ${rank[status]} = 3 THEN max(reported, state, 3)
                ELSE max(reported, ${rank[status]}) END,
              payload = CASE WHEN state >= 3 AND ${rank[status]} = 3 THEN '' ELSE payload END
            WHERE session = ${session} AND event_id = ${eventId}`
        }
        yield* sql`DELETE FROM inbox WHERE session = ${session} AND state >= 3 AND reported >= 3 AND seq <= (
          SELECT seq FROM inbox WHERE session = ${session} ORDER BY seq DESC LIMIT 1 OFFSET ${REMEMBERED_EVENTS})`
      }).pipe(atomically("reported"))

    return Journal.of({
      claim,
      enter,
      session: (id) => run("session")(find(id)),
      sessions,
      chosen,
      launched,
      moved,
      park,
      end,
      record,
      pending,
      confirm,
      setAside,
      kept,
      unconfirmed,
      receive,
      unanswered,
      reports,
      reported
    })
  })

const annotate = (error: JournalFailed) =>
  Effect.annotateLogs({ operation: error.operation, detail: error.detail })

/** What stands in the journal was written by it: a payload, with a uuid. */
const readPayload = (text: string): Effect.Effect<Identified, JournalFailed> =>
  Either.match(Payload.decode(text), {
    onLeft: (error) => new JournalFailed({ operation: "read", detail: error.message }),
    onRight: (payload) =>
      payload.uuid === undefined
        ? new JournalFailed({ operation: "read", detail: "a payload has no uuid" })
        : Effect.succeed({ ...payload, uuid: payload.uuid })
  })

/** The name of the journal's file in the state directory. */
export const JOURNAL_FILE = "journal.db"

/** Where a line that could never be sent is found, for people. */
export const KEPT_AT = `on the agent's machine (${JOURNAL_FILE} in the state directory, table kept)`

/** Opens the journal of a state directory, making both (0700, 0600) where they are missing. */
export const layer = (options: {
  readonly stateDirectory: string
}): Layer.Layer<Journal, JournalFailed | JournalForeign | JournalTooNew, FileSystem.FileSystem | Path.Path> =>
  Layer.scoped(
    Journal,
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const file = path.join(options.stateDirectory, JOURNAL_FILE)
      yield* fs.makeDirectory(options.stateDirectory, { recursive: true, mode: 0o700 }).pipe(
        // SQLite gives its side files the mode of this one.
        Effect.zipRight(fs.writeFileString(file, "", { flag: "a", mode: 0o600 })),
        Effect.zipRight(fs.chmod(file, 0o600)),
        Effect.mapError(
          (error) => new JournalFailed({ operation: "open", detail: FileFailure.describe(file, error) })
        )
      )
      return yield* make(file)
    })
  )
