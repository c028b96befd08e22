/** Readiness: the database answers, has the schema of this program, and takes what is written. Source: spec 5 §3.10. */
import * as SqlClient from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { DatabaseHealth } from "./DatabaseHealth.ts"
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
    /** Reads the schema's version. Right: `found` equals `known`. */
    readonly check: Effect.Effect<SchemaState, StoreUnavailable>
    /** Writes to the database what stands there; at most once a second, however often it is asked. */
    readonly probe: Effect.Effect<void, StoreUnavailable>
  }
>() {}

/** What a probe has found is good for this long: whoever asks may be anybody. */
const PROBED: Duration.DurationInput = "1 second"

export const layer: Layer.Layer<Readiness, never, SqlClient.SqlClient> = Layer.effect(
  Readiness,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const health = yield* DatabaseHealth
    const probe = yield* Effect.cachedWithTTL(
      unavailable(sql`UPDATE schema_version SET applied_at = applied_at`).pipe(
        Effect.zipRight(health.written)
      ),
      PROBED
    )
    return {
      probe,
      check: Effect.map(
        unavailable(
          sql<{ readonly version: number | null }>`SELECT max(version) AS version FROM schema_version`
        ),
        (rows): SchemaState => ({ found: rows[0]?.version ?? 0, known: migrations.length })
      )
    }
  })
)
