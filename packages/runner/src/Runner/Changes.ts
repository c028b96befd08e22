/**
 * Changes of runs. Each reads the old state, checks the move, writes and tells in one transaction, so that every event
 * says truly what was before and what is now.
 */
import { randomUUID } from "node:crypto"
import type { SessionId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import type * as Approvals from "@causeway/transcript/Approvals"
import { isSubagent, object } from "@causeway/transcript/Read"
import * as Result from "@causeway/transcript/Result"
import * as SessionRow from "@causeway/transcript/SessionRow"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { JournalFailed } from "../Journal/Model.ts"
import type * as Event from "./Event.ts"
import type { Record, Stored, Writer } from "./Record.ts"
import { RunNotFound } from "./Request.ts"
import type * as Run from "./Run.ts"
import * as Settings from "./Settings.ts"
import * as Status from "./Status.ts"

type Outcome = Partial<Pick<Run.Run, "error" | "result" | "durationMillis">>

/** Number of the last event that was told, and the record that holds it. */
export interface Changes {
  readonly record: Record
  readonly head: SubscriptionRef.SubscriptionRef<number>
}

export const make = (record: Record): Effect.Effect<Changes, JournalFailed> =>
  Effect.gen(function* () {
    return { record, head: yield* SubscriptionRef.make(yield* record.lastSequence) }
  })

/** Runs a change, then wakes those who wait for what it told. */
export const change = <A, E>({ head, record }: Changes, effect: (writer: Writer) => Effect.Effect<A, E>) =>
  Effect.tap(record.change(effect), () =>
    Effect.flatMap(record.lastSequence, (last) =>
      SubscriptionRef.update(head, (before) => Math.max(before, last))
    )
  )

export const require = (writer: Pick<Writer, "get">, id: SessionId) =>
  Effect.flatMap(
    writer.get(id),
    Option.match({ onNone: () => new RunNotFound({ id }), onSome: Effect.succeed })
  )

/** The one way from status to status; a move that leads nowhere changes nothing. */
const move = (writer: Writer, stored: Stored, what: Status.Move, now: number, outcome: Outcome = {}) =>
  Option.match(Status.transition(stored.run.status, what), {
    onNone: () => Effect.succeed(stored),
    onSome: (status) => {
      const run: Run.Run = {
        ...stored.run,
        ...outcome,
        status,
        lastActivityAt: now,
        completedAt: Status.isTerminal(status) ? now : null
      }
      const { error, id: runId, parentId } = run
      return writer
        .tell(now, { type: "status_changed", runId, from: stored.run.status, to: status, parentId, error })
        .pipe(Effect.as({ ...stored, run }))
    }
  })

/** Moves a run by itself. */
export const moveRun = (changes: Changes, id: SessionId, what: Status.Move, outcome: Outcome = {}) =>
  change(changes, (writer) =>
    Effect.gen(function* () {
      const stored = yield* require(writer, id)
      const moved = yield* move(writer, stored, what, yield* Clock.currentTimeMillis, outcome)
      if (moved === stored) return stored
      yield* writer.put(moved)
      return yield* close(writer, moved)
    })
  )

/** Events that tell what became of approvals between two rows. */
const approvalEvents = (
  runId: SessionId,
  before: Approvals.Approvals,
  after: Approvals.Approvals,
  by: Event.By
): ReadonlyArray<Event.NewEvent> => {
  const wasOpen = new Set(before.pending.map(({ requestId }) => requestId))
  const isOpen = new Set(after.pending.map(({ requestId }) => requestId))
  return [
    ...before.pending.flatMap(({ requestId, toolUseId }): ReadonlyArray<Event.NewEvent> => {
      if (isOpen.has(requestId)) return []
      const outcome = after.settled.findLast((each) => each.requestId === requestId)?.outcome ?? "cancelled"
      return [
        { type: "approval_settled", runId, toolUseId, outcome, by: outcome === "cancelled" ? "run" : by }
      ]
    }),
    ...after.pending.flatMap(
      ({ requestId, toolName, toolUseId }): ReadonlyArray<Event.NewEvent> =>
        wasOpen.has(requestId) ? [] : [{ type: "approval_requested", runId, toolUseId, toolName }]
    )
  ]
}

/** Events that a change of the session tells, beside its entry. */
const updateEvents = (
  runId: SessionId,
  json: Payload.JsonObject,
  row: SessionRow.SessionRow
): ReadonlyArray<Event.NewEvent> => {
  if (json["type"] !== "session_update") return []
  const { bytes, path, sha256, tool_use_id: toolUseId, truncated } = object(json["file_snapshot"])
  if (typeof toolUseId === "string") {
    return [
      {
        type: "file_snapshot",
        runId,
        toolUseId,
        path: String(path),
        sha256: String(sha256),
        bytes: Number(bytes),
        truncated: truncated === true
      }
    ]
  }
  if (!("auto_accept_edits" in json || "skip_permissions" in json)) return []
  const reason = json["reason"] === "expired" ? "expired" : "set"
  return [{ type: "settings_changed", runId, settings: Settings.of(row.chosen), reason }]
}

const byOf = (json: Payload.JsonObject): Event.By => {
  const by = json["decided_by"]
  return by === "skip_permissions" || by === "auto_accept_edits" ? by : "person"
}

/** Where an entry leads its run, and what that leaves in it. */
const consequence = (
  stored: Stored,
  source: "worker" | "client",
  { json, type }: Payload.Payload
): readonly [Status.Move, Outcome?] => {
  const { row, run } = stored
  const over = source === "worker" && row.open.length === 0 && !isSubagent(json)
  if (over && type === "result") {
    const failed = Result.isFailure(json)
    const { duration_ms: duration, result } = json
    return [
      failed ? "failed" : "succeeded",
      {
        error: failed ? Result.errorText(json) : null,
        result: typeof result === "string" ? result : null,
        durationMillis: typeof duration === "number" ? duration : null
      }
    ]
  }
  // The interrupt took the prompt back before the agent had begun it: there is no turn that could end.
  if (over && type === "control_response" && run.status === "interrupting" && !row.begun) return ["ended"]
  return [row.approvals.pending.length > 0 ? "asked" : "answered"]
}

/** Appends an entry to a run's log, with all that follows from it. A uuid that is in the log changes nothing. */
export const append = (
  writer: Writer,
  stored: Stored,
  source: "worker" | "client",
  payload: Payload.Payload
): Effect.Effect<Stored, JournalFailed> =>
  Effect.gen(function* () {
    const { uuid } = payload
    if (uuid === undefined) return stored
    const now = yield* Clock.currentTimeMillis
    const runId = stored.run.id
    const entry = { seq: stored.row.lastSeq + 1, source, createdAt: now, payload, uuid }
    if (!(yield* writer.append(runId, entry))) return stored
    const row = SessionRow.step(stored.row, entry)
    yield* writer.tell(now, { type: "entry", runId, entry: entry.seq, source, payload: payload.json })
    yield* Effect.forEach(
      [
        ...approvalEvents(runId, stored.row.approvals, row.approvals, byOf(payload.json)),
        ...updateEvents(runId, payload.json, row)
      ],
      (event) => writer.tell(now, event),
      { discard: true }
    )
    const next = { run: { ...stored.run, lastActivityAt: now }, row }
    const [what, outcome] = consequence(next, source, payload)
    const moved = yield* move(writer, next, what, now, outcome)
    yield* writer.put(moved)
    return yield* close(writer, moved)
  })

/**
 * Nobody waits for answers of a run that has ended: its agent is let go. Questions that it left open, or asked among its
 * last lines, are cancelled in the log.
 */
const close = (writer: Writer, stored: Stored): Effect.Effect<Stored, JournalFailed> => {
  const open = Status.isTerminal(stored.run.status) ? stored.row.approvals.pending[0] : undefined
  if (open === undefined) return Effect.succeed(stored)
  const { requestId: request_id } = open
  // What it appends closes the next one.
  return append(
    writer,
    stored,
    "worker",
    Payload.make({ type: "control_cancel_request", request_id, uuid: randomUUID() })
  )
}
