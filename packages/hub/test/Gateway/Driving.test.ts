import { anySessionBody } from "@causeway/protocol/Ids"
import { Log } from "@causeway/store/Log"
import { describe, expect, layer as suite } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Hub from "../../src/Hub.ts"
import {
  type Client,
  call,
  connected,
  Device,
  init,
  layer,
  refusal,
  result,
  said,
  target,
  worker
} from "./harness.ts"

const config = JSON.stringify({ agents: [{ id: "main", default: true }, { id: "ops" }] })

/** One pixel. */
const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

/** A session with its worker. */
const session = (client: Client, key: string) =>
  Effect.gen(function* () {
    const made = yield* call(client, "sessions.create", { key })
    return {
      key: made["key"] as string,
      id: made["sessionId"] as string,
      work: yield* worker(made["sessionId"])
    }
  })

/** Names of events with what tells them apart, of one session. */
const told = (client: Client, key: string): ReadonlyArray<string> =>
  client.frames.flatMap((frame) => {
    if (frame["type"] !== "event" || frame["payload"].sessionKey !== key) return []
    const { data, messageSeq, phase, reason, state, stream } = frame["payload"]
    return `${frame["event"]} ${reason ?? state ?? (stream === undefined ? phase : `${stream} ${data.phase ?? ""}`.trim()) ?? ""}${
      messageSeq === undefined || frame["event"] !== "session.message" ? "" : messageSeq
    }`.trim()
  })

