/** Sessions with an ACP agent across the ends of its process, as whoever owns them sees it. */
import { realpathSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type * as Payload from "@causeway/protocol/Payload"
import * as Payloads from "@causeway/protocol/Payload"
import * as Read from "@causeway/transcript/Read"
import * as SessionRow from "@causeway/transcript/SessionRow"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { type AgentSession, AgentSessions } from "../../src/Agent.ts"
import * as Sessions from "../../src/AgentSessions.ts"
import * as Drivers from "../../src/Drivers.ts"
import * as Scripted from "../support/Scripted.ts"
import * as Talk from "../support/Talk.ts"

const stub = fileURLToPath(new URL("../fixtures/acp-agent.mjs", import.meta.url))

/** A host's directories, and sessions in them; a second host in the same ones is another `sessions`. */
const host = Effect.gen(function* () {
  const root = realpathSync(yield* Scripted.directory)
  const sessions = Layer.provide(
    Sessions.layerWith({ silence: "5 seconds", interruptGrace: "300 millis" }),
    Drivers.layer({ environment: { PATH: process.env["PATH"] }, acpDirectory: join(root, "records") })
  )
  const spec = Talk.spec({
    cwd: root,
    agent: `acp:"${process.execPath}" "${stub}" --load --resume --state "${join(root, "history")}"`
  })
  return {
    spec,
    open: (more: Partial<typeof spec> = {}) =>
      Effect.gen(function* () {
        const session = yield* (yield* AgentSessions).open({ ...spec, ...more })
        const talk = yield* Talk.listen(session)
        return { session, talk }
      }).pipe(Effect.provide(sessions))
  }
})

const say = (session: AgentSession, text: string) =>
  Effect.gen(function* () {
    const prompt = Talk.prompt(text)
    yield* session.input(prompt)
    return prompt
  })
const kill = (session: AgentSession) =>
  Effect.map(session.process, (pid) => process.kill(-Option.getOrThrow(pid), "SIGKILL"))
const row = (talk: Talk.Talk) =>
  SessionRow.replay(
    talk
      .lines()
      .filter((line) => !Payloads.isEphemeral(line))
      .map((payload, at) => ({
        seq: at + 1,
        uuid: payload.uuid ?? String(at),
        source: "worker" as const,
        createdAt: at,
        payload
      }))
  )
const statusIs = (session: AgentSession, wanted: string) =>
  session.status.changes.pipe(
    Stream.takeUntil((status) => status === wanted),
    Stream.runDrain
  )
const isAsk = ({ type }: Payload.Payload) => type === "control_request"

describe("a session with an ACP agent", () => {
  it.scopedLive("delivers, and is idle after text that came late", () =>
    Effect.gen(function* () {
      const { open } = yield* host
      const { session, talk } = yield* open()
      const prompt = yield* say(session, "late words after the turn")
      yield* talk.until((each) => each._tag === "Delivery" && each.state === "processed")
      expect(talk.deliveries(prompt.uuid)).toEqual(["processing", "processed"])
      yield* talk.untilLine(
        ({ type, json }) => type === "assistant" && json["user_message_uuid"] === prompt.uuid
      )
      yield* statusIs(session, "idle")
      const next = yield* say(session, "hello")
      expect((yield* talk.result(next)).json["result"]).toBe("echo: hello")
    })
  )

  it.scopedLive(
    "killed while it asks: the turn is reported, the question withdrawn, the next prompt answered",
    () =>
      Effect.gen(function* () {
        const { open } = yield* host
        const { session, talk } = yield* open()
        const prompt = yield* say(session, "ask rm x")
        const asked = yield* talk.untilLine(isAsk)
        expect(yield* SubscriptionRef.get(session.status)).toBe("requires_action")
        yield* kill(session)
        expect((yield* talk.result(prompt)).json).toMatchObject({ terminal_reason: "agent_exited" })
        expect(row(talk).approvals.pending).toEqual([])
        // The answer comes too late, for a process that is gone.
        yield* session.input(Talk.answer(asked.json["request_id"], { behavior: "allow" }))
        const next = yield* say(session, "again")
        expect((yield* talk.result(next)).json["result"]).toBe("echo: again")
        expect(talk.lines().filter(({ json }) => json["reason"] === "conversation_missing")).toEqual([])
        yield* statusIs(session, "idle")
      })
  )

  it.scopedLive("an agent that does not follow an interrupt is ended, and its turn told as interrupted", () =>
    Effect.gen(function* () {
      const { open } = yield* host
      const { session, talk } = yield* open()
      const prompt = yield* say(session, "deaf")
      yield* talk.untilLine(({ type }) => type === "stream_event")
      yield* session.input(Talk.request({ subtype: "interrupt" }))
      expect((yield* talk.result(prompt)).json["terminal_reason"]).toBe("aborted_by_signal")
      const next = yield* say(session, "back")
      expect((yield* talk.result(next)).json).toMatchObject({ result: "echo: back" })
      expect(row(talk).lastError).toBe(null)
    })
  )

  it.scopedLive("another host gives what the first had taken in charge: once, or it says why not", () =>
    Effect.gen(function* () {
      const { open } = yield* host
      const begun = Talk.prompt("hang")
      const answered = Talk.prompt("first")
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { session, talk } = yield* open()
          yield* session.input(answered)
          yield* talk.result(answered)
          yield* session.input(begun)
          yield* talk.untilLine(({ type }) => type === "stream_event")
          // Closed in mid-turn, as by the end of the host: no result was seen.
        })
      )
      const never = Talk.prompt("never given before")
      const { talk } = yield* open({ resume: true, unanswered: [answered, begun, never] })
      const results = [yield* talk.result(answered), yield* talk.result(begun), yield* talk.result(never)]
      expect(results.map(({ json }) => json["terminal_reason"])).toEqual([
        "swallowed",
        "swallowed",
        undefined
      ])
      expect(results.map(({ json }) => Read.array(json["errors"])[0] ?? json["result"])).toEqual([
        expect.stringContaining("has answered this prompt already"),
        expect.stringContaining("ended while it worked on this prompt"),
        "echo: never given before"
      ])
      // What the agent's history holds was not said again.
      expect(talk.lines().filter((line) => line.text.includes("echo: first"))).toEqual([])
    })
  )
})
