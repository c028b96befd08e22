/**
 * The log on its way to the gateway's clients: reads what is new in each session that anyone cares for, and turns it into
 * events in the order of the log. Source: spec 2 §2 (`session.message`), §6 (`chat`, `agent`, lifecycle).
 *
 * One fiber reads, so that events of one session never overtake each other. A session that nobody watches and that has no
 * tracked run is not read. Positions live in memory only: a client that missed something replays it from the log.
 */
import type { OrganizationId } from "@causeway/protocol/Ids"
import { Bus, type Ephemeral } from "@causeway/store/Bus"
import type { StoreUnavailable } from "@causeway/store/Errors"
import { Log, type StoredEvent } from "@causeway/store/Log"
import { rowOf, type Session, Sessions } from "@causeway/store/Session"
import { array, type JsonObject, object, string } from "@causeway/transcript/Read"
import * as Result from "@causeway/transcript/Result"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { GatewayConnections } from "./Connections.ts"
import { payloadOf, textOf, toMessage } from "./Messages.ts"
import { Notifier } from "./Notifier.ts"
import { Operations } from "./Operations.ts"
import * as Rows from "./Rows.ts"
import { GatewayRuns, type Run, unowned } from "./Runs.ts"

/** Cumulative deltas are at least this far apart. */
const DELTA_MILLIS = 150
/** Events of one read. */
const BATCH = 500
/** How long a message's events wait for its sender's answer. */
const ANSWER_WAIT = "1 second"
/** Runs that count as lost, and remembered outcomes that have expired, are looked for once a minute. */
export const sweepSchedule = Schedule.spaced("60 seconds")
/** Sessions that wait for an environment are looked at every 5 s. */
export const assignSchedule = Schedule.spaced("5 seconds")

interface Position {
  readonly organizationId: OrganizationId
  readonly key: string
  seq: number
  deliveryNo: number
  /** Messages and compactions up to `seq`. */
  visible: number
}

