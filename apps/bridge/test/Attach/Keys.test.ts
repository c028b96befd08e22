import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Keys from "../../src/Attach/Keys.ts"

const all = (...pieces: ReadonlyArray<string>): ReadonlyArray<Keys.Key> => {
  let decoder = Keys.initial
  const keys: Array<Keys.Key> = []
  for (const piece of pieces) {
    const [next, more] = Keys.decode(decoder, piece)
    decoder = next
    keys.push(...more)
  }
  return [...keys, ...Keys.flush(decoder)[1]]
}

/** Text that stands beside each other is the same however it was cut. */
const joined = (keys: ReadonlyArray<Keys.Key>): ReadonlyArray<Keys.Key> =>
  keys.reduce<Array<Keys.Key>>((out, key) => {
    const last = out.at(-1)
    if (key._tag === "Text" && last?._tag === "Text") {
      out[out.length - 1] = { _tag: "Text", text: last.text + key.text }
    } else out.push(key)
    return out
  }, [])

const names = (...pieces: ReadonlyArray<string>) =>
  all(...pieces).map((key) => (key._tag === "Named" ? key.name : `${key._tag}:${key.text}`))

describe("Keys", () => {
  it("knows the keys of a terminal", () => {
    expect(names("a\u001b[Ab")).toEqual(["Text:a", "up", "Text:b"])
    expect(names("\r\n\t\u007f\u0003\u0004")).toEqual([
      "enter",
      "newline",
      "tab",
      "backspace",
      "ctrl-c",
      "ctrl-d"
    ])
    expect(names("\u001b[5~\u001b[6~\u001b[3~\u001bOH\u001b[1;5D\u001b[1;2A\u001b[1;5F")).toEqual([
      "page-up",
      "page-down",
      "delete",
      "home",
      "word-left",
      "line-up",
      "bottom"
    ])
  })

  it("makes a new line of Alt-Enter and of Shift-Enter as kitty and xterm send it", () => {
    expect(names("\u001b\r", "\u001b[13;2u", "\u001b[27;2;13~", "\u001b[13u")).toEqual([
      "newline",
      "newline",
      "newline",
      "enter"
    ])
  })

  it("knows control keys told apart by kitty's protocol, and passes over releases", () => {
    expect(names("\u001b[99;5u\u001b[27u\u001b[97;1:3u")).toEqual(["ctrl-c", "escape"])
  })

  it("takes an escape that stands alone as a key only when nothing follows", () => {
    const [decoder, keys] = Keys.decode(Keys.initial, "\u001b")
    expect(keys).toEqual([])
    expect(Keys.waits(decoder)).toBe(true)
    expect(Keys.flush(decoder)[1]).toEqual([{ _tag: "Named", name: "escape" }])
    expect(names("\u001b", "[A")).toEqual(["up"])
    expect(names("\u001b\u001b[A")).toEqual(["escape", "up"])
  })

  it("keeps a paste whole and takes control characters out of it", () => {
    expect(all("x\u001b[200~a\r\nb\rc\u001b[31m\u0003\td\u001b[20", "1~y")).toEqual([
      { _tag: "Text", text: "x" },
      { _tag: "Paste", text: "a\nb\nc[31m\td" },
      { _tag: "Text", text: "y" }
    ])
  })

  it("drops what it does not know", () => {
    expect(names("\u001b[?1;2c\u001b[I\u001bx\u001b[1;1R\u0000a")).toEqual(["Text:a"])
  })

  const input = FastCheck.array(
    FastCheck.oneof(
      FastCheck.fullUnicodeString({ maxLength: 6 }),
      FastCheck.constantFrom(
        "\u001b",
        "\u001b[A",
        "\u001b[",
        "\u001b[13;2u",
        "\u001b[200~",
        "\u001b[201~",
        "\u001bO",
        "日本",
        "👨‍👩‍👧",
        "\r",
        "\u009b"
      )
    ),
    { maxLength: 30 }
  ).map((parts) => parts.join(""))

  it.prop(
    "means the same however the input is cut",
    { text: input, cuts: FastCheck.array(FastCheck.nat(200), { maxLength: 12 }) },
    ({ cuts, text }) => {
      const places = [...new Set(cuts.map((cut) => cut % (text.length + 1)))].sort((a, b) => a - b)
      const pieces = [0, ...places].map((from, n) => text.slice(from, places[n] ?? text.length))
      expect(joined(all(...pieces))).toEqual(joined(all(text)))
    }
  )

  it.prop("lets no control character through as text", { text: input }, ({ text }) => {
    for (const key of all(text)) {
      if (key._tag === "Text") expect(key.text).not.toMatch(/[\p{Cc}]/u)
      if (key._tag === "Paste") expect(key.text).not.toMatch(/(?![\n\t])[\p{Cc}]/u)
    }
  })
})
