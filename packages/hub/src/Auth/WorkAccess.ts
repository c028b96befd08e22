/**
 * Who may do what with an environment's work. Three kinds of bearer open it, told apart by their form:
 *
 * | bearer                              | may                                            |
 * | ----------------------------------- | ---------------------------------------------- |
 * | the environment's secret            | everything                                     |
 * | ingress token of the item's session | acknowledge, heartbeat and stop that item      |
 * | access token of the organisation    | list, get, stats, stop and metadata; not poll  |
 */
import type { EnvironmentGrant } from "@causeway/protocol/http/Authorization"
import type { EnvironmentId, WorkId } from "@causeway/protocol/Ids"
import * as WireError from "@causeway/protocol/WireError"
import * as Environments from "@causeway/store/Environments"
import * as Tokens from "@causeway/store/Tokens"
import * as Work from "@causeway/store/Work"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { mapStoreErrors } from "../Failure.ts"
import { Auth, requireSession } from "./Auth.ts"

export type Operation = "poll" | "list" | "stats" | "get" | "update" | "ack" | "heartbeat" | "stop"

const withIngress = new Set<Operation>(["ack", "heartbeat", "stop"])
const withAccess = new Set<Operation>(["list", "stats", "get", "update", "stop"])

/** A call on an environment's work, before it is let in. */
export interface Call {
  readonly operation: Operation
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
    operation,
    organizationHeader,
    token
  }: Call) {
    const { organizationId } = yield* auth.access(token, organizationHeader)
    const grant: EnvironmentGrant = { organizationId, environmentId }
    yield* environments.get(grant)
    if (withAccess.has(operation)) return grant
    return yield* WireError.Forbidden.of(`${operation} takes the environment's secret, not an access token`)
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
    if (token.split(".").length === 3 && call.workId !== undefined && withIngress.has(call.operation)) {
      return byIngressToken(call, call.workId)
    }
    return auth.environment(call.environmentId, call.token)
  }
})
