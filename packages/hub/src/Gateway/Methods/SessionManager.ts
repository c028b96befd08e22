/** The session manager: settings, going on from a session, stopping all, files that agents read, directories. Source: spec 3 §4. */

import * as Params from "@causeway/protocol/Gateway/Params"
import { ContinueSession, SettingsChange, StopAll } from "@causeway/protocol/http/SessionManager"
import * as Effect from "effect/Effect"
import * as Body from "../../Http/Body.ts"
import { SessionManager } from "../../Sessions/Manager.ts"
import { SessionsApi } from "../../Sessions/Sessions.ts"
import { answered, ofSession } from "../Failure.ts"
import { answer, keyOf, method } from "../Method.ts"

const decodeSettings = Body.decoder(SettingsChange)
const decodeContinue = Body.decoder(ContinueSession)
const decodeStop = Body.decoder(StopAll)

const settings = method("causeway.sessions.settings", Params.SessionsSettings, (params, { organizationId }) =>
  Effect.gen(function* () {
    const change = yield* decodeSettings(params.settings)
    const record = yield* (yield* SessionManager).settings(keyOf(organizationId, params.sessionId), change)
    return answer({ session: yield* (yield* SessionsApi).show(record) })
  }).pipe(ofSession)
)

const goOn = method("causeway.sessions.continue", Params.SessionsContinue, (params, { organizationId }) =>
  Effect.gen(function* () {
    const request = yield* decodeContinue({
      message: params.message,
      title: params.title,
      environment_id: params.environmentId,
      session_context: params.context,
      permission_mode: params.permissionMode,
      agent_settings: params.settings
    })
    const record = yield* (yield* SessionManager).goOn(keyOf(organizationId, params.sessionId), request)
    return answer({ session: yield* (yield* SessionsApi).show(record) })
  }).pipe(ofSession)
)

const stopAll = method("causeway.sessions.stopAll", Params.SessionsStopAll, (params, { organizationId }) =>
  Effect.gen(function* () {
    const { environmentId, sessionIds, withinMs } = params
    const request = yield* decodeStop({
      environment_id: environmentId,
      session_ids: sessionIds,
      within_ms: withinMs
    })
    return answer(yield* (yield* SessionManager).stopAll(organizationId, request))
  }).pipe(answered)
)

const snapshots = method(
  "causeway.sessions.snapshots",
  Params.SessionById,
  function* ({ sessionId }, { organizationId }) {
    const manager = yield* SessionManager
    return answer(yield* ofSession(manager.snapshots(keyOf(organizationId, sessionId))))
  }
)

const leaves = method(
  "causeway.sessions.leaves",
  Params.SessionsPage,
  function* (params, { organizationId }) {
    const { archived, cursor, environmentId, limit } = params
    const sessions = yield* SessionsApi
    const page = { organizationId, limit, archived, environmentId, cursor, leaves: true }
    return answer(yield* answered(sessions.page(page)))
  }
)

const directories = method(
  "causeway.directories.recent",
  Params.DirectoriesRecent,
  function* ({ limit }, { organizationId }) {
    const manager = yield* SessionManager
    return answer(yield* answered(manager.directories(organizationId, limit)))
  }
)

export const methods = [settings, goOn, stopAll, snapshots, leaves, directories]
