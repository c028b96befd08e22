/**
 * The published worker and viewer, unmodified, against this hub. They are no dependency of this project: the test runs where
 * `CAUSEWAY_AGENT_SDK` names an installed `@anthropic-ai/claude-agent-sdk` (0.3.329), and says so where it does not.
 */

import { randomUUID } from "node:crypto"
import { existsSync } from "node:fs"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Hub from "../src/Hub.ts"
import { call, layer, token } from "./harness.ts"

const sdk = process.env["CAUSEWAY_AGENT_SDK"]
const isThere = sdk !== undefined && existsSync(`${sdk}/bridge.mjs`)

// biome-ignore lint/suspicious/noExplicitAny: a program that is not ours and not installed here
const load = (file: string): Effect.Effect<any> =>
  Effect.promise(() => import(/* @vite-ignore */ `${sdk}/${file}`))

describe(`the published clients${isThere ? "" : " (skipped: CAUSEWAY_AGENT_SDK names no @anthropic-ai/claude-agent-sdk)"}`, () => {
  it.scopedLive.skipIf(!isThere)(
    "a worker and a viewer carry a prompt, partial text, a permission and a result through the hub",
    () =>
      Effect.gen(function* () {
        const bridge = yield* load("bridge.mjs")
        const browser = yield* load("browser-sdk.js")
        const hub = yield* Hub.Hub
        const access = yield* token
        const id: string = yield* Effect.promise<string>(() =>
          bridge.createCodeSession(hub.url, access, "a title", 10_000, ["tag"], undefined, "/d")
        )
        expect(id).toMatch(/^cse_/)
        const credentials = yield* Effect.promise<{
          readonly worker_jwt: string
          readonly api_base_url: string
          readonly worker_epoch: number
        }>(() => bridge.fetchRemoteCredentials(id, hub.url, access, 10_000))

        const prompts = yield* Queue.unbounded<{ readonly uuid: string }>()
        const answers = yield* Queue.unbounded<{ readonly response: unknown }>()
        const worker = yield* Effect.acquireRelease(
          Effect.promise(() =>
            bridge.attachBridgeSession({
              sessionId: id,
              ingressToken: credentials.worker_jwt,
              apiBaseUrl: credentials.api_base_url,
              epoch: credentials.worker_epoch,
              onInboundMessage: (message: { readonly uuid: string }) => Queue.unsafeOffer(prompts, message),
              onPermissionResponse: (response: { readonly response: unknown }) =>
                void Queue.unsafeOffer(answers, response)
            })
          ),
          // biome-ignore lint/suspicious/noExplicitAny: as above
          (handle: any) => Effect.sync(() => handle.close())
        )

        const uuid = randomUUID()
        const leave = new AbortController()
        yield* Effect.addFinalizer(() => Effect.sync(() => leave.abort()))
        const base = `${hub.url}/v1/code/sessions/${id}/events`
        const viewer = browser.query({
          abortController: leave,
          prompt: (async function* () {
            yield { type: "user", uuid, message: { role: "user", content: "hi" }, parent_tool_use_id: null }
            await new Promise((resolve) => leave.signal.addEventListener("abort", resolve))
          })(),
          canUseTool: async (_name: string, input: unknown) => ({ behavior: "allow", updatedInput: input }),
          sse: {
            streamUrl: `${base}/stream`,
            sendUrl: base,
            sessionId: id,
            headers: { Authorization: `Bearer ${access}` }
          }
        })
        const seen = yield* Effect.fork(
          Effect.promise(async () => {
            const messages: Array<readonly [string, number | undefined]> = []
            for await (const message of viewer) {
              messages.push([message.type, browser.getCcrEvent(viewer, message)?.sequence_num])
              if (message.type === "result") break
            }
            return messages
          })
        )

        expect((yield* Queue.take(prompts)).uuid).toBe(uuid)
        worker.write({
          type: "stream_event",
          uuid: randomUUID(),
          parent_tool_use_id: null,
          event: { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "he" } }
        })
        worker.write({
          type: "assistant",
          uuid: randomUUID(),
          parent_tool_use_id: null,
          message: { id: "m", role: "assistant", content: [{ type: "text", text: "hello" }] }
        })
        worker.sendControlRequest({
          type: "control_request",
          request_id: "r",
          request: { subtype: "can_use_tool", tool_name: "Bash", tool_use_id: "t", input: { command: "ls" } }
        })
        expect((yield* Queue.take(answers)).response).toMatchObject({
          request_id: "r",
          response: { behavior: "allow", updatedInput: { command: "ls" } }
        })
        worker.sendResult()

        const messages = yield* seen
        expect(messages.filter(([type]) => type !== "stream_event").map(([type]) => type)).toEqual([
          "user",
          "assistant",
          "result"
        ])
        // What is not stored has no place in the log, and is shown all the same.
        expect(messages.find(([type]) => type === "stream_event")).toEqual(["stream_event", undefined])
        // Nothing was dropped but what every viewer drops, people's own control; what it does not know was not sent.
        expect(Object.keys(browser.getSseDropCounts(viewer))).toEqual(["expected_echo"])
        const shown = yield* call({ method: "GET", path: `/v1/sessions/${id}`, token: access })
        expect(shown.json).toMatchObject({
          title: "a title",
          status: "idle",
          last_message: "hello",
          num_turns: 1
        })
      }).pipe(Effect.provide(layer)),
    60_000
  )

  it.scopedLive.skipIf(!isThere)(
    "a worker whose token a newer worker has replaced closes with 4090 at its next word",
    () =>
      Effect.gen(function* () {
        const bridge = yield* load("bridge.mjs")
        const hub = yield* Hub.Hub
        const access = yield* token
        const id: string = yield* Effect.promise<string>(() =>
          bridge.createCodeSession(hub.url, access, "a title", 10_000, [], undefined, "/d")
        )
        const credentials = () =>
          Effect.promise<{
            readonly worker_jwt: string
            readonly api_base_url: string
            readonly worker_epoch: number
          }>(() => bridge.fetchRemoteCredentials(id, hub.url, access, 10_000))
        const first = yield* credentials()
        const closed = yield* Deferred.make<number | undefined>()
        const worker = yield* Effect.acquireRelease(
          Effect.promise(() =>
            bridge.attachBridgeSession({
              sessionId: id,
              ingressToken: first.worker_jwt,
              apiBaseUrl: first.api_base_url,
              epoch: first.worker_epoch,
              onClose: (code: number | undefined) => Deferred.unsafeDone(closed, Effect.succeed(code))
            })
          ),
          // biome-ignore lint/suspicious/noExplicitAny: as above
          (handle: any) => Effect.sync(() => handle.close())
        )
        yield* credentials()
        worker.write({
          type: "assistant",
          uuid: randomUUID(),
          parent_tool_use_id: null,
          message: { id: "m", role: "assistant", content: [{ type: "text", text: "too late" }] }
        })
        expect(yield* Deferred.await(closed)).toBe(4090)
      }).pipe(Effect.provide(layer)),
    30_000
  )
})
