/** What agents and machines do to sessions: kills at any moment, floods, bad lines, agents that never come up. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Payload from "@causeway/protocol/Payload"
import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { type AgentSession, AgentSessions } from "../src/Agent.ts"
import type * as Drivers from "../src/Drivers.ts"
import * as Scripted from "./support/Scripted.ts"
import * as Talk from "./support/Talk.ts"

const scriptedAgentPath = await Scripted.bundle()
const layer = Scripted.layer(
  {
    scriptedAgentPath,
    environment: { ...process.env, CAUSEWAY_TOKEN: "secret", CAUSEWAY_DATABASE_URL: "secret" }
  },
  { restartDelay: "10 millis", maxRapidEnds: 100, silence: "2 seconds", interruptGrace: "300 millis" }
)

const open = (more: Partial<Parameters<typeof Talk.spec>[0]> = {}) =>
  Effect.gen(function* () {
    const cwd = yield* Scripted.directory
    const sessions = yield* AgentSessions
    const session = yield* sessions.open(Talk.spec({ cwd, ...more }))
    return { session, talk: yield* Talk.listen(session), cwd }
  })

const shortGrace = { endOfInput: "100 millis", terminate: "100 millis" } as const

/** Acknowledges prompts and answers nothing; ends by nothing but SIGKILL. */
const deaf = `
  process.on("SIGINT", () => {}); process.on("SIGTERM", () => {}); setInterval(() => {}, 1000)
  const say = (line) => process.stdout.write(JSON.stringify(line) + "\\n")
  let text = ""
  process.stdin.on("data", (data) => {
    text += data
    for (let at = text.indexOf("\\n"); at >= 0; at = text.indexOf("\\n")) {
      const line = JSON.parse(text.slice(0, at))
      text = text.slice(at + 1)
      if (line.type === "user") {
        say({ ...line, isReplay: true })
        say({ type: "system", subtype: "init", uuid: line.uuid + "-init" })
      }
      if (line.request?.subtype === "initialize")
        say({ type: "control_response", response: { subtype: "success", request_id: line.request_id } })
    }
  })`

const kill = (session: AgentSession) =>
  Effect.map(session.process, (pid) => {
    if (Option.isSome(pid)) process.kill(-pid.value, "SIGKILL")
  })

const settled = (talk: Talk.Talk, prompt: Payload.Payload) =>
  talk.until((each) => each._tag === "Delivery" && each.uuid === prompt.uuid && each.state === "processed")

const allow = (session: AgentSession, ask: Payload.Payload) =>
  session.input(Talk.answer(ask.json["request_id"], { behavior: "allow", updatedInput: {} }))

