import * as Payload from "@causeway/protocol/Payload"
import * as Approvals from "@causeway/transcript/Approvals"
import { describe, expect, it } from "@effect/vitest"
import * as SoundInput from "../src/SoundInput.ts"

const prompt = (content: unknown) =>
  Payload.make({ type: "user", uuid: "u", message: { role: "user", content } as never })

const contentOf = ({ payload }: SoundInput.SoundInput) =>
  (JSON.parse(payload.text) as { readonly message: { readonly content: unknown } }).message.content

describe("what people sent, on its way to an agent", () => {
  it("is given as it came where an agent can take it", () => {
    for (const payload of [
      prompt("words"),
      prompt([{ type: "text", text: "words" }]),
      Payload.make({ type: "control_request", request_id: "r", request: { subtype: "interrupt" } } as never),
      Approvals.allow({ requestId: "r", toolUseId: "t", input: {} }),
      Approvals.deny({ requestId: "r", toolUseId: "t", message: "no" })
    ].map((each) => ("text" in each ? (each as Payload.Payload) : Payload.make(each as never)))) {
      expect(SoundInput.of(payload)).toEqual({ payload, repairs: {} })
      expect(SoundInput.of(payload).payload).toBe(payload)
    }
  })

  it("is mended where a log holds what no model takes", () => {
    const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "" } }
    const mended = SoundInput.of(prompt([{ type: "text", text: " " }, image, { type: "text", text: "look" }]))
    expect(contentOf(mended)).toEqual([
      { type: "text", text: "[An attachment was left out: the image cannot be shown: its data is empty.]" },
      { type: "text", text: "look" }
    ])
    expect(mended.repairs).toEqual({ blank_text: 1, unusable_file: 1 })
    expect(mended.payload.uuid).toBe("u")
    expect(contentOf(SoundInput.of(prompt("cut \ud99c")))).toBe("cut \ufffd")
    expect(contentOf(SoundInput.of(prompt(undefined)))).toBe("[This message has no content.]")
  })

  it("a refusal without words says that it is one", () => {
    const denied = (message: unknown) =>
      SoundInput.of(
        Payload.make({
          type: "control_response",
          response: { subtype: "success", request_id: "r", response: { behavior: "deny", message } }
        } as never)
      ).payload.json
    for (const message of ["", " ", undefined, 7]) {
      expect(denied(message)).toMatchObject({ response: { response: { message: Approvals.DENIED } } })
    }
    expect(denied("because")).toMatchObject({ response: { response: { message: "because" } } })
  })
})
