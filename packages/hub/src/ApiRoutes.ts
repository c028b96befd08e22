/**
 * Everything that is not hot, through HttpApi. Its endpoints stand in the same table as the hot routes, so
 * that addresses, methods and path parameters are judged once; its errors have the same shape.
 */
import { errorTable } from "@causeway/protocol/ErrorTable"
import { ColdApi } from "@causeway/protocol/http/Api"
import * as Limits from "@causeway/protocol/Limits"
import * as WireError from "@causeway/protocol/WireError"
import * as FileSystem from "@effect/platform/FileSystem"
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import { HttpApiDecodeError } from "@effect/platform/HttpApiError"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpIncomingMessage from "@effect/platform/HttpIncomingMessage"
import * as HttpRouter from "@effect/platform/HttpRouter"
import { RequestError, RouteNotFound } from "@effect/platform/HttpServerError"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Attempts from "./Attempts.ts"
import * as AccessTokens from "./Auth/Http.ts"
import * as Middleware from "./Auth/Middleware.ts"
import * as CodeSessions from "./CodeSessions/Http.ts"
import * as Environments from "./Environments/Http.ts"
import * as HotRoutes from "./HotRoutes.ts"
import * as Body from "./Http/Body.ts"
import * as Sessions from "./Sessions/Http.ts"
import * as Work from "./Work/Http.ts"

/** Largest body of these routes: none of them takes events. */
const BODY_LIMIT_BYTES = 1024 * 1024

const groups = Layer.mergeAll(
  Sessions.layer,
  CodeSessions.layer,
  Environments.layer,
  Work.layer,
  AccessTokens.layer
)

const api = HttpApiBuilder.api(ColdApi).pipe(Layer.provide(groups), Layer.provide(Middleware.layer))

// --- Errors ---

const isWireError = (error: unknown): error is WireError.WireError =>
  Predicate.hasProperty(error, "_tag") &&
  typeof error._tag === "string" &&
  error._tag in errorTable &&
  Predicate.hasProperty(error, "error")

const toWire = (error: unknown): WireError.WireError | undefined => {
  if (isWireError(error)) return error
  if (error instanceof HttpApiDecodeError) return Body.issueOf(error.issues[0])
  if (error instanceof RouteNotFound) return WireError.NotFound.of("no such address")
  if (error instanceof RequestError) {
    const detail = error.cause instanceof Error ? error.cause.message : "it cannot be read"
    return detail.includes("maxBytes")
      ? WireError.PayloadTooLarge.of(`the body exceeds ${BODY_LIMIT_BYTES} bytes`)
      : WireError.BadRequest.of(`the body is not JSON: ${detail}`)
  }
  return undefined
}

const answer = (error: WireError.WireError) => {
  const { headers, status } = HotRoutes.failure(error)
  return HttpServerResponse.unsafeJson(WireError.bodyOf(error), { status, headers })
}

/** Answers every failure as the hot routes do. */
const respond = (slowed: Effect.Effect.Success<typeof Attempts.slowed>, cause: Cause.Cause<unknown>) => {
  if (Cause.isInterruptedOnly(cause)) return Effect.interrupt
  const error = toWire(Cause.squash(cause))
  if (error === undefined) {
    return Effect.zipRight(
      Effect.logError("a request failed", cause).pipe(Effect.annotateLogs({ module: "ApiRoutes" })),
      answer(WireError.internalError)
    )
  }
  return HttpServerRequest.HttpServerRequest.pipe(
    Effect.flatMap((request) => slowed(NodeHttpServerRequest.toIncomingMessage(request), error)),
    Effect.flatMap(answer)
  )
}

/** Looks at a body before anything reads it. One that cannot be read is refused by whoever reads it. */
const bounded = <E, R>(app: HttpApp.Default<E, R>) =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
    request.method === "GET"
      ? app
      : Effect.matchEffect(request.text, {
          onFailure: () => app,
          onSuccess: (text) => Effect.zipRight(Body.notTooDeep(text), app)
        })
  )

// --- Routes ---

/** The endpoints that are not hot. */
export const routes = Effect.gen(function* () {
  const slowed = yield* Attempts.slowed
  const context = yield* Layer.build(
    // Before the builder's own error encoding, which knows other shapes.
    HttpApiBuilder.middleware((app) =>
      Effect.catchAllCause(bounded(app), (cause) => respond(slowed, cause))
    ).pipe(
      Layer.provideMerge(Layer.merge(HttpApiBuilder.Router.Live, HttpApiBuilder.Middleware.layer)),
      Layer.merge(api)
    )
  )
  const app = yield* Effect.provide(HttpApiBuilder.httpApp, context).pipe(
    // The table in front takes longer ids than the router does by itself.
    HttpRouter.withRouterConfig({ maxParamLength: Limits.PATH_ID_CHARACTERS })
  )
  const handle = yield* NodeHttpServer.makeHandler(app).pipe(
    Effect.provideService(HttpIncomingMessage.MaxBodySize, Option.some(FileSystem.Size(BODY_LIMIT_BYTES)))
  )
  const found: Array<HotRoutes.HotRoute> = []
  HttpApi.reflect(ColdApi, {
    onGroup: () => undefined,
    onEndpoint: ({ endpoint }) => {
      found.push(
        HotRoutes.route(endpoint, ({ incoming, response }) =>
          Effect.suspend((): Effect.Effect<HotRoutes.HotResponse, WireError.WireError> => {
            if (Number(incoming.headers["content-length"] ?? 0) > BODY_LIMIT_BYTES) {
              incoming.resume()
              return WireError.PayloadTooLarge.of(`the body exceeds ${BODY_LIMIT_BYTES} bytes`)
            }
            // Every body is JSON, whatever its sender calls it.
            if (endpoint.method !== "GET") incoming.headers["content-type"] = "application/json"
            handle(incoming, response)
            return Effect.succeed(HotRoutes.streamed)
          })
        )
      )
    }
  })
  return found
}).pipe(Effect.provide(NodeHttpServer.layerContext))
