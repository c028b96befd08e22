/** What a session does by the clock: restarts, interrupts, silence, idleness. The agent is a stub, the time a test's. */
import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type * as SubscriptionRef from "effect/SubscriptionRef"
import * as TestClock from "effect/TestClock"
import { type AgentSessionSpec, AgentSessions, type AgentStatus } from "../src/Agent.ts"
import * as Sessions from "../src/AgentSessions.ts"
import * as Drivers from "../src/Drivers.ts"
import type { Supervision } from "../src/Supervision.ts"
import * as StubDriver from "./support/StubDriver.ts"
import * as Talk from "./support/Talk.ts"

const killed = { _tag: "Signal", signal: "SIGKILL" } as const

const open = (
  options: Partial<Supervision> = {},
  more: Partial<AgentSessionSpec> = {},
  stubOptions: Parameters<typeof StubDriver.makeWith>[0] = { deaf: false }
) =>
  Effect.gen(function* () {
    const stub = yield* StubDriver.makeWith(stubOptions)
    const sessions = yield* Effect.map(
      Layer.build(
        Layer.provide(
          Sessions.layerWith(options),
          Drivers.layer({ environment: {}, named: { stub: stub.driver } })
        )
      ),
      Context.get(AgentSessions)
    )
    const session = yield* sessions.open(Talk.spec({ cwd: "/", agent: "stub", ...more }))
    const first = yield* Queue.take(stub.starts)
    return { session, first, starts: stub.starts, talk: yield* Talk.listen(session) }
  })

const until = (
  session: { readonly status: SubscriptionRef.SubscriptionRef<AgentStatus> },
  wanted: AgentStatus
) =>
  session.status.changes.pipe(
    Stream.filter((status) => status === wanted),
    Stream.runHead
  )

