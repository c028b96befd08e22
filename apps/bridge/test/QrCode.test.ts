import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import { default as jsqr } from "jsqr"
import * as QrCode from "../src/QrCode.ts"

/** Pixels a module: what a camera sees is larger than a module. */
const SCALE = 4

/** What a reader makes of the drawn lines, on a terminal whose ink is dark or light; no guesses at inverted codes. */
const read = (lines: ReadonlyArray<string>, inkIsDark: boolean): string | undefined => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the colours are not part of the picture
  const cells = lines.map((line) => [...line.replace(/\u001b\[[0-9;]*m/g, "")])
  const width = (cells[0]?.length ?? 0) * SCALE
  const height = cells.length * 2 * SCALE
  const pixels = new Uint8ClampedArray(width * height * 4).fill(255)
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const cell = cells[Math.floor(y / SCALE / 2)]?.[Math.floor(x / SCALE)]
      const upper = Math.floor(y / SCALE) % 2 === 0
      const inked = cell === "█" || cell === (upper ? "▀" : "▄")
      pixels.fill(inked === inkIsDark ? 0 : 255, (y * width + x) * 4, (y * width + x) * 4 + 3)
    }
  }
  return jsqr.default(pixels, width, height, { inversionAttempts: "dontInvert" })?.data
}

const address = FastCheck.tuple(
  FastCheck.webUrl({ validSchemes: ["http", "https"] }).filter((url) => url.length < 60),
  FastCheck.stringMatching(/^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){6}$/)
).map(([url, code]) => `${url}/#code=${code}`)

describe("a QR code in a terminal", () => {
  it.prop(
    "is read as the address that it was made of, on every kind of terminal, within 80 columns",
    [
      address,
      FastCheck.constantFrom("coloured" as const, "dark-terminal" as const, "light-terminal" as const)
    ],
    ([url, paint]) => {
      const lines = Option.getOrThrow(QrCode.render(url, { columns: 80, paint }))
      expect(Math.max(...lines.map((line) => line.replace(/[^ █▀▄]/g, "").length))).toBeLessThanOrEqual(80)
      expect(read(lines, paint !== "dark-terminal")).toBe(url)
    }
  )

  it("is none where it does not fit", () => {
    const url = "http://192.168.100.200:4750/#code=7K3M-9QWX-7K3M-9QWX-7K3M-9QWX-7K3M"
    const width = Option.getOrThrow(QrCode.render(url, { columns: 200, paint: "dark-terminal" }))[0]?.length
    expect(width).toBeLessThanOrEqual(45)
    const fits = (columns: number) => Option.isSome(QrCode.render(url, { columns, paint: "dark-terminal" }))
    expect([fits(width ?? 0), fits((width ?? 0) - 1)]).toEqual([true, false])
  })

  it("without colours goes by what the terminal says of its own", () => {
    const paint = (noColor: boolean, colorFgBg?: string) => QrCode.paintOf({ noColor, colorFgBg })
    expect(paint(false, "15;0")).toBe("coloured")
    expect(paint(true)).toBe("dark-terminal")
    expect(paint(true, "15;0")).toBe("dark-terminal")
    expect(paint(true, "0;default;15")).toBe("light-terminal")
    expect(paint(true, "0;8")).toBe("dark-terminal")
    expect(paint(true, "nonsense")).toBe("dark-terminal")
  })
})
