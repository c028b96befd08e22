/** The hot routes of work: `poll` and `heartbeat`. */
import { ORGANIZATION_HEADER, WORKER_ID_HEADER } from "@causeway/protocol/Headers"
import * as Api from "@causeway/protocol/http/Environments"
import { EnvironmentId, WorkId } from "@causeway/protocol/Ids"
import * as WireError from "@causeway/protocol/WireError"
import * as Secret from "@causeway/store/Secret"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as WorkAccess from "../Auth/WorkAccess.ts"
import { arrivedOf } from "../Forwarded.ts"
import * as HotRoutes from "../HotRoutes.ts"
import * as HttpHolder from "../Http/Holder.ts"
import * as PublicUrl from "../PublicUrl.ts"
import * as Operations from "./Operations.ts"

/** The routes, to be placed in the hub's table. */
export const make = Effect.gen(function* () {
  const authorize = yield* WorkAccess.make
  const operations = yield* Operations.make
  const tellAddress = yield* PublicUrl.tell
  const hold = yield* HttpHolder.make

  const call = (request: HotRoutes.HotRequest): WorkAccess.Call => ({
    line: request.line,
    // The table lets only path segments through.
    environmentId: EnvironmentId.make(request.params["environmentId"] ?? ""),
    workId: request.params["workId"] === undefined ? undefined : WorkId.make(request.params["workId"]),
    token: Redacted.make(HotRoutes.bearer(request.headers) ?? ""),
    organizationHeader: HotRoutes.header(request, ORGANIZATION_HEADER)
  })

  const poll = HotRoutes.route(Api.poll, (request, input) =>
    Effect.gen(function* () {
      const who = call(request)
      yield* authorize(who)
      const query = yield* input.query
      const ended = yield* hold(request, {
        _tag: "Environment",
        id: who.environmentId,
        secretHash: Secret.hashOf(Redacted.value(who.token))
      })
      const item = yield* operations
        .poll({
          environmentId: who.environmentId,
          query,
          workerId: HotRoutes.header(request, WORKER_ID_HEADER),
          apiBaseUrl: tellAddress(arrivedOf(request.incoming)),
          authorize: authorize(who)
        })
        .pipe(Effect.raceFirst(Effect.flatMap(ended, (words) => WireError.Unauthenticated.of(words))))
      return HotRoutes.json(200, item)
    }).pipe(Effect.scoped)
  )

  const heartbeat = HotRoutes.route(Api.heartbeat, (request, input) =>
    Effect.gen(function* () {
      const who = call(request)
      yield* authorize(who)
      const query = yield* input.query
      const { value: body } = yield* input.payload
      const beat = yield* operations.heartbeat({
        environmentId: who.environmentId,
        workId: who.workId ?? WorkId.make("none"),
        workerId: HotRoutes.header(request, WORKER_ID_HEADER),
        query,
        body
      })
      return HotRoutes.json(200, beat)
    })
  )

  return [poll, heartbeat] satisfies ReadonlyArray<HotRoutes.HotRoute>
})
