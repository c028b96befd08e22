/**
 * The Sessions API's routes that take events: on hot routes, so that each event keeps the text that arrived.
 * Source: spec 1 §2.
 */
import { ANTHROPIC_BETA_HEADER, SESSIONS_BETA } from "@causeway/protocol/Headers"
import * as Api from "@causeway/protocol/http/Sessions"
import * as RawJson from "@causeway/protocol/RawJson"
import * as WireError from "@causeway/protocol/WireError"
import * as Effect from "effect/Effect"
import { Config } from "../Config.ts"
import * as HotRoutes from "../HotRoutes.ts"
import * as Body from "../Http/Body.ts"
import * as Caller from "../Http/Caller.ts"
import * as Sessions from "./Sessions.ts"

/** Whether a path belongs to the Sessions API. */
export const isSessionsApi = (path: string): boolean =>
  path === Api.create.path || path.startsWith(`${Api.create.path}/`)

/** The Sessions API is not there without its beta header. Source: spec 1 §1. */
export const requireBeta = (route: HotRoutes.HotRoute): HotRoutes.HotRoute => ({
  ...route,
  handler: (request) => {
    const header = request.headers[ANTHROPIC_BETA_HEADER]
    const betas = (typeof header === "string" ? header : (header ?? []).join(",")).split(",")
    return betas.some((beta) => beta.trim() === SESSIONS_BETA)
      ? route.handler(request)
      : WireError.NotFound.of(`no such address without the header ${ANTHROPIC_BETA_HEADER}: ${SESSIONS_BETA}`)
  }
})

export const routes = Effect.gen(function* () {
  const caller = yield* Caller.make
  const sessions = yield* Sessions.make
  const { eventLimitBytes } = yield* Config

  const create = HotRoutes.route(Api.create, (request, { payload }) =>
    Effect.gen(function* () {
      const organizationId = yield* caller.access(request)
      const { text, value: body } = yield* payload
      const payloads = yield* Body.payloads(text, body.events ?? [], "data", eventLimitBytes)
      const record = yield* sessions.create({
        organizationId,
        title: body.title ?? undefined,
        environmentId: body.environment_id ?? undefined,
        source: body.source ?? undefined,
        context: (body.session_context == null ? undefined : RawJson.member(text, "session_context")) ?? "{}",
        permissionMode: body.permission_mode ?? undefined,
        tags: undefined,
        payloads
      })
      return HotRoutes.json(201, yield* sessions.show(record))
    })
  )

  const send = HotRoutes.route(Api.sendEvents, (request, { payload }) =>
    Effect.gen(function* () {
      const key = yield* caller.person(request)
      const { text, value: body } = yield* payload
      const payloads = yield* Body.payloads(text, body.events, "data", eventLimitBytes)
      return HotRoutes.json(200, yield* sessions.send(key, payloads))
    })
  )

  return [create, send].map(requireBeta)
})
