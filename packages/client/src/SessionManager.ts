/** The session manager's part of the Sessions API: settings, going on, stopping, files that agents read, directories. Source: spec 3 §4. */
import * as Api from "@causeway/protocol/http/SessionManager"
import * as Sessions from "@causeway/protocol/http/Sessions"
import type { SessionId } from "@causeway/protocol/Ids"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { ClientConfig } from "./ClientConfig.ts"
import type { AccessError, SessionConflict, SessionNotFound } from "./ClientError.ts"
import type { Credentials } from "./Credentials.ts"
import * as Answer from "./internal/Answer.ts"
import * as Call from "./internal/Call.ts"
import * as Request from "./internal/Request.ts"
import * as Calls from "./Sessions/Calls.ts"

/** A turn that is going on is interrupted first. */
const CONTINUE_TIMEOUT = Duration.seconds(45)
/** Time for the answer, beyond what stopping itself may take. */
const STOP_MARGIN = Duration.seconds(10)
const STOP_DEFAULT = Duration.seconds(20)

/** Settings, forks and stops of a hub's sessions. Every call is one attempt (plus one after a token refresh). */
export class SessionManager extends Context.Tag("@causeway/client/SessionManager")<
  SessionManager,
  {
    /** Changes what is decided ahead for a session, and how its agent is set. 10 s timeout. */
    readonly settings: (
      id: SessionId,
      change: Api.SettingsChange
    ) => Effect.Effect<Sessions.Session, AccessError | SessionNotFound | SessionConflict>
    /** Goes on from a session in a new one, which is answered. */
    readonly goOn: (
      id: SessionId,
      request: Api.ContinueSession
    ) => Effect.Effect<Sessions.Session, AccessError | SessionNotFound | SessionConflict>
    /** Stops what runs, within a bound (default 20 s). */
    readonly stopAll: (request: Api.StopAll) => Effect.Effect<typeof Api.StoppedAll.Type, AccessError>
    /** Files as agents read them, oldest first. 10 s timeout. */
    readonly snapshots: (
      id: SessionId
    ) => Effect.Effect<typeof Api.FileSnapshots.Type, AccessError | SessionNotFound>
    /** Directories that sessions worked in, the latest used first. 10 s timeout. */
    readonly directories: (limit?: number) => Effect.Effect<typeof Api.RecentDirectories.Type, AccessError>
  }
>() {}

const settings = (caller: Request.Caller) =>
  Effect.fn("SessionManager.settings")(function* (id: SessionId, change: Api.SettingsChange) {
    const answer = yield* Calls.ask(caller, "SessionManager.settings", Sessions.update, {
      ...(yield* Calls.of(id)),
      body: { agent_settings: change },
      meanings: Call.refused(id)
    })
    return yield* Answer.decode(Sessions.Session)(answer)
  })

const goOn = (caller: Request.Caller) =>
  Effect.fn("SessionManager.continue")(function* (id: SessionId, request: Api.ContinueSession) {
    const answer = yield* Calls.ask(caller, "SessionManager.continue", Sessions.goOn, {
      ...(yield* Calls.of(id)),
      body: request,
      timeout: CONTINUE_TIMEOUT,
      meanings: Call.refused(id)
    })
    return yield* Answer.decode(Sessions.Session)(answer)
  })

const stopAll = (caller: Request.Caller) =>
  Effect.fn("SessionManager.stopAll")(function* (request: Api.StopAll) {
    const within = request.within_ms === undefined ? STOP_DEFAULT : Duration.millis(request.within_ms)
    const answer = yield* Calls.ask(caller, "SessionManager.stopAll", Sessions.stopAll, {
      body: request,
      timeout: Duration.sum(within, STOP_MARGIN)
    })
    return yield* Answer.decode(Api.StoppedAll)(answer)
  })

const snapshots = (caller: Request.Caller) =>
  Effect.fn("SessionManager.snapshots")(function* (id: SessionId) {
    const answer = yield* Calls.ask(caller, "SessionManager.snapshots", Sessions.snapshots, {
      ...(yield* Calls.of(id)),
      meanings: Call.missing(id)
    })
    return yield* Answer.decode(Api.FileSnapshots)(answer)
  })

const directories = (caller: Request.Caller) =>
  Effect.fn("SessionManager.directories")(function* (limit?: number) {
    const answer = yield* Calls.ask(caller, "SessionManager.directories", Sessions.directories, {
      query: { limit }
    })
    return yield* Answer.decode(Api.RecentDirectories)(answer)
  })

const make = Effect.map(Request.make, (caller) =>
  SessionManager.of({
    settings: settings(caller),
    goOn: goOn(caller),
    stopAll: stopAll(caller),
    snapshots: snapshots(caller),
    directories: directories(caller)
  })
)

export const layer: Layer.Layer<SessionManager, never, HttpClient.HttpClient | Credentials | ClientConfig> =
  Layer.effect(SessionManager, make)
