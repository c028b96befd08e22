/**
 * Who calls on an environment's work. Three kinds of bearer, told apart by their form: the environment's secret, the ingress
 * token of the item's session, and an access token of the organisation. Which of them opens a route is told by its line.
 */
import type { EnvironmentGrant } from "@causeway/protocol/http/Authorization"
import type { EnvironmentId, WorkId } from "@causeway/protocol/Ids"
import type { Line } from "@causeway/protocol/Permissions"
import * as WireError from "@causeway/protocol/WireError"
import * as Environments from "@causeway/store/Environments"
import * as Tokens from "@causeway/store/Tokens"
import * as Work from "@causeway/store/Work"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { mapStoreErrors } from "../Failure.ts"
import { Auth, isIngressToken, requireSession } from "./Auth.ts"

/** A call on an environment's work, before it is let in. */
export interface Call {
  /** The line of the route. */
  readonly line: Line
  readonly environmentId: EnvironmentId
  /** Where the operation has one. */
  readonly workId: WorkId | undefined
  readonly token: Redacted.Redacted
  /** Value of `x-organization-uuid`. */
  readonly organizationHeader: string | undefined
}

export type WorkAccessError =
  | WireError.Unauthenticated
  | WireError.Forbidden
  | WireError.NotFound
  | WireError.Gone
  | WireError.Unavailable

export const make = Effect.gen(function* () {
  const auth = yield* Auth
  const environments = yield* Environments.Environments
  const queue = yield* Work.WorkQueue

  const byAccessToken = Effect.fnUntraced(function* ({
    environmentId,
    line,
    organizationHeader,
    token
  }: Call) {
    const { organizationId } = yield* auth.access(token, organizationHeader, line.needs)
    const grant: EnvironmentGrant = { organizationId, environmentId }
    yield* environments.get(grant)
    return grant
  }, mapStoreErrors)

  const byIngressToken = Effect.fnUntraced(function* ({ environmentId, token }: Call, workId: WorkId) {
    const ingress = yield* auth.ingress(token)
    const item = yield* queue.get({ environmentId, workId })
    yield* requireSession(ingress, item.session ?? "")
    const grant: EnvironmentGrant = { organizationId: ingress.organizationId, environmentId }
    return grant
  }, mapStoreErrors)

  return (call: Call): Effect.Effect<EnvironmentGrant, WorkAccessError> => {
    const token = Redacted.value(call.token)
    if (token.startsWith(Tokens.PREFIX)) return byAccessToken(call)
    if (isIngressToken(token) && call.workId !== undefined && call.line.also.includes("ingress token")) {
      return byIngressToken(call, call.workId)
    }
    if (!call.line.also.includes("environment secret")) {
      return WireError.Forbidden.of("an environment's secret does not open this address")
    }
    return auth.environment(call.environmentId, call.token)
  }
})
