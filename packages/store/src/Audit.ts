/**
 * The audit log: who signed in, was refused, approved, made, changed and ended what. Lines are only added: the schema refuses
 * to change or delete one, and each holds a hash over itself and the line before, so that a line that somebody changed or took
 * out of the file is found. What was cut off at the end is found by whoever kept a hash of it (`verify`).
 *
 * Whoever changes tokens, devices or codes writes the line in the same transaction (`append`): the hub and the command line
 * alike. The actor is the one that the door has set (`Author`).
 */
import { createHash } from "node:crypto"
import { Author as AuthorSchema, type Author as Person } from "@causeway/protocol/Event"
import type { OrganizationId } from "@causeway/protocol/Ids"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Author from "./Author.ts"
import type { StoreUnavailable } from "./Errors.ts"
import { unavailable } from "./internal/unavailable.ts"

/** What is written down. */
export type Action =
  | "token.created"
  | "token.revoked"
  | "device.approved"
  | "device.rejected"
  | "device.removed"
  | "device.rotated"
  | "code.created"
  | "code.redeemed"
  | "signed_in"
  | "refused"
  | "approval.answered"
  | "session.deleted"
  | "session.reset"

export interface Entry {
  /** None where nobody was let in. */
  readonly organizationId: OrganizationId | undefined
  readonly action: Action
  /** Id of what was acted on. */
  readonly subject?: string | undefined
  /** From where, as far as the door knows. */
  readonly address?: string | undefined
  /** Never a secret. */
  readonly details?: { readonly [name: string]: unknown }
}

interface Row {
  readonly no: number
  readonly organization_id: OrganizationId | null
  readonly at: number
  readonly action: Action
  readonly author: string | null
  readonly address: string | null
  readonly subject: string | null
  readonly details: string
  readonly hash: string
}

const readAuthor = Schema.decodeUnknownOption(Schema.parseJson(AuthorSchema))

/** A line as it is shown. `at` is in milliseconds since the epoch. */
export interface Line {
  readonly no: number
  readonly at: number
  readonly action: Action
  readonly author: Person | undefined
  readonly address: string | undefined
  readonly subject: string | undefined
  readonly details: { readonly [name: string]: unknown }
  readonly hash: string
}

const toLine = (row: Row): Line => ({
  no: row.no,
  at: row.at,
  action: row.action,
  author: Option.getOrUndefined(readAuthor(row.author)),
  address: row.address ?? undefined,
  subject: row.subject ?? undefined,
  details: JSON.parse(row.details),
  hash: row.hash
})

/** Hash of the line before the first. */
const START = ""

const hashOf = (before: string, row: Omit<Row, "hash">): string =>
  createHash("sha256")
    .update(
      JSON.stringify([
        before,
        row.no,
        row.organization_id,
        row.at,
        row.action,
        row.author,
        row.address,
        row.subject,
        row.details
      ])
    )
    .digest("hex")

/** Adds a line; to be run inside the transaction of what it tells of. */
export const append = (sql: SqlClient.SqlClient, entry: Entry): Effect.Effect<void, SqlError> =>
  Effect.gen(function* () {
    const [last] = yield* sql<Pick<Row, "no" | "hash">>`SELECT no, hash FROM audit ORDER BY no DESC LIMIT 1`
    const row: Omit<Row, "hash"> = {
      no: (last?.no ?? 0) + 1,
      organization_id: entry.organizationId ?? null,
      at: yield* Clock.currentTimeMillis,
      action: entry.action,
      author: yield* Author.column,
      address: entry.address ?? null,
      subject: entry.subject ?? null,
      details: JSON.stringify(entry.details ?? {})
    }
    yield* sql`INSERT INTO audit ${sql.insert({ ...row, hash: hashOf(last?.hash ?? START, row) })}`
  })

/** How the chain stands. `head`: hash of the last line, to be kept elsewhere; undefined where there is none. */
export type Verdict =
  | { readonly _tag: "Whole"; readonly lines: number; readonly head: string | undefined }
  /** `no`: the first line that does not follow from the one before. */
  | { readonly _tag: "Broken"; readonly no: number }
  /** No line has the hash that was kept: what followed it was cut off, or everything was written anew. */
  | { readonly _tag: "Missing"; readonly hash: string }

/** Lines that are read at a time. */
const PAGE = 1000

export class Audit extends Context.Tag("@causeway/store/Audit")<
  Audit,
  {
    readonly record: (entry: Entry) => Effect.Effect<void, StoreUnavailable>
    /** The newest first; those before `before`. Lines of no organisation (refusals) are among them. */
    readonly list: (options: {
      readonly organizationId: OrganizationId
      readonly limit: number
      readonly before?: number | undefined
    }) => Effect.Effect<ReadonlyArray<Line>, StoreUnavailable>
    /** Computes the chain of all organisations anew. `kept`: a hash that has to be in it. */
    readonly verify: (kept?: string) => Effect.Effect<Verdict, StoreUnavailable>
  }
>() {}

interface Checked {
  readonly no: number
  readonly hash: string
  readonly isFound: boolean
  readonly state: "going on" | "whole" | "broken"
}

/** The chain as far as these lines go on with it. */
const check = (from: Checked, rows: ReadonlyArray<Row>, kept: string | undefined): Checked => {
  let { hash: before, isFound, no } = from
  for (const { hash, ...row } of rows) {
    if (row.no !== no + 1 || hash !== hashOf(before, row))
      return { no, hash: before, isFound, state: "broken" }
    no = row.no
    before = hash
    isFound ||= hash === kept
  }
  return { no, hash: before, isFound, state: rows.length < PAGE ? "whole" : "going on" }
}

const verify = (sql: SqlClient.SqlClient, kept: string | undefined): Effect.Effect<Verdict, SqlError> => {
  const from: Checked = { no: 0, hash: START, isFound: kept === undefined, state: "going on" }
  return Effect.iterate(from, {
    while: ({ state }) => state === "going on",
    body: (from) =>
      Effect.map(sql<Row>`SELECT * FROM audit WHERE no > ${from.no} ORDER BY no LIMIT ${PAGE}`, (rows) =>
        check(from, rows, kept)
      )
  }).pipe(
    Effect.map(({ hash, isFound, no, state }): Verdict => {
      if (state === "broken") return { _tag: "Broken", no: no + 1 }
      if (kept !== undefined && !isFound) return { _tag: "Missing", hash: kept }
      return { _tag: "Whole", lines: no, head: no === 0 ? undefined : hash }
    })
  )
}

export const layer: Layer.Layer<Audit, never, SqlClient.SqlClient> = Layer.effect(
  Audit,
  Effect.map(SqlClient.SqlClient, (sql) =>
    Audit.of({
      record: (entry) => unavailable(sql.withTransaction(append(sql, entry))),
      list: Effect.fn("Audit.list")(function* ({ before = Number.MAX_SAFE_INTEGER, limit, organizationId }) {
        const rows = yield* sql<Row>`SELECT * FROM audit WHERE no < ${before}
          AND (organization_id = ${organizationId} OR organization_id IS NULL) ORDER BY no DESC LIMIT ${limit}`
        return rows.map(toLine)
      }, unavailable),
      verify: Effect.fn("Audit.verify")((kept?: string) => verify(sql, kept), unavailable)
    })
  )
)
