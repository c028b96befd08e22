/** The work in an offer. What cannot be done here is stopped. */
import { type EnvironmentId, SessionId, type WorkId } from "@causeway/protocol/Ids"
import * as WorkSecret from "@causeway/protocol/WorkSecret"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { IdInvalid } from "../ClientError.ts"
import * as Diagnostics from "../Diagnostics.ts"
import type { Offered } from "../Environments.ts"
import { type Calls, type Options, type Unusable, type Work, WorkKindUnsupported } from "./Model.ts"

const SESSION = "session"
const HEALTH_CHECK = "healthcheck"
const isSessionId = Schema.is(SessionId)

/** Ends an item; a failure is logged, since the hub offers again what was not ended. */
export const stopped = (calls: Calls, environmentId: EnvironmentId, workId: WorkId, force: boolean) =>
  calls.stop(environmentId, workId, { force }).pipe(
    Effect.catchAll((error) =>
      Diagnostics.record("work_stop_fail", {
        environment_id: environmentId,
        work_id: workId,
        error: error._tag
      })
    )
  )

const decoded = (environmentId: EnvironmentId, { item, secret }: Offered): Effect.Effect<Work, Unusable> =>
  Effect.gen(function* () {
    if (item.data.type !== SESSION) {
      return yield* new WorkKindUnsupported({ kind: item.data.type.slice(0, 80) })
    }
    const sessionId = item.data.id
    if (!isSessionId(sessionId)) {
      return yield* new IdInvalid({ kind: "session", shown: JSON.stringify(sessionId.slice(0, 80)) })
    }
    if (Option.isNone(secret)) return yield* new WorkSecret.WorkSecretInvalid({ issue: "there is none" })
    return {
      environmentId,
      workId: item.id,
      sessionId,
      item,
      secret: yield* WorkSecret.decode(Redacted.value(secret.value))
    }
  })

/** The work in an offer; what asks whether anybody is there is answered. */
export const accept = (
  calls: Calls,
  environmentId: EnvironmentId,
  offered: Offered,
  options: Options
): Effect.Effect<Option.Option<Work>> => {
  const { item } = offered
  if (item.data.type === HEALTH_CHECK) {
    return calls
      .ack(environmentId, item.id)
      .pipe(
        Effect.ignoreLogged,
        Effect.zipRight(stopped(calls, environmentId, item.id, false)),
        Effect.as(Option.none())
      )
  }
  return decoded(environmentId, offered).pipe(
    Effect.asSome,
    Effect.catchAll((error) =>
      Diagnostics.record("work_unusable", {
        environment_id: item.environment_id,
        work_id: item.id,
        error: error._tag
      }).pipe(
        Effect.zipRight(stopped(calls, environmentId, item.id, true)),
        Effect.zipRight(options.onUnusable?.(item, error) ?? Effect.void),
        Effect.as(Option.none())
      )
    )
  )
}
