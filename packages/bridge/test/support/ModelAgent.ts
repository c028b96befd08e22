/**
 * An agent as a model: it says its own lines in order, answers each message once however often it is given it, and
 * remembers across its lives what it has said, as a conversation on disk does.
 */
import type { EventUuid } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import { type AgentOutput, AgentSessions, type AgentStatus } from "@causeway/runner/Agent"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Mailbox from "effect/Mailbox"
import * as Queue from "effect/Queue"
import * as SubscriptionRef from "effect/SubscriptionRef"

export interface ModelAgent {
  /** Messages in the order in which they took effect. */
  readonly effects: Array<string>
  /** Messages that one life was given twice: a defect of the host. */
  readonly twice: Array<string>
  /** How often it was opened, and whether it was asked to resume. */
  readonly opened: Array<{ readonly resume: boolean; readonly agentSessionId: string }>
  /** Number of the process that lives; agents of earlier ones have ended with it. */
  life: number
  readonly layer: () => Layer.Layer<AgentSessions>
}

export const answerTo = (uuid: string): string => `answer-${uuid}`

const line = (uuid: string, type = "assistant"): AgentOutput => ({
  _tag: "Line",
  payload: Payload.make({ type, uuid, ...(type === "result" ? { user_message_uuid: uuid } : {}) })
})

export const make = (): ModelAgent => {
  const effects: Array<string> = []
  const twice: Array<string> = []
  const opened: Array<{ readonly resume: boolean; readonly agentSessionId: string }> = []
  const agent: ModelAgent = {
    effects,
    twice,
    opened,
    life: 0,
    layer: () => {
      const { life } = agent
      return Layer.succeed(AgentSessions, {
        adopt: () => Effect.succeedNone,
        open: (spec) =>
          Effect.gen(function* () {
            opened.push({ resume: spec.resume, agentSessionId: spec.agentSessionId })
            const output = yield* Mailbox.make<AgentOutput>()
            const status = yield* SubscriptionRef.make<AgentStatus>("idle")
            const inputs = yield* Queue.unbounded<EventUuid>()
            const given = new Set<string>()
            const give = (payload: Payload.Payload) =>
              Effect.suspend(() => {
                const uuid = payload.uuid
                if (uuid === undefined || agent.life !== life) return Effect.void
                if (given.has(uuid)) twice.push(uuid)
                given.add(uuid)
                return Effect.asVoid(Queue.offer(inputs, uuid))
              })
            // One message at a time, and time between its lines: a process may die at any of them.
            yield* Queue.take(inputs).pipe(
              Effect.flatMap((uuid) =>
                Effect.gen(function* () {
                  if (agent.life !== life) return
                  if (!effects.includes(uuid)) effects.push(uuid)
                  yield* output.offer({ _tag: "Delivery", uuid, state: "processing" })
                  yield* Effect.sleep("700 millis")
                  yield* output.offer(line(answerTo(uuid)))
                  yield* Effect.sleep("700 millis")
                  yield* output.offerAll([
                    line(`result-${uuid}`, "result"),
                    { _tag: "Delivery", uuid, state: "processed" }
                  ])
                })
              ),
              Effect.forever,
              Effect.forkScoped
            )
            yield* Effect.forEach(spec.unanswered ?? [], give, { discard: true })
            yield* Effect.addFinalizer(() => output.end)
            return {
              output: Mailbox.toStream(output),
              input: (payload) => Effect.asVoid(give(payload)),
              status,
              configure: () => Effect.void,
              isAtWork: Effect.succeed(false),
              process: Effect.succeedNone
            }
          })
      })
    }
  }
  return agent
}

/** The lines that a message leads to. */
export const linesOf = (uuid: EventUuid | string): ReadonlyArray<string> => [answerTo(uuid), `result-${uuid}`]