describe("a session whose process is killed", () => {
  const directive = FastCheck.constantFrom(
    "!say one two three",
    "!slow 6 2",
    "!think hard",
    "!compact",
    "!bash echo out"
  )

  it.scopedLive.prop(
    "at any line of a turn answers each prompt once, and says each line once",
    [
      FastCheck.array(directive, { minLength: 1, maxLength: 3 }),
      FastCheck.array(FastCheck.nat({ max: 12 }), { minLength: 1, maxLength: 2 })
    ],
    ([directives, kills]) =>
      Effect.gen(function* () {
        const { session, talk } = yield* open()
        const prompts = directives.map((text) => Talk.prompt(text))
        for (const prompt of prompts) yield* session.input(prompt)
        const left = [...kills]
        let lines = 0
        const waiting = new Set(prompts.map(({ uuid }) => uuid))
        while (waiting.size > 0) {
          const next = yield* talk.until(() => true)
          if (next._tag === "Delivery") {
            if (next.state === "processed") waiting.delete(next.uuid)
            continue
          }
          const { payload } = next
          if (payload.type === "control_request") yield* allow(session, payload)
          if (left.length > 0 && lines++ >= (left[0] ?? 0)) {
            left.shift()
            lines = 0
            yield* kill(session)
          }
        }
        for (const prompt of prompts) {
          expect(talk.deliveries(prompt.uuid)).toEqual(["processing", "processed"])
          const results = talk.lines().filter(({ json }) => json["user_message_uuid"] === prompt.uuid)
          expect(results.map(({ json }) => json["subtype"])).toEqual(["success"])
        }
        const durable = talk.lines().filter((line) => !Payload.isEphemeral(line))
        const uuids = durable.map(({ uuid }) => uuid)
        expect(new Set(uuids).size).toBe(uuids.length)
      }).pipe(Effect.provide(layer), Effect.scoped),
    { fastCheck: { numRuns: 12 }, timeout: 60_000 }
  )

  it.scopedLive("while it waits for permission asks again, and the answer counts once", () =>
    Effect.gen(function* () {
      const { session, talk, cwd } = yield* open()
      const prompt = Talk.prompt("!bash echo ran >> count.txt; echo ok")
      yield* session.input(prompt)
      const ask = yield* talk.untilLine(({ type }) => type === "control_request")
      yield* kill(session)
      yield* talk.untilLine(({ json }) => json["reason"] === "agent_ended")
      yield* allow(session, ask)
      expect((yield* talk.result(prompt)).json["result"]).toBe("done: ok")
      expect(readFileSync(join(cwd, "count.txt"), "utf8")).toBe("ran\n")
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive("again and again by one prompt gives up that prompt in words, not the session", () =>
    Effect.gen(function* () {
      const { session, talk } = yield* open()
      const poison = Talk.prompt("!kill 99")
      yield* session.input(poison)
      const result = yield* talk.result(poison)
      expect(result.json).toMatchObject({ is_error: true, terminal_reason: "agent_crashed" })
      const after = Talk.prompt("still here")
      yield* session.input(after)
      expect((yield* talk.result(after)).json["result"]).toBe("echo: still here")
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive("comes back when the host does, and takes up what it was told was not answered", () =>
    Effect.gen(function* () {
      const cwd = yield* Scripted.directory
      const sessions = yield* AgentSessions
      const spec = Talk.spec({ cwd })
      const prompt = Talk.prompt("!slow 1000 20")
      const queued = Talk.prompt("queued")
      yield* Effect.scoped(
        Effect.gen(function* () {
          const session = yield* sessions.open(spec)
          const talk = yield* Talk.listen(session)
          yield* session.input(prompt)
          yield* session.input(queued)
          yield* talk.untilLine(({ type }) => type === "stream_event")
          yield* kill(session)
        })
      )
      const session = yield* sessions.open({ ...spec, resume: true, unanswered: [prompt, queued] })
      const talk = yield* Talk.listen(session)
      yield* talk.untilLine(({ type }) => type === "stream_event")
      yield* session.input(Talk.request({ subtype: "interrupt" }))
      expect((yield* talk.result(prompt)).json["terminal_reason"]).toBe("aborted_streaming")
      expect((yield* talk.result(queued)).json["result"]).toBe("echo: queued")
      // Given again in this process: it is known.
      yield* session.input(queued)
      const last = Talk.prompt("last")
      yield* session.input(last)
      yield* settled(talk, last)
      expect(talk.deliveries(queued.uuid)).toEqual(["processing", "processed"])
    }).pipe(Effect.provide(layer))
  )
})

describe("an agent that misbehaves", () => {
  it.scopedLive("with a line that is no event is reported, and goes on", () =>
    Effect.gen(function* () {
      const { session, talk } = yield* open()
      const prompt = Talk.prompt("!badline")
      yield* session.input(prompt)
      expect((yield* talk.result(prompt)).json["result"]).toBe("after a bad line")
      const report = talk.lines().find(({ type }) => type === "bridge_error")
      expect(report?.json).toMatchObject({ reason: "unreadable_line", excerpt: "this line is not JSON {" })
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive("with 100,000 lines at once waits for its reader", () =>
    Effect.gen(function* () {
      const cwd = yield* Scripted.directory
      const sessions = yield* AgentSessions
      const session = yield* sessions.open(Talk.spec({ cwd }))
      const prompt = Talk.prompt("!flood 100000")
      yield* session.input(prompt)
      let lines = 0
      let most = 0
      yield* session.output.pipe(
        Stream.takeUntil((each) => each._tag === "Delivery" && each.state === "processed"),
        Stream.runForEachChunk((chunk) =>
          Effect.sync(() => {
            lines += chunk.length
            // What is handed over at once is what was held: the outputs that wait and no more.
            const bytes = Chunk.reduce(
              chunk,
              0,
              (sum, each) => sum + (each._tag === "Line" ? each.payload.text.length : 0)
            )
            most = Math.max(most, bytes)
          })
        )
      )
      expect(lines).toBeGreaterThan(100_000)
      expect(most).toBeLessThan(1024 * 1024)
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive("and does not follow an interrupt is ended by signals, its turn told", () =>
    Effect.gen(function* () {
      const cwd = yield* Scripted.directory
      const program = join(cwd, "deaf.mjs")
      writeFileSync(program, deaf)
      const sessions = yield* Effect.provide(
        AgentSessions,
        Scripted.layer(
          { scriptedAgentPath: program, grace: shortGrace },
          { interruptGrace: "100 millis", lastWords: "50 millis" }
        )
      )
      const session = yield* sessions.open(Talk.spec({ cwd }))
      const talk = yield* Talk.listen(session)
      const prompt = Talk.prompt("work")
      const interrupt = Talk.request({ subtype: "interrupt" })
      yield* session.input(prompt)
      yield* talk.until((each) => each._tag === "Delivery" && each.state === "processing")
      yield* session.input(interrupt)
      expect((yield* talk.result(prompt)).json["terminal_reason"]).toBe("aborted_by_signal")
      yield* settled(talk, prompt)
      expect(talk.deliveries(interrupt.uuid)).toEqual(["processing", "processed"])
      const replied = talk.lines().find(({ type }) => type === "control_response")
      expect(replied?.json["response"]).toMatchObject({ request_id: interrupt.json["request_id"] })
    })
  )

  it.scopedLive("and passes over a prompt that it is given again is reported", () =>
    Effect.gen(function* () {
      const cwd = yield* Scripted.directory
      const program = join(cwd, "deaf.mjs")
      writeFileSync(program, deaf.replace('say({ type: "system"', 'if (false) say({ type: "system"'))
      const sessions = yield* Effect.provide(
        AgentSessions,
        Scripted.layer(
          { scriptedAgentPath: program, grace: shortGrace },
          { silence: "300 millis", lastWords: "50 millis" }
        )
      )
      const prompt = Talk.prompt("answered long ago, by a process whose result was lost")
      const session = yield* sessions.open({ ...Talk.spec({ cwd }), resume: true, unanswered: [prompt] })
      const talk = yield* Talk.listen(session)
      expect((yield* talk.result(prompt)).json).toMatchObject({
        is_error: true,
        terminal_reason: "swallowed"
      })
      yield* settled(talk, prompt)
      expect(yield* SubscriptionRef.get(session.status)).toBe("idle")
    })
  )
})

describe("an agent that cannot be started", () => {
  const reason = (
    scriptedAgentPath: string | undefined,
    more: Partial<Drivers.DriversOptions> = {},
    cwd?: string
  ) =>
    Effect.gen(function* () {
      const sessions = yield* AgentSessions
      const error = yield* Effect.flip(Effect.scoped(sessions.open(Talk.spec({ cwd: cwd ?? process.cwd() }))))
      return [error.reason, error.message] as const
    }).pipe(Effect.provide(Scripted.layer({ scriptedAgentPath, ...more })))

  it.scopedLive("says what was tried and what was seen", () =>
    Effect.gen(function* () {
      const directory = yield* Scripted.directory
      const program = (name: string, text: string) => {
        writeFileSync(join(directory, name), text)
        return join(directory, name)
      }
      expect(yield* reason(undefined)).toEqual(["NotFound", expect.stringContaining("not configured")])
      expect(yield* reason("x", { nodePath: "no-such-node" })).toEqual(["NotFound", expect.any(String)])
      expect(yield* reason("x", { nodePath: program("plain", "text") })).toEqual([
        "NotExecutable",
        expect.stringContaining("plain")
      ])
      expect(
        yield* reason(program("end.mjs", 'process.stderr.write("no licence\\n"); process.exit(3)'))
      ).toEqual(["ExitedAtOnce", expect.stringMatching(/exit code 3.*no licence/)])
      const vanished = join(directory, "vanished")
      mkdirSync(vanished)
      rmSync(vanished, { recursive: true })
      expect(yield* reason(scriptedAgentPath, {}, vanished)).toEqual([
        "DirectoryMissing",
        expect.stringContaining("vanished")
      ])
    })
  )

  it.scopedLive("any more fails the session after bounded tries, and says so in its output", () =>
    Effect.gen(function* () {
      const cwd = yield* Scripted.directory
      const marker = join(cwd, "started-once")
      const program = join(cwd, "once.mjs")
      // Comes up once; every later start ends at once.
      writeFileSync(
        program,
        `import { existsSync, writeFileSync } from "node:fs"
         if (existsSync(${JSON.stringify(marker)})) { process.stderr.write("worn out"); process.exit(9) }
         writeFileSync(${JSON.stringify(marker)}, "")
         process.stdin.on("data", (data) => {
           const line = JSON.parse(String(data).split("\\n")[0])
           if (line.type === "user") process.exit(1)
           process.stdout.write(JSON.stringify({ type: "control_response", response: { subtype: "success", request_id: line.request_id } }) + "\\n")
         })`
      )
      const sessions = yield* Effect.provide(
        AgentSessions,
        Scripted.layer({ scriptedAgentPath: program, grace: shortGrace }, { restartDelay: "5 millis" })
      )
      const session = yield* sessions.open(Talk.spec({ cwd }))
      const outcome = yield* Effect.fork(Stream.runCollect(session.output))
      yield* session.input(Talk.prompt("go"))
      const error = yield* Effect.flip(Fiber.join(outcome))
      expect(error).toMatchObject({ _tag: "AgentUnavailable", reason: "ExitedAtOnce" })
      expect(error.message).toContain("worn out")
      expect(yield* SubscriptionRef.get(session.status)).toBe("failed")
    })
  )
})

describe("an idle session", () => {
  it.scopedLive("lets its process go, and starts it with the next message", () =>
    Effect.gen(function* () {
      const cwd = yield* Scripted.directory
      const sessions = yield* Effect.provide(
        AgentSessions,
        Scripted.layer({ scriptedAgentPath }, { idleStop: "100 millis" })
      )
      const session = yield* sessions.open(Talk.spec({ cwd }))
      const talk = yield* Talk.listen(session)
      const first = Talk.prompt("one")
      yield* session.input(first)
      yield* talk.result(first)
      yield* session.process.pipe(
        Effect.repeat({ until: Option.isNone, schedule: Schedule.spaced("20 millis") }),
        Effect.timeout("10 seconds")
      )
      expect(yield* SubscriptionRef.get(session.status)).toBe("idle")
      const second = Talk.prompt("two")
      yield* session.input(second)
      const result = yield* talk.result(second)
      expect(result.json).toMatchObject({ result: "echo: two", result_index: 2 })
      expect(talk.lines().filter(({ type }) => type === "bridge_error")).toEqual([])
    })
  )

  it.scopedLive("shows its agent none of the host's secrets", () =>
    Effect.gen(function* () {
      const { session, talk } = yield* open({ env: { MINE: "1" } })
      const prompt = Talk.prompt("!env")
      yield* session.input(prompt)
      const names = String((yield* talk.result(prompt)).json["result"]).split(" ")
      expect(names).toContain("MINE")
      expect(names.filter((name) => name.startsWith("CAUSEWAY_"))).toEqual([
        "CAUSEWAY_RUN_ID",
        "CAUSEWAY_SESSION_ID"
      ])
    }).pipe(Effect.provide(layer))
  )
})
