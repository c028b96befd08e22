/** Readiness: the database answers, and has the schema of this program. Source: spec 5 §3.10. */
import * as SqlClient from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { StoreUnavailable } from "./Errors.ts"
import { unavailable } from "./internal/unavailable.ts"
import { migrations } from "./Migrations.ts"

export interface SchemaState {
  readonly found: number
  readonly known: number
}

export class Readiness extends Context.Tag("@causeway/store/Readiness")<
  Readiness,
  {
    /** Reads the schema's version. Ready: `found` equals `known`. */
    readonly check: Effect.Effect<SchemaState, StoreUnavailable>
  }
>() {}

export const layer: Layer.Layer<Readiness, never, SqlClient.SqlClient> = Layer.effect(
  Readiness,
  Effect.map(SqlClient.SqlClient, (sql) => ({
    check: Effect.map(
      unavailable(
        sql<{ readonly version: number | null }>`SELECT max(version) AS version FROM schema_version`
      ),
      (rows): SchemaState => ({ found: rows[0]?.version ?? 0, known: migrations.length })
    )
  }))
)
