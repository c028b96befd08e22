/**
 * Environments: one directory on one machine each, which take work. Source: spec 1 §5, spec 5 §2 and §3.
 */

import { randomUUID } from "node:crypto"
import { EnvironmentId, OrganizationId } from "@causeway/protocol/Ids"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { Bus } from "./Bus.ts"
import { EnvironmentUnknown, type StoreUnavailable } from "./Errors.ts"
import * as Cursor from "./internal/cursor.ts"
import * as Secret from "./internal/secret.ts"
import { unavailable } from "./internal/unavailable.ts"

/** What every environment secret begins with. */
export const PREFIX = "cwe_"

/** An environment is online while its last poll or heartbeat is younger than this: 90 s. Source: spec 5 §3.5. */
export const ONLINE_MILLIS = 90_000

/** How exact `lastSeenAt` is: it is written when older than this, 5 s. */
export const LAST_SEEN_MILLIS = 5_000

/** An environment. Times are milliseconds since the epoch; `metadata` and `config` are JSON texts of objects. */
export interface EnvironmentRecord {
  readonly id: EnvironmentId
  readonly organizationId: OrganizationId
  readonly name: string
  readonly machineName: string
  readonly directory: string
  readonly branch: string | undefined
  readonly gitRepoUrl: string | undefined
  readonly maxSessions: number
  readonly metadata: string
  readonly config: string
  readonly description: string | undefined
  readonly scope: string | undefined
  readonly createdAt: number
  readonly updatedAt: number
  readonly lastSeenAt: number | undefined
  readonly archivedAt: number | undefined
}

export const isOnline = (environment: EnvironmentRecord, nowMillis: number): boolean =>
  environment.archivedAt === undefined &&
  environment.lastSeenAt !== undefined &&
  nowMillis - environment.lastSeenAt < ONLINE_MILLIS

/** What a bridge says of itself. What is left out stays as it is where an environment is taken up again. */
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

/** The cursor was not made here. */
export class CursorInvalid extends Data.TaggedError("CursorInvalid")<{ readonly cursor: string }> {
  override get message(): string {
    return "this cursor was not made by this hub"
  }
}