export const make = Effect.gen(function* () {
  const bus = yield* Bus
  const log = yield* Log
  const sessions = yield* Sessions
  const connections = yield* GatewayConnections
  const runs = yield* GatewayRuns
  const notifier = yield* Notifier
  const operations = yield* Operations
  const positions = new Map<string, Position>()
  let since = yield* Clock.currentTimeMillis

  // --- Runs ---

  const track = (record: Session, prompt: StoredEvent): Effect.Effect<Run> =>
    Effect.gen(function* () {
      const known = runs.ofPrompt(record.session, prompt.uuid)
      if (known !== undefined) return known
      const run = unowned(record, prompt, { now: yield* Clock.currentTimeMillis, startedAt: undefined })
      runs.add(run)
      return run
    })

  const start = (record: Session, at: number) =>
    Effect.gen(function* () {
      const run = runs.current(record.session)
      if (run === undefined || run.startedAt !== undefined) return
      run.startedAt = at
      notifier.agent(run, "lifecycle", { phase: "start", startedAt: at }, at)
      yield* notifier.phase(record, { phase: "start", runId: run.id }, { status: "running", startedAt: at })
    })

  const delta = (run: Run, text: string, added: string, at: number) => {
    run.text = text
    notifier.agent(run, "assistant", { text, delta: added }, at)
    run.pendingDelta = true
    if (at - run.lastDeltaAt >= DELTA_MILLIS) flush(run, at)
  }

  const flush = (run: Run, at: number) => {
    if (!run.pendingDelta) return
    run.pendingDelta = false
    run.lastDeltaAt = at
    notifier.chat(run, run.seq, {
      state: "delta",
      message: { role: "assistant", content: [{ type: "text", text: run.text }], timestamp: at }
    })
  }

  const end = (record: Session, run: Run, json: JsonObject, at: number) =>
    Effect.gen(function* () {
      const stopped = Result.wasStopped(json)
      const failed = !stopped && Result.isFailure(json)
      const summary = failed ? Result.errorText(json) : undefined
      const text = failed ? run.text : (string(json["result"]) ?? run.text)
      flush(run, at)
      notifier.agent(
        run,
        "lifecycle",
        failed ? { phase: "error", error: summary, endedAt: at } : { phase: "end", endedAt: at },
        at
      )
      if (failed) notifier.chat(run, run.seq, { state: "error", errorMessage: summary })
      else if (stopped) notifier.chat(run, run.seq, { state: "aborted", stopReason: "aborted" })
      else {
        notifier.chat(run, run.seq, {
          state: "final",
          ...(text === ""
            ? {}
            : { message: { role: "assistant", content: [{ type: "text", text }], timestamp: at } })
        })
      }
      yield* operations.endRun(run, {
        status: failed ? "failed" : stopped ? "killed" : "done",
        at,
        outcome: failed
          ? {
              ok: false,
              payload: { runId: run.id, status: "error", summary },
              error: { code: "UNAVAILABLE", message: summary ?? "failed" }
            }
          : { ok: true, payload: { runId: run.id, status: "ok" } }
      })
      const after = (yield* sessions.find({ sessions: [record.session] })) ?? record
      yield* notifier.phase(after, { phase: failed ? "error" : "end", runId: run.id })
    })

  /** A result ends the run whose turn it was, and those whose messages the agent has taken with it. */
  const onResult = (record: Session, json: JsonObject, event: StoredEvent) =>
    Effect.gen(function* () {
      if (string(json["parent_tool_use_id"]) !== null) return
      const current = runs.current(record.session)
      if (current === undefined) return
      for (const run of runs.ofSession(record.session)) {
        if (run !== current) {
          const prompt =
            run.promptSeq === undefined
              ? undefined
              : (yield* log.events(record.sid, { uuid: run.promptUuid }))[0]
          const taken =
            prompt !== undefined && (prompt.delivery === "processing" || prompt.delivery === "processed")
          if (!taken) continue
        }
        yield* end(record, run, json, event.createdAt)
      }
    })

  // --- Tools ---

  const tools = (record: Session, json: JsonObject, event: StoredEvent) => {
    const run = runs.current(record.session)
    for (const block of array(object(json["message"])["content"]).map(object)) {
      const isCall = block["type"] === "tool_use"
      if (!isCall && block["type"] !== "tool_result") continue
      const data = isCall
        ? { phase: "start", name: block["name"], toolCallId: block["id"], args: block["input"] }
        : {
            phase: "result",
            toolCallId: block["tool_use_id"],
            isError: block["is_error"] === true,
            result: block["content"]
          }
      notifier.toSubscribers(
        record,
        "session.tool",
        {
          sessionKey: record.key,
          ...(run === undefined ? {} : { runId: run.id }),
          stream: "tool",
          ts: event.createdAt,
          logSeq: event.seq,
          data
        },
        event.seq
      )
      const verbose = Rows.entryOf(record)["verboseLevel"]
      if (run !== undefined) {
        const { result: _result, ...withoutResult } = data as JsonObject
        notifier.agent(run, "tool", verbose === "full" ? data : withoutResult, event.createdAt)
      }
    }
  }

  // --- One event ---

  const onEvent = (record: Session, event: StoredEvent, position: Position) =>
    Effect.gen(function* () {
      const json = payloadOf(event)
      const isVisible =
        event.transcript && (event.type === "user" || event.type === "assistant" || event.compaction)
      if (isVisible) {
        position.visible += 1
        if (event.source === "client" && event.type === "user") {
          const run = yield* track(record, event)
          if (run.answered !== undefined) {
            yield* Effect.timeoutOption(Deferred.await(run.answered), ANSWER_WAIT)
          }
          run.promptSeq = event.seq
        }
        const message = toMessage(event, position.visible)
        if (
          event.source === "worker" &&
          event.type === "assistant" &&
          string(json["parent_tool_use_id"]) === null
        ) {
          yield* start(record, event.createdAt)
          const run = runs.current(record.session)
          const text = textOf(message)
          if (run !== undefined && text !== "" && text !== run.text) delta(run, text, text, event.createdAt)
        }
        yield* notifier.message(record, message, {
          messageId: event.uuid,
          messageSeq: position.visible,
          logSeq: event.seq
        })
        if (event.source === "worker") tools(record, json, event)
        return
      }
      switch (event.type) {
        case "system":
          if (event.source === "worker" && json["subtype"] === "init") yield* start(record, event.createdAt)
          return
        case "result":
          if (event.source === "worker") yield* onResult(record, json, event)
          return
        case "control_request": {
          const request = object(json["request"])
          if (event.source !== "worker" || request["subtype"] !== "can_use_tool") return
          notifier.toWatchers(
            record,
            "session.approval",
            {
              sessionKey: record.key,
              phase: "requested",
              requestId: json["request_id"],
              toolUseId: request["tool_use_id"],
              toolName: request["tool_name"],
              input: request["input"],
              ts: event.createdAt,
              logSeq: event.seq
            },
            event.seq
          )
          return
        }
        case "control_response":
        case "control_cancel_request": {
          const response = object(json["response"])
          const requestId = json["request_id"] ?? response["request_id"]
          // Interrupts and settings are answered by the same kind of line.
          const { pending, settled } = rowOf(record).approvals
          if (![...pending, ...settled].some((approval) => approval.requestId === requestId)) return
          notifier.toWatchers(
            record,
            "session.approval",
            {
              sessionKey: record.key,
              phase: event.type === "control_response" ? "resolved" : "cancelled",
              requestId,
              by: event.source,
              ts: event.createdAt,
              logSeq: event.seq
            },
            event.seq
          )
          return
        }
        case "session_update":
          yield* notifier.phase(record, { phase: "update", logSeq: event.seq })
          return
      }
    })

  const onEphemeral = (record: Session, message: Ephemeral) => {
    if (message.type !== "stream_event") return
    const json = payloadOf(message)
    if (string(json["parent_tool_use_id"]) !== null) return
    const run = runs.current(record.session)
    if (run === undefined) return
    const event = object(json["event"])
    if (event["type"] === "message_start") {
      run.text = ""
      return
    }
    const part = object(event["delta"])
    const text = part["type"] === "text_delta" ? string(part["text"]) : null
    if (text !== null && text !== "") delta(run, run.text + text, text, message.createdAt)
  }

  // --- One session ---

  const firstPosition = (record: Session) =>
    Effect.gen(function* () {
      const recent = yield* log.events(record.sid, {
        after: Math.max(0, record.lastSeq - BATCH),
        limit: BATCH
      })
      const fresh = recent.find((event) => event.createdAt >= since)
      const seq = fresh === undefined ? record.lastSeq : fresh.seq - 1
      return {
        organizationId: record.organizationId,
        key: record.key,
        seq,
        visible: yield* log.count(record.sid, { select: "visible", through: seq }),
        // What changed before is told by `sessions.deliveries.list`.
        deliveryNo: record.deliveryNo
      }
    })

  const deliveries = (record: Session, position: Position) =>
    Effect.gen(function* () {
      const changes = yield* log
        .deliveries({
          session: record.session,
          organizationId: record.organizationId,
          after: position.deliveryNo,
          limit: BATCH
        })
        .pipe(Effect.catchTag("SessionUnknown", () => Effect.succeed([])))
      for (const change of changes) {
        position.deliveryNo = change.no
        const run = runs.ofPrompt(record.session, change.uuid)
        notifier.toWatchers(
          record,
          "session.delivery",
          {
            sessionKey: record.key,
            messageId: change.uuid,
            ...(run === undefined ? {} : { runId: run.id }),
            status: change.delivery,
            ts: change.deliveredAt,
            logSeq: change.seq
          },
          change.seq
        )
      }
    })

  const onSession = (
    body: string,
    changed: boolean,
    ephemerals: ReadonlyArray<Ephemeral>
  ): Effect.Effect<void, StoreUnavailable> =>
    Effect.gen(function* () {
      let record = yield* sessions.find({ sessions: [body] })
      if (record === undefined) {
        // Archived, or gone for good.
        const last = positions.get(body)
        positions.delete(body)
        if (last === undefined || runs.takeTold(body)) return
        return yield* notifier.changed(last.organizationId, last.key, { reason: "archive" })
      }
      if (changed) {
        const known = positions.get(body)
        const position = known ?? (yield* firstPosition(record))
        if (known === undefined && record.createdAt >= since && !runs.takeTold(body)) {
          // Made by another API.
          yield* notifier.changed(record.organizationId, record.key, { reason: "create" })
        }
        positions.set(body, position)
        const skip = runs.takeSkip(body)
        if (skip !== undefined) {
          position.seq = Math.max(position.seq, skip)
          position.visible = yield* log.count(record.sid, { select: "visible", through: position.seq })
        }
        for (;;) {
          const events = yield* log.events(record.sid, { after: position.seq, limit: BATCH })
          for (const event of events) {
            yield* onEvent(record, event, position).pipe(
              // One event that cannot be told does not hold up those after it.
              Effect.catchAllDefect((defect) =>
                Effect.logError("an event cannot be told to the gateway's clients", defect).pipe(
                  Effect.annotateLogs({ module: "Feed", session: body, seq: event.seq })
                )
              )
            )
            position.seq = event.seq
          }
          if (events.length < BATCH) break
          record = (yield* sessions.find({ sessions: [body] })) ?? record
        }
        yield* deliveries(record, position)
      }
      for (const message of ephemerals) onEphemeral(record, message)
    })

  // --- The fibers ---

  const assign = Effect.gen(function* () {
    for (const record of yield* sessions.list({
      environmentId: null,
      written: true,
      order: "oldest",
      limit: 100
    })) {
      const environment = yield* operations.chooseEnvironment(record.organizationId, record.agentId)
      if (environment !== undefined) yield* sessions.assignEnvironment(record.sid, environment, true)
    }
  })

  const logFailure = (doing: string) => (effect: Effect.Effect<void, StoreUnavailable>) =>
    Effect.catchAllCause(effect, (cause) =>
      Effect.logError(`the gateway's feed failed ${doing}`, cause).pipe(
        Effect.annotateLogs({ module: "Feed" })
      )
    )

  const subscription = yield* bus.subscribeAll
  yield* Effect.forkScoped(
    Effect.forever(
      Effect.gen(function* () {
        const signals = yield* subscription.take
        for (const [topic, signal] of signals) {
          if (!topic.startsWith("session:")) continue
          const body = topic.slice("session:".length)
          if (connections.size === 0 && runs.ofSession(body).length === 0) continue
          yield* onSession(body, signal.changed, signal.ephemerals).pipe(logFailure("reading a session"))
        }
        if (connections.size === 0) {
          // Whoever connects next hears of what happens from then on.
          since = yield* Clock.currentTimeMillis
          runs.forgetTold()
          for (const body of positions.keys()) {
            if (runs.ofSession(body).length === 0) positions.delete(body)
          }
        }
      })
    )
  )
  yield* Effect.forkScoped(
    Effect.schedule(assign.pipe(logFailure("giving sessions their environments")), assignSchedule)
  )
  yield* Effect.forkScoped(
    Effect.schedule(
      Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        operations.idempotency.sweep(now)
        for (const run of runs.expired(now)) {
          const record = yield* sessions.find({ sessions: [run.session] })
          if (record === undefined) runs.remove(run)
          else {
            yield* operations
              .abort(record, { runId: run.id, by: undefined, stopReason: "timeout" })
              .pipe(Effect.catchTag("GatewayRefused", () => Effect.sync(() => runs.remove(run))))
          }
        }
      }).pipe(logFailure("ending runs that were lost")),
      sweepSchedule
    )
  )
})

export const layer: Layer.Layer<
  never,
  never,
  Bus | Log | Sessions | GatewayConnections | GatewayRuns | Notifier | Operations
> = Layer.scopedDiscard(make)
