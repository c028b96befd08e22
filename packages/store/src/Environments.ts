/**
 * Environments: one directory on one machine each, which take work. Source: spec 1 §5, spec 5 §2 and §3.
 */

import { randomUUID } from "node:crypto"
import { EnvironmentId, type OrganizationId } from "@causeway/protocol/Ids"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { Bus } from "./Bus.ts"
import {
  type CursorInvalid,
  EnvironmentArchived,
  EnvironmentUnknown,
  type StoreUnavailable
} from "./Errors.ts"
import * as Cursor from "./internal/cursor.ts"
import { type RecordOf, recordOf } from "./internal/record.ts"
import { unavailable } from "./internal/unavailable.ts"
import * as Secret from "./Secret.ts"

/** Prefix of every environment secret. */
export const PREFIX = "cwe_"

/** An environment is online while its last poll or heartbeat is younger than this: 90 s. Source: spec 5 §3.5. */
export const ONLINE_MILLIS = 90_000

/** How exact `lastSeenAt` is: it is written when older than this, 5 s. */
export const LAST_SEEN_MILLIS = 5_000

interface Row {
  readonly id: EnvironmentId
  readonly organization_id: OrganizationId
  readonly name: string
  readonly machine_name: string
  readonly directory: string
  readonly branch: string | null
  readonly git_repo_url: string | null
  readonly max_sessions: number
  /** JSON texts of objects, like `config`. */
  readonly metadata: string
  readonly config: string
  readonly description: string | null
  readonly scope: string | null
  readonly created_at: number
  readonly updated_at: number
  readonly last_seen_at: number | null
  readonly archived_at: number | null
}

/** An environment. Times are milliseconds since the epoch. */
export type EnvironmentRecord = RecordOf<Row>

export const isOnline = (environment: EnvironmentRecord, nowMillis: number): boolean =>
  environment.archivedAt === undefined &&
  environment.lastSeenAt !== undefined &&
  nowMillis - environment.lastSeenAt < ONLINE_MILLIS

/** A bridge and its directory, in its own words. What is left out stays as it is where an environment is taken up again. */
export interface Registration {
  readonly organizationId: OrganizationId
  readonly machineName: string
  readonly directory: string
  readonly branch: string | undefined
  readonly gitRepoUrl: string | undefined
  /** Default 1. */
  readonly maxSessions: number | undefined
  /** JSON text of an object. */
  readonly metadata: string | undefined
  readonly reuseEnvironmentId: string | undefined
}

/** An environment that is made for workers to come. */
export interface Creation {
  readonly organizationId: OrganizationId
  readonly name: string
  readonly description: string | undefined
  readonly maxSessions: number
  /** JSON texts of objects. */
  readonly metadata: string
  readonly config: string
  readonly scope: string | undefined
}

/** An environment and its new secret, which is seen this once. */
export interface Registered {
  readonly environment: EnvironmentRecord
  readonly secret: Redacted.Redacted
}

/** Not the environment's present secret. */
export class SecretRefused extends Data.TaggedError("SecretRefused")<{
  readonly environmentId: EnvironmentId
}> {
  override get message(): string {
    return `not the present secret of environment ${this.environmentId}: secrets rotate at every registration`
  }
}

export interface EnvironmentKey {
  readonly organizationId: OrganizationId
  readonly environmentId: EnvironmentId
}

export class Environments extends Context.Tag("@causeway/store/Environments")<
  Environments,
  {
    /**
     * Takes `reuseEnvironmentId` up again where the organisation has it and it is not archived, else makes another one.
     * Either way the secret is new, and an older one opens nothing any more.
     */
    readonly register: (registration: Registration) => Effect.Effect<Registered, StoreUnavailable>
    readonly create: (creation: Creation) => Effect.Effect<Registered, StoreUnavailable>
    /** Archived ones too. */
    readonly get: (
      key: EnvironmentKey
    ) => Effect.Effect<EnvironmentRecord, EnvironmentUnknown | StoreUnavailable>
    /** The newest first. `next` is the cursor of the following page. */
    readonly list: (options: {
      readonly organizationId: OrganizationId
      readonly limit: number
      readonly cursor?: string | undefined
      readonly archived: "true" | "false" | "all"
    }) => Effect.Effect<
      { readonly environments: ReadonlyArray<EnvironmentRecord>; readonly next: string | undefined },
      CursorInvalid | StoreUnavailable
    >
    /** Ends its work and takes no more. Idempotent: the first time stays. */
    readonly archive: (
      key: EnvironmentKey
    ) => Effect.Effect<EnvironmentRecord, EnvironmentUnknown | StoreUnavailable>
    /** Erases it, or archives it where sessions refer to it; tells which. */
    readonly remove: (
      key: EnvironmentKey
    ) => Effect.Effect<{ readonly archived: boolean }, EnvironmentUnknown | StoreUnavailable>
    /** The organisation of the environment whose secret this is. */
    readonly authenticate: (
      environmentId: EnvironmentId,
      secret: Redacted.Redacted
    ) => Effect.Effect<
      OrganizationId,
      EnvironmentUnknown | EnvironmentArchived | SecretRefused | StoreUnavailable
    >
  }