/** The environment was archived: it takes no work any more. */
export class EnvironmentArchived extends Data.TaggedError("EnvironmentArchived")<{
  readonly environmentId: EnvironmentId
}> {
  override get message(): string {
    return `environment ${this.environmentId} is archived`
  }
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

interface Row {
  readonly id: string
  readonly organization_id: string
  readonly name: string
  readonly machine_name: string
  readonly directory: string
  readonly branch: string | null
  readonly git_repo_url: string | null
  readonly max_sessions: number
  readonly metadata: string
  readonly config: string
  readonly description: string | null
  readonly scope: string | null
  readonly created_at: number
  readonly updated_at: number
  readonly last_seen_at: number | null
  readonly archived_at: number | null
}

const fromRow = (row: Row): EnvironmentRecord => ({
  id: EnvironmentId.make(row.id),
  organizationId: OrganizationId.make(row.organization_id),
  name: row.name,
  machineName: row.machine_name,
  directory: row.directory,
  branch: row.branch ?? undefined,
  gitRepoUrl: row.git_repo_url ?? undefined,
  maxSessions: row.max_sessions,
  metadata: row.metadata,
  config: row.config,
  description: row.description ?? undefined,
  scope: row.scope ?? undefined,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
  lastSeenAt: row.last_seen_at ?? undefined,
  archivedAt: row.archived_at ?? undefined
})

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

export const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const bus = yield* Bus
  const columns = sql.literal(
    "id, organization_id, name, machine_name, directory, branch, git_repo_url, max_sessions, metadata, config, " +
      "description, scope, created_at, updated_at, last_seen_at, archived_at"
  )

  const insert = (environment: EnvironmentRecord, secretHash: string) =>
    sql<Row>`INSERT INTO environments ${sql.insert({
      id: environment.id,
      organization_id: environment.organizationId,
      name: environment.name,
      machine_name: environment.machineName,
      directory: environment.directory,
      branch: environment.branch ?? null,
      git_repo_url: environment.gitRepoUrl ?? null,
      max_sessions: environment.maxSessions,
      metadata: environment.metadata,
      config: environment.config,
      description: environment.description ?? null,
      scope: environment.scope ?? null,
      secret_hash: secretHash,
      created_at: environment.createdAt,
      updated_at: environment.updatedAt
    })}`

  const newId = () => EnvironmentId.make(`env_${randomUUID()}`)

  const register = Effect.fn("Environments.register")(function* (registration: Registration) {
    const now = yield* Clock.currentTimeMillis
    const secret = Secret.make(PREFIX)
    if (registration.reuseEnvironmentId !== undefined) {
      const rows = yield* sql<Row>`UPDATE environments SET machine_name = ${registration.machineName},
        directory = ${registration.directory}, branch = ${registration.branch ?? null},
        git_repo_url = ${registration.gitRepoUrl ?? null},
        max_sessions = coalesce(${registration.maxSessions ?? null}, max_sessions),
        metadata = coalesce(${registration.metadata ?? null}, metadata),
        secret_hash = ${secret.hash}, updated_at = ${now}
        WHERE id = ${registration.reuseEnvironmentId} AND organization_id = ${registration.organizationId}
          AND archived_at IS NULL RETURNING ${columns}`
      const row = rows[0]
      if (row !== undefined) {
        // Polls that still wait with the old secret end now.
        bus.changed(`environment:${row.id}`)
        return { environment: fromRow(row), secret: secret.value }
      }
    }
    const environment: EnvironmentRecord = {
      id: newId(),
      organizationId: registration.organizationId,
      name: nameOf(registration),
      machineName: registration.machineName,
      directory: registration.directory,
      branch: registration.branch,
      gitRepoUrl: registration.gitRepoUrl,
      maxSessions: registration.maxSessions ?? 1,
      metadata: registration.metadata ?? "{}",
      config: `{"type":"self_hosted"}`,
      description: undefined,
      scope: undefined,
      createdAt: now,
      updatedAt: now,
      lastSeenAt: undefined,
      archivedAt: undefined
    }
    yield* insert(environment, secret.hash)
    return { environment, secret: secret.value }
  }, unavailable)

  const create = Effect.fn("Environments.create")(function* (creation: Creation) {
    const now = yield* Clock.currentTimeMillis
    const secret = Secret.make(PREFIX)
    const environment: EnvironmentRecord = {
      ...creation,
      id: newId(),
      machineName: "",
      directory: "",
      branch: undefined,
      gitRepoUrl: undefined,
      createdAt: now,
      updatedAt: now,
      lastSeenAt: undefined,
      archivedAt: undefined
    }
    yield* insert(environment, secret.hash)
    return { environment, secret: secret.value }
  }, unavailable)

  const get = Effect.fn("Environments.get")(function* (key: EnvironmentKey) {
    const rows = yield* sql<Row>`SELECT ${columns} FROM environments
      WHERE id = ${key.environmentId} AND organization_id = ${key.organizationId}`
    const row = rows[0]
    if (row === undefined) return yield* new EnvironmentUnknown({ environmentId: key.environmentId })
    return fromRow(row)
  }, unavailable)

  const list = Effect.fn("Environments.list")(function* (options: {
    readonly organizationId: OrganizationId
    readonly limit: number
    readonly cursor?: string | undefined
    readonly archived: "true" | "false" | "all"
  }) {
    const after = options.cursor === undefined ? undefined : Cursor.decode(options.cursor)
    if (options.cursor !== undefined && after === undefined) {
      return yield* new CursorInvalid({ cursor: options.cursor })
    }
    const wanted = [sql`organization_id = ${options.organizationId}`]
    if (options.archived !== "all") {
      wanted.push(options.archived === "true" ? sql`archived_at IS NOT NULL` : sql`archived_at IS NULL`)
    }
    if (after !== undefined) wanted.push(sql`(created_at, id) < (${after.createdAt}, ${after.id})`)
    const rows = yield* sql<Row>`SELECT ${columns} FROM environments WHERE ${sql.and(wanted)}
      ORDER BY created_at DESC, id DESC LIMIT ${options.limit + 1}`
    const environments = rows.slice(0, options.limit).map(fromRow)
    const last = environments.at(-1)
    return {
      environments,
      next: rows.length > options.limit && last !== undefined ? Cursor.encode(last) : undefined
    }
  }, unavailable)

  const archiveInTransaction = (key: EnvironmentKey) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const rows = yield* sql<Row>`UPDATE environments
        SET archived_at = coalesce(archived_at, ${now}), updated_at = CASE WHEN archived_at IS NULL THEN ${now} ELSE updated_at END
        WHERE id = ${key.environmentId} AND organization_id = ${key.organizationId} RETURNING ${columns}`
      const row = rows[0]
      if (row === undefined) return yield* new EnvironmentUnknown({ environmentId: key.environmentId })
      yield* sql`UPDATE work SET state = 'stopped', stopped_at = ${now}, lease_expires_at = NULL
        WHERE environment_id = ${key.environmentId} AND state <> 'stopped'`
      return fromRow(row)
    })

  const archive = Effect.fn("Environments.archive")(function* (key: EnvironmentKey) {
    const environment = yield* sql.withTransaction(archiveInTransaction(key))
    bus.changed(`environment:${key.environmentId}`)
    return environment
  }, unavailable)

  const remove = Effect.fn("Environments.remove")(function* (key: EnvironmentKey) {
    const archived = yield* sql.withTransaction(
      Effect.gen(function* () {
        yield* archiveInTransaction(key)
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

  const authenticate = Effect.fnUntraced(function* (environmentId: EnvironmentId, secret: Redacted.Redacted) {
    const rows = yield* sql<{
      readonly organization_id: string
      readonly secret_hash: string
      readonly archived_at: number | null
    }>`SELECT organization_id, secret_hash, archived_at FROM environments WHERE id = ${environmentId}`
    const row = rows[0]
    if (row === undefined) return yield* new EnvironmentUnknown({ environmentId })
    if (!Secret.sameHash(Secret.hashOf(Redacted.value(secret)), row.secret_hash)) {
      return yield* new SecretRefused({ environmentId })
    }
    if (row.archived_at !== null) return yield* new EnvironmentArchived({ environmentId })
    return OrganizationId.make(row.organization_id)
  }, unavailable)

  return Environments.of({ register, create, get, list, archive, remove, authenticate })
})

export const layer: Layer.Layer<Environments, never, SqlClient.SqlClient | Bus> = Layer.effect(
  Environments,
  make
)
