/**
 * The session manager's operations on sessions of a hub: settings, going on from a session, stopping all, files that agents
 * read, directories. Source: spec 3 §4.
 */
import { randomUUID } from "node:crypto"
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import { SequenceNum } from "@causeway/protocol/Event"
import type {
  ContinueSession,
  FileSnapshots,
  RecentDirectories,
  SettingsChange,
  StopAll,
  StoppedAll
} from "@causeway/protocol/http/SessionManager"
import { compatSessionId, type OrganizationId, sessionBody } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as WireError from "@causeway/protocol/WireError"
import * as Withdrawal from "@causeway/protocol/Withdrawal"
import { Log, type SessionKey } from "@causeway/store/Log"
import { Overview } from "@causeway/store/Overview"
import { Retention } from "@causeway/store/Retention"
import { rowOf, type Session, Sessions, sessionUpdate } from "@causeway/store/Session"
import { object, string } from "@causeway/transcript/Read"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { mapStoreErrors } from "../Failure.ts"

/** How long a turn that is interrupted may take to end before a session goes on from it. */
const INTERRUPT_WAIT = "15 seconds"

/** How long stopping all may take where nothing is said: an agent that does not listen is signalled meanwhile. */
const STOP_ALL_MILLIS = 20_000

const DIRECTORIES_DEFAULT = 20

/** How often it is looked whether a turn has ended: every 100 ms, for as long as is allowed. */
const endCheck = (within: Duration.DurationInput) => Schedule.spaced("100 millis").pipe(Schedule.upTo(within))

const isRunning = (record: Session): boolean => {
  const { status } = rowOf(record)
  return status === "running" || status === "requires_action"
}

/** A change of settings as the log has it. */
const settingsAt = (change: SettingsChange, now: number): AgentSettings.AgentSettings => {
  const { skip_permissions_for_ms: millis } = change
  return AgentSettings.of({
    ...change,
    ...(millis === undefined ? {} : { skip_permissions_until: millis === null ? null : now + millis })
  })
}

/** The context of a session that goes on from another: member by member, also of its options. */
const inheritedContext = (
  parent: Payload.JsonObject,
  over: Payload.JsonObject | null | undefined
): Payload.JsonObject => {
  // How long a turn may be is a matter of that turn.
  const { max_turns: _, ...options } = object(parent["options"])
  const merged = { ...options, ...object(over?.["options"]) }
  return {
    ...parent,
    ...over,
    ...(Object.keys(merged).length === 0 ? {} : { options: merged })
  }
}

/** Settings that a session takes over: without a skipping that is over, and without what is asked for anew. */
const inheritedSettings = (
  chosen: AgentSettings.AgentSettings,
  request: ContinueSession,
  now: number
): AgentSettings.AgentSettings => {
  const { model, permission_mode: mode, ...others } = chosen
  const kept = {
    ...others,
    ...(model === undefined || request.session_context?.model != null ? {} : { model }),
    ...(mode === undefined || request.permission_mode != null ? {} : { permission_mode: mode })
  }
  const over = kept.skip_permissions === true && !AgentSettings.skipsPermissions(kept, now)
  return AgentSettings.merge(
    over ? AgentSettings.merge(kept, { skip_permissions: false }) : kept,
    request.agent_settings == null ? AgentSettings.none : settingsAt(request.agent_settings, now)
  )
}

/** Updates of a session that are looked through for snapshots. */
const SNAPSHOTS_READ = 10_000

