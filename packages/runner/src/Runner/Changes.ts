/**
 * The changes that a run can undergo. Each reads the old state, checks the move, writes and tells in one transaction,
 * so that every event says truly what was before and what is now.
 */
import type { SessionId } from "@causeway/protocol/Ids"
import type * as Payload from "@causeway/protocol/Payload"
import type * as Approvals from "@causeway/transcript/Approvals"
import * as Result from "@causeway/transcript/Result"
import * as SessionRow from "@causeway/transcript/SessionRow"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { RunNotFound } from "./Request.ts"
import type * as Run from "./Run.ts"
import type * as RunStore from "./RunStore.ts"
import * as Status from "./Status.ts"

/** Who settled a question. */
export type By = "person" | "skip_permissions" | "auto_accept_edits"

const namesPrompt = (json: Payload.JsonObject, promptUuid: string): boolean => {
  const many = json["user_message_uuids"]
  return json["user_message_uuid"] === promptUuid || (Array.isArray(many) && many.includes(promptUuid))
}

export type Changes = Effect.Effect.Success<ReturnType<typeof make>>

export const make = (store: RunStore.RunStore) =>
  Effect.gen(function* () {
    /** Number of the last event that was told. */
    const head = yield* SubscriptionRef.make(yield* store.lastSequence)

    const change = <A, E>(
      effect: (writer: RunStore.Writer) => Effect.Effect<A, E | RunStore.RunnerFailed>
    ): Effect.Effect<A, E | RunStore.RunnerFailed> =>
      store
        .change(effect)
        .pipe(
          Effect.tap(() =>
            Effect.flatMap(store.lastSequence, (last) =>
              SubscriptionRef.update(head, (before) => Math.max(before, last))
            )
          )
        )

    const require = (writer: Pick<RunStore.Writer, "get">, id: SessionId) =>
      Effect.flatMap(
        writer.get(id),
        Option.match({ onNone: () => new RunNotFound({ id }), onSome: Effect.succeed })
      )

    /** The one way from status to status; a move that leads nowhere changes nothing. */
    const move = (
      writer: RunStore.Writer,
      stored: RunStore.Stored,
      what: Status.Move,
      now: number,
      more: Partial<Pick<Run.Run, "error" | "result" | "durationMillis">> = {}
    ): Effect.Effect<RunStore.Stored, RunStore.RunnerFailed> =>
      Option.match(Status.transition(stored.run.status, what), {
        onNone: () => Effect.succeed(stored),
        onSome: (status) => {
          const run: Run.Run = {
            ...stored.run,
            ...more,
            status,
            lastActivityAt: now,
            completedAt: Status.isTerminal(status) ? now : null
          }
          return writer
            .tell(now, {
              type: "status_changed",
              runId: run.id,
              from: stored.run.status,
              to: status,
              parentId: run.parentId,
              error: run.error
            })
            .pipe(Effect.as({ ...stored, run }))
        }
      })

    const moveRun = (id: SessionId, what: Status.Move, more: Parameters<typeof move>[4] = {}) =>
      change((writer) =>
        Effect.gen(function* () {
          const stored = yield* require(writer, id)
          const moved = yield* move(writer, stored, what, yield* Clock.currentTimeMillis, more)
          if (moved !== stored) yield* writer.put(moved)
          return moved
        })
      )

    /** Tells what became of approvals between two rows. */
    const tellApprovals = (
      writer: RunStore.Writer,
      id: SessionId,
      before: Approvals.Approvals,
      after: Approvals.Approvals,
      now: number,
      by: By
    ) =>
      Effect.gen(function* () {
        const wasOpen = new Set(before.pending.map(({ requestId }) => requestId))
        const isOpen = new Set(after.pending.map(({ requestId }) => requestId))
        for (const { requestId, toolUseId } of before.pending) {
          if (isOpen.has(requestId)) continue
          const settled = after.settled.findLast((each) => each.requestId === requestId)
          yield* writer.tell(now, {
            type: "approval_settled",
            runId: id,
            toolUseId,
            outcome: settled?.outcome ?? "cancelled",
            by: settled === undefined || settled.outcome === "cancelled" ? "run" : by
          })
        }
        for (const { requestId, toolName, toolUseId } of after.pending) {
          if (wasOpen.has(requestId)) continue
          yield* writer.tell(now, { type: "approval_requested", runId: id, toolUseId, toolName })
        }
      })

    /** Appends an entry to a run's log, with all that follows from it. A uuid that is in the log changes nothing. */
    const append = (
      writer: RunStore.Writer,
      stored: RunStore.Stored,
      source: "worker" | "client",
      payload: Payload.Payload,
      by: By = "person"
    ): Effect.Effect<RunStore.Stored, RunStore.RunnerFailed> =>
      Effect.gen(function* () {
        const { uuid } = payload
        if (uuid === undefined) return stored
        const now = yield* Clock.currentTimeMillis
        const { id, promptUuid } = stored.run
        const seq = stored.row.lastSeq + 1
        if (!(yield* writer.append(id, { seq, uuid, source, createdAt: now, payload }))) return stored
        const row = SessionRow.step(stored.row, { seq, uuid, source, createdAt: now, payload })
        let next: RunStore.Stored = { run: { ...stored.run, lastActivityAt: now }, row }
        yield* writer.tell(now, { type: "entry", runId: id, entry: seq, source, payload: payload.json })
        yield* tellApprovals(writer, id, stored.row.approvals, row.approvals, now, by)
        if (source === "worker" && payload.type === "result" && namesPrompt(payload.json, promptUuid)) {
          const failed = Result.isFailure(payload.json)
          const { result, duration_ms: duration } = payload.json
          next = yield* move(writer, next, failed ? "failed" : "succeeded", now, {
            error: failed ? Result.errorText(payload.json) : null,
            result: typeof result === "string" ? result : null,
            durationMillis: typeof duration === "number" ? duration : null
          })
        } else {
          next = yield* move(writer, next, row.approvals.pending.length > 0 ? "asked" : "answered", now)
        }
        yield* writer.put(next)
        return next
      })

    return { head, change, require, move, moveRun, append }
  })
