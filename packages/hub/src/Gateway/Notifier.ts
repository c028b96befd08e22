/**
 * Rows of sessions with what only the moment knows, and the events that tell of changes. Source: spec 2 §2 ("Changed
 * event", `session.message`), §6.
 */
import { type OrganizationId, sessionUuid } from "@causeway/protocol/Ids"
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

interface Phase {
  readonly phase: string
  readonly [field: string]: unknown
}

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
          projection.counts.compactions === 0 && record.entry["compactionCheckpoints"] === undefined
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

  const position = (record: Session, logSeq: number) => ({
    sessionKey: record.key,
    sessionId: sessionUuid(record.session),
    logSeq
  })

  /** To whoever watches all sessions. */
  const toSubscribers = (record: Session, event: string, payload: JsonObject, logSeq?: number) =>
    connections.target(
      event,
      payload,
      record.organizationId,
      (each) => each.allSessions,
      logSeq === undefined ? undefined : position(record, logSeq)
    )

  /** To whoever watches all sessions or this one. */
  const toWatchers = (record: Session, event: string, payload: JsonObject, logSeq: number) =>
    connections.target(
      event,
      payload,
      record.organizationId,
      (each) => each.allSessions || each.messageKeys.has(record.key),
      position(record, logSeq)
    )

  /** `sessions.changed` with a reason, to whoever subscribed; nothing is computed for nobody. */
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

  const tellPhase = (record: Session, change: Phase, session: JsonObject) =>
    Effect.map(Clock.currentTimeMillis, (ts) =>
      toSubscribers(record, "sessions.changed", {
        sessionKey: record.key,
        ...change,
        ts,
        session,
        ...Rows.changedFields(session)
      })
    )

  /**
   * `sessions.changed` with a phase and the whole row. `moment`: what the row says of the moment of the event, where the log
   * has gone on since.
   */
  const phase = (record: Session, change: Phase, moment: JsonObject = {}) =>
    Effect.gen(function* () {
      if (!connections.hasSubscribers(record.organizationId)) return
      yield* tellPhase(record, change, { ...(yield* row(record)), ...moment })
    })

  const message = (
    record: Session,
    shown: Message,
    { logSeq, ...at }: { readonly messageId: string; readonly messageSeq: number; readonly logSeq: number }
  ) =>
    Effect.gen(function* () {
      if (!connections.hasWatchers(record.organizationId, record.key)) return
      const session = yield* row(record)
      const payload = { sessionKey: record.key, message: shown, ...at, logSeq, session }
      toWatchers(record, "session.message", { ...payload, ...Rows.changedFields(session) }, logSeq)
      yield* tellPhase(record, { phase: "message", ...at }, session)
    })

  /** Event `chat`. */
  const chat = (run: Pick<Run, "id" | "key" | "organizationId">, seq: number, fields: JsonObject) =>
    connections.broadcast(
      "chat",
      { runId: run.id, sessionKey: run.key, seq, ...fields },
      { organizationId: run.organizationId, dropIfSlow: true }
    )

  /** Event `agent`; numbers itself. Tool streams go only to connections that can show them. */
  const agent = (run: Run, stream: string, data: JsonObject, ts: number) => {
    run.seq += 1
    connections.broadcast(
      "agent",
      { runId: run.id, stream, data, sessionKey: run.key, seq: run.seq, ts },
      {
        organizationId: run.organizationId,
        ...(stream === "tool" ? { only: (each) => each.info.caps.includes("tool-events") } : {})
      }
    )
  }

  return { isActive, rows, row, changed, phase, toWatchers, toSubscribers, message, chat, agent }
})

export class Notifier extends Context.Tag("@causeway/hub/GatewayNotifier")<
  Notifier,
  Effect.Effect.Success<typeof make>
>() {}

export const layer = Layer.effect(Notifier, make)
