/**
 * The unmodified OpenClaw CLI against our hub: every `sessions.*` method by `gateway call`. Opt-in: it needs npm
 * `openclaw@2026.5.2` and Node 22 or later outside this repository.
 *
 * `CAUSEWAY_OPENCLAW`: path of `openclaw.mjs`; `CAUSEWAY_OPENCLAW_NODE`: the node that runs it.
 */
import { execFile } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { describe, expect, layer as suite } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { document } from "./conformance.ts"
import { type Frame, init, layer, result, said, type Target, target, worker } from "./harness.ts"

const program = process.env["CAUSEWAY_OPENCLAW"]
const node = process.env["CAUSEWAY_OPENCLAW_NODE"] ?? process.execPath
const run = promisify(execFile)

/** One `gateway call` in a state directory of its own. */
const caller =
  (at: Target, home: string) =>
  async (method: string, params: Frame): Promise<Frame> => {
    const { stdout } = await run(
      node,
      [
        program ?? "",
        "gateway",
        "call",
        method,
        "--url",
        at.url,
        "--token",
        at.token,
        "--params",
        JSON.stringify(params),
        "--json"
      ],
      {
        env: {
          PATH: process.env["PATH"],
          HOME: home,
          OPENCLAW_STATE_DIR: home,
          OPENCLAW_CONFIG_PATH: join(home, "openclaw.json"),
          OPENCLAW_NO_RESPAWN: "1",
          NO_COLOR: "1"
        },
        timeout: 60_000
      }
    )
    return JSON.parse(stdout.slice(stdout.indexOf("{")))
  }

if (program === undefined) {
  process.stderr.write(
    "Cli: the OpenClaw CLI DID NOT RUN: set CAUSEWAY_OPENCLAW and CAUSEWAY_OPENCLAW_NODE\n"
  )
}

describe.skipIf(program === undefined)("the unmodified OpenClaw CLI (opt-in)", () => {
  suite(layer({ config: JSON.stringify(document.config) }), { excludeTestServices: true })((it) => {
    it.scoped(
      "calls every sessions.* method",
      () =>
        Effect.gen(function* () {
          const home = mkdtempSync(join(tmpdir(), "causeway-openclaw-"))
          yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(home, { recursive: true, force: true })))
          writeFileSync(join(home, "openclaw.json"), "{}")
          const cli = caller(yield* target, home)
          const call = (method: string, params: Frame = {}) => Effect.promise(() => cli(method, params))
          // The CLI asks for the scope of each method alone, and more scopes later are never silent: the most goes first.
          expect(yield* call("sessions.cleanup")).toMatchObject({ agentId: "main", applied: true })
          const made = yield* call("sessions.create", { key: "from the cli", label: "CLI" })
          expect(made).toMatchObject({ ok: true, key: "agent:main:from the cli", runStarted: false })
          const key = made["key"]
          const work = yield* worker(made["sessionId"])
          expect(yield* call("sessions.send", { key, message: "hello" })).toMatchObject({
            status: "started",
            messageSeq: 1
          })
          yield* work(init, said("hi"), result("hi"))
          expect(yield* call("sessions.list", { search: "from the cli" })).toMatchObject({
            count: 1,
            sessions: [{ key, label: "CLI" }]
          })
          expect(yield* call("sessions.describe", { key, includeLastMessage: true })).toMatchObject({
            session: { lastMessagePreview: "hi" }
          })
          expect(yield* call("sessions.resolve", { label: "CLI" })).toEqual({ ok: true, key })
          expect(yield* call("sessions.preview", { keys: [key] })).toMatchObject({
            previews: [{ status: "ok" }]
          })
          expect((yield* call("sessions.get", { key }))["messages"]).toHaveLength(2)
          expect(yield* call("sessions.subscribe")).toEqual({ subscribed: true })
          expect(yield* call("sessions.unsubscribe")).toEqual({ subscribed: false })
          expect(yield* call("sessions.messages.subscribe", { key })).toEqual({ subscribed: true, key })
          expect(yield* call("sessions.messages.unsubscribe", { key })).toEqual({ subscribed: false, key })
          expect(yield* call("sessions.steer", { key, message: "more" })).toMatchObject({ status: "started" })
          expect(yield* call("sessions.abort", { key })).toMatchObject({ status: "aborted" })
          yield* work(
            result("", {
              subtype: "error_during_execution",
              is_error: true,
              terminal_reason: "aborted_streaming"
            })
          )
          expect(yield* call("sessions.patch", { key, thinkingLevel: "high" })).toMatchObject({
            entry: { thinkingLevel: "high" }
          })
          yield* work({
            type: "system",
            subtype: "compact_boundary",
            compact_metadata: { trigger: "auto", pre_tokens: 9 }
          })
          const { checkpoints } = yield* call("sessions.compaction.list", { key })
          const { checkpointId } = checkpoints[0]
          expect(yield* call("sessions.compaction.get", { key, checkpointId })).toMatchObject({
            checkpoint: { checkpointId }
          })
          expect(yield* call("sessions.compaction.branch", { key, checkpointId })).toMatchObject({
            ok: true,
            sourceKey: key
          })
          expect(yield* call("sessions.compaction.restore", { key, checkpointId })).toMatchObject({
            ok: true,
            key
          })
          expect(yield* call("sessions.compact", { key, maxLines: 1 })).toMatchObject({
            compacted: true,
            kept: 1
          })
          expect(yield* call("sessions.reset", { key })).toMatchObject({ ok: true, key })
          expect(yield* call("sessions.delete", { key })).toMatchObject({ deleted: true })
          const refused = yield* Effect.promise(() =>
            cli("sessions.pluginPatch", { key, pluginId: "a", namespace: "b", value: 1 }).then(
              () => "it was accepted",
              (error: { readonly stderr?: string; readonly stdout?: string }) =>
                `${error.stderr}${error.stdout}`
            )
          )
          expect(refused).toContain("unknown plugin session extension: a/b")
        }),
      600_000
    )
  })
})
