/** What a person sets of an agent holds, whatever becomes of its process; what it moves to itself, too. */
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import * as Payload from "@causeway/protocol/Payload"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import { type AgentSession, AgentSessions } from "../src/Agent.ts"
import * as InForce from "../src/InForce.ts"
import * as Scripted from "./support/Scripted.ts"
import * as Talk from "./support/Talk.ts"

const scriptedAgentPath = await Scripted.bundle()
const layer = Scripted.layer({ scriptedAgentPath }, { restartDelay: "1 millis", maxRapidEnds: 1000 })

const signal = (session: AgentSession, name: "SIGKILL" | "SIGINT") =>
  Effect.map(session.process, (pid) => {
    if (Option.isSome(pid)) process.kill(-pid.value, name)
  })

const settled = (talk: Talk.Talk, payload: Payload.Payload) =>
  talk.until((each) => each._tag === "Delivery" && each.uuid === payload.uuid && each.state === "processed")

const settingsOf = (session: AgentSession, talk: Talk.Talk) =>
  Effect.gen(function* () {
    const prompt = Talk.prompt("!settings")
    yield* session.input(prompt)
    const told: unknown = JSON.parse(String((yield* talk.result(prompt)).json["result"]))
    return told
  })

describe("what a person set", () => {
  it.scopedLive("holds after the agent's process was killed, and is told before it is answered", () =>
    Effect.gen(function* () {
      const cwd = yield* Scripted.directory
      const sessions = yield* AgentSessions
      const session = yield* sessions.open(Talk.spec({ cwd }))
      const talk = yield* Talk.listen(session)
      const requests = [
        { subtype: "set_permission_mode", mode: "plan" },
        { subtype: "set_model", model: "opus" },
        { subtype: "set_max_thinking_tokens", max_thinking_tokens: 4000 },
        { subtype: "apply_flag_settings", settings: { effortLevel: "high" } }
      ].map(Talk.request)
      for (const request of requests) {
        yield* session.input(request)
        yield* settled(talk, request)
      }
      const lines = talk.lines().map(({ type }) => type)
      expect(lines.filter((type) => type === "session_update")).toHaveLength(4)
      for (const [at, type] of lines.entries()) {
        if (type === "control_response") expect(lines.slice(0, at)).toContain("session_update")
      }
      expect(lines.indexOf("session_update")).toBeLessThan(lines.indexOf("control_response"))
      yield* signal(session, "SIGKILL")
      expect(yield* settingsOf(session, talk)).toEqual({
        model: "opus",
        permission_mode: "plan",
        max_thinking_tokens: 4000,
        flag_settings: { effortLevel: "high" }
      })
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive("holds where the agent moved to another mode by itself", () =>
    Effect.gen(function* () {
      const cwd = yield* Scripted.directory
      const sessions = yield* AgentSessions
      const session = yield* sessions.open(Talk.spec({ cwd }))
      const talk = yield* Talk.listen(session)
      const prompt = Talk.prompt("!mode acceptEdits")
      yield* session.input(prompt)
      yield* talk.result(prompt)
      expect(
        talk.lines().flatMap(({ json, type }) => (type === "session_update" ? [json["permission_mode"]] : []))
      ).toEqual(["acceptEdits"])
      yield* signal(session, "SIGKILL")
      expect(yield* settingsOf(session, talk)).toMatchObject({ permission_mode: "acceptEdits" })
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive(
    "an agent that was started to work without asking may be moved back there after a restart",
    () =>
      Effect.gen(function* () {
        const cwd = yield* Scripted.directory
        const sessions = yield* AgentSessions
        const session = yield* sessions.open(
          Talk.spec({ cwd, options: { permissionMode: "bypassPermissions" } })
        )
        const talk = yield* Talk.listen(session)
        for (const mode of ["plan", "bypassPermissions"]) {
          const request = Talk.request({ subtype: "set_permission_mode", mode })
          yield* session.input(request)
          yield* settled(talk, request)
          yield* signal(session, "SIGKILL")
          expect(yield* settingsOf(session, talk)).toMatchObject({ permission_mode: mode })
        }
      }).pipe(Effect.provide(layer))
  )

  const setting = FastCheck.oneof(
    FastCheck.constantFrom("default", "plan", "acceptEdits", "dontAsk").map((mode) => ({
      subtype: "set_permission_mode",
      mode
    })),
    FastCheck.constantFrom("opus", "sonnet", "default").map((model) => ({ subtype: "set_model", model })),
    FastCheck.constantFrom(0, 1000, 9000, null).map((tokens) => ({
      subtype: "set_max_thinking_tokens",
      max_thinking_tokens: tokens
    })),
    FastCheck.constantFrom("low", "high").map((effortLevel) => ({
      subtype: "apply_flag_settings",
      settings: { effortLevel }
    }))
  )
  const step = FastCheck.oneof(
    { weight: 4, arbitrary: setting.map((request) => ({ _tag: "Set" as const, request, waits: true })) },
    { weight: 3, arbitrary: setting.map((request) => ({ _tag: "Set" as const, request, waits: false })) },
    { weight: 2, arbitrary: setting.map((request) => ({ _tag: "Configure" as const, request })) },
    { weight: 2, arbitrary: FastCheck.constant({ _tag: "Kill" as const }) },
    { weight: 1, arbitrary: FastCheck.constant({ _tag: "Stop" as const }) },
    { weight: 1, arbitrary: FastCheck.constant({ _tag: "Wake" as const }) },
    { weight: 2, arbitrary: FastCheck.constant({ _tag: "OtherOwner" as const }) }
  )

  it.live.prop(
    "any sequence of set, kill, idle stop, wake and a new owner leaves the agent in what was last set",
    [FastCheck.array(step, { minLength: 1, maxLength: 8 })],
    ([steps]) =>
      Effect.gen(function* () {
        const cwd = yield* Scripted.directory
        const sessions = yield* AgentSessions
        const spec = Talk.spec({ cwd })
        let wished: AgentSettings.AgentSettings = AgentSettings.none
        /** What the log of the session says was set. */
        let logged: AgentSettings.AgentSettings = AgentSettings.none
        let resume = false
        const queue = [...steps]
        /** One owner's time; another takes over what the log says. Answers whether it was the last. */
        const tenure = Effect.gen(function* () {
          const session = yield* sessions.open({ ...spec, resume, settings: logged })
          const talk = yield* Talk.listen(session)
          resume = true
          const asked: Array<Payload.Payload> = []
          let read = 0
          const catchUp = Effect.gen(function* () {
            for (const request of asked) {
              if (!talk.deliveries(request.uuid).includes("processed")) yield* settled(talk, request)
            }
            for (; read < talk.seen.length; read++) {
              const each = talk.seen[read]
              if (each?._tag !== "Line" || each.payload.type !== "session_update") continue
              logged = AgentSettings.merge(logged, AgentSettings.of(each.payload.json))
            }
          })
          for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
            switch (next._tag) {
              case "Set": {
                const request = Talk.request(next.request)
                wished = AgentSettings.merge(wished, AgentSettings.asked(next.request))
                asked.push(request)
                yield* session.input(request)
                if (next.waits) yield* settled(talk, request)
                break
              }
              case "Configure": {
                yield* catchUp
                const change = AgentSettings.asked(next.request)
                wished = AgentSettings.merge(wished, change)
                logged = AgentSettings.merge(logged, change)
                yield* session.configure(change)
                break
              }
              case "Kill":
                yield* signal(session, "SIGKILL")
                break
              case "Stop":
                yield* signal(session, "SIGINT")
                break
              case "Wake":
                yield* settingsOf(session, talk)
                break
              case "OtherOwner":
                yield* catchUp
                return false
            }
          }
          yield* catchUp
          expect(yield* settingsOf(session, talk)).toEqual({
            model: wished.model ?? "scripted-1",
            permission_mode: wished.permission_mode ?? "default",
            max_thinking_tokens: wished.max_thinking_tokens ?? null,
            flag_settings: wished.flag_settings ?? {}
          })
          return true
        }).pipe(Effect.scoped)
        while (!(yield* tenure));
      }).pipe(Effect.scoped, Effect.provide(layer)),
    { timeout: 120_000, fastCheck: { numRuns: 12 } }
  )
})

describe("the book of what is in force", () => {
  const book = (settings: AgentSettings.AgentSettings = {}) =>
    InForce.make({
      agentSessionId: "agent",
      runId: () => "run",
      base: { model: "base", permissionMode: "default" },
      settings
    })

  it("starts an agent in what was set, and in what the session was made with where nothing was", () => {
    expect(book().start()).toEqual({ model: "base", permissionMode: "default", requests: [] })
    expect(book({ model: "opus", permission_mode: null }).start()).toMatchObject({
      model: "opus",
      permissionMode: "default"
    })
  })

  it("says so where the agent refuses what was set, and goes back to what held", () => {
    const own = book({ permission_mode: "plan" })
    own.start()
    const [request] = own.set({ permission_mode: "bypassPermissions" })
    const refusal = Payload.make({
      type: "control_response",
      response: { subtype: "error", request_id: request?.json["request_id"], error: "not here" }
    })
    const heard = own.line(refusal)
    expect(heard.own).toBe(true)
    expect(heard.before.map(({ json }) => [json["type"], json["permission_mode"] ?? json["reason"]])).toEqual(
      [
        ["session_update", "plan"],
        ["bridge_error", "setting_refused"]
      ]
    )
    expect(own.current()).toEqual({ permission_mode: "plan" })
  })

  it("takes an old line of a resumed turn for no change of mode", () => {
    const own = book({ permission_mode: "plan" })
    own.start()
    const line = Payload.make({ type: "system", subtype: "init", permissionMode: "default" })
    expect(own.line(line).before).toEqual([])
    expect(own.current()).toEqual({ permission_mode: "plan" })
  })
})