export const make = Effect.gen(function* () {
  const store = yield* Sessions
  const log = yield* Log
  const retention = yield* Retention
  const overview = yield* Overview

  const append = (key: SessionKey, payloads: ReadonlyArray<Payload.Payload>) =>
    log.append({ ...key, source: "client", payloads }).pipe(mapStoreErrors, Effect.asVoid)

  /** Stops the turn of a session and takes back what waits. */
  const interrupt = (key: SessionKey) =>
    append(key, [Payload.make({ ...Withdrawal.all(randomUUID()), uuid: randomUUID() })])

  /** Waits for the end of a session's turn; whether it has ended in time. */
  const awaitEnd = (key: SessionKey, within: Duration.DurationInput) => {
    const ended = Effect.map(store.get(key).pipe(mapStoreErrors), (record) => !isRunning(record))
    return Effect.repeat(ended, { until: (done) => done, schedule: endCheck(within) }).pipe(
      Effect.zipRight(ended)
    )
  }

  const settings = Effect.fn("SessionManager.settings")(function* (key: SessionKey, change: SettingsChange) {
    const set = settingsAt(change, yield* Clock.currentTimeMillis)
    if (!AgentSettings.isEmpty(set)) yield* append(key, [sessionUpdate(set)])
    return yield* store.get(key).pipe(mapStoreErrors)
  })

  const goOn = Effect.fn("SessionManager.continue")(function* (key: SessionKey, request: ContinueSession) {
    const before = yield* store.get(key).pipe(mapStoreErrors)
    if (request.environment_id != null) {
      yield* store.requireEnvironment(key.organizationId, request.environment_id).pipe(mapStoreErrors)
    }
    if (isRunning(before)) {
      yield* interrupt(key)
      if (!(yield* awaitEnd(key, INTERRUPT_WAIT))) {
        return yield* WireError.Conflict.of(
          "the session is still working; it was told to stop: try again in a moment"
        )
      }
    }
    const parent = yield* store.get(key).pipe(mapStoreErrors)
    const now = yield* Clock.currentTimeMillis
    const { organizationId } = key
    const title = request.title ?? rowOf(parent).title
    const environmentId = request.environment_id ?? parent.environmentId
    const created = yield* store
      .create({
        organizationId,
        // It gets one when its log is whole: until then nobody may work on it.
        environmentId: undefined,
        source: parent.attributes.source,
        context: JSON.stringify(inheritedContext(parent.context, request.session_context)),
        permissionMode: request.permission_mode ?? parent.attributes.permissionMode,
        tags: undefined,
        attributes: { parentKey: parent.key },
        payloads: []
      })
      .pipe(mapStoreErrors)
    yield* retention.copyTranscript({ from: parent.sid, to: created.sid }).pipe(mapStoreErrors)
    const child = { organizationId, session: created.session }
    const inherited = inheritedSettings(rowOf(parent).chosen, request, now)
    yield* append(child, [
      ...(title == null && AgentSettings.isEmpty(inherited)
        ? []
        : [sessionUpdate({ ...(title == null ? {} : { title }), ...inherited })]),
      Payload.make({
        type: "user",
        uuid: randomUUID(),
        parent_tool_use_id: null,
        message: { role: "user", content: request.message }
      })
    ])
    if (environmentId !== undefined) {
      yield* store.assignEnvironment(created.sid, environmentId, true).pipe(mapStoreErrors)
    }
    return yield* store.get(child).pipe(mapStoreErrors)
  })

  const stopAll = Effect.fn("SessionManager.stopAll")(function* (
    organizationId: OrganizationId,
    request: StopAll
  ) {
    const environmentId = request.environment_id ?? undefined
    const open = yield* store
      .list({
        organizationId,
        ...(environmentId === undefined ? {} : { environmentId }),
        ...(request.session_ids == null ? {} : { sessions: request.session_ids.map(sessionBody) })
      })
      .pipe(mapStoreErrors)
    const running = open.filter(isRunning).map(({ session }): SessionKey => ({ organizationId, session }))
    const within = request.within_ms ?? STOP_ALL_MILLIS
    const outcomes = yield* Effect.forEach(
      running,
      (key) =>
        Effect.zipRight(interrupt(key), awaitEnd(key, within)).pipe(
          Effect.map((ended) => ({ id: compatSessionId(key.session), ended }))
        ),
      { concurrency: "unbounded" }
    )
    const ids = (ended: boolean) => outcomes.flatMap((each) => (each.ended === ended ? [each.id] : []))
    return { stopped: ids(true), running: ids(false) } satisfies typeof StoppedAll.Type
  })

  const snapshots = Effect.fn("SessionManager.snapshots")(function* (key: SessionKey) {
    const { sid } = yield* store.get(key).pipe(mapStoreErrors)
    // The newest that one answer holds.
    const { events: updates } = yield* log
      .pageOf(sid, { types: ["session_update"], last: SNAPSHOTS_READ })
      .pipe(mapStoreErrors)
    const data = updates.flatMap(({ createdAt, payload, seq, source }) => {
      const told = object(object(JSON.parse(payload))["file_snapshot"])
      const { bytes, path, sha256, text, tool_use_id: toolUseId, truncated } = told
      if (source !== "worker" || typeof toolUseId !== "string") return []
      return [
        {
          tool_use_id: toolUseId,
          path: string(path) ?? "",
          sha256: string(sha256) ?? "",
          bytes: typeof bytes === "number" ? bytes : 0,
          truncated: truncated === true,
          text: string(text),
          sequence_num: SequenceNum.make(seq),
          created_at: new Date(createdAt).toISOString()
        }
      ]
    })
    return { data } satisfies typeof FileSnapshots.Type
  })

  const directories = Effect.fn("SessionManager.directories")(function* (
    organizationId: OrganizationId,
    limit: number = DIRECTORIES_DEFAULT
  ) {
    const used = yield* overview.directories(organizationId, limit).pipe(mapStoreErrors)
    return {
      data: used.map(({ environmentId, lastUsed, machineName, path, sessions }) => ({
        path,
        machine_name: machineName,
        environment_id: environmentId,
        last_used: new Date(lastUsed).toISOString(),
        usage_count: sessions
      }))
    } satisfies typeof RecentDirectories.Type
  })

  return { settings, goOn, stopAll, snapshots, directories }
})

export class SessionManager extends Context.Tag("@causeway/hub/SessionManager")<
  SessionManager,
  Effect.Effect.Success<typeof make>
>() {}

export const layer = Layer.effect(SessionManager, make)
