/** What would poison a conversation for ever does not get in, whichever way a person sends it. */

import { randomUUID } from "node:crypto"
import { anySessionBody } from "@causeway/protocol/Ids"
import { Log } from "@causeway/store/Log"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Hub from "../src/Hub.ts"
import * as Gateway from "./Gateway/harness.ts"
import { call, token } from "./harness.ts"

const poison: ReadonlyArray<readonly [what: string, content: unknown, words: RegExp]> = [
  ["a blank text", "  \n", /blank/],
  ["a blank text block", [{ type: "text", text: "" }], /content\.0: the text is blank/],
  ["no content", [], /its content is empty/],
  ["no content at all", undefined, /no content/],
  [
    "an empty image",
    [
      { type: "text", text: "look" },
      { type: "image", source: { type: "base64", media_type: "image/png", data: "" } }
    ],
    /content\.1: the image cannot be shown: its data is empty/
  ],
  [
    "an image that is no base64",
    [{ type: "image", source: { type: "base64", media_type: "image/png", data: "%%%" } }],
    /not base64/
  ],
  [
    "a file that is no image",
    [{ type: "image", source: { type: "base64", media_type: "image/png", data: "aGVsbG8=" } }],
    /not image\/png/
  ],
  ["half of a character", "cut \ud99c", /half of a character/],
  ["a result of no tool", [{ type: "tool_result", tool_use_id: "t" }], /tool_result/]
]

const stored = (session: string) =>
  Effect.gen(function* () {
    const { organizationId } = yield* Hub.Hub
    const events = yield* (yield* Log).read({
      session: anySessionBody(session),
      organizationId,
      after: 0,
      limit: 100
    })
    return events.filter(({ type }) => type === "user" || type === "assistant")
  })

describe("content that no model takes", () => {
  it.scopedLive("is refused with words at each door, and leaves no trace", () =>
    Effect.gen(function* () {
      const access = yield* token
      const made = yield* call({ method: "POST", path: "/v1/sessions", token: access, body: {} })
      const id: string = made.json.id
      const client = yield* Gateway.connected(yield* Gateway.target)
      for (const [what, content, words] of poison) {
        const payload = { type: "user", uuid: randomUUID(), message: { role: "user", content } }
        const good = { type: "user", uuid: randomUUID(), message: { role: "user", content: "good" } }
        const answers = [
          yield* call({
            method: "POST",
            path: `/v1/code/sessions/${id}/events`,
            token: access,
            body: { events: [{ payload: good }, { payload }] }
          }),
          yield* call({
            method: "POST",
            path: `/v1/sessions/${id}/events`,
            token: access,
            body: {
              events: [
                { type: "event", data: good },
                { type: "event", data: payload }
              ]
            }
          }),
          yield* call({
            method: "POST",
            path: "/v1/sessions",
            token: access,
            body: {
              events: [
                { type: "event", data: good },
                { type: "event", data: payload }
              ]
            }
          })
        ]
        for (const answer of answers) {
          expect([what, answer.status]).toEqual([what, 400])
          expect(answer.json.error.message).toMatch(words)
          expect(answer.json.error.message).toMatch(/^events\.1: /)
        }
        const refused = yield* Effect.promise(() =>
          client.refusal("causeway.sessions.append", { sessionId: id, events: [good, payload] })
        )
        expect(refused.message).toMatch(words)
      }
      expect(yield* stored(id)).toEqual([])
    }).pipe(Effect.provide(Gateway.layer()))
  )

  it.scopedLive("is refused by the gateway's own methods, before a session is made for it", () =>
    Effect.gen(function* () {
      const client = yield* Gateway.connected(yield* Gateway.target)
      const made = yield* Effect.promise(() => client.call("sessions.create", { key: "poison" }))
      const { key } = made
      const image = { mimeType: "image/png", content: "aGVsbG8=" }
      const refusals: ReadonlyArray<readonly [string, object, RegExp]> = [
        ["sessions.send", { key, message: "cut \ud99c" }, /half of a character/],
        ["sessions.send", { key, message: "\u0007 \u0001" }, /required/],
        [
          "sessions.send",
          { key, message: "look", attachments: [image] },
          /attachments\.0: .*image\/png.*neither/
        ],
        [
          "sessions.send",
          { key, message: "look", attachments: [{ content: "%%" }] },
          /attachments\.0: .*base64/
        ],
        [
          "sessions.send",
          { key, message: "look", attachments: [{ mimeType: "application/zip", content: "UEsDBA==" }] },
          /application\/zip/
        ],
        ["sessions.steer", { key, message: "cut \ud99c" }, /half of a character/],
        ["chat.send", { sessionKey: "new", message: "\ud99c", idempotencyKey: "1" }, /half of a character/],
        ["chat.inject", { sessionKey: key, message: "  " }, /blank/],
        ["chat.inject", { sessionKey: key, message: "\ud99c" }, /half of a character/]
      ]
      for (const [method, params, words] of refusals) {
        const refused = yield* Effect.promise(() => client.refusal(method, params))
        expect(refused.message).toMatch(words)
        expect(refused.code).toBe("INVALID_REQUEST")
      }
      const listed = yield* Effect.promise(() => client.call("sessions.list", {}))
      expect(listed.sessions.map((session: { readonly key: string }) => session.key)).toEqual([key])
      expect(yield* stored(made.sessionId)).toEqual([])
    }).pipe(Effect.provide(Gateway.layer()))
  )

  it.scopedLive("files that a client names wrongly go as what they are", () =>
    Effect.gen(function* () {
      const client = yield* Gateway.connected(yield* Gateway.target)
      const made = yield* Effect.promise(() => client.call("sessions.create", { key: "files" }))
      const pixel =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
      yield* Effect.promise(() =>
        client.call("sessions.send", {
          key: made.key,
          message: " ",
          attachments: [
            { mimeType: "image/jpg", content: pixel },
            { content: `data:;base64,${pixel.slice(0, 40)}\n${pixel.slice(40)}` },
            { mimeType: "text/csv", fileName: "a.csv", content: "YSxiCg==" }
          ]
        })
      )
      const [event] = yield* stored(made.sessionId)
      const source = { type: "base64", media_type: "image/png", data: pixel }
      expect(JSON.parse(event?.payload ?? "{}").message.content).toEqual([
        { type: "image", source },
        { type: "image", source },
        {
          type: "document",
          title: "a.csv",
          source: { type: "text", media_type: "text/plain", data: "a,b\n" }
        }
      ])
    }).pipe(Effect.provide(Gateway.layer()))
  )
})
