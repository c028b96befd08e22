/**
 * Rows of sessions with what only the moment knows, and the events that tell of changes. Source: spec 2 §2 ("Changed
 * event", `session.message`), §6.
 */
import type { OrganizationId } from "@causeway/protocol/Ids"
import type { StoreUnavailable } from "@causeway/store/Errors"
import { Log } from "@causeway/store/Log"
import { rowOf, type Session, Sessions } from "@causeway/store/Session"
import type { JsonObject } from "@causeway/transcript/Read"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Checkpoints from "./Checkpoints.ts"
import { GatewayConfiguration } from "./Config.ts"
import { GatewayConnections } from "./Connections.ts"
import type { Message } from "./Messages.ts"
import * as Rows from "./Rows.ts"
import { GatewayRuns, type Run } from "./Runs.ts"

export interface RowsOptions {
  readonly includeDerivedTitles?: boolean | undefined
  readonly includeLastMessage?: boolean | undefined
  readonly withActiveRun?: boolean
}

/** Titles and last messages are told for this many rows of a list. */
export const TITLES_MAX = 100

/** Rows that are made before others, sockets included, have their turn. */
const ROWS_AT_ONCE = 200

/** The next round of the event loop; fibers that yield stay within the present one. */
const nextRound = Effect.async<void>((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})

export class Notifier extends Context.Tag("@causeway/hub/GatewayNotifier")<
  Notifier,
  {
    readonly isActive: (record: Session) => boolean
    readonly rows: (
      records: ReadonlyArray<Session>,
      options: RowsOptions
    ) => Effect.Effect<ReadonlyArray<JsonObject>, StoreUnavailable>
    readonly row: (record: Session, options?: RowsOptions) => Effect.Effect<JsonObject, StoreUnavailable>
    /** `sessions.changed` with a reason, to whoever subscribed; nothing is computed for nobody. */
    readonly changed: (
      organizationId: OrganizationId,
      key: string | undefined,
      change: { readonly reason: string; readonly compacted?: boolean }
    ) => Effect.Effect<void, StoreUnavailable>
    /** `sessions.changed` with a phase and the whole row. */
    readonly phase: (
      record: Session,
      phase: { readonly phase: string; readonly [field: string]: unknown },
      /** What the row says of the moment of the event, where the log has gone on since. */
      moment?: JsonObject
    ) => Effect.Effect<void, StoreUnavailable>
    readonly message: (
      record: Session,
      message: Message,
      at: { readonly messageId: string; readonly messageSeq: number; readonly logSeq: number }
    ) => Effect.Effect<void, StoreUnavailable>
    /** To whoever watches all sessions. */
    readonly toSubscribers: (record: Session, event: string, payload: JsonObject, logSeq: number) => void
    /** To whoever watches all sessions or this one. */
    readonly toWatchers: (record: Session, event: string, payload: JsonObject, logSeq: number) => void
    /** Event `chat`. */
    readonly chat: (run: Pick<Run, "id" | "key" | "organizationId">, seq: number, fields: JsonObject) => void
    /** Event `agent`; numbers itself. Tool streams go only to connections that can show them. */
    readonly agent: (run: Run, stream: string, data: JsonObject, atMillis: number) => void
  }
>() {}

