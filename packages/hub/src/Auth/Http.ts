/** `/v1/access_tokens`. */
import type { AccessToken } from "@causeway/protocol/http/AccessTokens"
import { ColdApi } from "@causeway/protocol/http/Api"
import { CurrentPrincipal } from "@causeway/protocol/http/Authorization"
import * as Permission from "@causeway/protocol/Permission"
import * as WireError from "@causeway/protocol/WireError"
import * as Tokens from "@causeway/store/Tokens"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { Connected } from "../Connected.ts"
import { mapStoreErrors } from "../Failure.ts"
import { isoOrNull } from "../internal/iso.ts"

const toWire = (record: Tokens.TokenRecord): AccessToken => ({
  id: record.id,
  name: record.name,
  role: record.role,
  hint: record.hint,
  created_at: new Date(record.createdAt).toISOString(),
  expires_at: isoOrNull(record.expiresAt),
  last_used_at: isoOrNull(record.lastUsedAt),
  revoked_at: isoOrNull(record.revokedAt)
})

export const layer = HttpApiBuilder.group(ColdApi, "accessTokens", (handlers) =>
  Effect.gen(function* () {
    const tokens = yield* Tokens.Tokens
    const connected = yield* Connected
    return handlers
      .handle("create", ({ payload }) =>
        Effect.gen(function* () {
          const { organizationId, role: own } = yield* CurrentPrincipal
          const role = payload.role ?? own
          if (!Permission.isWithin(Permission.permissionsOf(role), Permission.permissionsOf(own))) {
            return yield* WireError.Forbidden.of(
              `a token of the role ${own} cannot make one of the role ${role}`
            )
          }
          const now = yield* Clock.currentTimeMillis
          const expiresAt = payload.expires_in == null ? undefined : now + payload.expires_in * 1000
          const { token, record } = yield* tokens.create({
            organizationId,
            name: payload.name,
            role,
            expiresAt
          })
          return { ...toWire(record), token: Redacted.value(token) }
        }).pipe(mapStoreErrors)
      )
      .handle("list", () =>
        CurrentPrincipal.pipe(
          Effect.flatMap(({ organizationId }) => tokens.list(organizationId)),
          Effect.map((records) => ({ data: records.map(toWire) })),
          mapStoreErrors
        )
      )
      .handle("revoke", ({ path, urlParams }) =>
        CurrentPrincipal.pipe(
          Effect.flatMap(({ organizationId }) =>
            tokens.revoke({ organizationId, tokenId: path.id, everything: urlParams.everything === "true" })
          ),
          Effect.zipLeft(connected.look),
          Effect.map(toWire),
          mapStoreErrors
        )
      )
  })
)