>() {}

/** The last part of a path of either kind of system; the machine where there is none. */
const nameOf = (registration: Registration): string => {
  const last = registration.directory
    .split(/[/\\]/)
    .filter((part) => part.length > 0)
    .at(-1)
  return last ?? (registration.machineName.length > 0 ? registration.machineName : "environment")
}

const COLUMNS =
  "id, organization_id, name, machine_name, directory, branch, git_repo_url, max_sessions, metadata, config, " +
  "description, scope, created_at, updated_at, last_seen_at, archived_at"

/** Makes an environment of what differs from one that nobody has come to yet. */
const insert = (
  sql: SqlClient.SqlClient,
  given: Pick<Row, "organization_id" | "name"> & Partial<Row>
): Effect.Effect<Registered, SqlError> =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const secret = Secret.make(PREFIX)
    const row: Row = {
      id: EnvironmentId.make(`env_${randomUUID()}`),
      machine_name: "",
      directory: "",
      branch: null,
      git_repo_url: null,
      max_sessions: 1,
      metadata: "{}",
      config: `{"type":"self_hosted"}`,
      description: null,
      scope: null,
      created_at: now,
      updated_at: now,
      last_seen_at: null,
      archived_at: null,
      ...given
    }
    yield* sql`INSERT INTO environments ${sql.insert({ ...row, secret_hash: secret.hash })}`
    return { environment: recordOf(row), secret: secret.value }
  })

const register = (sql: SqlClient.SqlClient, bus: Bus["Type"]): Environments["Type"]["register"] =>
  Effect.fn("Environments.register")(function* (registration) {
    const now = yield* Clock.currentTimeMillis
    if (registration.reuseEnvironmentId !== undefined) {
      const secret = Secret.make(PREFIX)
      const [row] = yield* sql<Row>`UPDATE environments SET machine_name = ${registration.machineName},
        directory = ${registration.directory}, branch = ${registration.branch ?? null},
        git_repo_url = ${registration.gitRepoUrl ?? null},
        max_sessions = coalesce(${registration.maxSessions ?? null}, max_sessions),
        metadata = coalesce(${registration.metadata ?? null}, metadata),
        secret_hash = ${secret.hash}, updated_at = ${now}
        WHERE id = ${registration.reuseEnvironmentId} AND organization_id = ${registration.organizationId}
          AND archived_at IS NULL RETURNING ${sql.literal(COLUMNS)}`
      if (row !== undefined) {
        // Polls that still wait with the old secret end now.
        bus.changed(`environment:${row.id}`)
        return { environment: recordOf(row), secret: secret.value }
      }
    }
    return yield* insert(sql, {
      organization_id: registration.organizationId,
      name: nameOf(registration),
      machine_name: registration.machineName,
      directory: registration.directory,
      branch: registration.branch ?? null,
      git_repo_url: registration.gitRepoUrl ?? null,
      max_sessions: registration.maxSessions ?? 1,
      metadata: registration.metadata ?? "{}"
    })
  }, unavailable)

const create = (sql: SqlClient.SqlClient): Environments["Type"]["create"] =>
  Effect.fn("Environments.create")(
    ({ description, maxSessions, organizationId, scope, ...rest }: Creation) =>
      insert(sql, {
        ...rest,
        organization_id: organizationId,
        max_sessions: maxSessions,
        description: description ?? null,
        scope: scope ?? null
      }),
    unavailable
  )