describe("by the clock", () => {
  it.scoped(
    "an agent that keeps ending is started again at once, then ever later, and given up after five times",
    () =>
      Effect.gen(function* () {
        const { first, session, starts } = yield* open({ maxRapidEnds: 5, restartDelay: "1 second" })
        const delays: Array<number> = []
        yield* first.end(killed)
        for (let start = 2; start <= 5; start++) {
          yield* until(session, "restarting")
          const next = yield* Effect.fork(Queue.take(starts))
          let waited = 0
          yield* Effect.yieldNow()
          // The clock moves in small steps until the next start is there.
          while ((yield* Fiber.poll(next))._tag === "None") {
            yield* TestClock.adjust("250 millis")
            waited += 250
          }
          delays.push(waited)
          const started = yield* Fiber.join(next)
          yield* until(session, "idle")
          yield* started.end(killed)
        }
        yield* until(session, "failed")
        expect(delays).toEqual([0, 1000, 2000, 4000])
      })
  )

  it.scoped("a fault in what drives the agent ends its process, and the next one answers the prompt", () =>
    Effect.gen(function* () {
      const { session, starts, talk } = yield* open({}, {}, { deaf: false, faulty: "work" })
      const prompt = Talk.prompt("work")
      yield* session.input(prompt)
      const second = yield* Queue.take(starts)
      expect(second.spec.resume).toBe(true)
      expect((yield* Queue.take(second.given)).uuid).toBe(prompt.uuid)
      yield* second.say({ type: "result", uuid: "result", user_message_uuid: String(prompt.uuid) })
      yield* talk.result(prompt)
      yield* until(session, "idle")
    })
  )

  it.scoped("an interrupt that is not followed becomes SIGINT, SIGTERM and SIGKILL", () =>
    Effect.gen(function* () {
      const { first, session, starts, talk } = yield* open(
        { interruptGrace: "5 seconds" },
        {},
        { deaf: true }
      )
      const prompt = Talk.prompt("work")
      yield* session.input(prompt)
      yield* Queue.take(first.given)
      yield* first.say({ ...prompt.json, type: "user", uuid: String(prompt.uuid), isReplay: true })
      yield* first.say({ type: "system", subtype: "init", uuid: "init" })
      yield* talk.until((each) => each._tag === "Delivery" && each.state === "processing")
      yield* session.input(Talk.request({ subtype: "interrupt" }))
      yield* Queue.take(first.given)
      for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"]) {
        yield* TestClock.adjust("4900 millis")
        expect(yield* Queue.size(first.signals)).toBe(0)
        yield* TestClock.adjust("100 millis")
        expect(yield* Queue.take(first.signals)).toBe(signal)
      }
      expect((yield* talk.result(prompt)).json["terminal_reason"]).toBe("aborted_by_signal")
      // What was stopped is not taken up again.
      expect((yield* Queue.take(starts)).spec).toMatchObject({ resume: true, resumeInterrupted: false })
      yield* until(session, "idle")
    })
  )

  it.scoped("an interrupt that is followed sends no signal", () =>
    Effect.gen(function* () {
      const { first, session, talk } = yield* open({ interruptGrace: "5 seconds" })
      const prompt = Talk.prompt("work")
      yield* session.input(prompt)
      yield* first.say({ type: "system", subtype: "init", uuid: "init" })
      const interrupt = Talk.request({ subtype: "interrupt" })
      yield* session.input(interrupt)
      yield* first.say({
        type: "control_response",
        response: { subtype: "success", request_id: interrupt.json["request_id"], response: {} }
      })
      yield* first.say({ type: "result", uuid: "result", user_message_uuid: String(prompt.uuid) })
      yield* talk.result(prompt)
      yield* TestClock.adjust("1 hour")
      expect(yield* Queue.size(first.signals)).toBe(0)
    })
  )

  it.scoped("a prompt that a resumed agent passes over is reported when it has been silent long enough", () =>
    Effect.gen(function* () {
      const prompt = Talk.prompt("lost")
      const { first, talk, session } = yield* open(
        { silence: "15 seconds" },
        { resume: true, unanswered: [prompt] }
      )
      yield* Queue.take(first.given)
      yield* TestClock.adjust("10 seconds")
      // A sign of life begins the wait anew.
      yield* first.say({ type: "system", subtype: "status", status: null })
      yield* talk.untilLine(({ type }) => type === "system")
      yield* TestClock.adjust("14 seconds")
      expect(talk.lines().filter(({ type }) => type === "result")).toEqual([])
      yield* TestClock.adjust("30 seconds")
      expect((yield* talk.result(prompt)).json["terminal_reason"]).toBe("swallowed")
      yield* until(session, "idle")
    })
  )

  it.scoped("a prompt that is worked on in silence is not", () =>
    Effect.gen(function* () {
      const prompt = Talk.prompt("long")
      const { first, talk } = yield* open({ silence: "15 seconds" }, { resume: true, unanswered: [prompt] })
      yield* first.say({ type: "system", subtype: "init", uuid: "init" })
      yield* talk.untilLine(({ json }) => json["subtype"] === "init")
      yield* TestClock.adjust("1 hour")
      yield* first.say({
        type: "result",
        uuid: "r",
        subtype: "success",
        user_message_uuid: String(prompt.uuid)
      })
      expect((yield* talk.result(prompt)).json["subtype"]).toBe("success")
    })
  )

  it.scoped("an idle agent's process is let go, never one that works, and the next prompt starts it", () =>
    Effect.gen(function* () {
      const { first, session, starts, talk } = yield* open({ idleStop: "10 minutes" })
      const prompt = Talk.prompt("work")
      yield* session.input(prompt)
      yield* Queue.take(first.given)
      yield* TestClock.adjust("1 hour")
      expect(yield* Queue.size(starts)).toBe(0)
      yield* first.say({ type: "result", uuid: "r", user_message_uuid: String(prompt.uuid) })
      yield* talk.result(prompt)
      yield* TestClock.adjust("30 minutes")
      const next = Talk.prompt("more")
      yield* session.input(next)
      const second = yield* Queue.take(starts)
      expect(second.spec.resume).toBe(true)
      expect((yield* Queue.take(second.given)).uuid).toBe(next.uuid)
      expect(talk.lines().filter(({ type }) => type === "bridge_error")).toEqual([])
    })
  )

  it.scoped("an agent whose dev server runs is not put to sleep, and is once it has ended", () =>
    Effect.gen(function* () {
      const { first, session, starts, talk } = yield* open({ idleStop: "10 minutes" })
      const tasks = (uuid: string, ...ids: ReadonlyArray<string>) =>
        Effect.zipRight(
          first.say({
            type: "system",
            subtype: "background_tasks_changed",
            uuid,
            tasks: ids.map((task_id) => ({ task_id }))
          }),
          talk.untilLine((line) => line.uuid === uuid)
        )
      yield* tasks("starts", "server")
      yield* TestClock.adjust("5 hours")
      expect(yield* session.isAtWork).toBe(true)
      yield* session.input(Talk.prompt("while it runs"))
      expect(yield* Queue.size(starts)).toBe(0)
      const prompt = yield* Queue.take(first.given)
      yield* first.say({ type: "result", uuid: "r", user_message_uuid: String(prompt.uuid) })
      yield* talk.result(prompt)
      yield* tasks("ends")
      expect(yield* session.isAtWork).toBe(false)
      yield* TestClock.adjust("30 minutes")
      yield* session.input(Talk.prompt("later"))
      expect((yield* Queue.take(starts)).spec.resume).toBe(true)
    })
  )

  it.scoped("a message to an agent that was told to end and stays is answered at once, by the next one", () =>
    Effect.gen(function* () {
      const { first, session, starts, talk } = yield* open(
        { idleStop: "10 minutes", lastWords: "1 hour" },
        {},
        { deaf: false, stays: true }
      )
      yield* TestClock.adjust("10 minutes")
      expect(yield* Queue.size(first.signals)).toBe(0)
      const prompt = Talk.prompt("now")
      yield* session.input(prompt)
      expect(yield* Queue.take(first.signals)).toBe("SIGTERM")
      const second = yield* Queue.take(starts)
      expect((yield* Queue.take(second.given)).uuid).toBe(prompt.uuid)
      expect(talk.lines().filter(({ type }) => type === "bridge_error")).toEqual([])
    })
  )

  it.scoped("an agent that was told to end and stays is ended, also when nobody writes", () =>
    Effect.gen(function* () {
      const { first } = yield* open(
        { idleStop: "10 minutes", lastWords: "3 seconds", interruptGrace: "5 seconds" },
        {},
        { deaf: true, stays: true }
      )
      yield* TestClock.adjust("10 minutes")
      yield* TestClock.adjust("3 seconds")
      expect(yield* Queue.take(first.signals)).toBe("SIGTERM")
      yield* TestClock.adjust("5 seconds")
      expect(yield* Queue.take(first.signals)).toBe("SIGKILL")
    })
  )
})