export const make = Effect.gen(function* () {
  const connections = yield* GatewayConnections
  const sessions = yield* Sessions
  const log = yield* Log
  const configuration = yield* GatewayConfiguration
  const runs = yield* GatewayRuns

  const isActive = (record: Session): boolean =>
    runs.ofSession(record.session).length > 0 || Rows.hasRunInLog(record)

  const rows = (records: ReadonlyArray<Session>, options: RowsOptions) =>
    Effect.gen(function* () {
      const first = records[0]
      if (first === undefined) return []
      const config = yield* configuration.current
      const now = yield* Clock.currentTimeMillis
      const children = yield* sessions.list({
        organizationId: first.organizationId,
        linkedTo: records.map((record) => record.key)
      })
      const byParent = new Map<string, Array<Session>>()
      for (const child of children) {
        for (const parent of new Set([child.parentKey, child.spawnedBy])) {
          if (parent === undefined) continue
          const others = byParent.get(parent)
          if (others === undefined) byParent.set(parent, [child])
          else others.push(child)
        }
      }
      const waiting = yield* sessions.waitingFor(
        records.flatMap((record) => {
          const { prompted, status } = rowOf(record)
          return prompted && status === "pending" ? [record.sid] : []
        })
      )
      const out: Array<JsonObject> = []
      for (const [i, record] of records.entries()) {
        // A list of everything lets others have their turn.
        if (i % ROWS_AT_ONCE === ROWS_AT_ONCE - 1) yield* nextRound
        const projection = rowOf(record)
        const isPlain =
          projection.counts.compactions === 0 && Rows.entryOf(record)["compactionCheckpoints"] === undefined
        const checkpoints = isPlain ? undefined : yield* Checkpoints.summary(log, record)
        out.push(
          Rows.toRow(config, record, {
            includeDerivedTitles: options.includeDerivedTitles === true && i < TITLES_MAX,
            includeLastMessage: options.includeLastMessage === true && i < TITLES_MAX,
            hasActiveRun: options.withActiveRun === true ? isActive(record) : undefined,
            childSessions: Rows.childKeys(byParent.get(record.key) ?? [], record.key, now),
            checkpoints,
            startedAt: runs.current(record.session)?.startedAt,
            waitingFor: waiting.get(record.sid)
          })
        )
      }
      return out
    })

  const row = (record: Session, options: RowsOptions = {}) =>
    Effect.map(rows([record], options), ([only]) => only ?? {})

  const changed = (
    organizationId: OrganizationId,
    key: string | undefined,
    change: { readonly reason: string; readonly compacted?: boolean }
  ) =>
    Effect.gen(function* () {
      if (!connections.hasSubscribers(organizationId)) return
      const record = key === undefined ? undefined : yield* sessions.find({ organizationId, keys: [key] })
      const ts = yield* Clock.currentTimeMillis
      const fields =
        record === undefined ? {} : Rows.changedFields(yield* row(record, { withActiveRun: true }))
      connections.target(
        "sessions.changed",
        { ...(key === undefined ? {} : { sessionKey: key }), ...change, ts, ...fields },
        organizationId,
        (each) => each.allSessions
      )
    })

  const tellPhase = (
    record: Session,
    change: { readonly phase: string; readonly [field: string]: unknown },
    session: JsonObject
  ) =>
    Effect.map(Clock.currentTimeMillis, (ts) =>
      connections.target(
        "sessions.changed",
        { sessionKey: record.key, ...change, ts, session, ...Rows.changedFields(session) },
        record.organizationId,
        (each) => each.allSessions
      )
    )

  const phase = (
    record: Session,
    change: { readonly phase: string; readonly [field: string]: unknown },
    moment: JsonObject = {}
  ) =>
    Effect.gen(function* () {
      if (!connections.hasSubscribers(record.organizationId)) return
      yield* tellPhase(record, change, { ...(yield* row(record)), ...moment })
    })

  const position = (record: Session, logSeq: number) => ({
    sessionKey: record.key,
    sessionId: Rows.sessionIdOf(record.session),
    logSeq
  })

  const toWatchers = (record: Session, event: string, payload: JsonObject, logSeq: number) =>
    connections.target(
      event,
      payload,
      record.organizationId,
      (each) => each.allSessions || each.messageKeys.has(record.key),
      position(record, logSeq)
    )

  return Notifier.of({
    isActive,
    rows,
    row,
    changed,
    phase,
    toWatchers,
    toSubscribers: (record, event, payload, logSeq) =>
      connections.target(
        event,
        payload,
        record.organizationId,
        (each) => each.allSessions,
        position(record, logSeq)
      ),
    message: (record, message, { messageId, messageSeq, logSeq }) =>
      Effect.gen(function* () {
        if (!connections.hasWatchers(record.organizationId, record.key)) return
        const session = yield* row(record)
        toWatchers(
          record,
          "session.message",
          {
            sessionKey: record.key,
            message,
            messageId,
            messageSeq,
            logSeq,
            session,
            ...Rows.changedFields(session)
          },
          logSeq
        )
        yield* tellPhase(record, { phase: "message", messageId, messageSeq }, session)
      }),
    chat: (run, seq, fields) =>
      connections.broadcast(
        "chat",
        { runId: run.id, sessionKey: run.key, seq, ...fields },
        { organizationId: run.organizationId, dropIfSlow: true }
      ),
    agent: (run, stream, data, atMillis) => {
      run.seq += 1
      connections.broadcast(
        "agent",
        { runId: run.id, stream, data, sessionKey: run.key, seq: run.seq, ts: atMillis },
        {
          organizationId: run.organizationId,
          ...(stream === "tool" ? { only: (each) => each.info.caps.includes("tool-events") } : {})
        }
      )
    }
  })
})

export const layer: Layer.Layer<
  Notifier,
  never,
  GatewayConnections | Sessions | Log | GatewayConfiguration | GatewayRuns
> = Layer.effect(Notifier, make)
