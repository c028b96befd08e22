/** Checkpoints that compactions leave behind, and sessions that start from there. Source: spec 2 §2. */
import { randomUUID } from "node:crypto"
import * as Params from "@causeway/protocol/Gateway/Params"
import { type OrganizationId, sessionUuid } from "@causeway/protocol/Ids"
import { Log } from "@causeway/store/Log"
import { Retention } from "@causeway/store/Retention"
import { type Session, Sessions } from "@causeway/store/Session"
import type { JsonObject } from "@causeway/transcript/Read"
import * as Effect from "effect/Effect"
import * as Checkpoints from "../Checkpoints.ts"
import { invalid, unavailable } from "../Failure.ts"
import { answer, method, requireKey, webchatGuard } from "../Method.ts"
import { Notifier } from "../Notifier.ts"
import { Patching } from "../Patching.ts"
import * as Rows from "../Rows.ts"
import * as SessionCommands from "../SessionCommands.ts"

/** Fields that belong to the runs and counts of a log, not to its copy. */
const notCloned = new Set([
  "lastRun",
  "startedAt",
  "endedAt",
  "runtimeMs",
  "status",
  "inputTokens",
  "outputTokens",
  "cacheRead",
  "cacheWrite",
  "estimatedCostUsd",
  "totalTokens",
  "totalTokensFresh",
  "compactionCheckpoints"
])

const cloned = (entry: JsonObject, checkpoint: JsonObject): JsonObject => ({
  ...Object.fromEntries(Object.entries(entry).filter(([name]) => !notCloned.has(name))),
  systemSent: false,
  abortedLastRun: false,
  ...(typeof checkpoint["tokensBefore"] === "number"
    ? { totalTokens: checkpoint["tokensBefore"], totalTokensFresh: true }
    : {})
})

const list = method("sessions.compaction.list", Params.SessionsKey, function* (params, { organizationId }) {
  const sessions = yield* Sessions
  const log = yield* Log
  const key = yield* SessionCommands.canonical(yield* requireKey(params.key))
  const record = yield* sessions.find({ organizationId, keys: [key] })
  const checkpoints = record === undefined ? [] : yield* Checkpoints.list(log, record)
  return answer({ ok: true, key, checkpoints })
})

const checkpointOf = (record: Session | undefined, given: string) =>
  Effect.gen(function* () {
    const log = yield* Log
    const id = given.trim()
    if (id === "") return yield* invalid("checkpointId required")
    const all = record === undefined ? [] : yield* Checkpoints.list(log, record)
    return all.find((each) => each["checkpointId"] === id) ?? (yield* invalid(`checkpoint not found: ${id}`))
  })

const get = method("sessions.compaction.get", Params.CompactionKey, function* (params, { organizationId }) {
  const sessions = yield* Sessions
  const key = yield* SessionCommands.canonical(yield* requireKey(params.key))
  const record = yield* sessions.find({ organizationId, keys: [key] })
  const checkpoint = yield* checkpointOf(record, params.checkpointId)
  return answer({ ok: true, key, checkpoint })
})

/** The session and its checkpoint that a fork starts from. */
const source = (
  organizationId: OrganizationId,
  { checkpointId, key: given }: typeof Params.CompactionKey.Type
) =>
  Effect.gen(function* () {
    const sessions = yield* Sessions
    const key = yield* requireKey(given)
    if (checkpointId.trim() === "") return yield* invalid("checkpointId required")
    const record = yield* SessionCommands.existing(organizationId, key)
    const checkpoint = yield* checkpointOf(record, checkpointId)
    const point = Checkpoints.forkPoint(checkpoint)
    if (point === undefined) return yield* invalid(`checkpoint not found: ${checkpointId.trim()}`)
    const from =
      point.body === record.session
        ? record
        : yield* sessions.find({ organizationId, sessions: [point.body], archived: "all" })
    return { record, checkpoint, beforeSeq: point.beforeSeq, from }
  })

