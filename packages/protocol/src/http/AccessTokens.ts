/** Access tokens: made, listed and revoked by who may (`tokens.manage`). Source: spec 5 §3.8. */
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as Schema from "effect/Schema"
import { pathSegment } from "../Ids.ts"
import { Role } from "../Permission.ts"
import * as WireError from "../WireError.ts"
import { Access } from "./Authorization.ts"
import { nullish } from "./Schemas.ts"

/** An access token as a list shows it: never the token. Times are ISO 8601. */
export const AccessToken = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  role: Role,
  /** The token's last four characters. */
  hint: Schema.String,
  created_at: Schema.String,
  expires_at: Schema.NullOr(Schema.String),
  /** To the minute. */
  last_used_at: Schema.NullOr(Schema.String),
  revoked_at: Schema.NullOr(Schema.String)
})
export type AccessToken = typeof AccessToken.Type

const id = HttpApiSchema.param("id", Schema.String.pipe(Schema.pattern(pathSegment)))

export class AccessTokensApi extends HttpApiGroup.make("accessTokens")
  .add(
    HttpApiEndpoint.post("create")`/v1/access_tokens`
      .setPayload(
        Schema.Struct({
          name: Schema.String.pipe(Schema.minLength(1), Schema.maxLength(128)),
          /** May nothing that its maker may not; left out or null: the maker's role. */
          role: nullish(Role),
          /** Seconds until it expires; left out or null: never. */
          expires_in: nullish(Schema.Int.pipe(Schema.between(1, 3_153_600_000)))
        })
      )
      /** `token` is shown this once. */
      .addSuccess(Schema.Struct({ ...AccessToken.fields, token: Schema.String }), { status: 201 })
  )
  .add(
    HttpApiEndpoint.get("list")`/v1/access_tokens`.addSuccess(
      Schema.Struct({ data: Schema.Array(AccessToken) })
    )
  )
  .add(
    HttpApiEndpoint.post("revoke")`/v1/access_tokens/${id}/revoke`
      /** `everything`: and all tokens and devices that it made, and that those made. */
      .setUrlParams(Schema.Struct({ everything: Schema.optional(Schema.Literal("true", "false")) }))
      .addSuccess(AccessToken)
  )
  .addError(WireError.BadRequest)
  .addError(WireError.Forbidden)
  .addError(WireError.NotFound)
  .addError(WireError.Unavailable)
  .middleware(Access) {}