const get = (sql: SqlClient.SqlClient): Environments["Type"]["get"] =>
  Effect.fn("Environments.get")(function* ({ environmentId, organizationId }) {
    const [row] = yield* sql<Row>`SELECT ${sql.literal(COLUMNS)} FROM environments
      WHERE id = ${environmentId} AND organization_id = ${organizationId}`
    if (row === undefined) return yield* new EnvironmentUnknown({ environmentId })
    return recordOf(row)
  }, unavailable)

const list = (sql: SqlClient.SqlClient): Environments["Type"]["list"] =>
  Effect.fn("Environments.list")(function* ({ archived, cursor, limit, organizationId }) {
    const after = yield* Cursor.decode(cursor)
    const wanted = [sql`organization_id = ${organizationId}`]
    if (archived !== "all")
      wanted.push(archived === "true" ? sql`archived_at IS NOT NULL` : sql`archived_at IS NULL`)
    if (after !== undefined) wanted.push(sql`(created_at, id) < (${after.createdAt}, ${after.id})`)
    const rows = yield* sql<Row>`SELECT ${sql.literal(COLUMNS)} FROM environments WHERE ${sql.and(wanted)}
      ORDER BY created_at DESC, id DESC LIMIT ${limit + 1}`
    const { items, next } = Cursor.page(rows.map(recordOf), limit)
    return { environments: items, next }
  }, unavailable)

const archiveInTransaction = (sql: SqlClient.SqlClient, { environmentId, organizationId }: EnvironmentKey) =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const [row] = yield* sql<Row>`UPDATE environments
      SET archived_at = coalesce(archived_at, ${now}), updated_at = CASE WHEN archived_at IS NULL THEN ${now} ELSE updated_at END
      WHERE id = ${environmentId} AND organization_id = ${organizationId} RETURNING ${sql.literal(COLUMNS)}`
    if (row === undefined) return yield* new EnvironmentUnknown({ environmentId })
    yield* sql`UPDATE work SET state = 'stopped', stopped_at = ${now}, lease_expires_at = NULL
      WHERE environment_id = ${environmentId} AND state <> 'stopped'`
    return recordOf(row)
  })

const archive = (sql: SqlClient.SqlClient, bus: Bus["Type"]): Environments["Type"]["archive"] =>
  Effect.fn("Environments.archive")(function* (key) {
    const environment = yield* sql.withTransaction(archiveInTransaction(sql, key))
    bus.changed(`environment:${key.environmentId}`)
    return environment
  }, unavailable)

const remove = (sql: SqlClient.SqlClient, bus: Bus["Type"]): Environments["Type"]["remove"] =>
  Effect.fn("Environments.remove")(function* (key) {
    const archived = yield* sql.withTransaction(
      Effect.gen(function* () {
        yield* archiveInTransaction(sql, key)
        const used = yield* sql`SELECT 1 FROM sessions WHERE environment_id = ${key.environmentId} LIMIT 1`
        if (used.length > 0) return true
        yield* sql`DELETE FROM work WHERE environment_id = ${key.environmentId}`
        yield* sql`DELETE FROM environments WHERE id = ${key.environmentId}`
        return false
      })
    )
    bus.changed(`environment:${key.environmentId}`)
    return { archived }
  }, unavailable)

const authenticate = (sql: SqlClient.SqlClient): Environments["Type"]["authenticate"] =>
  Effect.fnUntraced(function* (environmentId, secret) {
    const [row] = yield* sql<{
      readonly organization_id: OrganizationId
      readonly secret_hash: string
      readonly archived_at: number | null
    }>`SELECT organization_id, secret_hash, archived_at FROM environments WHERE id = ${environmentId}`
    // Whoever has no secret is not told which environments there are.
    if (row === undefined || !Secret.isSame(Secret.hashOf(Redacted.value(secret)), row.secret_hash)) {
      return yield* new SecretRefused({ environmentId })
    }
    if (row.archived_at !== null) return yield* new EnvironmentArchived({ environmentId })
    return row.organization_id
  }, unavailable)

export const layer: Layer.Layer<Environments, never, SqlClient.SqlClient | Bus> = Layer.effect(
  Environments,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const bus = yield* Bus
    return Environments.of({
      register: register(sql, bus),
      create: create(sql),
      get: get(sql),
      list: list(sql),
      archive: archive(sql, bus),
      remove: remove(sql, bus),
      authenticate: authenticate(sql)
    })
  })
)
