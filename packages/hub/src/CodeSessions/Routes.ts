/**
 * Code sessions on hot routes: what workers report, what viewers send, and the transcript in pages. Source: spec 5 §1.
 *
 * On the worker's routes 409 means one thing, an old epoch; 400 and 413 only what can never be accepted.
 */

import { randomUUID } from "node:crypto"
import * as Api from "@causeway/protocol/http/CodeSessions"
import {
  compatSessionId,
  type SessionBody,
  type SessionId,
  sessionBody,
  toInfra
} from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as RawJson from "@causeway/protocol/RawJson"
import * as WireError from "@causeway/protocol/WireError"
import { Bus } from "@causeway/store/Bus"
import { Log } from "@causeway/store/Log"
import * as Store from "@causeway/store/Session"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Redacted from "effect/Redacted"
import { Auth } from "../Auth/Auth.ts"
import { Config } from "../Config.ts"
import { mapStoreErrors } from "../Failure.ts"
import * as HotRoutes from "../HotRoutes.ts"
import * as Body from "../Http/Body.ts"
import * as Caller from "../Http/Caller.ts"
import * as Sessions from "../Sessions/Sessions.ts"

/** The infrastructure spelling. */
const idOf = (session: SessionBody): SessionId => toInfra(compatSessionId(session))

const iso = (millis: number): string => new Date(millis).toISOString()

// --- Cursors of teleport ---

/** A position of a session's transcript; no cursor of another session passes. */
const encodeCursor = (session: string, seq: number): string => Encoding.encodeBase64Url(`${session}:${seq}`)

const decodeCursor = (session: string, cursor: string): Effect.Effect<number, WireError.BadRequest> => {
  const text = Either.getOrElse(Encoding.decodeBase64UrlString(cursor), () => "")
  const at = text.lastIndexOf(":")
  const seq = text.slice(at + 1)
  return text.slice(0, at) === session && /^\d{1,15}$/.test(seq)
    ? Effect.succeed(Number(seq))
    : WireError.BadRequest.of("at cursor: this hub did not give out this cursor for this session", {
        path: "cursor"
      })
}

const limitOf = (given: string | null): Effect.Effect<number, WireError.BadRequest> => {
  if (given === null || given === "") return Effect.succeed(Api.TELEPORT_PAGE_DEFAULT)
  return /^\d{1,15}$/.test(given) && Number(given) >= 1
    ? Effect.succeed(Math.min(Number(given), Api.TELEPORT_PAGE_MAX))
    : WireError.BadRequest.of("at limit: must be a whole number of at least 1", { path: "limit" })
}

