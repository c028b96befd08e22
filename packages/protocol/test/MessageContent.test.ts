import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as MessageContent from "../src/MessageContent.ts"
import * as Payload from "../src/Payload.ts"

/** One pixel. */
const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

const text = { type: "text", text: "words" }
const image = (source: object) => ({ type: "image", source })
const document = (source: object) => ({ type: "document", source })
const base64 = (data: string, media_type = "image/png") => ({ type: "base64", media_type, data })

const says = (content: unknown) =>
  MessageContent.problemOf(Payload.make({ type: "user", message: { role: "user", content } as never }))

describe("a person's message", () => {
  it.each([
    ["words", "hello"],
    ["words in several lines", "\n  hello\n"],
    ["blocks", [text, image(base64(PIXEL))]],
    ["an image that is elsewhere", [image({ type: "url", url: "https://example.com/a.png" })]],
    ["a file by its name", [document({ type: "file", file_id: "file_1" })]],
    ["text as a file", [document({ type: "text", media_type: "text/plain", data: "x" })]],
    ["a PDF", [document(base64(btoa("%PDF-1.4\n"), "application/pdf"))]],
    ["a document of blocks", [document({ type: "content", content: [text] })]],
    ["fields that nobody knows", [{ ...text, cache_control: { type: "ephemeral" }, future: 1 }]],
    ["joined emoji", "👨‍👩‍👧‍👦"]
  ])("is taken: %s", (_, content) => {
    expect(says(content)).toBe(undefined)
  })

  it.each<readonly [unknown, string]>([
    ["", "at message: content: the text is blank"],
    [" \n\t\u001d", "at message: content: the text is blank"],
    [undefined, "at message: it has no content"],
    [7, "at message: it has no content"],
    [[], "at message: its content is empty"],
    [[text, { type: "text", text: "  " }], "at message: content.1: the text is blank"],
    [[{ type: "text" }], "at message: content.0: the text is blank"],
    [[image(base64(""))], "at message: content.0: the image cannot be shown: its data is empty"],
    [
      [image({})],
      "at message: content.0: the image cannot be shown: its source.type must be base64, url or file"
    ],
    [
      [image(base64("not base64!"))],
      "at message: content.0: the image cannot be shown: its data is not base64 (the standard alphabet, padded, without line breaks)"
    ],
    [
      [image(base64("aGVsbG8="))],
      "at message: content.0: the image cannot be shown: its data is not image/png"
    ],
    [
      [image(base64(PIXEL, "image/jpeg"))],
      "at message: content.0: the image cannot be shown: its data is image/png, its media_type says image/jpeg"
    ],
    [
      [image(base64(PIXEL, "image/tiff"))],
      "at message: content.0: the image cannot be shown: its media_type must be image/png, image/jpeg, image/gif or image/webp"
    ],
    [
      [image({ type: "url", url: "file:///etc/passwd" })],
      "at message: content.0: the image cannot be shown: its url must begin with https://"
    ],
    [
      [document({ type: "text", media_type: "text/plain", data: "" })],
      "at message: content.0: the document cannot be read: its text is empty"
    ],
    [
      [{ type: "tool_result", tool_use_id: "t", content: "x" }],
      'at message: content.0: a part of type "tool_result" is not taken from people; send text, image or document'
    ],
    [
      [null],
      "at message: content.0: a part of type null is not taken from people; send text, image or document"
    ],
    [
      "cut \ud99c",
      "at message.content: half of a character (a lone surrogate, \\ud800 to \\udfff); it was cut through, send it whole"
    ],
    [
      [{ type: "document", title: "\udc00", source: {} }],
      "at message.content.0.title: half of a character (a lone surrogate, \\ud800 to \\udfff); it was cut through, send it whole"
    ]
  ])("is refused with words: %j", (content, words) => {
    expect(says(content)).toBe(words)
  })

  it("is refused without a message, and where another speaks", () => {
    expect(MessageContent.problemOf(Payload.make({ type: "user" }))).toBe(
      "at message: the message is missing"
    )
    expect(
      MessageContent.problemOf(
        Payload.make({ type: "user", message: { role: "assistant", content: "x" } as never })
      )
    ).toBe('at message: role must be "user"')
  })

  it.prop(
    "whose text is whole is told from one that is cut, as the platform tells it",
    [FastCheck.string16bits().filter((value) => !value.startsWith("\ufeff"))],
    ([value]) => {
      // What UTF-8 cannot carry is written as the sign for what cannot be read.
      expect(MessageContent.wellFormed(value)).toBe(new TextDecoder().decode(new TextEncoder().encode(value)))
      expect(MessageContent.isWellFormed(MessageContent.wellFormed(value))).toBe(true)
    }
  )
})
