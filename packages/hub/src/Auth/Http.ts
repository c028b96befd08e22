/** `/v1/access_tokens`. */
import type { AccessToken } from "@causeway/protocol/http/AccessTokens"
import { ColdApi } from "@causeway/protocol/http/Api"
import { CurrentPrincipal } from "@causeway/protocol/http/Authorization"
import * as WireError from "@causeway/protocol/WireError"
import * as Tokens from "@causeway/store/Tokens"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { isoOrNull } from "../internal/iso.ts"
import { unavailable } from "../internal/unavailable.ts"

const toWire = (record: Tokens.TokenRecord): AccessToken => ({
  id: record.id,
  name: record.name,
  hint: record.hint,
  created_at: new Date(record.createdAt).toISOString(),
  expires_at: isoOrNull(record.expiresAt),
  last_used_at: isoOrNull(record.lastUsedAt),
  revoked_at: isoOrNull(record.revokedAt)
})

export const layer = HttpApiBuilder.group(ColdApi, "accessTokens", (handlers) =>
  Effect.gen(function* () {
    const tokens = yield* Tokens.Tokens
    return handlers
      .handle("create", ({ payload }) =>
        Effect.gen(function* () {
          const { organizationId } = yield* CurrentPrincipal
          const now = yield* Clock.currentTimeMillis
          const seconds = payload.expires_in ?? undefined
          const { token, record } = yield* tokens.create({
            organizationId,
            name: payload.name,
            expiresAt: seconds === undefined ? undefined : now + seconds * 1000
          })
          return { ...toWire(record), token: Redacted.value(token) }
        }).pipe(Effect.catchTag("StoreUnavailable", unavailable))
      )
      .handle("list", () =>
        Effect.gen(function* () {
          const { organizationId } = yield* CurrentPrincipal
          return { data: (yield* tokens.list(organizationId)).map(toWire) }
        }).pipe(Effect.catchTag("StoreUnavailable", unavailable))
      )
      .handle("revoke", ({ path }) =>
        Effect.gen(function* () {
          const { organizationId } = yield* CurrentPrincipal
          return toWire(yield* tokens.revoke({ organizationId, tokenId: path.id }))
        }).pipe(
          Effect.catchTags({
            TokenUnknown: (error) => WireError.NotFound.of(error.message),
            StoreUnavailable: unavailable
          })
        )
      )
  })
)
