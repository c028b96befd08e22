import { describe, expect, it } from "@effect/vitest"
import * as Attachment from "../src/Attachment.ts"

const text = (name: string, data: string) => Attachment.read(new File([data], name))

describe("Attachment", () => {
  it("carries a text with its name", async () => {
    expect(await text("notes.md", "hello")).toEqual({
      name: "notes.md",
      bytes: 5,
      block: {
        type: "document",
        source: { type: "text", media_type: "text/plain", data: "hello" },
        title: "notes.md"
      }
    })
  })

  it("says why a file cannot be taken", async () => {
    await expect(text("a.bin", "a\0b")).rejects.toThrow("a.bin is neither text, PDF nor an image")
    await expect(text("big.log", "x".repeat(Attachment.BYTES_MAX + 1))).rejects.toThrow(
      "big.log has 3.0 MB; a message takes at most 3.0 MB."
    )
  })

  it("counts what goes together", async () => {
    const half = await text("half.log", "x".repeat(Attachment.BYTES_MAX / 2))
    expect(Attachment.problem([half, half])).toBeNull()
    expect(Attachment.problem([half, half, half])).toBe(
      "Together they have 4.5 MB; a message takes at most 3.0 MB."
    )
  })

  it("names the documents of a message", async () => {
    const { block } = await text("notes.md", "hello")
    expect(Attachment.titles([{ type: "text", text: "see" }, block, { type: "document" }, "x"])).toEqual([
      "notes.md"
    ])
    expect(Attachment.titles("only words")).toEqual([])
  })
})
