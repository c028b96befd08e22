/** What is asked over all sessions of an organisation at once, however many there are: none of it reads session by session. */
import type { OrganizationId } from "@causeway/protocol/Ids"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { unavailable } from "./internal/unavailable.ts"
import { select } from "./Session/Record.ts"

/** What is looked for: by a part of the title, whatever its case, or by name. */
export interface Wanted {
  readonly organizationId: OrganizationId
  readonly query?: string
  /** See `Ids.sessionBody`. */
  readonly sessions?: ReadonlyArray<string>
  readonly archived?: boolean
  readonly limit: number
}

/** `INDEXED BY`: the planner does not see that an index over computed columns holds all that is asked for. */
export const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  const records = (where: string, values: ReadonlyArray<string | number>) =>
    Effect.provideService(select(where, values), SqlClient.SqlClient, sql)

  /** Sessions that wait for a person, the one that waits longest first, and how many there are in all. */
  const waiting = Effect.fn("Overview.waiting")(function* (options: {
    readonly organizationId: OrganizationId
    readonly limit: number
  }) {
    const where = "organization_id = ? AND status = 'requires_action' AND archived_at IS NULL"
    const sessions = yield* records(`${where} ORDER BY updated_at LIMIT ?`, [
      options.organizationId,
      options.limit
    ])
    if (sessions.length < options.limit) return { sessions, total: sessions.length }
    const [row] = yield* sql.unsafe<{ readonly total: number }>(
      `SELECT count(*) AS total FROM sessions WHERE ${where}`,
      [options.organizationId]
    )
    return { sessions, total: row?.total ?? sessions.length }
  }, unavailable)

  /** Totals over all sessions. Cost in US dollars; of sessions that told none, nothing is added. */
  const totals = Effect.fn("Overview.totals")(function* (organizationId: OrganizationId) {
    const rows = yield* sql<{
      readonly archived: number
      readonly status: string
      readonly sessions: number
      readonly cost: number | null
      readonly turns: number | null
    }>`SELECT archived_at IS NOT NULL AS archived, status, count(*) AS sessions, sum(cost_usd) AS cost,
        sum(num_turns) AS turns
      FROM sessions INDEXED BY sessions_figures WHERE organization_id = ${organizationId} GROUP BY 1, 2`
    const sum = (of: (row: (typeof rows)[number]) => number | null): number =>
      rows.reduce((total, row) => total + (of(row) ?? 0), 0)
    return {
      open: Object.fromEntries(
        rows.flatMap((row) => (row.archived === 0 ? [[row.status, row.sessions]] : []))
      ),
      archived: sum((row) => (row.archived === 0 ? 0 : row.sessions)),
      costUsd: sum((row) => row.cost),
      turns: sum((row) => row.turns)
    }
  }, unavailable)

  /** The best are found in the index; only their rows are read. */
  const best = (column: "cost_usd" | "context_tokens", more: string) =>
    Effect.fn("Overview.best")(function* (organizationId: OrganizationId, limit: number) {
      return yield* records(
        `sid IN (SELECT sid FROM sessions INDEXED BY sessions_figures WHERE organization_id = ? AND ${column} > 0 ${more}
          ORDER BY ${column} DESC LIMIT ?) ORDER BY ${column} DESC`,
        [organizationId, limit]
      )
    }, unavailable)

  /** How many work items each environment holds, and how many wait for it. */
  const heldWork = Effect.fn("Overview.heldWork")(function* (
    organizationId: OrganizationId,
    nowMillis: number
  ) {
    const rows = yield* sql<{ readonly id: string; readonly held: number; readonly queued: number }>`
      SELECT e.id, count(CASE WHEN w.state <> 'queued' AND w.lease_expires_at > ${nowMillis} THEN 1 END) AS held,
        count(CASE WHEN w.state = 'queued' THEN 1 END) AS queued
      FROM environments e JOIN work w ON w.environment_id = e.id AND w.state <> 'stopped'
      WHERE e.organization_id = ${organizationId} GROUP BY e.id`
    return new Map(rows.map(({ id, ...counts }) => [id, counts]))
  }, unavailable)

  /** Most recently updated first. */
  /** Directories that sessions worked in, the latest used first. Times in milliseconds since the epoch. */
  const directories = Effect.fn("Overview.directories")(function* (
    organizationId: OrganizationId,
    limit: number
  ) {
    return yield* sql<{
      readonly path: string
      readonly machineName: string
      readonly environmentId: string
      readonly lastUsed: number
      readonly sessions: number
    }>`SELECT e.directory AS path, e.machine_name AS machineName, e.id AS environmentId,
        max(s.updated_at) AS lastUsed, count(*) AS sessions
      FROM sessions s JOIN environments e ON e.id = s.environment_id
      WHERE s.organization_id = ${organizationId} GROUP BY e.directory, e.machine_name
      ORDER BY lastUsed DESC LIMIT ${limit}`
  }, unavailable)

  const find = Effect.fn("Overview.find")(function* (wanted: Wanted) {
    const { organizationId, archived, limit } = wanted
    const state = archived === undefined ? "" : `AND archived_at IS ${archived ? "NOT" : ""} NULL`
    const order = "ORDER BY updated_at DESC, sid DESC LIMIT ?"
    if (wanted.sessions !== undefined) {
      const marks = wanted.sessions.map(() => "?").join(",")
      return yield* records(`body IN (${marks}) AND organization_id = ? ${state} ${order}`, [
        ...wanted.sessions,
        organizationId,
        limit
      ])
    }
    // SQLite folds the case of ASCII alone.
    const words = (wanted.query ?? "").trim().toLowerCase()
    const titled = yield* sql.unsafe<{ readonly sid: number; readonly title: string }>(
      `SELECT sid, title FROM sessions WHERE organization_id = ? AND title IS NOT NULL ${state}
       ORDER BY updated_at DESC, sid DESC`,
      [organizationId]
    )
    const found = titled.filter(({ title }) => title.toLowerCase().includes(words)).slice(0, limit)
    return found.length === 0
      ? []
      : yield* records(`sid IN (${found.map(() => "?").join(",")}) ${order}`, [
          ...found.map(({ sid }) => sid),
          limit
        ])
  }, unavailable)

  return {
    waiting,
    totals,
    /** The sessions that have cost most, dearest first. */
    dearest: best("cost_usd", ""),
    /** The sessions not archived with most tokens in their context. */
    fullest: best("context_tokens", "AND archived_at IS NULL"),
    heldWork,
    directories,
    find
  }
})

export class Overview extends Context.Tag("@causeway/store/Overview")<
  Overview,
  Effect.Effect.Success<typeof make>
>() {}

export const layer: Layer.Layer<Overview, never, SqlClient.SqlClient> = Layer.effect(Overview, make)
