/** Runs under whatever happens, in whatever order. The agent is a stub. */
import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as Sessions from "../../src/AgentSessions.ts"
import * as Drivers from "../../src/Drivers.ts"
import * as Status from "../../src/Runner/Status.ts"
import * as Runner from "../../src/Runner.ts"
import * as StubDriver from "../support/StubDriver.ts"

const start = (options: Partial<Runner.RunnerOptions> = {}) =>
  Effect.gen(function* () {
    const stub = yield* StubDriver.make
    const runner = yield* Effect.map(
      Layer.build(
        Runner.layer({ file: ":memory:", ...options }).pipe(
          Layer.provide(Sessions.layerWith({ restartDelay: 0, maxRapidEnds: 1000, lastWords: 0 })),
          Layer.provide(Drivers.layer({ environment: {}, named: { stub: stub.driver } }))
        )
      ),
      Context.get(Runner.Runner)
    )
    return { runner, starts: stub.starts }
  })

/** Launches a run; `current` is its agent's latest start. */
const launch = ({ runner, starts }: Effect.Effect.Success<ReturnType<typeof start>>) =>
  Effect.gen(function* () {
    const launching = yield* Effect.fork(runner.launch({ agent: "stub", directory: "/", query: "go" }))
    const current = yield* Ref.make(yield* Queue.take(starts))
    /** Once it is set: what each start of the agent says, once. */
    const last = yield* Ref.make<Parameters<StubDriver.Start["say"]>[0] | undefined>(undefined)
    const end = Effect.flatMap(Ref.get(last), (line) =>
      line === undefined ? Effect.void : Effect.flatMap(Ref.get(current), ({ say }) => say(line))
    )
    const run = yield* Fiber.join(launching)
    yield* Queue.take(starts).pipe(
      Effect.flatMap((next) => Ref.set(current, next)),
      Effect.zipRight(end),
      Effect.forever,
      Effect.forkScoped
    )
    return {
      run,
      current,
      finish: (line: Parameters<StubDriver.Start["say"]>[0]) => Effect.zipRight(Ref.set(last, line), end)
    }
  })

const name = FastCheck.constantFrom("a", "b", "c")
const happening = FastCheck.oneof(
  name.map((tool) => ({ _tag: "Ask", tool }) as const),
  name.map((tool) => ({ _tag: "Answer", tool }) as const),
  name.map((tool) => ({ _tag: "ToolResult", tool }) as const),
  FastCheck.constantFrom(
    { _tag: "Interrupt" } as const,
    { _tag: "Crash" } as const,
    { _tag: "Skip" } as const,
    { _tag: "OtherResult" } as const,
    { _tag: "Acknowledge" } as const
  )
)

describe("a run under whatever happens", () => {
  it.scopedLive.prop(
    "moves by legal steps only, is never stuck, and ends with its result",
    [FastCheck.array(happening, { maxLength: 15 }), FastCheck.boolean()],
    ([happenings, fails]) =>
      Effect.gen(function* () {
        const host = yield* start()
        const { runner } = host
        const { current, finish, run } = yield* launch(host)
        let lines = 0
        let interrupted = false
        const say = (line: { readonly type: string; readonly [key: string]: unknown }) =>
          Effect.flatMap(Ref.get(current), (agent) => agent.say({ uuid: `line-${lines++}`, ...line }))
        for (const each of happenings) {
          switch (each._tag) {
            case "Ask":
              yield* say({
                type: "control_request",
                request_id: `ask-${each.tool}-${lines}`,
                request: { subtype: "can_use_tool", tool_name: "Bash", input: {}, tool_use_id: each.tool }
              })
              break
            case "Answer":
              yield* Effect.ignore(runner.answer(run.id, each.tool, { behavior: "allow" }))
              break
            case "ToolResult":
              yield* say({
                type: "user",
                message: { content: [{ type: "tool_result", tool_use_id: each.tool }] }
              })
              break
            case "Interrupt":
              yield* Effect.ignore(runner.interrupt(run.id))
              interrupted = true
              break
            case "Crash":
              yield* Effect.flatMap(Ref.get(current), (agent) =>
                agent.end({ _tag: "Signal", signal: "SIGKILL" })
              )
              break
            case "Skip":
              yield* Effect.ignore(runner.settings(run.id, { skipPermissions: true }))
              break
            case "OtherResult":
              yield* say({ type: "result", user_message_uuid: "of another prompt" })
              break
            case "Acknowledge":
              yield* say({ type: "user", isReplay: true, uuid: run.promptUuid })
              break
          }
          yield* Effect.yieldNow()
        }
        // The agent ends its turn: a start of it that was killed leaves that to the next one.
        const ending = yield* Effect.fork(runner.ended(run.id))
        yield* finish({
          type: "result",
          uuid: "the-result",
          subtype: fails ? "error_during_execution" : "success",
          is_error: fails,
          user_message_uuid: run.promptUuid
        })
        const ended = yield* Effect.timeout(Fiber.join(ending), "20 seconds")
        expect(Status.isTerminal(ended.status)).toBe(true)
        if (ended.status === "interrupted") expect(interrupted).toBe(true)
        expect(ended.pendingApprovals).toEqual([])

        yield* runner.archive(run.id, true)
        const events = Chunk.toReadonlyArray(
          yield* Stream.runCollect(Stream.takeUntil(runner.events(), ({ type }) => type === "archived"))
        )
        const moves = events.flatMap((event) => (event.type === "status_changed" ? [event] : []))
        for (const [index, { from, to }] of moves.entries()) {
          expect(from).toBe(index === 0 ? null : moves[index - 1]?.to)
          expect(from).not.toBe(to)
        }
        expect(moves.at(-1)?.to).toBe(ended.status)
        expect(events.map((event) => (event.type === "gap" ? 0 : event.sequence))).toEqual(
          events.map((_, index) => index + 1)
        )
      }).pipe(Effect.scoped),
    {
      // An agent that asks among its last lines, when its run has ended.
      fastCheck: {
        numRuns: 30,
        examples: [
          [
            [
              { _tag: "OtherResult" },
              { _tag: "Interrupt" },
              { _tag: "Ask", tool: "a" },
              { _tag: "Answer", tool: "a" }
            ],
            false
          ]
        ]
      },
      timeout: 120_000
    }
  )

  it.scopedLive("tells a watcher that comes late what it has missed for good", () =>
    Effect.gen(function* () {
      const host = yield* start({ keptEvents: 10 })
      const { runner } = host
      const { run } = yield* launch(host)
      for (let index = 0; index < 250; index++) yield* runner.archive(run.id, index % 2 === 0)
      const last = 200 + 2
      const [gap, next] = Chunk.toReadonlyArray(yield* Stream.runCollect(Stream.take(runner.events(5), 2)))
      expect(gap).toMatchObject({ type: "gap", from: 6 })
      const to = gap?.type === "gap" ? gap.to : 0
      expect(to).toBeGreaterThan(100)
      expect(next).toMatchObject({ sequence: to + 1 })
      // Whoever has kept up is told of no gap.
      const [here] = Chunk.toReadonlyArray(yield* Stream.runCollect(Stream.take(runner.events(last), 1)))
      expect(here).toMatchObject({ sequence: last + 1 })
      yield* runner.stopAll(0)
    })
  )
})
