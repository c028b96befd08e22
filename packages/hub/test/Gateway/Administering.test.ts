import { anySessionBody } from "@causeway/protocol/Ids"
import { Log } from "@causeway/store/Log"
import { describe, expect, layer as suite } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Hub from "../../src/Hub.ts"
import {
  type Client,
  call,
  connected,
  type Frame,
  init,
  layer,
  refusal,
  result,
  said,
  target,
  worker
} from "./harness.ts"

const config = JSON.stringify({
  agents: [{ id: "main", default: true }, { id: "ops" }],
  plugins: { sessionExtensions: [{ pluginId: "notes", namespace: "pins" }] }
})

const session = (client: Client, key: string, label?: string) =>
  Effect.gen(function* () {
    const made = yield* call(client, "sessions.create", { key, ...(label === undefined ? {} : { label }) })
    return {
      key: made["key"] as string,
      id: made["sessionId"] as string,
      work: yield* worker(made["sessionId"])
    }
  })

/** A turn that was answered. */
const turn = (
  client: Client,
  key: string,
  work: (...lines: ReadonlyArray<Frame>) => Effect.Effect<unknown, unknown>,
  text: string
) =>
  Effect.gen(function* () {
    yield* call(client, "sessions.send", { key, message: text })
    yield* Effect.orDie(work(init, said(`re: ${text}`), result(`re: ${text}`)))
  })

const boundary = (trigger: string) => ({
  type: "system",
  subtype: "compact_boundary",
  compact_metadata: { trigger, pre_tokens: 900, post_tokens: 80 }
})
const summary = { type: "user", isCompactSummary: true, message: { role: "user", content: "what was said" } }

