/** A database in memory with the repositories over it, and rows to work on. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import type { EnvironmentId, OrganizationId } from "@causeway/protocol/Ids"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Bootstrap from "../src/Bootstrap.ts"
import * as Bus from "../src/Bus.ts"
import * as Database from "../src/Database.ts"
import * as Environments from "../src/Environments.ts"
import * as Organizations from "../src/Organizations.ts"
import * as Readiness from "../src/Readiness.ts"
import * as Tokens from "../src/Tokens.ts"
import * as Work from "../src/Work.ts"

/** Removed when the scope closes. */
export const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(`${tmpdir()}/causeway-store-`)),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** Each use of the layer is a new, empty database. */
export const layer = (filename = ":memory:") => {
  const ground = Layer.merge(Database.layerSqlite({ filename }), Bus.layer)
  const repositories = Layer.mergeAll(
    Environments.layer,
    Organizations.layer,
    Readiness.layer,
    Tokens.layer,
    Work.layer
  )
  return Layer.provideMerge(Bootstrap.layer, Layer.provideMerge(repositories, ground))
}

/** What a test may use. */
export type All =
  | SqlClient.SqlClient
  | Bus.Bus
  | Environments.Environments
  | Organizations.Organizations
  | Readiness.Readiness
  | Tokens.Tokens
  | Work.WorkQueue
  | Bootstrap.Bootstrap

export const organization = (name: string) =>
  Effect.flatMap(Organizations.Organizations, (organizations) => organizations.create(name))

export const environment = (organizationId: OrganizationId, maxSessions: number) =>
  Effect.flatMap(Environments.Environments, (environments) =>
    Effect.map(
      environments.register({
        organizationId,
        machineName: "machine",
        directory: "/srv/code",
        branch: undefined,
        gitRepoUrl: undefined,
        maxSessions,
        metadata: undefined,
        reuseEnvironmentId: undefined
      }),
      ({ environment: registered }) => registered.id
    )
  )

/** A session's row; answers with its `sid`. */
export const session = (
  organizationId: OrganizationId,
  environmentId: EnvironmentId | undefined,
  body: string
) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const now = yield* Clock.currentTimeMillis
    const rows = yield* sql<{ readonly sid: number }>`INSERT INTO sessions
      (body, organization_id, environment_id, created_at, updated_at, projection)
      VALUES (${body}, ${organizationId}, ${environmentId ?? null}, ${now}, ${now}, '{}') RETURNING sid`
    return rows[0]?.sid ?? 0
  })

/** A message of a person in a session's log. */
export const message = (sid: number, seq: number, delivery: string | null = null) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const now = yield* Clock.currentTimeMillis
    yield* sql`INSERT INTO events
      (sid, seq, uuid, source, type, transcript, compaction, created_at, delivery, payload)
      VALUES (${sid}, ${seq}, ${`uuid-${seq}`}, 'client', 'user', 1, 0, ${now}, ${delivery}, '{}')`
  })

/** Queues work as an append does. */
export const enqueue = (...sids: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const now = yield* Clock.currentTimeMillis
    return yield* sql.withTransaction(Work.ensure(sids, now))
  })