export const routes = Effect.gen(function* () {
  const log = yield* Log
  const bus = yield* Bus
  const auth = yield* Auth
  const store = yield* Store.Sessions
  const sessions = yield* Sessions.make
  const caller = yield* Caller.make
  const config = yield* Config

  const create = HotRoutes.route(Api.create, (request, { payload }) =>
    Effect.gen(function* () {
      const organizationId = yield* caller.access(request)
      const { text, value: body } = yield* payload
      const record = yield* sessions.create({
        organizationId,
        title: body.title ?? undefined,
        environmentId: body.environment_id ?? undefined,
        source: undefined,
        context: (body.config == null ? undefined : RawJson.member(text, "config")) ?? "{}",
        permissionMode: undefined,
        tags: body.tags == null ? undefined : RawJson.member(text, "tags"),
        payloads: []
      })
      return HotRoutes.json(201, { session: { id: idOf(record.session) } })
    })
  )

  // --- The worker's state ---

  /** `more`: further members, each with a comma before it. */
  const showWorker = (record: Store.Session, more = ""): HotRoutes.Reply =>
    HotRoutes.text(
      200,
      `{"session_id":"${idOf(record.session)}","worker_epoch":${record.workerEpoch},"worker_status":"${
        record.workerStatus ?? "idle"
      }","connection_status":"${record.connectionStatus}","external_metadata":${
        record.externalMetadata ?? "null"
      },"last_sequence_num":${record.lastSeq}${more}}`
    )

  const register = HotRoutes.route(Api.registerWorker, (request) =>
    Effect.gen(function* () {
      const key = yield* caller.worker(request)
      yield* request.body
      return HotRoutes.json(200, { worker_epoch: yield* store.nextEpoch(key, { token: false }) })
    }).pipe(mapStoreErrors)
  )

  const token = HotRoutes.route(Api.refreshToken, (request) =>
    Effect.gen(function* () {
      const key = yield* caller.worker(request)
      if (key.tokenEpoch === undefined) {
        return yield* WireError.Forbidden.of("a fresh ingress token is given for an ingress token only")
      }
      const record = yield* store.get(key)
      const issued = yield* auth.issueIngress(key.session, key.organizationId, key.tokenEpoch)
      return HotRoutes.json(200, {
        worker_epoch: record.workerEpoch,
        worker_jwt: Redacted.value(issued.token),
        expires_in: issued.expiresInSeconds
      })
    }).pipe(mapStoreErrors)
  )

  const readWorker = HotRoutes.route(Api.worker, (request) =>
    Effect.gen(function* () {
      const key = yield* caller.worker(request)
      const record = yield* store.get(key)
      // Secrets are among them: people, who come with an access token, are not told.
      return key.tokenEpoch === undefined
        ? showWorker(record)
        : showWorker(record, `,"launch_options":${JSON.stringify(record.context["options"] ?? null)}`)
    }).pipe(mapStoreErrors)
  )

  const updateWorker = HotRoutes.route(Api.updateWorker, (request, { payload }) =>
    Effect.gen(function* () {
      const key = yield* caller.worker(request)
      const { text, value: body } = yield* payload
      const metadata =
        body.external_metadata === undefined
          ? {}
          : {
              externalMetadata:
                body.external_metadata === null ? null : (RawJson.member(text, "external_metadata") ?? null)
            }
      const record = yield* store.updateWorker(
        { ...key, workerEpoch: body.worker_epoch ?? undefined },
        {
          ...(body.worker_status == null ? {} : { workerStatus: body.worker_status }),
          ...(body.connection_status == null ? {} : { connectionStatus: body.connection_status }),
          ...metadata
        }
      )
      return showWorker(record)
    }).pipe(mapStoreErrors)
  )

  const heartbeat = HotRoutes.route(Api.workerHeartbeat, (request, { payload }) =>
    Effect.gen(function* () {
      const key = yield* caller.worker(request)
      const { value: body } = yield* payload
      yield* store.seen({ ...key, workerEpoch: body.worker_epoch })
      return HotRoutes.json(200, { heartbeat_interval_seconds: Duration.toSeconds(config.workerHeartbeat) })
    }).pipe(mapStoreErrors)
  )

  // --- The worker's events ---

  const workerEvents = HotRoutes.route(Api.appendEvents, (request, { payload }) =>
    Effect.gen(function* () {
      const key = yield* caller.worker(request)
      const { text, value: body } = yield* payload
      const payloads = yield* Body.payloads(text, body.events, "payload", config.eventLimitBytes)
      const durable: Array<Payload.Payload> = []
      const ephemeral: Array<Payload.Payload> = []
      payloads.forEach((payload, index) => {
        const isEphemeral = body.events[index]?.ephemeral ?? Payload.isEphemeral(payload)
        if (isEphemeral) ephemeral.push(payload)
        else durable.push(payload)
      })
      const fence = key.tokenEpoch === undefined ? {} : { tokenEpoch: key.tokenEpoch }
      if (durable.length > 0) {
        yield* log.append({
          session: key.session,
          organizationId: key.organizationId,
          source: "worker",
          payloads: durable,
          guard: { kind: "epoch", workerEpoch: body.worker_epoch },
          ...fence
        })
      } else {
        yield* store.checkEpoch({ ...key, workerEpoch: body.worker_epoch })
      }
      const now = yield* Clock.currentTimeMillis
      for (const payload of ephemeral) {
        bus.ephemeral(key.session, {
          uuid: payload.uuid ?? randomUUID(),
          type: payload.type,
          createdAt: now,
          payload: payload.text
        })
      }
      return HotRoutes.json(200, {})
    }).pipe(
      Effect.catchTag("TokenSuperseded", () => Caller.replaced),
      mapStoreErrors
    )
  )

  const delivery = HotRoutes.route(Api.reportDelivery, (request, { payload }) =>
    Effect.gen(function* () {
      const key = yield* caller.worker(request)
      const { value: body } = yield* payload
      yield* log.deliver({
        session: key.session,
        organizationId: key.organizationId,
        workerEpoch: body.worker_epoch,
        updates: body.updates.map(({ event_id, status }) => ({ uuid: event_id, status }))
      })
      return HotRoutes.json(200, {})
    }).pipe(mapStoreErrors)
  )

  // --- People ---

  const viewerEvents = HotRoutes.route(Api.sendViewerEvents, (request, { payload }) =>
    Effect.gen(function* () {
      const key = yield* caller.person(request)
      const { text, value: body } = yield* payload
      if (body.session_id != null && sessionBody(body.session_id) !== key.session) {
        return yield* WireError.BadRequest.of("at session_id: names another session than the path", {
          path: "session_id"
        })
      }
      const payloads = yield* Body.payloads(text, body.events, "payload", config.eventLimitBytes)
      return HotRoutes.json(200, yield* sessions.send(key, payloads))
    })
  )

  const teleport = HotRoutes.route(Api.teleportEvents, (request) =>
    Effect.gen(function* () {
      const key = yield* caller.person(request)
      const limit = yield* limitOf(request.query.get("limit"))
      const cursor = request.query.get("cursor")
      const after = cursor === null || cursor === "" ? 0 : yield* decodeCursor(key.session, cursor)
      const { events, more } = yield* log.page({ ...key, after, limit, select: "transcript" })
      const last = more ? events.at(-1) : undefined
      const data = events.map(
        (event) =>
          `{"event_id":${JSON.stringify(event.uuid)},"event_type":${JSON.stringify(event.type)},"is_compaction":${
            event.compaction
          },"payload":${event.payload},"created_at":"${iso(event.createdAt)}"}`
      )
      const next = last === undefined ? "null" : JSON.stringify(encodeCursor(key.session, last.seq))
      return HotRoutes.text(200, `{"data":[${data.join(",")}],"next_cursor":${next}}`)
    }).pipe(mapStoreErrors)
  )

  return [
    create,
    register,
    token,
    readWorker,
    updateWorker,
    heartbeat,
    workerEvents,
    delivery,
    viewerEvents,
    teleport
  ]
})