describe("administering sessions", () => {
  suite(layer({ config }), { excludeTestServices: true })((it) => {
    it.scoped("pluginPatch keeps registered extensions, and prunes what is empty", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        yield* call(client, "sessions.subscribe")
        const { key } = yield* session(client, "plugged")
        const patch = { key, pluginId: "notes", namespace: "pins" }
        expect(yield* call(client, "sessions.pluginPatch", { ...patch, value: { a: [1] } })).toEqual({
          ok: true,
          key,
          value: { a: [1] }
        })
        const changed = yield* Effect.promise(() =>
          client.event("sessions.changed", (p) => p["reason"] === "plugin-patch")
        )
        expect(changed["pluginExtensions"]).toEqual([
          { pluginId: "notes", namespace: "pins", value: { a: [1] } }
        ])
        expect(yield* call(client, "sessions.pluginPatch", { ...patch, unset: true })).toEqual({
          ok: true,
          key
        })
        const { session: row } = yield* call(client, "sessions.describe", { key })
        expect(row["pluginExtensions"]).toBeUndefined()
        expect(
          yield* refusal(client, "sessions.pluginPatch", { ...patch, key: "plugged nope", value: 1 })
        ).toMatchObject({
          message: "unknown session key: plugged nope"
        })
      })
    )

    it.scoped("reset puts the log away under its locator and keeps what it should", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { id, key, work } = yield* session(client, "reset me", "Keep")
        yield* call(client, "sessions.patch", { key, thinkingLevel: "high", model: "anthropic/y" })
        yield* turn(client, key, work, "before")
        yield* work(boundary("auto"), summary)
        const { entry } = yield* call(client, "sessions.reset", { key })
        expect(entry).toMatchObject({
          label: "Keep",
          thinkingLevel: "high",
          modelOverride: "y",
          systemSent: false,
          totalTokens: 0
        })
        expect(entry.sessionId).not.toBe(id)
        expect(entry.compactionCheckpoints).toHaveLength(1)
        expect(yield* call(client, "sessions.get", { key })).toEqual({ messages: [] })
        const old = yield* call(client, "causeway.export", { key, locator: `causeway:log/${id}` })
        expect(old["locator"]).toMatch(new RegExp(`^causeway:log/${id}\\?archived=\\d+$`))
        expect(old["lines"].map((line: string) => JSON.parse(line).type)).toEqual([
          "session",
          "message",
          "message",
          "compaction",
          "message"
        ])
        // The checkpoint of the old log can still be branched.
        const { checkpoints } = yield* call(client, "sessions.compaction.list", { key })
        const branched = yield* call(client, "sessions.compaction.branch", {
          key,
          checkpointId: checkpoints[0].checkpointId
        })
        expect((yield* call(client, "sessions.get", { key: branched["key"] }))["messages"]).toHaveLength(2)
        expect((yield* call(client, "sessions.resolve", { label: "Keep" }))["key"]).toBe(key)
      })
    )

    it.scoped("delete frees key and label, and the log stays under its locator", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { id, key, work } = yield* session(client, "delete me", "Gone")
        yield* turn(client, key, work, "text")
        const { archived } = yield* call(client, "sessions.delete", { key })
        expect(archived[0]).toMatch(new RegExp(`^causeway:log/${id}\\?archived=\\d+$`))
        const again = yield* session(client, "delete me", "Gone")
        expect(again.id).not.toBe(id)
        const page = yield* call(client, "causeway.export", { key, locator: archived[0] })
        expect(page["lines"]).toHaveLength(3)
      })
    )

    it.scoped("compact by the agent asks it, and answers from the boundary it leaves", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        yield* call(client, "sessions.subscribe")
        const { id, key, work } = yield* session(client, "compact me")
        yield* turn(client, key, work, "a lot")
        const compacting = client.call("sessions.compact", { key })
        yield* Effect.promise(() => client.event("session.message", (p) => p["messageSeq"] === 3))
        yield* work(init, boundary("manual"), summary, result(""))
        const done = yield* Effect.promise(() => compacting)
        expect(done).toMatchObject({
          ok: true,
          key,
          compacted: true,
          result: { summary: "what was said", tokensBefore: 900, tokensAfter: 80 }
        })
        const changed = yield* Effect.promise(() =>
          client.event("sessions.changed", (p) => p["reason"] === "compact")
        )
        expect(changed).toMatchObject({
          compacted: true,
          compactionCheckpointCount: 1,
          latestCompactionCheckpoint: { reason: "manual" }
        })
        const log = yield* Log
        const { organizationId } = yield* Hub.Hub
        const sent = yield* log.read({
          session: anySessionBody(id),
          organizationId,
          after: 0,
          limit: 50,
          select: "worker"
        })
        expect(JSON.parse(sent.at(-1)?.payload ?? "{}").message.content).toBe("/compact")
      })
    )

    it.scoped("an agent that does not compact says why", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        yield* call(client, "sessions.subscribe")
        const { key, work } = yield* session(client, "too short")
        yield* turn(client, key, work, "hi")
        const compacting = client.call("sessions.compact", { key })
        yield* Effect.promise(() => client.event("session.message", (p) => p["messageSeq"] === 3))
        yield* work(result("Not enough messages to compact."))
        expect(yield* Effect.promise(() => compacting)).toEqual({
          ok: true,
          key,
          compacted: false,
          reason: "Not enough messages to compact."
        })
        const { key: empty } = yield* session(client, "empty one")
        expect(yield* call(client, "sessions.compact", { key: empty })).toMatchObject({
          compacted: false,
          reason: "no transcript"
        })
      })
    )

    it.scoped("compact by lines keeps the session, its last lines, and the whole log under a locator", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        yield* call(client, "sessions.subscribe")
        const { id, key, work } = yield* session(client, "by lines")
        yield* turn(client, key, work, "one")
        yield* turn(client, key, work, "two")
        expect(yield* call(client, "sessions.compact", { key, maxLines: 5 })).toEqual({
          ok: true,
          key,
          compacted: false,
          kept: 5
        })
        const done = yield* call(client, "sessions.compact", { key, maxLines: 2 })
        expect(done).toMatchObject({ ok: true, key, compacted: true, kept: 2 })
        const { messages } = yield* call(client, "sessions.get", { key })
        expect(
          messages.map((each: { content: ReadonlyArray<{ text: string }> }) => each.content[0]?.text)
        ).toEqual(["two", "re: two"])
        const { session: row } = yield* call(client, "sessions.describe", { key })
        expect(row["sessionId"]).toBe(id)
        const whole = yield* call(client, "causeway.export", { key, locator: done["archived"] })
        expect(whole["lines"]).toHaveLength(5)
        // A reader from the beginning is told what is gone.
        expect(yield* call(client, "causeway.events.replay", { key, afterSeq: 0 })).toMatchObject({
          verdict: "gap",
          reason: "truncated"
        })
        // The session goes on, its messages counted anew.
        yield* turn(client, key, work, "three")
        yield* Effect.promise(() =>
          client.event("chat", (p) => p["state"] === "final" && p["message"].content[0].text === "re: three")
        )
        const news = client.events("session.message").filter((frame) => frame["payload"].sessionKey === key)
        expect(news.slice(-2).map((frame) => frame["payload"].messageSeq)).toEqual([3, 4])
      })
    )

    it.scoped(
      "branch starts another session from before the boundary, restore puts it under the same key",
      () =>
        Effect.gen(function* () {
          const client = yield* connected(yield* target)
          yield* call(client, "sessions.subscribe")
          const { id, key, work } = yield* session(client, "forked", "Fork")
          yield* turn(client, key, work, "one")
          yield* work(boundary("auto"), summary)
          yield* turn(client, key, work, "two")
          const { checkpoints } = yield* call(client, "sessions.compaction.list", { key })
          const [checkpoint] = checkpoints
          expect(checkpoint).toMatchObject({
            sessionKey: key,
            sessionId: id,
            reason: "auto-threshold",
            tokensBefore: 900,
            tokensAfter: 80,
            summary: "what was said"
          })
          expect(
            (yield* call(client, "sessions.compaction.get", { key, checkpointId: checkpoint.checkpointId }))[
              "checkpoint"
            ]
          ).toEqual(checkpoint)
          const branched = yield* call(client, "sessions.compaction.branch", {
            key,
            checkpointId: checkpoint.checkpointId
          })
          expect(branched).toMatchObject({
            ok: true,
            sourceKey: key,
            entry: {
              label: "Fork (checkpoint)",
              parentSessionKey: key,
              totalTokens: 900,
              totalTokensFresh: true,
              abortedLastRun: false
            }
          })
          expect(branched["entry"].compactionCheckpoints).toBeUndefined()
          const texts = (messages: ReadonlyArray<{ content: ReadonlyArray<{ text: string }> }>) =>
            messages.map((each) => each.content[0]?.text)
          expect(texts((yield* call(client, "sessions.get", { key: branched["key"] }))["messages"])).toEqual([
            "one",
            "re: one"
          ])
          yield* Effect.promise(() =>
            client.event("sessions.changed", (p) => p["reason"] === "checkpoint-branch", 2)
          )
          const changes = client
            .events("sessions.changed")
            .filter((frame) => frame["payload"].reason === "checkpoint-branch")
          expect(changes.map((frame) => frame["payload"].sessionKey)).toEqual([key, branched["key"]])
          // A second branch finds a label of its own.
          const second = yield* call(client, "sessions.compaction.branch", {
            key,
            checkpointId: checkpoint.checkpointId
          })
          expect(second["entry"].label).toBe("Fork (checkpoint) 2")

          const restored = yield* call(client, "sessions.compaction.restore", {
            key,
            checkpointId: checkpoint.checkpointId
          })
          expect(restored).toMatchObject({ ok: true, key, entry: { label: "Fork" } })
          expect(restored["sessionId"]).not.toBe(id)
          expect(texts((yield* call(client, "sessions.get", { key }))["messages"])).toEqual([
            "one",
            "re: one"
          ])
          expect((yield* call(client, "sessions.compaction.list", { key }))["checkpoints"]).toHaveLength(1)
          // What was copied is not told again as new, and the fork can be driven.
          const before = client.events("session.message").length
          const fork = yield* worker(restored["sessionId"])
          yield* turn(client, key, fork, "three")
          yield* Effect.promise(() =>
            client.event(
              "chat",
              (p) => p["state"] === "final" && p["message"].content[0].text === "re: three"
            )
          )
          const news = client.events("session.message").slice(before)
          expect(news.map((frame) => frame["payload"].messageSeq)).toEqual([3, 4])
        })
    )

    it.scoped("cleanup prunes by age, caps by number and tells of each store", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { stores } = yield* call(client, "sessions.cleanup", { allAgents: true })
        expect(stores.map((each: { agentId: string }) => each.agentId)).toEqual(["main", "ops"])
        yield* Effect.promise(async () => undefined)
      })
    )
  })

  suite(layer({ config: JSON.stringify({ session: { maintenance: { mode: "warn", maxEntries: 2 } } }) }), {
    excludeTestServices: true
  })("retention", (it) => {
    it.scoped("warn only counts; enforce archives the oldest, never the active key", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        for (const key of ["a", "b", "c", "d"]) yield* session(client, key)
        const warned = yield* call(client, "sessions.cleanup", {})
        expect(warned).toMatchObject({
          mode: "warn",
          beforeCount: 4,
          capped: 2,
          wouldMutate: true,
          appliedCount: 4
        })
        const enforced = yield* call(client, "sessions.cleanup", { enforce: true, activeKey: "a" })
        expect(enforced).toMatchObject({
          mode: "enforce",
          beforeCount: 4,
          afterCount: 2,
          capped: 2,
          appliedCount: 2
        })
        const { sessions } = yield* call(client, "sessions.list", {})
        expect(sessions.map((row: { key: string }) => row.key).sort()).toEqual([
          "agent:main:a",
          "agent:main:d"
        ])
      })
    )
  })

  suite(layer({ config: JSON.stringify({ session: { maintenance: { maxDiskBytes: 2000 } } }) }), {
    excludeTestServices: true
  })("disk budget", (it) => {
    it.scoped("archives go first, then the oldest sessions", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        for (const key of ["a", "b", "c"]) {
          const { work } = yield* session(client, key)
          yield* turn(client, key, work, "x".repeat(400))
        }
        yield* call(client, "sessions.delete", { key: "b" })
        const done = yield* call(client, "sessions.cleanup", {})
        expect(done["diskBudget"]).toMatchObject({
          removedFiles: 1,
          maxBytes: 2000,
          highWaterBytes: 1600,
          overBudget: true
        })
        expect(done["diskBudget"].totalBytesAfter).toBeLessThanOrEqual(1600)
        const { sessions } = yield* call(client, "sessions.list", {})
        expect(sessions.map((row: { key: string }) => row.key)).not.toContain("agent:main:a")
      })
    )
  })
})

describe("a client that goes away", () => {
  suite(layer({ config }), { excludeTestServices: true })((it) => {
    it.scoped("leaves nothing half done", () =>
      Effect.gen(function* () {
        const at = yield* target
        const watcher = yield* connected(at)
        yield* call(watcher, "sessions.subscribe")
        const { id, key } = yield* session(watcher, "left alone")
        const leaving = yield* connected(at)
        leaving.raw({ type: "req", id: "gone", method: "sessions.reset", params: { key } })
        leaving.socket.close()
        yield* Effect.promise(() => watcher.event("sessions.changed", (p) => p["reason"] === "reset"))
        const { session: row } = yield* call(watcher, "sessions.describe", { key })
        expect(row["sessionId"]).not.toBe(id)
      })
    )
  })
})
