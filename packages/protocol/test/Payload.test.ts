import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Payload from "../src/Payload.ts"

const decoded = (json: unknown) => Either.getOrThrow(Payload.fromJson(json, JSON.stringify(json)))

describe("payload", () => {
  it.prop(
    "any object with a type decodes, keeps its text and its unknown fields",
    [
      FastCheck.dictionary(FastCheck.string(), FastCheck.jsonValue()),
      FastCheck.string({ minLength: 1, maxLength: 128 })
    ],
    ([fields, type]) => {
      const text = JSON.stringify({ ...fields, type, uuid: "u-1" })
      const payload = Either.getOrThrow(Payload.decode(text))
      expect(payload.text).toBe(text)
      expect(payload.type).toBe(type)
      expect(payload.uuid).toBe("u-1")
      expect(payload.json).toEqual(JSON.parse(text))
    }
  )

  it.prop("any other text is refused with a reason, never thrown", [FastCheck.string()], ([text]) => {
    const result = Payload.decode(text)
    if (Either.isLeft(result)) expect(result.left.message).toMatch(/^not an event payload: ./)
    else expect(result.right.type.length).toBeGreaterThan(0)
  })

  it.each([
    ["[]", /Expected/],
    ["null", /Expected/],
    ["{}", /type/],
    ['{"type":7}', /type/],
    ['{"type":"user","uuid":7}', /uuid/],
    ['{"type":"user","uuid":""}', /uuid/],
    ['{"type":', /not JSON/]
  ])("%s is refused, and the reason names the place", (text, reason) => {
    const result = Payload.decode(text)
    expect(Either.isLeft(result) && result.left.issue).toMatch(reason)
  })

  it("tells transcript from control, stream and echo", () => {
    const transcript = [
      { type: "user", message: {} },
      { type: "assistant" },
      { type: "summary" },
      { type: "attachment" },
      { type: "system", subtype: "compact_boundary" },
      { type: "system" },
      { type: "a-type-of-tomorrow" }
    ]
    const other = [
      { type: "control_request" },
      { type: "control_response" },
      { type: "control_cancel_request" },
      { type: "user", isReplay: true },
      { type: "result" },
      { type: "stream_event" },
      { type: "keep_alive" },
      { type: "system", subtype: "init" }
    ]
    expect(transcript.filter((json) => !Payload.isTranscript(decoded(json)))).toEqual([])
    expect(other.filter((json) => Payload.isTranscript(decoded(json)))).toEqual([])
  })
})
