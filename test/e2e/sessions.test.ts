/**
 * What people ask of sessions over the gateway, the whole way: forks of a conversation that a new agent goes on with, and
 * sessions that name their agent and want a worktree.
 */
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Gateway from "../../packages/hub/test/Gateway/harness.ts"
import * as Directory from "../support/Directory.ts"
import * as Program from "../support/Program.ts"

const machine = Directory.temporary("sessions")

/** `up` with the scripted agent, and a client of its gateway. */
const up = Effect.gen(function* () {
  const directory = yield* machine
  const state = join(directory, "state")
  const program = yield* Program.start(
    ["up", "--agent", "scripted", "--json", "--port", "0", "--state-dir", state, "--dir", directory],
    { env: { PATH: process.env["PATH"] ?? "" } }
  )
  const ready = yield* program.line((line) => line["event"] === "ready")
  const client = yield* Gateway.connected({
    url: `${String(ready["gateway_url"])}/gateway`,
    token: String(ready["token"])
  })
  return { client, program, state, environmentId: String(ready["environment_id"]) }
})

/** Sends to a session with the command line, and answers with what the agent said. */
const ask = (state: string, session: string, text: string) =>
  Effect.map(
    Program.run(["send", session, text, "--wait", "--json", "--state-dir", state]),
    (ended) => Program.jsonLines(ended).find((line) => line["event"] === "answered") ?? {}
  )

const call = (client: Gateway.Client, method: string, params?: object) =>
  Effect.promise(() => client.call(method, params))

describe("sessions over the gateway", () => {
  it.scopedLive(
    "one that is archived lets its agent go",
    () =>
      Effect.gen(function* () {
        const { client, environmentId, program, state } = yield* up
        const { session } = yield* call(client, "sessions.begin", { environmentId })
        expect((yield* ask(state, session.id, "hello"))["text"]).toBe("echo: hello")
        yield* call(client, "sessions.archive", { sessionId: session.id })
        const ended = yield* program.line((line) => line["event"] === "session_ended")
        expect(ended["session_id"]).toBe(session.id)
      }),
    180_000
  )

  it.scopedLive(
    "a branch and a restore of a compacted conversation go on with what was said before it",
    () =>
      Effect.gen(function* () {
        const { client, state } = yield* up
        const { key, sessionId } = yield* call(client, "sessions.create", { key: "talk" })
        expect((yield* ask(state, sessionId, "the first word"))["text"]).toBe("echo: the first word")
        yield* ask(state, sessionId, "!say the second word")
        expect((yield* ask(state, sessionId, "!compact"))["text"]).toBe("compacted")
        yield* ask(state, sessionId, "said afterwards")
        const { checkpoints } = yield* call(client, "sessions.compaction.list", { key })
        expect(checkpoints).toHaveLength(1)
        const checkpointId = checkpoints[0].checkpointId

        const branched = yield* call(client, "sessions.compaction.branch", { key, checkpointId })
        expect(branched["sessionId"]).not.toBe(sessionId)
        const remembered = String((yield* ask(state, branched["sessionId"], "!recall"))["text"])
        expect(remembered).toMatch(/^recalls: the first word \| echo: the first word \| .*the second word/)
        expect(remembered).not.toContain("afterwards")
        // The original goes on as it was.
        expect((yield* ask(state, sessionId, "!recall"))["text"]).toBe("recalls nothing")

        const restored = yield* call(client, "sessions.compaction.restore", { key, checkpointId })
        expect(restored["key"]).toBe(key)
        expect((yield* ask(state, restored["sessionId"], "!recall"))["text"]).toBe(remembered)
      }),
    180_000
  )

  it.scopedLive(
    "an agent that is not offered answers nothing and says so; the one that is offered answers",
    () =>
      Effect.gen(function* () {
        const { client, environmentId, state } = yield* up
        const begin = (context: object) => call(client, "sessions.begin", { environmentId, context })
        const { environments } = yield* call(client, "environments.list")
        expect(environments[0].offers).toMatchObject({ sessions: true, worktrees: false })
        expect(environments[0].offers.agents[0]).toBe("scripted")

        const good = yield* begin({ agent: "scripted" })
        expect((yield* ask(state, good["session"].id, "hello"))["text"]).toBe("echo: hello")

        const bad = yield* begin({ agent: "acp:touch /tmp/never" })
        const refused = yield* ask(state, bad["session"].id, "hello")
        expect(refused["result"]).toMatchObject({ is_error: true, terminal_reason: "agent_unavailable" })
        expect(JSON.stringify(refused)).toContain("which is not offered here; offered: scripted")

        const apart = yield* begin({ worktree: true })
        const nowhere = yield* ask(state, apart["session"].id, "hello")
        expect(nowhere["result"]).toMatchObject({ is_error: true, terminal_reason: "agent_unavailable" })
      }),
    180_000
  )
})
