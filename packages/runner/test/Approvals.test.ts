/** Many questions, many people, many starts of the agent: one outcome each. */
import type * as Payload from "@causeway/protocol/Payload"
import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as Sessions from "../src/AgentSessions.ts"
import * as Drivers from "../src/Drivers.ts"
import * as Runner from "../src/Runner.ts"
import * as StubDriver from "./support/StubDriver.ts"

const QUESTIONS = 200

const toolUse = (index: number) => `tool-${index}`

const ask = (index: number, start: number) => ({
  type: "control_request",
  request_id: `ask-${index}-${start}`,
  request: { subtype: "can_use_tool", tool_name: "Bash", input: { index }, tool_use_id: toolUse(index) }
})

/** Tool use by request, and behaviour, of an answer that an agent was given. */
const answerOf = (payload: Payload.Payload) => {
  const response = payload.json["response"] as {
    readonly request_id: string
    readonly response: Payload.JsonObject
  }
  return {
    requestId: response.request_id,
    toolUseId: response.response["toolUseID"],
    said: response.response["message"] ?? "yes"
  }
}

describe("200 questions answered by two people at once", () => {
  it.scopedLive.prop(
    "have one outcome each, and the agent gets it once, also when it is started anew among them",
    [FastCheck.integer(), FastCheck.integer({ min: 0, max: QUESTIONS })],
    ([seed, crashAfter]) =>
      Effect.gen(function* () {
        const stub = yield* StubDriver.make
        const runner = yield* Effect.map(
          Layer.build(
            Runner.layer({ file: ":memory:" }).pipe(
              Layer.provide(Sessions.layerWith({ restartDelay: 0 })),
              Layer.provide(Drivers.layer({ environment: {}, named: { stub: stub.driver } }))
            )
          ),
          Context.get(Runner.Runner)
        )
        const launched = yield* Effect.fork(runner.launch({ agent: "stub", directory: "/", query: "go" }))
        const first = yield* Queue.take(stub.starts)
        const { id } = yield* Fiber.join(launched)
        const prompt = yield* Queue.take(first.given)
        yield* first.say({ ...prompt.json, type: "user", uuid: String(prompt.uuid), isReplay: true })

        const outcomes = yield* Ref.make(new Map<string, ReadonlyArray<string>>())
        /** Answers everything in an order and a mind of their own; some of it twice. */
        const person = (name: string) =>
          Effect.gen(function* () {
            const order = yield* Random.shuffle(Array.from({ length: QUESTIONS }, (_, index) => index))
            for (const index of order) {
              const says = (yield* Random.nextBoolean)
                ? ({ behavior: "allow" } as const)
                : ({ behavior: "deny", message: `no, says ${name}` } as const)
              const words = says.behavior === "allow" ? "yes" : says.message
              for (const _ of (yield* Random.nextBoolean) ? [1] : [1, 2]) {
                const outcome = yield* Effect.either(runner.answer(id, toolUse(index), says))
                if (Either.isRight(outcome)) {
                  yield* Ref.update(outcomes, (all) =>
                    new Map(all).set(toolUse(index), [...(all.get(toolUse(index)) ?? []), words])
                  )
                } else expect(outcome.left).toMatchObject({ _tag: "AnswerRefused", reason: "Conflict" })
              }
            }
          })

        for (let index = 0; index < QUESTIONS; index++) yield* first.say(ask(index, 1))
        yield* runner.events().pipe(
          Stream.filter((each) => each.type === "approval_requested"),
          Stream.take(QUESTIONS),
          Stream.runDrain
        )
        const people = yield* Effect.fork(
          Effect.all([person("ann"), person("bob")], { concurrency: 2 }).pipe(
            Effect.withRandom(Random.make(seed))
          )
        )
        const got = new Map<string, Array<string>>()
        const receive = (start: StubDriver.Start, number: number, wanted: number) =>
          Effect.gen(function* () {
            for (let count = 0; count < wanted; ) {
              const payload = yield* Queue.take(start.given)
              if (payload.type !== "control_response") continue
              count++
              const { requestId, said, toolUseId } = answerOf(payload)
              expect(requestId.endsWith(`-${number}`)).toBe(true)
              got.set(String(toolUseId), [...(got.get(String(toolUseId)) ?? []), String(said)])
            }
          })
        yield* receive(first, 1, crashAfter)
        yield* first.end({ _tag: "Signal", signal: "SIGKILL" })
        const second = yield* Queue.take(stub.starts)
        expect(second.spec).toMatchObject({ resume: true, resumeInterrupted: true })
        // Its memory is that of its disk: it asks all of them again, and each is answered as it was or will be.
        for (let index = 0; index < QUESTIONS; index++) yield* second.say(ask(index, 2))
        yield* receive(second, 2, QUESTIONS)
        yield* Fiber.join(people)

        const settled = yield* Ref.get(outcomes)
        expect(settled.size).toBe(QUESTIONS)
        for (const [toolUseId, words] of settled) {
          expect(new Set(words).size).toBe(1)
          expect(new Set(got.get(toolUseId))).toEqual(new Set(words))
        }
        // One answer an asking: all of the second start's, and no more than the first start asked.
        const heard = Array.from(got.values()).reduce((sum, each) => sum + each.length, 0)
        expect(heard).toBe(crashAfter + QUESTIONS)

        yield* second.say({
          type: "result",
          uuid: "result",
          subtype: "success",
          is_error: false,
          result: "done",
          user_message_uuid: String(prompt.uuid)
        })
        expect(yield* runner.ended(id)).toMatchObject({ status: "completed", pendingApprovals: [] })
        const log = Chunk.toReadonlyArray(yield* Stream.runCollect(runner.log(id)))
        expect(log.filter(({ payload }) => payload.type === "control_response")).toHaveLength(QUESTIONS)
      }).pipe(Effect.scoped),
    { fastCheck: { numRuns: 2 }, timeout: 120_000 }
  )
})
