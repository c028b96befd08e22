/**
 * Methods of compaction: by the agent, by lines, and what its checkpoints are good for. Source: spec 2 §2.
 */
import { randomUUID } from "node:crypto"
import * as Params from "@causeway/protocol/Gateway/Params"
import type { OrganizationId } from "@causeway/protocol/Ids"
import { Log } from "@causeway/store/Log"
import { Retention } from "@causeway/store/Retention"
import { type Session, Sessions } from "@causeway/store/Session"
import { type JsonObject, string } from "@causeway/transcript/Read"
import * as Turns from "@causeway/transcript/Turns"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { connectionStatus } from "../../Sessions/View.ts"
import * as Checkpoints from "../Checkpoints.ts"
import { invalid, unavailable } from "../Failure.ts"
import { payloadOf } from "../Messages.ts"
import { answer, type Failure, type Method, method, requireKey, webchatGuard } from "../Method.ts"
import { Notifier } from "../Notifier.ts"
import { Operations } from "../Operations.ts"
import { Patching } from "../Patching.ts"
import * as Rows from "../Rows.ts"

/** How long a worker may take to come to a session, and then to take the request: looked at every 250 ms for 15 s. */
export const takeWait = Schedule.spaced("250 millis").pipe(Schedule.upTo("15 seconds"))

/** A worker that only writes, and never registers, is there for this long after its last line. */
const WRITER_MILLIS = 90_000

/** How long an agent may take to compact: looked at every 250 ms for 5 min. */
export const compactWait = Schedule.spaced("250 millis").pipe(Schedule.upTo("5 minutes"))

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

