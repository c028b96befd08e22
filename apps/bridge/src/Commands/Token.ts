/** `token create / list / revoke`: access tokens, on the hub's own machine, whether the hub runs or not. */

import * as Visible from "@causeway/protocol/Visible"
import * as Tokens from "@causeway/store/Tokens"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { ExitCode, Failure } from "../Failure.ts"
import * as Flags from "../Flags.ts"
import { organization, withDatabase } from "../LocalStore.ts"
import { Output } from "../Output.ts"

const DAY = 24 * 60 * 60 * 1000

const create = Command.make(
  "create",
  {
    ...Flags.common,
    name: Options.text("name").pipe(
      Options.withDefault("command line"),
      Options.withDescription("What the token is for")
    ),
    days: Options.integer("days").pipe(
      Options.withDefault(0),
      Options.withDescription("How many days it is good for; 0: until revoked")
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
      yield* output.value({ event: "token_created", id: record.id, name, token: Redacted.value(token) })
      yield* output.line(Redacted.value(token))
      yield* output.progress("shown this once: keep it somewhere safe")
    }).pipe(withDatabase(stateDir))
).pipe(Command.withDescription("Make an access token"))

const list = Command.make("list", Flags.common, ({ stateDir }) =>
  Effect.gen(function* () {
    const output = yield* Output
    const tokens = yield* Tokens.Tokens
    const { id } = yield* organization
    const iso = (millis: number | undefined) => (millis === undefined ? null : new Date(millis).toISOString())
    for (const record of yield* tokens.list(id)) {
      const state = record.revokedAt !== undefined ? "revoked" : "good"
      yield* output.value({
        id: record.id,
        name: record.name,
        hint: record.hint,
        created_at: iso(record.createdAt),
        expires_at: iso(record.expiresAt),
        last_used_at: iso(record.lastUsedAt),
        revoked_at: iso(record.revokedAt)
      })
      yield* output.line(
        `${record.id}  …${record.hint}  ${state.padEnd(8)} ${iso(record.createdAt) ?? ""}  ${Visible.text(record.name)}`
      )
    }
  }).pipe(withDatabase(stateDir))
).pipe(Command.withDescription("List access tokens, without their secrets"))

const revoke = Command.make(
  "revoke",
  { ...Flags.common, token: Args.text({ name: "token-id" }) },
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
).pipe(Command.withDescription("Revoke an access token"))

export const token = Command.make("token").pipe(
  Command.withDescription("Make, list and revoke access tokens of this machine's hub"),
  Command.withSubcommands([create, list, revoke])
)
