/** What the gateway says of a session's agent is true, and what it stores of settings reaches that agent or is refused. */
import { randomUUID } from "node:crypto"
import { describe, expect, layer as suite } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { call as http } from "../harness.ts"
import { type Client, call, connected, type Frame, layer, target, worker } from "./harness.ts"

const refusal = (client: Client, method: string, params: Frame) =>
  Effect.map(
    Effect.promise(() => client.request(method, params)),
    ({ error }) => String((error as Frame | undefined)?.["message"])
  )
const describeRow = (client: Client, key: string) =>
  Effect.map(
    call(client, "sessions.describe", { key, includeLastMessage: true }),
    ({ session }) => session as Frame
  )

suite(layer(), { excludeTestServices: true })((it) => {
  /** An environment whose bridge offers these agents, which sessions made here get. */
  const environment = (access: string, agents: string) =>
    http({
      method: "POST",
      path: "/v1/environments/bridge",
      token: access,
      body: {
        machine_name: "m",
        directory: `/d/${randomUUID()}`,
        max_sessions: 4,
        metadata: { worker_type: "causeway", agents }
      }
    })

  describe("a session's agent", () => {
    it.scoped("is nobody's until it has one, and then the one that runs", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { key } = yield* call(client, "sessions.create", {})
        expect((yield* describeRow(client, String(key)))["agentRuntime"]).toEqual({
          id: "unassigned",
          source: "implicit"
        })
      })
    )

    it.scoped("a message that was injected is the last one that a list shows", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { key } = yield* call(client, "sessions.create", {})
        yield* call(client, "chat.inject", { sessionKey: key, message: "put there" })
        expect((yield* describeRow(client, String(key)))["lastMessagePreview"]).toBe("put there")
      })
    )
  })

  describe("a model", () => {
    it.scoped("of a provider that nobody configured is refused in words; a blank one at create is none", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        expect(yield* refusal(client, "sessions.create", { model: "nonsense/whatever" })).toContain(
          "model not allowed: nonsense/whatever"
        )
        const { entry, key } = yield* call(client, "sessions.create", { model: "  " })
        expect((entry as Frame)["modelOverride"]).toBeUndefined()
        expect(yield* refusal(client, "sessions.patch", { key, model: "nonsense/whatever" })).toContain(
          "model not allowed"
        )
        expect(yield* call(client, "sessions.patch", { key, model: "opus" })).toMatchObject({
          entry: { modelOverride: "opus" }
        })
      })
    )
  })

  describe("settings", () => {
    it.scoped("of thinking and speed are asked of the agent", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { key, sessionId } = yield* call(client, "sessions.create", {})
        yield* worker(String(sessionId))
        yield* call(client, "sessions.patch", { key, thinkingLevel: "high", fastMode: true })
        yield* call(client, "sessions.patch", { key, thinkingLevel: null, fastMode: false })
        const { events } = yield* call(client, "causeway.events.replay", { key, afterSeq: 0 })
        const asked = (events as ReadonlyArray<{ readonly payload: Frame }>).flatMap(({ payload }) =>
          payload["type"] === "control_request" ? [payload["request"]] : []
        )
        expect(asked).toEqual([
          { subtype: "set_max_thinking_tokens", max_thinking_tokens: 31_999 },
          { subtype: "apply_flag_settings", settings: { fastMode: true } },
          { subtype: "set_max_thinking_tokens", max_thinking_tokens: null },
          { subtype: "apply_flag_settings", settings: { fastMode: false } }
        ])
        // A log that begins anew begins with what was kept.
        yield* call(client, "sessions.patch", { key, thinkingLevel: "low" })
        yield* call(client, "sessions.reset", { key })
        const again = yield* call(client, "causeway.events.replay", { key, afterSeq: 0 })
        expect(JSON.stringify(again["events"])).toContain('"max_thinking_tokens":4096')
      })
    )

    it.scoped(
      "that would do nothing are refused once the agent is known, and dropped when it becomes known",
      () =>
        Effect.gen(function* () {
          const at = yield* target
          const client = yield* connected(at)
          const { key } = yield* call(client, "sessions.create", {})
          yield* call(client, "sessions.patch", {
            key,
            traceLevel: "raw",
            elevatedLevel: "full",
            fastMode: true
          })
          const made = yield* environment(at.token, "acp:other,claude")
          expect(made.status).toBe(200)
          // It is online once it has asked for work.
          yield* http({
            method: "GET",
            path: `/v1/environments/${made.json.environment_id}/work/poll?block_ms=1`,
            token: made.json.environment_secret
          })
          const sent = yield* call(client, "sessions.send", { key, message: "begin" })
          expect((sent["settingsDropped"] as ReadonlyArray<Frame>).map(({ field }) => field).sort()).toEqual([
            "elevatedLevel",
            "fastMode",
            "traceLevel"
          ])
          const row = yield* describeRow(client, String(key))
          expect(row["agentRuntime"]).toEqual({ id: "acp:other", source: "environment" })
          expect([row["traceLevel"], row["elevatedLevel"], row["fastMode"]]).toEqual([
            undefined,
            undefined,
            undefined
          ])
          for (const [field, value] of Object.entries({
            thinkingLevel: "high",
            fastMode: true,
            traceLevel: "on",
            reasoningLevel: "stream",
            elevatedLevel: "ask",
            execHost: "node",
            execSecurity: "full",
            execAsk: "always",
            execNode: "n1",
            groupActivation: "always",
            responseUsage: "full"
          })) {
            const words = yield* refusal(client, "sessions.patch", { key, [field]: value })
            expect(words).toContain(`${field} does nothing for the agent "acp:other"`)
            // What clears one is no request.
            yield* call(client, "sessions.patch", { key, [field]: null })
          }
          expect(yield* refusal(client, "sessions.send", { key, message: "x", thinking: "high" })).toContain(
            "does nothing"
          )
          expect(yield* refusal(client, "sessions.send", { key, message: "x", thinking: "bogus" })).toContain(
            "invalid thinking"
          )
        })
    )
  })
})
