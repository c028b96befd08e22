/** `token create / list / revoke`: access tokens, on the hub's own machine, whether the hub runs or not. */

import { Role } from "@causeway/protocol/Permission"
import * as Visible from "@causeway/protocol/Visible"
import * as Tokens from "@causeway/store/Tokens"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Argument from "../Cli/Argument.ts"
import * as Command from "../Cli/Command.ts"
import * as Flag from "../Cli/Flag.ts"
import { Failure } from "../Failure.ts"
import * as LocalStore from "../LocalStore.ts"

const DAY = 24 * 60 * 60 * 1000

/** Whether a token opens anything, and until when. */
const stateOf = (record: Tokens.TokenRecord, now: number): string =>
  record.revokedAt !== undefined
    ? "revoked"
    : record.expiresAt === undefined
      ? "good until revoked"
      : `${record.expiresAt > now ? "good until" : "expired"} ${new Date(record.expiresAt).toISOString()}`

const iso = (millis: number | undefined) => (millis === undefined ? null : new Date(millis).toISOString())

const create = LocalStore.command(
  "create",
  "Make an access token",
  {
    name: Flag.withDefault(Flag.text("name", "TEXT", "What it is for"), "command line"),
    role: Flag.withDefault(
      Flag.choice("role", "ROLE", Role.literals, "What it may do (default: owner, everything)"),
      "owner"
    ),
    days: Flag.withDefault(
      Flag.integer("days", "N", [0, 36_500], "Days it is valid (default 0: until revoked)"),
      0
    )
  },
  ({ name, days, role }, organizationId, output) =>
    Effect.gen(function* () {
      const tokens = yield* Tokens.Tokens
      const now = yield* Clock.currentTimeMillis
      const expiry = days > 0 ? { expiresAt: now + days * DAY } : {}
      const { token, record } = yield* tokens.create({ organizationId, name, role, ...expiry })
      const { id, expiresAt } = record
      const secret = Redacted.value(token)
      yield* output.tell(
        { event: "token_created", id, name, role, expires_at: iso(expiresAt), token: secret },
        secret
      )
      yield* output.progress(`${role}; ${stateOf(record, now)}; shown only once; keep it somewhere safe`)
    })
)

const list = LocalStore.command(
  "list",
  "List access tokens, without their secrets",
  {},
  (_, organizationId, output) =>
    Effect.gen(function* () {
      const tokens = yield* Tokens.Tokens
      const now = yield* Clock.currentTimeMillis
      for (const record of yield* tokens.list(organizationId)) {
        const { id, name, hint, role } = record
        const state = stateOf(record, now)
        const made = iso(record.createdAt)
        yield* output.tell(
          {
            state: state.split(" ")[0],
            id,
            name,
            role,
            hint,
            created_at: made,
            expires_at: iso(record.expiresAt),
            last_used_at: iso(record.lastUsedAt),
            revoked_at: iso(record.revokedAt)
          },
          `${id}  …${hint}  ${role.padEnd(8)}  ${state.padEnd(32)} ${made}  ${Visible.line(name)}`
        )
      }
    })
)

const revoke = LocalStore.command(
  "revoke",
  "Revoke an access token",
  {
    token: Argument.text("TOKEN-ID", "As `token list` shows it"),
    everything: Flag.toggle("everything", "And all tokens and devices that it made")
  },
  ({ everything, token: tokenId }, organizationId, output) =>
    Effect.gen(function* () {
      const tokens = yield* Tokens.Tokens
      yield* Effect.catchTag(
        tokens.revoke({ organizationId, tokenId, everything }),
        "TokenUnknown",
        ({ message }) => Failure.notFound(message, "`token list` shows them")
      )
      yield* output.tell({ event: "token_revoked", id: tokenId }, `${tokenId} is revoked`)
    })
)

export const token = Command.group("token", "Access tokens of this machine's hub", [create, list, revoke])
