/**
 * Whether credentials that opened something some time ago still stand.
 *
 * One look answers for all of them, whoever ended them: this process, another one or the command line. Source: spec 5 §3.6.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Match from "effect/Match"
import type { StoreUnavailable } from "./Errors.ts"
import { unavailable } from "./internal/unavailable.ts"

/** What opened a connection, as it was at that moment. */
export type Credential =
  | { readonly _tag: "Token"; readonly id: string }
  /** `generation`: that of the device's tokens, which a rotation raises. */
  | { readonly _tag: "Device"; readonly id: string; readonly generation: number }
  /** `secretHash`: of the secret that was shown; secrets rotate at every registration. */
  | { readonly _tag: "Environment"; readonly id: string; readonly secretHash: string }
  /** A token of one session, good until `expiresAt` (milliseconds since the epoch) or a newer epoch. */
  | {
      readonly _tag: "Ingress"
      readonly session: string
      readonly epoch: number
      readonly expiresAt: number
    }

type Of<T extends Credential["_tag"]> = Extract<Credential, { readonly _tag: T }>

/** Why a credential stands no longer. */
export type Ended = "revoked" | "expired" | "removed" | "rotated" | "superseded"

/** A credential that stands until `expiresAt` at the latest, or one that has ended. */
export type Verdict =
  | { readonly _tag: "Stands"; readonly expiresAt: number | undefined }
  | { readonly _tag: "Ended"; readonly why: Ended }

/** Credentials of one query. */
const AT_ONCE = 500

const stands = (expiresAt?: number | null): Verdict => ({ _tag: "Stands", expiresAt: expiresAt ?? undefined })
const ended = (why: Ended): Verdict => ({ _tag: "Ended", why })

/** Stands until its time. */
const until = (expiresAt: number | null, now: number): Verdict =>
  expiresAt !== null && expiresAt <= now ? ended("expired") : stands(expiresAt)

export class Standing extends Context.Tag("@causeway/store/Standing")<
  Standing,
  {
    /** The verdict on each, in their order. */
    readonly look: (
      credentials: ReadonlyArray<Credential>
    ) => Effect.Effect<ReadonlyArray<Verdict>, StoreUnavailable>
  }
>() {}

const rowsOf = <Row extends { readonly id: string }>(
  sql: SqlClient.SqlClient,
  from: { readonly table: string; readonly key: string; readonly columns: string },
  ids: ReadonlyArray<string>
) =>
  Effect.map(
    Effect.forEach(
      Arr.chunksOf(ids, AT_ONCE),
      (some) =>
        sql<Row>`SELECT ${sql(from.key)} AS id, ${sql.literal(from.columns)} FROM ${sql(from.table)}
          WHERE ${sql.in(from.key, some)}`
    ),
    (found) => new Map(found.flat().map((row) => [row.id, row] as const))
  )

const look = (sql: SqlClient.SqlClient): Standing["Type"]["look"] =>
  Effect.fn("Standing.look")(function* (credentials) {
    yield* Effect.annotateCurrentSpan("credentials", credentials.length)
    const now = yield* Clock.currentTimeMillis
    const ids = <T extends Exclude<Credential["_tag"], "Ingress">>(tag: T) => [
      ...new Set(credentials.flatMap((each) => (each._tag === tag && "id" in each ? [each.id] : [])))
    ]
    const tokens = yield* rowsOf<{
      readonly id: string
      readonly expires_at: number | null
      readonly revoked_at: number | null
    }>(sql, { table: "access_tokens", key: "id", columns: "expires_at, revoked_at" }, ids("Token"))
    const devices = yield* rowsOf<{ readonly id: string; readonly token_generation: number }>(
      sql,
      { table: "gateway_devices", key: "id", columns: "token_generation" },
      ids("Device")
    )
    const environments = yield* rowsOf<{
      readonly id: string
      readonly secret_hash: string
      readonly archived_at: number | null
    }>(sql, { table: "environments", key: "id", columns: "secret_hash, archived_at" }, ids("Environment"))
    const sessions = yield* rowsOf<{ readonly id: string; readonly token_epoch: number }>(
      sql,
      { table: "sessions", key: "body", columns: "token_epoch" },
      [...new Set(credentials.flatMap((each) => (each._tag === "Ingress" ? [each.session] : [])))]
    )
    const judge = {
      Token: ({ id }: Of<"Token">) => {
        const row = tokens.get(id)
        if (row === undefined) return ended("removed")
        return row.revoked_at === null ? until(row.expires_at, now) : ended("revoked")
      },
      Device: ({ generation, id }: Of<"Device">) => {
        const row = devices.get(id)
        if (row === undefined) return ended("removed")
        return row.token_generation === generation ? stands() : ended("rotated")
      },
      Environment: ({ id, secretHash }: Of<"Environment">) => {
        const row = environments.get(id)
        if (row === undefined || row.archived_at !== null) return ended("removed")
        return row.secret_hash === secretHash ? stands() : ended("rotated")
      },
      Ingress: ({ epoch, expiresAt, session }: Of<"Ingress">) => {
        const row = sessions.get(session)
        if (row === undefined) return ended("removed")
        return row.token_epoch > epoch ? ended("superseded") : until(expiresAt, now)
      }
    }
    return credentials.map(Match.valueTags(judge))
  }, unavailable)

export const layer: Layer.Layer<Standing, never, SqlClient.SqlClient> = Layer.effect(
  Standing,
  Effect.map(SqlClient.SqlClient, (sql) => Standing.of({ look: look(sql) }))
)
