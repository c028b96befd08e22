import { describe, expect, it } from "@effect/vitest"
import * as Option from "effect/Option"
import * as JsonRpc from "../src/Acp/JsonRpc.ts"
import * as StreamJson from "../src/StreamJson.ts"

const nested = (levels: number): string => `${"[".repeat(levels)}${"]".repeat(levels)}`

describe("11: a line of an agent that is nested too deep", () => {
  it("is told of with its beginning, and is no line of the log", () => {
    for (const levels of [256, 100_000]) {
      const text = `{"type":"assistant","uuid":"u","message":${nested(levels)}}`
      const read = Option.getOrThrow(StreamJson.read({ _tag: "Line", text }))
      expect(read).toMatchObject({
        _tag: "Bad",
        issue: "objects and arrays lie more than 256 levels within one another"
      })
      const message = `{"jsonrpc":"2.0","method":"session/update","params":${nested(levels)}}`
      expect(JsonRpc.read({ _tag: "Line", text: message })).toMatchObject({ _tag: "Bad" })
    }
    const text = `{"type":"assistant","uuid":"u","message":${nested(255)}}`
    expect(Option.getOrThrow(StreamJson.read({ _tag: "Line", text }))._tag).toBe("Payload")
  })
})