describe("sending and stopping", () => {
  suite(layer({ config }), { excludeTestServices: true })((it) => {
    it.scoped("a whole turn: events in order, then the row is done and the key is answered from memory", () =>
      Effect.gen(function* () {
        const at = yield* target
        const client = yield* connected(at)
        const watcher = yield* connected(at)
        yield* call(watcher, "sessions.subscribe")
        const { id, key, work } = yield* session(client, "turn")
        const sent = yield* call(client, "sessions.send", {
          key,
          message: "hello",
          idempotencyKey: "turn-run"
        })
        expect(sent).toEqual({ runId: "turn-run", status: "started", messageSeq: 1 })
        yield* work(init, said("hi there"), result("hi there"))
        yield* Effect.promise(() => watcher.event("sessions.changed", (p) => p["phase"] === "end"))
        expect(told(watcher, key)).toEqual([
          "sessions.changed create",
          "sessions.changed send",
          "session.message 1",
          "sessions.changed message",
          "agent lifecycle start",
          "sessions.changed start",
          "agent assistant",
          "chat delta",
          "session.message 2",
          "sessions.changed message",
          "agent lifecycle end",
          "chat final",
          "sessions.changed end"
        ])
        const final = yield* Effect.promise(() => watcher.event("chat", (p) => p["state"] === "final"))
        expect(final["runId"]).toBe("turn-run")
        expect(final["message"]).toMatchObject({
          role: "assistant",
          content: [{ type: "text", text: "hi there" }]
        })
        const again = yield* call(client, "sessions.send", {
          key,
          message: "hello",
          idempotencyKey: "turn-run"
        })
        expect(again).toEqual({ runId: "turn-run", status: "ok" })
        const { session: row } = yield* call(client, "sessions.describe", {
          key,
          includeDerivedTitles: true,
          includeLastMessage: true
        })
        expect(row).toMatchObject({
          sessionId: id,
          status: "done",
          derivedTitle: "hello",
          lastMessagePreview: "hi there",
          inputTokens: 11,
          outputTokens: 7,
          totalTokensFresh: true,
          estimatedCostUsd: 0.01,
          systemSent: true,
          abortedLastRun: false
        })
        const { messages } = yield* call(client, "sessions.get", { key })
        expect(
          messages.map((each: { role: string; __openclaw: unknown }) => [each.role, each.__openclaw])
        ).toMatchObject([
          ["user", { seq: 1, logSeq: 1 }],
          ["assistant", { seq: 2, logSeq: 3 }]
        ])
        const history = yield* call(client, "chat.history", { sessionKey: key, limit: 1 })
        expect(history).toMatchObject({ sessionKey: key, sessionId: id, messages: [{ role: "assistant" }] })
        const { previews } = yield* call(client, "sessions.preview", { keys: [key] })
        expect(previews).toEqual([
          {
            key,
            status: "ok",
            items: [
              { role: "user", text: "hello" },
              { role: "assistant", text: "hi there" }
            ]
          }
        ])
      })
    )

    it.scoped("targeted events carry no number, broadcasts count from 1 without a gap", () =>
      Effect.gen(function* () {
        const at = yield* target
        const client = yield* connected(at)
        const watcher = yield* connected(at)
        yield* call(watcher, "sessions.subscribe")
        const { key, work } = yield* session(client, "numbers")
        yield* call(client, "sessions.send", { key, message: "x" })
        yield* work(init, said("y"), result("y"))
        yield* Effect.promise(() => watcher.event("sessions.changed", (p) => p["phase"] === "end"))
        const events = watcher.frames.filter((frame) => frame["type"] === "event")
        const targeted = new Set(["connect.challenge", "sessions.changed", "session.message", "session.tool"])
        const numbers = events.filter((frame) => !targeted.has(frame["event"])).map((frame) => frame["seq"])
        expect(numbers).toEqual(numbers.map((_, i) => i + 1))
        for (const frame of events) if (targeted.has(frame["event"])) expect(frame["seq"]).toBeUndefined()
      })
    )

    it.scoped("only who subscribed hears of a session, and of one session only what it asked for", () =>
      Effect.gen(function* () {
        const at = yield* target
        const client = yield* connected(at)
        const one = yield* connected(at, { scopes: ["operator.read"] })
        const none = yield* connected(at, { scopes: ["operator.read"] })
        const a = yield* session(client, "watched")
        const b = yield* session(client, "unwatched")
        yield* call(one, "sessions.messages.subscribe", { key: "watched" })
        yield* call(client, "sessions.send", { key: b.key, message: "b" })
        yield* call(client, "sessions.send", { key: a.key, message: "a" })
        yield* Effect.promise(() => one.event("session.message", (p) => p["sessionKey"] === a.key))
        expect(one.events("session.message").map((frame) => frame["payload"].sessionKey)).toEqual([a.key])
        expect(one.events("sessions.changed")).toEqual([])
        expect(none.events("session.message")).toEqual([])
        yield* call(one, "sessions.messages.unsubscribe", { key: "watched" })
      })
    )

    it.scoped("a run that fails is told as an error, and its key answers with it", () =>
      Effect.gen(function* () {
        const at = yield* target
        const client = yield* connected(at)
        const { key, work } = yield* session(client, "failing")
        yield* call(client, "sessions.send", { key, message: "x", idempotencyKey: "failing-run" })
        yield* work(init, result("it broke", { subtype: "error_during_execution", is_error: true }))
        const failed = yield* Effect.promise(() => client.event("chat", (p) => p["state"] === "error"))
        expect(failed).toMatchObject({ runId: "failing-run", errorMessage: "it broke" })
        yield* Effect.promise(() => client.event("agent", (p) => p["data"].phase === "error"))
        const { session: row } = yield* call(client, "sessions.describe", { key })
        expect(row["status"]).toBe("failed")
        const again = yield* call(client, "sessions.send", {
          key,
          message: "x",
          idempotencyKey: "failing-run"
        })
        expect(again).toEqual({ runId: "failing-run", status: "error", summary: "it broke" })
      })
    )

    it.scoped("steer interrupts the run, waits for its end, then prompts", () =>
      Effect.gen(function* () {
        const at = yield* target
        const client = yield* connected(at)
        const watcher = yield* connected(at)
        yield* call(watcher, "sessions.subscribe")
        const { id, key, work } = yield* session(client, "steered")
        yield* call(client, "sessions.send", { key, message: "one", idempotencyKey: "one" })
        yield* work(init)
        const steering = client.call("sessions.steer", { key, message: "two", idempotencyKey: "two" })
        yield* Effect.promise(() =>
          watcher.event("chat", (p) => p["state"] === "aborted" && p["runId"] === "one")
        )
        yield* work(
          result("", {
            subtype: "error_during_execution",
            is_error: true,
            terminal_reason: "aborted_streaming"
          })
        )
        expect(yield* Effect.promise(() => steering)).toEqual({
          runId: "two",
          status: "started",
          messageSeq: 2,
          interruptedActiveRun: true
        })
        yield* Effect.promise(() => watcher.event("sessions.changed", (p) => p["reason"] === "steer"))
        const log = yield* Log
        const { organizationId } = yield* Hub.Hub
        const events = yield* log.read({
          session: anySessionBody(id),
          organizationId,
          after: 0,
          limit: 100,
          select: "worker"
        })
        expect(events.map((event) => [event.type, JSON.parse(event.payload).request?.subtype])).toEqual([
          ["user", undefined],
          ["control_request", "interrupt"],
          ["user", undefined]
        ])
        // The end of the first run does not end the second.
        yield* work(init, said("done"), result("done"))
        const final = yield* Effect.promise(() => watcher.event("chat", (p) => p["state"] === "final"))
        expect(final["runId"]).toBe("two")
        expect(
          watcher
            .events("chat")
            .filter((frame) => frame["payload"].runId === "one" && frame["payload"].state === "final")
        ).toEqual([])
      })
    )

    it.scoped("steer with nothing running is a send", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { key } = yield* session(client, "idle steer")
        const sent = yield* call(client, "sessions.steer", { key, message: "x", idempotencyKey: "is" })
        expect(sent).toEqual({ runId: "is", status: "started", messageSeq: 1 })
      })
    )

    it.scoped("abort by run and by key, with its event; a repeated send of the aborted run says so", () =>
      Effect.gen(function* () {
        const at = yield* target
        const client = yield* connected(at)
        const watcher = yield* connected(at)
        yield* call(watcher, "sessions.subscribe")
        const { key, work } = yield* session(client, "aborted")
        yield* call(client, "sessions.send", { key, message: "one", idempotencyKey: "ab-1" })
        yield* work(init)
        expect(yield* call(client, "sessions.abort", { runId: "ab-1" })).toEqual({
          ok: true,
          abortedRunId: "ab-1",
          status: "aborted"
        })
        yield* Effect.promise(() => watcher.event("sessions.changed", (p) => p["reason"] === "abort"))
        const ended = yield* Effect.promise(() =>
          watcher.event("agent", (p) => p["runId"] === "ab-1" && p["data"].phase === "end")
        )
        expect(ended["data"]).toMatchObject({ aborted: true, stopReason: "rpc", status: "cancelled" })
        const again = yield* call(client, "sessions.send", { key, message: "one", idempotencyKey: "ab-1" })
        expect(again).toMatchObject({ runId: "ab-1", status: "timeout", stopReason: "rpc" })
        const { session: row } = yield* call(client, "sessions.describe", { key })
        expect(row).toMatchObject({ status: "killed", abortedLastRun: true })
        yield* work(
          result("", {
            subtype: "error_during_execution",
            is_error: true,
            terminal_reason: "aborted_streaming"
          })
        )
        yield* call(client, "sessions.send", { key, message: "two", idempotencyKey: "ab-2" })
        expect(yield* call(client, "chat.abort", { sessionKey: key })).toEqual({
          ok: true,
          aborted: true,
          runIds: ["ab-2"]
        })
        expect(yield* call(client, "sessions.abort", { key })).toEqual({
          ok: true,
          abortedRunId: null,
          status: "no-active-run"
        })
      })
    )

    it.scoped("the word stop stops what runs instead of being sent", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { key } = yield* session(client, "stopped")
        yield* call(client, "sessions.send", { key, message: "one", idempotencyKey: "st-1" })
        expect(yield* call(client, "sessions.send", { key, message: "Stop." })).toEqual({
          ok: true,
          aborted: true,
          runIds: ["st-1"]
        })
        const { messages } = yield* call(client, "sessions.get", { key })
        expect(messages).toHaveLength(1)
      })
    )

    it.scoped(
      "a run is stopped by its own device on another connection, by an admin, and by nobody else",
      () =>
        Effect.gen(function* () {
          const at = yield* target
          const rw = { scopes: ["operator.read", "operator.write"] }
          const device = new Device()
          const owner = yield* connected(at, rw, device)
          const { key } = yield* session(owner, "owned")
          yield* call(owner, "sessions.send", { key, message: "x", idempotencyKey: "own-1" })
          const other = yield* connected(at, rw)
          expect(yield* refusal(other, "sessions.abort", { key })).toMatchObject({ message: "unauthorized" })
          expect(yield* refusal(other, "chat.abort", { sessionKey: key, runId: "own-1" })).toMatchObject({
            message: "unauthorized"
          })
          // Stop after the page was reloaded: the same device, another socket.
          const reloaded = yield* connected(at, rw, device)
          expect(yield* call(reloaded, "sessions.abort", { key })).toMatchObject({ abortedRunId: "own-1" })
          yield* call(owner, "sessions.send", { key, message: "y", idempotencyKey: "own-2" })
          const admin = yield* connected(at)
          expect(yield* call(admin, "sessions.abort", { key })).toMatchObject({ abortedRunId: "own-2" })
        })
    )

    it.scoped("a runId of another session is refused", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const a = yield* session(client, "mine")
        const b = yield* session(client, "theirs")
        yield* call(client, "sessions.send", { key: a.key, message: "x", idempotencyKey: "mine-1" })
        expect(yield* refusal(client, "chat.abort", { sessionKey: b.key, runId: "mine-1" })).toEqual({
          code: "INVALID_REQUEST",
          message: "runId does not match sessionKey"
        })
      })
    )

    it.scoped("a prompt that came by another API is a run of its own", () =>
      Effect.gen(function* () {
        const at = yield* target
        const watcher = yield* connected(at)
        yield* call(watcher, "sessions.subscribe")
        const { id, key, work } = yield* session(watcher, "elsewhere")
        const log = yield* Log
        const { organizationId } = yield* Hub.Hub
        const [stored] = yield* log.append({
          session: anySessionBody(id),
          organizationId,
          source: "client",
          payloads: [yield* userPayload("from a terminal")]
        })
        yield* work(init, said("ok"), result("ok"))
        const final = yield* Effect.promise(() =>
          watcher.event("chat", (p) => p["state"] === "final" && p["sessionKey"] === key)
        )
        expect(final["runId"]).toBe(stored?.uuid)
      })
    )

    it.scoped("attachments become blocks, control characters go, empty attachments are dropped", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { key } = yield* session(client, "attached")
        yield* call(client, "sessions.send", {
          key,
          message: "lo\u0007ok\n",
          attachments: [
            { mimeType: "image/png", content: `data:image/png;base64,${PIXEL}` },
            { source: { type: "base64", media_type: "application/pdf", data: "JVBERi0xLjQK" } },
            { mimeType: "image/png", content: "  " }
          ]
        })
        const { messages } = yield* call(client, "sessions.get", { key })
        expect(messages[0].content).toEqual([
          { type: "text", text: "look\n" },
          { type: "image", data: PIXEL, mimeType: "image/png" },
          {
            type: "document",
            source: { type: "base64", media_type: "application/pdf", data: "JVBERi0xLjQK" }
          }
        ])
      })
    )

    it.scoped(
      "tools: events for subscribers, streams for those that can show them, results only at verbose full",
      () =>
        Effect.gen(function* () {
          const at = yield* target
          const client = yield* connected(at)
          const tools = yield* connected(at, { caps: ["tool-events"] })
          yield* call(tools, "sessions.subscribe")
          const { key, work } = yield* session(client, "tools")
          yield* call(client, "sessions.send", { key, message: "x" })
          const use = {
            type: "assistant",
            message: {
              id: "m1",
              role: "assistant",
              content: [{ type: "tool_use", id: "t1", name: "Bash", input: { command: "ls" } }]
            }
          }
          const done = {
            type: "user",
            message: { role: "user", content: [{ type: "tool_result", tool_use_id: "t1", content: "file" }] }
          }
          yield* work(init, use, done, result("ok"))
          yield* Effect.promise(() => tools.event("sessions.changed", (p) => p["phase"] === "end"))
          expect(tools.events("session.tool").map((frame) => frame["payload"].data)).toEqual([
            { phase: "start", name: "Bash", toolCallId: "t1", args: { command: "ls" } },
            { phase: "result", toolCallId: "t1", isError: false, result: "file" }
          ])
          const streams = tools.events("agent").filter((frame) => frame["payload"].stream === "tool")
          expect(streams.map((frame) => "result" in frame["payload"].data)).toEqual([false, false])
          expect(client.events("agent").filter((frame) => frame["payload"].stream === "tool")).toEqual([])
          const { messages } = yield* call(client, "sessions.get", { key })
          expect(messages.map((each: { role: string }) => each.role)).toEqual([
            "user",
            "assistant",
            "toolResult"
          ])
        })
    )
  })
})

const userPayload = (text: string) =>
  Effect.map(
    Effect.promise(() => import("@causeway/protocol/Payload")),
    (Payload) =>
      Payload.make({ type: "user", uuid: crypto.randomUUID(), message: { role: "user", content: text } })
  )
