/** Organisations: everything belongs to one, and none sees another's. Source: spec 5 §3.8. */

import { randomUUID } from "node:crypto"
import { OrganizationId } from "@causeway/protocol/Ids"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { StoreUnavailable } from "./Errors.ts"
import { unavailable } from "./internal/unavailable.ts"

/** An organisation. Times are milliseconds since the epoch. */
export interface Organization {
  readonly id: OrganizationId
  readonly name: string
  readonly createdAt: number
}

interface Row {
  readonly id: string
  readonly name: string
  readonly created_at: number
}

const fromRow = (row: Row): Organization => ({
  id: OrganizationId.make(row.id),
  name: row.name,
  createdAt: row.created_at
})

export class Organizations extends Context.Tag("@causeway/store/Organizations")<
  Organizations,
  {
    readonly create: (name: string) => Effect.Effect<Organization, StoreUnavailable>
    /** The oldest first. */
    readonly list: Effect.Effect<ReadonlyArray<Organization>, StoreUnavailable>
  }
>() {}

export const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  return Organizations.of({
    create: Effect.fn("Organizations.create")(function* (name: string) {
      const createdAt = yield* Clock.currentTimeMillis
      const id = OrganizationId.make(randomUUID())
      yield* sql`INSERT INTO organizations (id, name, created_at) VALUES (${id}, ${name}, ${createdAt})`
      return { id, name, createdAt }
    }, unavailable),
    list: Effect.map(
      unavailable(sql<Row>`SELECT id, name, created_at FROM organizations ORDER BY created_at, id`),
      (rows) => rows.map(fromRow)
    )
  })
})

export const layer: Layer.Layer<Organizations, never, SqlClient.SqlClient> = Layer.effect(Organizations, make)
