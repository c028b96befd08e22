import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { AgentSessions } from "../src/Agent.ts"
import * as Scripted from "./support/Scripted.ts"
import * as Talk from "./support/Talk.ts"

const scriptedAgentPath = await Scripted.bundle()
const layer = Scripted.layer({ scriptedAgentPath })

const open = (more: Partial<Parameters<typeof Talk.spec>[0]> = {}) =>
  Effect.gen(function* () {
    const cwd = yield* Scripted.directory
    const sessions = yield* AgentSessions
    const session = yield* sessions.open(Talk.spec({ cwd, ...more }))
    return { session, talk: yield* Talk.listen(session), cwd }
  })

describe("a session with the scripted agent", () => {
  it.scopedLive("answers a prompt and says how far it has come", () =>
    Effect.gen(function* () {
      const { session, talk } = yield* open()
      const prompt = Talk.prompt("--hello -n")
      yield* session.input(prompt)
      const result = yield* talk.result(prompt)
      expect(result.json["result"]).toBe("echo: --hello -n")
      yield* talk.until((each) => each._tag === "Delivery" && each.state === "processed")
      expect(talk.deliveries(prompt.uuid)).toEqual(["processing", "processed"])
      expect(yield* SubscriptionRef.get(session.status)).toBe("idle")
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive("runs an interrupted turn again after its process was killed", () =>
    Effect.gen(function* () {
      const { session, talk } = yield* open()
      const prompt = Talk.prompt("!kill")
      yield* session.input(prompt)
      const result = yield* talk.result(prompt)
      expect(result.json["result"]).toBe("ended 1 times, now answered")
      const uuids = talk.lines().flatMap(({ uuid }) => (uuid === undefined ? [] : [uuid]))
      expect(new Set(uuids).size).toBe(uuids.length)
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive("asks for permission and passes the answer on", () =>
    Effect.gen(function* () {
      const { session, talk } = yield* open()
      const prompt = Talk.prompt("!bash echo one two")
      yield* session.input(prompt)
      const ask = yield* talk.untilLine(({ type }) => type === "control_request")
      expect(yield* SubscriptionRef.get(session.status)).toBe("requires_action")
      const answer = Talk.answer(ask.json["request_id"], { behavior: "allow", updatedInput: {} })
      yield* session.input(answer)
      const result = yield* talk.result(prompt)
      expect(result.json["result"]).toBe("done: one two")
      expect(talk.deliveries(answer.uuid)).toEqual(["processing", "processed"])
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive("stops at an interrupt", () =>
    Effect.gen(function* () {
      const { session, talk } = yield* open()
      const prompt = Talk.prompt("!hang")
      yield* session.input(prompt)
      yield* talk.until((each) => each._tag === "Delivery" && each.uuid === prompt.uuid)
      yield* session.input(Talk.request({ subtype: "interrupt" }))
      const result = yield* talk.result(prompt)
      expect(result.json["terminal_reason"]).toBe("aborted_streaming")
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive(
    "a message while a task runs in the background is answered; the task's own turn answers none",
    () =>
      Effect.gen(function* () {
        const { session, talk } = yield* open()
        const begin = Talk.prompt("!background 300")
        yield* session.input(begin)
        yield* talk.result(begin)
        expect(yield* SubscriptionRef.get(session.status)).toBe("idle")
        expect(yield* session.isAtWork).toBe(true)
        const meanwhile = Talk.prompt("meanwhile")
        yield* session.input(meanwhile)
        expect((yield* talk.result(meanwhile)).json["result"]).toBe("echo: meanwhile")
        // This one waits while the task ends, and the turn that begins then comes first.
        const long = Talk.prompt("!slow 10 60")
        const waits = Talk.prompt("waits")
        yield* session.input(long)
        yield* session.input(waits)
        const own = yield* talk.untilLine(
          ({ json, type }) => type === "result" && json["origin"] !== undefined
        )
        expect(String(own.json["result"])).toContain("has ended")
        expect(talk.deliveries(waits.uuid)).not.toContain("processed")
        expect((yield* talk.result(waits)).json["result"]).toBe("echo: waits")
        yield* talk.until(
          (each) => each._tag === "Delivery" && each.uuid === waits.uuid && each.state === "processed"
        )
        expect(yield* session.isAtWork).toBe(false)
      }).pipe(Effect.provide(layer))
  )

  it.scopedLive("says above each answer that it stands in for an agent that is not installed", () =>
    Effect.gen(function* () {
      const { session, talk } = yield* open()
      const prompt = Talk.prompt("are you there?")
      yield* session.input(prompt)
      expect(String((yield* talk.result(prompt)).json["result"])).toMatch(
        /^No agent is installed on this machine\. .*\n\necho: are you there\?$/
      )
    }).pipe(Effect.provide(Scripted.layer({ scriptedAgentPath, scriptedStandsIn: true })))
  )
})
