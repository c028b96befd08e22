/** Answers to an agent's questions: a person's, and those that follow from what a person decided ahead. */
import { randomUUID } from "node:crypto"
import type { SessionId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as Approvals from "@causeway/transcript/Approvals"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import type { AgentSession } from "../Agent.ts"
import type { By, Changes } from "./Changes.ts"
import { AnswerRefused, type Decision } from "./Request.ts"
import type * as RunStore from "./RunStore.ts"
import * as Settings from "./Settings.ts"

export const make = (
  store: RunStore.RunStore,
  { append, change, require }: Changes,
  /** The agent's session of a run that is going on. */
  sessionOf: (id: SessionId) => AgentSession | undefined
) =>
  Effect.gen(function* () {
    const timers = yield* FiberMap.make<SessionId>()

    /** The whole input that was asked about; the approval itself may hold a shortened one. */
    const askedInput = (id: SessionId, approval: Approvals.Approval) =>
      Effect.map(store.log(id, approval.seq - 1, 1), ([entry]) => {
        const request = entry?.payload.json["request"]
        const input =
          typeof request === "object" && request !== null && "input" in request ? request.input : {}
        return typeof input === "object" && input !== null && !Array.isArray(input) ? { ...input } : {}
      })

    const answerAs = (by: By) => (id: SessionId, toolUseId: string, decision: Decision) =>
      Effect.gen(function* () {
        const current = yield* require(store, id)
        const { pending, settled } = current.row.approvals
        const open = pending.find((each) => each.toolUseId === toolUseId)
        const requestId =
          open?.requestId ?? settled.findLast((each) => each.toolUseId === toolUseId)?.requestId
        if (requestId === undefined) return yield* new AnswerRefused({ toolUseId, reason: "NotOpen" })
        const updatedInput =
          decision.behavior === "allow"
            ? (decision.updatedInput ?? (open === undefined ? undefined : yield* askedInput(id, open)))
            : undefined
        const payload = Payload.make({
          type: "control_response",
          uuid: randomUUID(),
          response: {
            subtype: "success",
            request_id: requestId,
            response: {
              ...decision,
              toolUseID: toolUseId,
              ...(updatedInput === undefined ? {} : { updatedInput })
            }
          },
          decided_by: by
        })
        const accepted = yield* change((writer) =>
          Effect.gen(function* () {
            const stored = yield* require(writer, id)
            const verdict = Approvals.judge(stored.row.approvals, payload.json)
            if (verdict?.verdict === "accept") {
              yield* append(writer, stored, "client", payload, by)
              return true
            }
            if (verdict?.verdict === "duplicate") return false
            return yield* new AnswerRefused({
              toolUseId,
              reason: verdict?.verdict === "conflict" ? "Conflict" : "NotOpen"
            })
          })
        )
        const session = sessionOf(id)
        if (accepted && session !== undefined) yield* session.input(payload)
      })

    /** Settles by the run's settings what is open; what only a person can answer stays. */
    const settleBySettings = (id: SessionId) =>
      Effect.gen(function* () {
        const { row, run } = yield* require(store, id)
        const now = yield* Clock.currentTimeMillis
        for (const approval of row.approvals.pending) {
          const decision = Settings.decide(approval, run.settings, now)
          if (decision === "ask") continue
          yield* answerAs(decision)(id, approval.toolUseId, { behavior: "allow" }).pipe(
            // A person was faster, or the run has ended.
            Effect.catchTag("AnswerRefused", () => Effect.void)
          )
        }
      })

    /** Ends skipping when its time is over, and tells it. */
    const watchExpiry = (id: SessionId, settings: Settings.Settings) =>
      settings.skipPermissionsUntil === null
        ? FiberMap.remove(timers, id)
        : Effect.flatMap(Clock.currentTimeMillis, (now) =>
            FiberMap.run(
              timers,
              id,
              Effect.sleep(Math.max(0, (settings.skipPermissionsUntil ?? now) - now)).pipe(
                Effect.zipRight(
                  change((writer) =>
                    Effect.gen(function* () {
                      const stored = yield* require(writer, id)
                      const now = yield* Clock.currentTimeMillis
                      if (!Settings.hasExpired(stored.run.settings, now)) return
                      const settings = Settings.at(stored.run.settings, now)
                      yield* writer.put({ ...stored, run: { ...stored.run, settings } })
                      yield* writer.tell(now, {
                        type: "settings_changed",
                        runId: id,
                        settings,
                        reason: "expired"
                      })
                    })
                  )
                ),
                Effect.catchAll((error) => Effect.logError("Cannot end the skipping of permissions", error)),
                Effect.annotateLogs({ module: "Runner", run: id })
              )
            )
          )

    return {
      answer: answerAs("person"),
      settleBySettings,
      watchExpiry,
      forget: (id: SessionId) => FiberMap.remove(timers, id)
    }
  })
