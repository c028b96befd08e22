/** The first start: one organisation and one access token. Source: spec 5 §3.8. */
import type { OrganizationId } from "@causeway/protocol/Ids"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type { StoreUnavailable } from "./Errors.ts"
import { unavailable } from "./internal/unavailable.ts"
import * as Organizations from "./Organizations.ts"
import * as Tokens from "./Tokens.ts"

/** Names of what the first start makes. */
export const ORGANIZATION_NAME = "default"
export const TOKEN_NAME = "first start"

export interface Ready {
  /** The oldest organisation. */
  readonly organizationId: OrganizationId
  /** The token, at the start that made it and never again: whoever calls keeps it in a file that only its owner reads. */
  readonly created: Option.Option<Redacted.Redacted>
}

export class Bootstrap extends Context.Tag("@causeway/store/Bootstrap")<
  Bootstrap,
  {
    /** Makes what is missing, whole or not at all; idempotent. */
    readonly ensure: Effect.Effect<Ready, StoreUnavailable>
    /** One more token for the oldest organisation, where the first one's file was lost. */
    readonly issue: (name: string) => Effect.Effect<Redacted.Redacted, StoreUnavailable>
  }
>() {}

export const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const organizations = yield* Organizations.Organizations
  const tokens = yield* Tokens.Tokens

  const ensure = sql
    .withTransaction(
      Effect.gen(function* () {
        const known = (yield* organizations.list)[0]
        if (known !== undefined) {
          const ready: Ready = { organizationId: known.id, created: Option.none() }
          return ready
        }
        const organization = yield* organizations.create(ORGANIZATION_NAME)
        const { token } = yield* tokens.create({ organizationId: organization.id, name: TOKEN_NAME })
        const ready: Ready = { organizationId: organization.id, created: Option.some(token) }
        return ready
      })
    )
    .pipe(unavailable, Effect.withSpan("Bootstrap.ensure"))

  const issue = Effect.fn("Bootstrap.issue")(function* (name: string) {
    const { organizationId } = yield* ensure
    const { token } = yield* tokens.create({ organizationId, name })
    return token
  })

  return Bootstrap.of({ ensure, issue })
})

export const layer: Layer.Layer<
  Bootstrap,
  never,
  SqlClient.SqlClient | Organizations.Organizations | Tokens.Tokens
> = Layer.effect(Bootstrap, make)
