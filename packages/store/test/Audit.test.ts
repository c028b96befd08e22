import type { OrganizationId } from "@causeway/protocol/Ids"
import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Audit from "../src/Audit.ts"
import * as Author from "../src/Author.ts"
import * as Devices from "../src/Devices.ts"
import * as Tokens from "../src/Tokens.ts"
import { organization, layer as store } from "./fixtures.ts"

const layer = Layer.provideMerge(Layer.merge(Audit.layer, Devices.layer), store())

const ada = { kind: "device", id: "d1", name: "Ada's phone", role: "owner" } as const

/** Writes this many lines. */
const lines = (organizationId: OrganizationId, count: number) =>
  Effect.gen(function* () {
    const audit = yield* Audit.Audit
    for (let n = 0; n < count; n++) {
      yield* audit.record({ organizationId, action: "signed_in", subject: `s${n}`, details: { n } })
    }
  })

describe("a token that is revoked with everything it made", () => {
  it.effect("takes along the tokens and devices that it made, and that those made, and no other", () =>
    Effect.gen(function* () {
      const { id: organizationId } = yield* organization("one")
      const tokens = yield* Tokens.Tokens
      const devices = yield* Devices.Devices
      const by = (kind: "token" | "device", id: string) =>
        Effect.locally(Author.current, { kind, id, name: id, role: "owner" })
      const token = (name: string) =>
        Effect.map(tokens.create({ organizationId, name }), ({ record }) => record.id)
      const device = (deviceId: string) =>
        devices.approve(
          {
            ...{ deviceId, organizationId, publicKey: "k", displayName: deviceId, platform: "linux" },
            ...{ deviceFamily: "", clientId: "cli", clientMode: "cli" }
          },
          "operator",
          ["operator.admin"]
        )
      const first = yield* token("first")
      yield* by("token", first)(device("phone"))
      const second = yield* by("device", "phone")(token("second"))
      yield* by("token", second)(device("tablet"))
      const other = yield* token("other")
      yield* by("token", other)(device("desk"))
      const standing = Effect.all([
        Effect.map(tokens.list(organizationId), (all) =>
          all.flatMap(({ name, revokedAt }) => (revokedAt === undefined ? [name] : [])).sort()
        ),
        Effect.map(devices.list(organizationId), (all) => all.map(({ deviceId }) => deviceId).sort())
      ])
      yield* tokens.revoke({ organizationId, tokenId: second })
      expect(yield* standing).toEqual([
        ["first", "other"],
        ["desk", "phone", "tablet"]
      ])
      yield* tokens.revoke({ organizationId, tokenId: first, everything: true })
      expect(yield* standing).toEqual([["other"], ["desk"]])
    }).pipe(Effect.provide(layer))
  )
})

describe("the audit log", () => {
  it.effect("names who made and revoked a token, in the transaction that did it", () =>
    Effect.gen(function* () {
      const { id: organizationId } = yield* organization("one")
      const other = yield* organization("other")
      const tokens = yield* Tokens.Tokens
      const { record } = yield* tokens
        .create({ organizationId, name: "laptop", role: "viewer" })
        .pipe(Effect.locally(Author.current, ada))
      yield* tokens.create({ organizationId: other.id, name: "theirs" })
      yield* tokens.revoke({ organizationId, tokenId: record.id })
      yield* tokens.revoke({ organizationId, tokenId: record.id })
      const audit = yield* Audit.Audit
      const shown = yield* audit.list({ organizationId, limit: 10 })
      expect(shown.map(({ action, author, subject, details }) => [action, author, subject, details])).toEqual(
        [
          ["token.revoked", undefined, record.id, { name: "laptop", role: "viewer" }],
          ["token.created", ada, record.id, { name: "laptop", role: "viewer", expiresAt: null }]
        ]
      )
      expect(yield* audit.list({ organizationId, limit: 1, before: shown[0]?.no })).toEqual([shown[1]])
      expect(yield* audit.verify()).toMatchObject({ _tag: "Whole", lines: 3 })
    }).pipe(Effect.provide(layer))
  )

  it.effect("is only added to", () =>
    Effect.gen(function* () {
      yield* lines((yield* organization("one")).id, 2)
      const sql = yield* SqlClient.SqlClient
      for (const change of ["UPDATE audit SET at = 0", "DELETE FROM audit WHERE no = 1"]) {
        expect(String((yield* Effect.flip(sql.unsafe(change))).cause)).toContain("is only added to")
      }
    }).pipe(Effect.provide(layer))
  )

  it.effect("whoever goes round that is found out: a line that was changed, taken out or put in", () =>
    Effect.gen(function* () {
      const { id } = yield* organization("one")
      const audit = yield* Audit.Audit
      const sql = yield* SqlClient.SqlClient
      yield* lines(id, 12)
      for (const trigger of ["audit_is_not_changed", "audit_is_not_deleted"])
        yield* sql.unsafe(`DROP TRIGGER ${trigger}`)
      const columns = ["organization_id", "at", "action", "author", "address", "subject", "details", "hash"]
      const changes = FastCheck.sample(
        FastCheck.record({
          no: FastCheck.integer({ min: 1, max: 11 }),
          column: FastCheck.constantFrom(...columns, "taken out")
        }),
        { numRuns: 40, seed: 7 }
      )
      for (const { column, no } of changes) {
        const verdict = yield* Effect.gen(function* () {
          yield* column === "taken out"
            ? sql`DELETE FROM audit WHERE no = ${no}`
            : sql`UPDATE audit SET ${sql(column)} = ${column === "at" ? 1 : "another"} WHERE no = ${no}`
          return yield* Effect.flip(Effect.flatMap(audit.verify(), Effect.fail))
        }).pipe(Effect.flatMap(Effect.fail), sql.withTransaction, Effect.flip)
        expect(verdict).toEqual({ _tag: "Broken", no })
      }
      expect(yield* audit.verify()).toMatchObject({ _tag: "Whole", lines: 12 })
    }).pipe(Effect.provide(layer))
  )

  it.effect("what was cut off at its end is found by a hash that was kept", () =>
    Effect.gen(function* () {
      yield* lines((yield* organization("one")).id, 3)
      const audit = yield* Audit.Audit
      const sql = yield* SqlClient.SqlClient
      const whole = yield* audit.verify()
      const head = whole._tag === "Whole" ? (whole.head ?? "") : ""
      expect(yield* audit.verify(head)).toEqual(whole)
      yield* sql.unsafe("DROP TRIGGER audit_is_not_deleted")
      yield* sql`DELETE FROM audit WHERE no = 3`
      expect(yield* audit.verify()).toMatchObject({ _tag: "Whole", lines: 2 })
      expect(yield* audit.verify(head)).toEqual({ _tag: "Missing", hash: head })
    }).pipe(Effect.provide(layer))
  )
})