const fork = (from: Session | undefined, to: Session, beforeSeq: number, failure: string) =>
  Effect.gen(function* () {
    const sessions = yield* Sessions
    const retention = yield* Retention
    const copied =
      from === undefined ? 0 : yield* retention.copyTranscript({ from: from.sid, to: to.sid, beforeSeq })
    if (copied === 0) {
      yield* SessionCommands.archive(to, "deleted")
      yield* retention.remove([to.sid])
      return yield* unavailable(failure)
    }
    yield* SessionCommands.begin(to)
    return (yield* sessions.find({ sessions: [to.session] })) ?? to
  })

/** A label that nobody has, of this one. */
const freeLabel = (organizationId: OrganizationId, label: string) =>
  Effect.gen(function* () {
    const sessions = yield* Sessions
    for (let n = 1; ; n++) {
      const candidate = n === 1 ? label : `${label} ${n}`
      if ((yield* sessions.find({ organizationId, label: candidate })) === undefined) return candidate
    }
  })

const branch = method(
  "sessions.compaction.branch",
  Params.CompactionKey,
  function* (params, { organizationId }) {
    const notifier = yield* Notifier
    const patching = yield* Patching
    const { beforeSeq, checkpoint, from, record } = yield* source(organizationId, params)
    const agent = record.agentId ?? "main"
    const branched = yield* patching.exclusively(
      Effect.gen(function* () {
        const label = yield* freeLabel(
          organizationId,
          record.label === undefined ? "Checkpoint branch" : `${record.label} (checkpoint)`
        )
        const made = yield* SessionCommands.create(organizationId, {
          copied: true,
          key: `agent:${agent}:dashboard:${randomUUID()}`,
          label,
          parentKey: record.key,
          spawnedBy: record.spawnedBy,
          entry: cloned(record.entry, checkpoint)
        })
        return yield* fork(from, made, beforeSeq, "failed to create checkpoint branch transcript")
      })
    )
    return answer(
      {
        ok: true,
        sourceKey: record.key,
        key: branched.key,
        sessionId: sessionUuid(branched.session),
        checkpoint,
        entry: Rows.toEntry(branched)
      },
      Effect.zipRight(
        notifier.changed(organizationId, record.key, { reason: "checkpoint-branch" }),
        notifier.changed(organizationId, branched.key, { reason: "checkpoint-branch" })
      )
    )
  }
)

const restore = method("sessions.compaction.restore", Params.CompactionKey, function* (params, caller) {
  const sessions = yield* Sessions
  const log = yield* Log
  const notifier = yield* Notifier
  const patching = yield* Patching
  yield* webchatGuard(caller, "restore")
  const { organizationId } = caller
  const { beforeSeq, checkpoint, from, record } = yield* source(organizationId, params)
  yield* SessionCommands.interrupt(record, caller.connection)
  const restored = yield* patching.exclusively(
    Effect.gen(function* () {
      const checkpoints = yield* Checkpoints.list(log, record)
      // The fork stands before the old log is put away, so that a failure changes nothing.
      const made = yield* SessionCommands.create(organizationId, {
        copied: true,
        key: `agent:${record.agentId ?? "main"}:dashboard:${randomUUID()}`,
        entry: { ...cloned(record.entry, checkpoint), compactionCheckpoints: checkpoints }
      })
      const forked = yield* fork(from, made, beforeSeq, "failed to restore checkpoint transcript")
      yield* SessionCommands.archive(record, "restored")
      return (
        (yield* sessions.change(forked, {
          key: record.key,
          agentId: record.agentId ?? null,
          label: record.label ?? null,
          parentKey: record.parentKey ?? null,
          spawnedBy: record.spawnedBy ?? null
        })) ?? forked
      )
    })
  )
  return answer(
    {
      ok: true,
      key: restored.key,
      sessionId: sessionUuid(restored.session),
      checkpoint,
      entry: Rows.toEntry(restored)
    },
    notifier.changed(organizationId, restored.key, { reason: "checkpoint-restore" })
  )
})

export const methods = [list, get, branch, restore]