export const make = Effect.gen(function* () {
  const sessions = yield* Sessions
  const log = yield* Log
  const retention = yield* Retention
  const operations = yield* Operations
  const notifier = yield* Notifier
  const patching = yield* Patching

  // --- Compact ---

  /** The first boundary after `seq`, or how the turn of this prompt ended without one. */
  const outcome = (record: Session, seq: number, prompt: string) =>
    Effect.gen(function* () {
      const [boundary] = yield* log.events(record.sid, { select: "compactions", last: 1 })
      if (boundary !== undefined && boundary.seq > seq) return { _tag: "Compacted" } as const
      const events = yield* log.events(record.sid, { after: seq, limit: 1000 })
      const end = events.find((event) => {
        if (event.type !== "result" || event.source !== "worker") return false
        const answered = Turns.promptsOf(payloadOf(event))
        return answered.length === 0 || answered.includes(prompt)
      })
      return end === undefined
        ? undefined
        : ({
            _tag: "Ended",
            reason: string(payloadOf(end)["result"]) ?? "the agent did not compact"
          } as const)
    })

  const isAttached = (record: Session) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const session = yield* sessions.get(record).pipe(Effect.option)
      if (Option.isNone(session)) return false
      const { workerEpoch, workerSeenAt } = session.value
      const isWriting = workerEpoch === 0 && workerSeenAt !== undefined && now - workerSeenAt < WRITER_MILLIS
      return connectionStatus(session.value, now) === "connected" || isWriting
    })

  /** Asks for a worker where none is there. Nothing is written to the log for one that may never come. */
  const attached = (record: Session): Effect.Effect<void, Failure> =>
    Effect.gen(function* () {
      if (yield* isAttached(record)) return
      if (record.environmentId !== undefined) {
        yield* sessions.assignEnvironment(record.sid, record.environmentId, true)
      }
      const waitsFor = Effect.map(sessions.waitingFor([record.sid]), (reasons) => reasons.get(record.sid))
      const missing = yield* waitsFor
      const come = isAttached(record)
      if (missing === undefined && record.environmentId !== undefined) {
        const is = yield* Effect.repeat(come, { schedule: takeWait, until: (there) => there }).pipe(
          Effect.zipRight(come)
        )
        if (is) return
      }
      return yield* unavailable(
        `${record.key} cannot be compacted now: it waits for ${
          missing ?? (yield* waitsFor) ?? "its worker"
        }. Nothing was asked of it; compact again when it is there, or by maxLines, which needs no agent.`
      )
    })

  const byAgent = (record: Session, caller: Parameters<Method["handle"]>[1]) =>
    Effect.gen(function* () {
      if (record.lastSeq === 0) {
        return answer({ ok: true, key: record.key, compacted: false, reason: "no transcript" })
      }
      yield* attached(record)
      yield* operations.interrupt(record, caller.connection)
      const before = (yield* sessions.find({ sessions: [record.session] })) ?? record
      const runId = randomUUID()
      const prompt = operations.promptUuid(record.session, runId)
      const sent = yield* operations.send(before, { message: "/compact", runId }, caller.connection)
      yield* sent.release
      const look = outcome(record, before.lastSeq, prompt)
      const giveUp = operations.abort(record, { runId, by: undefined, stopReason: "timeout" })
      const isTaken = Effect.gen(function* () {
        if ((yield* log.events(record.sid, { uuid: prompt }))[0]?.delivery !== undefined) return true
        const events = yield* log.events(record.sid, { after: before.lastSeq, limit: 100 })
        return events.some(({ source }) => source === "worker")
      })
      const taken = yield* Effect.repeat(isTaken, { schedule: takeWait, until: (is) => is }).pipe(
        Effect.zipRight(isTaken)
      )
      if (!taken) {
        yield* giveUp
        return yield* unavailable(
          `no worker has taken the request of ${record.key} within 15 s; it was withdrawn and will not run`
        )
      }
      const seen = yield* Effect.repeat(look, {
        schedule: compactWait,
        until: (found) => found !== undefined
      }).pipe(Effect.zipRight(look))
      const changed = (compacted: boolean) =>
        notifier.changed(caller.organizationId, record.key, { reason: "compact", compacted })
      if (seen === undefined) {
        yield* giveUp
        return answer(
          {
            ok: false,
            key: record.key,
            compacted: false,
            reason: "the agent has not compacted within 5 min; it was told to stop"
          },
          changed(false)
        )
      }
      if (seen._tag === "Ended") {
        return answer({ ok: true, key: record.key, compacted: false, reason: seen.reason }, changed(false))
      }
      const after = (yield* sessions.find({ sessions: [record.session] })) ?? record
      const entry: { [name: string]: unknown } = { ...Rows.entryOf(after) }
      const [checkpoint] = yield* Checkpoints.list(log, after)
      const count = typeof entry["compactionCount"] === "number" ? entry["compactionCount"] : 0
      entry["compactionCount"] = count + 1
      for (const name of ["inputTokens", "outputTokens", "totalTokens", "totalTokensFresh"])
        delete entry[name]
      if (checkpoint?.["tokensAfter"] !== undefined) {
        entry["totalTokens"] = checkpoint["tokensAfter"]
        entry["totalTokensFresh"] = true
      }
      yield* sessions.change(after.sid, { entry: JSON.stringify(entry) })
      return answer(
        {
          ok: true,
          key: record.key,
          compacted: true,
          result: Rows.compact({
            summary: checkpoint?.["summary"] ?? "",
            firstKeptEntryId: checkpoint?.["firstKeptEntryId"] ?? "",
            tokensBefore: checkpoint?.["tokensBefore"] ?? 0,
            tokensAfter: checkpoint?.["tokensAfter"]
          })
        },
        changed(true)
      )
    })

  const byLines = (record: Session, maxLines: number) =>
    Effect.gen(function* () {
      // The header is a line of the exported form.
      const total = (yield* log.count(record.sid, { select: "entries" })) + 1
      if (total <= maxLines) {
        return answer({ ok: true, key: record.key, compacted: false, kept: total })
      }
      const archivedAt = yield* Clock.currentTimeMillis
      const archive = yield* sessions
        .create({
          organizationId: record.organizationId,
          environmentId: undefined,
          source: "gateway",
          context: record.context,
          permissionMode: record.permissionMode,
          tags: undefined,
          payloads: []
        })
        .pipe(Effect.catchTag("EnvironmentUnknown", Effect.die))
      yield* retention.trim({ sid: record.sid, archive: archive.sid, keep: maxLines, archivedAt })
      const entry: { [name: string]: unknown } = { ...Rows.entryOf(record) }
      for (const name of ["inputTokens", "outputTokens", "totalTokens", "totalTokensFresh"])
        delete entry[name]
      yield* sessions.change(record.sid, { entry: JSON.stringify(entry) })
      return answer(
        {
          ok: true,
          key: record.key,
          compacted: true,
          archived: Rows.locator(archive.session, archivedAt),
          kept: maxLines
        },
        notifier.changed(record.organizationId, record.key, { reason: "compact", compacted: true })
      )
    })

  const compact = method("sessions.compact", {
    scope: "operator.admin",
    params: Params.SessionsCompact,
    handle: (params, caller) =>
      Effect.gen(function* () {
        const given = yield* requireKey(params.key)
        yield* webchatGuard(caller, "compact")
        const key = yield* operations.canonical(given)
        const record = yield* sessions.find({ organizationId: caller.organizationId, keys: [key] })
        if (record === undefined) {
          return answer({ ok: true, key, compacted: false, reason: "no sessionId" })
        }
        return params.maxLines === undefined
          ? yield* byAgent(record, caller)
          : yield* byLines(record, params.maxLines)
      })
  })

  // --- Checkpoints ---

  const list = method("sessions.compaction.list", {
    scope: "operator.read",
    params: Params.SessionsKey,
    handle: (params, { organizationId }) =>
      Effect.gen(function* () {
        const key = yield* operations.canonical(yield* requireKey(params.key))
        const record = yield* sessions.find({ organizationId, keys: [key] })
        const checkpoints = record === undefined ? [] : yield* Checkpoints.list(log, record)
        return answer({ ok: true, key, checkpoints })
      })
  })

  const checkpointOf = (record: Session | undefined, given: string): Effect.Effect<JsonObject, Failure> =>
    Effect.gen(function* () {
      const id = given.trim()
      if (id === "") return yield* invalid("checkpointId required")
      const all = record === undefined ? [] : yield* Checkpoints.list(log, record)
      return (
        all.find((each) => each["checkpointId"] === id) ?? (yield* invalid(`checkpoint not found: ${id}`))
      )
    })

  const get = method("sessions.compaction.get", {
    scope: "operator.read",
    params: Params.CompactionKey,
    handle: (params, { organizationId }) =>
      Effect.gen(function* () {
        const key = yield* operations.canonical(yield* requireKey(params.key))
        const record = yield* sessions.find({ organizationId, keys: [key] })
        const checkpoint = yield* checkpointOf(record, params.checkpointId)
        return answer({ ok: true, key, checkpoint })
      })
  })

  /** The session and its checkpoint that a fork starts from. */
  const source = (organizationId: OrganizationId, given: string, checkpointId: string) =>
    Effect.gen(function* () {
      const key = yield* requireKey(given)
      if (checkpointId.trim() === "") return yield* invalid("checkpointId required")
      const record = yield* operations.find(organizationId, key)
      if (record === undefined) return yield* invalid(`session not found: ${key}`)
      const checkpoint = yield* checkpointOf(record, checkpointId)
      const point = Checkpoints.forkPoint(checkpoint)
      if (point === undefined) return yield* invalid(`checkpoint not found: ${checkpointId.trim()}`)
      const from =
        point.body === record.session
          ? record
          : yield* sessions.find({ organizationId, sessions: [point.body], archived: "all" })
      return { record, checkpoint, beforeSeq: point.beforeSeq, from }
    })

  const fork = (
    from: Session | undefined,
    to: Session,
    beforeSeq: number,
    failure: string
  ): Effect.Effect<Session, Failure> =>
    Effect.gen(function* () {
      const copied =
        from === undefined ? 0 : yield* retention.copyTranscript({ from: from.sid, to: to.sid, beforeSeq })
      if (copied === 0) {
        yield* operations.archive(to, "deleted")
        yield* retention.remove([to.sid])
        return yield* unavailable(failure)
      }
      yield* operations.begin(to)
      return (yield* sessions.find({ sessions: [to.session] })) ?? to
    })

  /** A label that nobody has, of this one. */
  const freeLabel = (organizationId: OrganizationId, label: string) =>
    Effect.gen(function* () {
      for (let n = 1; ; n++) {
        const candidate = n === 1 ? label : `${label} ${n}`
        const taken = yield* sessions.list({
          organizationId,
          label: candidate,
          limit: 1
        })
        if (taken.length === 0) return candidate
      }
    })

  const branch = method("sessions.compaction.branch", {
    scope: "operator.write",
    params: Params.CompactionKey,
    handle: (params, { organizationId }) =>
      Effect.gen(function* () {
        const { beforeSeq, checkpoint, from, record } = yield* source(
          organizationId,
          params.key,
          params.checkpointId
        )
        const agent = record.agentId ?? "main"
        const branched = yield* patching.exclusively(
          Effect.gen(function* () {
            const label = yield* freeLabel(
              organizationId,
              record.label === undefined ? "Checkpoint branch" : `${record.label} (checkpoint)`
            )
            const made = yield* operations.make(organizationId, {
              copied: true,
              key: `agent:${agent}:dashboard:${randomUUID()}`,
              label,
              parentKey: record.key,
              spawnedBy: record.spawnedBy,
              entry: cloned(Rows.entryOf(record), checkpoint)
            })
            return yield* fork(from, made, beforeSeq, "failed to create checkpoint branch transcript")
          })
        )
        return answer(
          {
            ok: true,
            sourceKey: record.key,
            key: branched.key,
            sessionId: Rows.sessionIdOf(branched.session),
            checkpoint,
            entry: Rows.toEntry(branched)
          },
          Effect.zipRight(
            notifier.changed(organizationId, record.key, { reason: "checkpoint-branch" }),
            notifier.changed(organizationId, branched.key, { reason: "checkpoint-branch" })
          )
        )
      })
  })

  const restore = method("sessions.compaction.restore", {
    scope: "operator.admin",
    params: Params.CompactionKey,
    handle: (params, caller) =>
      Effect.gen(function* () {
        yield* webchatGuard(caller, "restore")
        const { organizationId } = caller
        const { beforeSeq, checkpoint, from, record } = yield* source(
          organizationId,
          params.key,
          params.checkpointId
        )
        yield* operations.interrupt(record, caller.connection)
        const restored = yield* patching.exclusively(
          Effect.gen(function* () {
            const checkpoints = yield* Checkpoints.list(log, record)
            // The fork stands before the old log is put away, so that a failure changes nothing.
            const made = yield* operations.make(organizationId, {
              copied: true,
              key: `agent:${record.agentId ?? "main"}:dashboard:${randomUUID()}`,
              entry: { ...cloned(Rows.entryOf(record), checkpoint), compactionCheckpoints: checkpoints }
            })
            const forked = yield* fork(from, made, beforeSeq, "failed to restore checkpoint transcript")
            yield* operations.archive(record, "restored")
            return (
              (yield* sessions.change(forked.sid, {
                key: record.key,
                agentId: record.agentId,
                label: record.label,
                parentKey: record.parentKey,
                spawnedBy: record.spawnedBy
              })) ?? forked
            )
          })
        )
        return answer(
          {
            ok: true,
            key: restored.key,
            sessionId: Rows.sessionIdOf(restored.session),
            checkpoint,
            entry: Rows.toEntry(restored)
          },
          notifier.changed(organizationId, restored.key, { reason: "checkpoint-restore" })
        )
      })
  })

  return [compact, list, get, branch, restore] satisfies ReadonlyArray<Method>
})
