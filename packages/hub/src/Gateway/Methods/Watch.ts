/** A session's log, and the list of sessions, as they go on. */
import { randomUUID } from "node:crypto"
import * as Params from "@causeway/protocol/Gateway/Params"
import { Sessions } from "@causeway/store/Session"
import * as Effect from "effect/Effect"
import { mapStoreErrors } from "../../Failure.ts"
import { invalid, ofSession } from "../Failure.ts"
import { answer, keyOf, method } from "../Method.ts"
import { MAX_WATCHES } from "../Watches.ts"

const watch = method(
  "causeway.sessions.watch",
  Params.SessionsWatch,
  function* ({ afterSeq, sessionId, untilSeq }, { organizationId, watches }) {
    const key = keyOf(organizationId, sessionId)
    const { lastSeq } = yield* (yield* Sessions).get(key).pipe(mapStoreErrors, ofSession)
    const id = randomUUID()
    if (!watches.reserve(id)) {
      return yield* invalid(
        `a connection watches at most ${MAX_WATCHES} sessions at once; causeway.sessions.unwatch one`
      )
    }
    // Its frames follow the answer that names it.
    return answer({ watch: id, lastSeq }, watches.start(id, { key, after: afterSeq, until: untilSeq }))
  }
)

const unwatch = method("causeway.sessions.unwatch", Params.SessionsUnwatch, (params, { watches }) =>
  Effect.as(watches.stop(params.watch), answer({}))
)

const subscribe = method("causeway.sessions.subscribe", Params.Empty, (_, { watches }) =>
  // From before the answer on, so that a list which is read after it misses nothing.
  Effect.as(watches.startList, answer({ subscribed: true }))
)

const unsubscribe = method("causeway.sessions.unsubscribe", Params.Empty, (_, { watches }) =>
  Effect.as(watches.stopList, answer({ subscribed: false }))
)

export const methods = [watch, unwatch, subscribe, unsubscribe]
