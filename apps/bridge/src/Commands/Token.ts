/** `token create / list / revoke`: access tokens, on the hub's own machine, whether the hub runs or not. */

import * as Visible from "@causeway/protocol/Visible"
import * as Tokens from "@causeway/store/Tokens"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Argument from "../Cli/Argument.ts"
import * as Command from "../Cli/Command.ts"
import * as Flag from "../Cli/Flag.ts"
import { ExitCode, Failure } from "../Failure.ts"
import * as Flags from "../Flags.ts"
import { organization, withDatabase } from "../LocalStore.ts"
import { Output } from "../Output.ts"

const DAY = 24 * 60 * 60 * 1000

/** Whether a token opens anything, and until when. */
const stateOf = (record: Tokens.TokenRecord, now: number): string =>
  record.revokedAt !== undefined
    ? "revoked"
    : record.expiresAt === undefined
      ? "good until revoked"
      : `${record.expiresAt > now ? "good until" : "expired"} ${new Date(record.expiresAt).toISOString()}`

const create = Command.make(
  "create",
  "Make an access token",
  {
    ...Flags.common,
    name: Flag.withDefault(
      Flag.text("name", { value: "TEXT", description: "What it is for" }),
      "command line"
    ),
    days: Flag.withDefault(
      Flag.integer("days", {
        value: "N",
        least: 0,
        most: 36_500,
        description: "Days it is good for (default 0: until revoked)"
      }),
      0
    )
  },
  ({ stateDir, name, days }) =>
    Effect.gen(function* () {
      const output = yield* Output
      const tokens = yield* Tokens.Tokens
      const { id: organizationId } = yield* organization
      const now = yield* Clock.currentTimeMillis
      const { token, record } = yield* tokens.create({
        organizationId,
        name,
        ...(days > 0 ? { expiresAt: now + days * DAY } : {})
      })
      yield* output.value({
        event: "token_created",
        id: record.id,
        name,
        expires_at: record.expiresAt === undefined ? null : new Date(record.expiresAt).toISOString(),
        token: Redacted.value(token)
      })
      yield* output.line(Redacted.value(token))
      yield* output.progress(`${stateOf(record, now)}; shown this once: keep it somewhere safe`)
    }).pipe(withDatabase(stateDir))
)

const list = Command.make("list", "Access tokens, without their secrets", Flags.common, ({ stateDir }) =>
  Effect.gen(function* () {
    const output = yield* Output
    const tokens = yield* Tokens.Tokens
    const { id } = yield* organization
    const now = yield* Clock.currentTimeMillis
    const iso = (millis: number | undefined) => (millis === undefined ? null : new Date(millis).toISOString())
    for (const record of yield* tokens.list(id)) {
      const state = stateOf(record, now)
      yield* output.value({
        state: state.split(" ")[0],
        id: record.id,
        name: record.name,
        hint: record.hint,
        created_at: iso(record.createdAt),
        expires_at: iso(record.expiresAt),
        last_used_at: iso(record.lastUsedAt),
        revoked_at: iso(record.revokedAt)
      })
      yield* output.line(
        `${record.id}  …${record.hint}  ${state.padEnd(32)} ${iso(record.createdAt) ?? ""}  ${Visible.line(record.name)}`
      )
    }
  }).pipe(withDatabase(stateDir))
)

const revoke = Command.make(
  "revoke",
  "Revoke an access token",
  { ...Flags.common, token: Argument.text("TOKEN-ID", "As `token list` shows it") },
  ({ stateDir, token }) =>
    Effect.gen(function* () {
      const output = yield* Output
      const tokens = yield* Tokens.Tokens
      const { id: organizationId } = yield* organization
      yield* tokens.revoke({ organizationId, tokenId: token }).pipe(
        Effect.catchTag(
          "TokenUnknown",
          (error) =>
            new Failure({
              message: error.message,
              next: "`token list` shows them",
              exitCode: ExitCode.notFound
            })
        )
      )
      yield* output.value({ event: "token_revoked", id: token })
      yield* output.line(`${token} opens nothing any more`)
    }).pipe(withDatabase(stateDir))
)

export const token = Command.group("token", "Access tokens of this machine's hub", [create, list, revoke])
