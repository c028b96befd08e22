import type { AgentSettings } from "@causeway/protocol/AgentSettings"
import { EventUuid, SessionId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import {
  type AgentOutput,
  type AgentSessionSpec,
  AgentSessions,
  type AgentStatus,
  AgentUnavailable
} from "@causeway/runner/Agent"
import type { Repairs } from "@causeway/transcript/Repairs"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { Channel } from "../src/Channel.ts"
import * as Engine from "../src/Engine.ts"

const user = (uuid: string, content: string) =>
  Payload.make({ type: "user", uuid, message: { role: "user", content } })
const assistant = (uuid: string, content: string) =>
  Payload.make({ type: "assistant", uuid, message: { role: "assistant", content } })

const earlier = [user("a", "before"), assistant("b", "answer")]

/** What the agent was opened with, and what was written before, for a session that is new to this host. */
const opening = (options: {
  readonly history: ReadonlyArray<Payload.Payload>
  readonly adopts: boolean
  readonly mended?: Repairs
  readonly launched?: boolean
}) =>
  Effect.gen(function* () {
    const opened = yield* Deferred.make<AgentSessionSpec>()
    const adopted: Array<ReadonlyArray<Payload.Payload>> = []
    const written: Array<AgentOutput> = []
    const prompt = user("c", "and now?")
    const link: Channel = {
      sessionId: SessionId.make("session_1"),
      home: false,
      record: {
        agentSessionId: "agent-1",
        agent: "scripted",
        cwd: "/tmp",
        model: undefined,
        permissionMode: undefined,
        launch: {},
        launched: options.launched ?? false
      },
      write: (outputs) => Effect.sync(() => void written.push(...outputs)),
      inbound: yield* Queue.unbounded<Payload.Payload>(),
      unanswered: Effect.succeed([prompt]),
      history: Effect.succeed(options.history),
      settings: Effect.succeed({}),
      changes: yield* Queue.unbounded<AgentSettings>(),
      opened: Effect.void,
      failed: () => Effect.void,
      keep: () => Effect.void,
      launched: Effect.void,
      setStatus: () => Effect.void,
      atWork: yield* Ref.make<Effect.Effect<boolean> | undefined>(undefined)
    }
    const serve = yield* Engine.make().pipe(
      Effect.provideService(AgentSessions, {
        adopt: (_, entries) => {
          adopted.push(entries)
          return options.adopts
            ? Effect.succeedSome(options.mended ?? {})
            : new AgentUnavailable({ agent: "scripted", reason: "Unknown", detail: "it cannot" })
        },
        open: (spec) =>
          Effect.gen(function* () {
            yield* Deferred.succeed(opened, spec)
            return {
              output: Stream.never,
              input: () => Effect.void,
              configure: () => Effect.void,
              isAtWork: Effect.succeed(false),
              status: yield* SubscriptionRef.make<AgentStatus>("idle"),
              process: Effect.succeed(Option.none())
            }
          })
      })
    )
    yield* Effect.forkScoped(Effect.scoped(serve(link)))
    return { spec: yield* Deferred.await(opened), adopted, written }
  })

describe("an agent that is new to a session", () => {
  it.scoped("takes up the conversation that the log holds, and is resumed with it", () =>
    Effect.gen(function* () {
      const { adopted, spec, written } = yield* opening({ history: earlier, adopts: true })
      expect(adopted).toEqual([earlier])
      expect(spec.resume).toBe(true)
      expect(spec.unanswered?.map(({ uuid }) => uuid)).toEqual([EventUuid.make("c")])
      expect(written).toEqual([])
    })
  )

  it.scoped("is told what had to be mended of it", () =>
    Effect.gen(function* () {
      const { spec, written } = yield* opening({
        history: earlier,
        adopts: true,
        mended: { unanswered_tool_use: 1, blank_text: 2 }
      })
      expect(spec.resume).toBe(true)
      expect(written.map((output) => output._tag === "Line" && output.payload.json["message"])).toEqual([
        "The earlier conversation was mended for the agent: 1 tool call without a result, 2 blank texts."
      ])
    })
  )

  it.scoped("that cannot take it starts without, and the log says so", () =>
    Effect.gen(function* () {
      const { spec, written } = yield* opening({ history: earlier, adopts: false })
      expect(spec.resume).toBe(false)
      expect(written.map((output) => output._tag === "Line" && output.payload.json["reason"])).toEqual([
        "history_not_taken"
      ])
    })
  )

  it.scoped("starts a conversation of its own where there was none", () =>
    Effect.gen(function* () {
      const { adopted, spec } = yield* opening({ history: [], adopts: true })
      expect(adopted).toEqual([])
      expect(spec.resume).toBe(false)
    })
  )

  it.scoped("is not given it again once it was launched", () =>
    Effect.gen(function* () {
      const { adopted, spec } = yield* opening({ history: earlier, adopts: true, launched: true })
      expect(adopted).toEqual([])
      expect(spec.resume).toBe(true)
    })
  )
})
