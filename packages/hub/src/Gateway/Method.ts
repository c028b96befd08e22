/**
 * A method of the gateway. The table of all of them is `Methods.ts`: adding one is one entry and one handler.
 */
import * as Validation from "@causeway/protocol/Gateway/Validation"
import { anySessionBody, type OrganizationId } from "@causeway/protocol/Ids"
import type { MethodName } from "@causeway/protocol/Permissions"
import type { StoreUnavailable } from "@causeway/store/Errors"
import type { SessionKey } from "@causeway/store/Log"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Utils from "effect/Utils"
import type { Connection } from "./Connections.ts"
import { invalid, type Refused } from "./Failure.ts"
import { isWebchat } from "./Handshake/Origin.ts"
import * as Keys from "./Keys.ts"
import type { Watches } from "./Watches.ts"

/** Who calls. */
export interface Caller {
  readonly connection: Connection
  readonly organizationId: OrganizationId
  readonly requestId: string
  /** The text of the parameters as it arrived; `{}` where there were none. */
  readonly params: () => string
  readonly watches: Watches
}

/** An answer, and what happens after it was sent. */
export interface Answer {
  readonly payload: unknown
  readonly after?: Effect.Effect<void, StoreUnavailable> | undefined
}

export type Failure = Refused | StoreUnavailable

/** `R`: what its handler stands on. Who may call it is told by `Permissions`. */
export interface Method<R = never> {
  readonly name: MethodName
  readonly params: Schema.Schema.Any
  readonly handle: (params: unknown, caller: Caller) => Effect.Effect<Answer, Failure, R>
}

type Step = Utils.YieldWrap<Effect.Effect<unknown, Failure, unknown>>
type NeedsOf<S> = S extends Utils.YieldWrap<Effect.Effect<unknown, unknown, infer R>> ? R : never

/**
 * A method. A handler is a generator, as of `Effect.gen`, or a function that answers with an effect. What does not fit the
 * schema is refused in the words clients know.
 */
interface Make {
  <A, S extends Step = never>(
    name: MethodName,
    params: Schema.Schema<A>,
    handle: (params: A, caller: Caller) => Generator<S, Answer, never>
  ): Method<NeedsOf<S>>
  <A, R = never>(
    name: MethodName,
    params: Schema.Schema<A>,
    handle: (params: A, caller: Caller) => Effect.Effect<Answer, Failure, R>
  ): Method<R>
}

export const method: Make = <A, R>(
  name: MethodName,
  params: Schema.Schema<A>,
  handle: (
    params: A,
    caller: Caller
  ) =>
    | Effect.Effect<Answer, Failure, R>
    | Generator<Utils.YieldWrap<Effect.Effect<unknown, Failure, R>>, Answer, never>
): Method<R> => {
  const check = Validation.check(params)
  return {
    name,
    params,
    handle: (given, caller) =>
      Effect.suspend(() => {
        const issues = check(given)
        if (issues.length > 0) return invalid(`invalid ${name} params: ${Validation.describe(issues)}`)
        // The check is derived from this schema: what passes it is of its type.
        const handled = handle(given as A, caller)
        return Effect.isEffect(handled) ? handled : Effect.gen(() => handled)
      })
  }
}

export const answer = (payload: unknown, after?: Effect.Effect<void, StoreUnavailable>): Answer =>
  after === undefined ? { payload } : { payload, after }

/** Webchat clients do not administer sessions. */
export const webchatGuard = (
  caller: Caller,
  verb: "patch" | "delete" | "compact" | "restore"
): Effect.Effect<void, Refused> =>
  isWebchat(caller.connection.info.client)
    ? Effect.fail(
        invalid(`webchat clients cannot ${verb} sessions; use chat.send for session-scoped updates`)
      )
    : Effect.void

/** Any spelling of a session's id: `session_…`, `cse_…`, a uuid with or without dashes. */
export const keyOf = (organizationId: OrganizationId, sessionId: string): SessionKey => ({
  organizationId,
  session: anySessionBody(sessionId)
})

/** A key as parameters carry it: text or a number, trimmed; nothing left is refused. */
export const requireKey = (value: unknown): Effect.Effect<string, Refused> => {
  const text =
    typeof value === "string"
      ? value.trim()
      : typeof value === "number" || typeof value === "bigint"
        ? String(value)
        : ""
  return Keys.isBlank(text) ? Effect.fail(invalid("key required")) : Effect.succeed(text)
}
