/**
 * Output of tools with the colours that it was written in. Only colours and the like are taken from it (SGR,
 * `ESC [ … m`): every other sequence, and every other hidden character, is made visible. Text that would not be seen
 * (concealed, or in the colour of its background) is shown.
 */
import * as Visible from "./Visible.ts"

/** One of the 256 colours of a terminal (0 to 15 are those of its theme), or a colour of its own. */
export type Colour = number | readonly [red: number, green: number, blue: number]

export interface Style {
  readonly foreground?: Colour
  readonly background?: Colour
  readonly bold?: true
  readonly dim?: true
  readonly italic?: true
  readonly underline?: true
  readonly strike?: true
  readonly inverse?: true
}

/** A stretch of visible text in one style. */
export interface Span {
  readonly text: string
  readonly style: Style
}

export const unstyled: Style = {}

const ESCAPE = "\u001b"

/** A sequence of colours, or one that clears the line behind it, which on paper does nothing. */
const sequence = new RegExp(`${ESCAPE}\\[(?:([\\d;:]{0,64})m|0?K)`, "g")

type Flag = "bold" | "dim" | "italic" | "underline" | "strike" | "inverse"

const on: { readonly [code: number]: Flag } = {
  1: "bold",
  2: "dim",
  3: "italic",
  4: "underline",
  7: "inverse",
  9: "strike",
  21: "underline"
}
const off: { readonly [code: number]: ReadonlyArray<Flag> } = {
  22: ["bold", "dim"],
  23: ["italic"],
  24: ["underline"],
  27: ["inverse"],
  29: ["strike"]
}

const without = (style: Style, ...members: ReadonlyArray<keyof Style>): Style => {
  const rest: { -readonly [K in keyof Style]: Style[K] } = { ...style }
  for (const member of members) delete rest[member]
  return rest
}

const isByte = (value: number | undefined): value is number => value !== undefined && value <= 255

/** The colour that `38` or `48` announces, and how many numbers behind it say which. */
const extended = (
  numbers: ReadonlyArray<number>,
  at: number
): { readonly colour: Colour | undefined; readonly taken: number } => {
  const [kind, a, b, c] = numbers.slice(at, at + 4)
  if (kind === 5) return { colour: isByte(a) ? a : undefined, taken: 2 }
  if (kind !== 2) return { colour: undefined, taken: 1 }
  return { colour: isByte(a) && isByte(b) && isByte(c) ? [a, b, c] : undefined, taken: 4 }
}

const apply = (before: Style, parameters: string): Style => {
  // `38:2::r:g:b` has an empty place for a colour space that `38;2;r;g;b` has not.
  const numbers = parameters
    .replace(/([34]8:2):\d*:(?=\d+:\d+:\d)/g, "$1:")
    .replace(/\b4:0/g, "24")
    .replace(/\b4:[1-9]\d*/g, "4")
    .split(/[;:]/)
    .map((each) => (each === "" ? 0 : Number(each)))
  let style = before
  for (let at = 0; at < numbers.length; at++) {
    const code = numbers[at] ?? 0
    const flag = on[code]
    const flags = off[code]
    if (code === 0) style = unstyled
    else if (flag !== undefined) style = { ...style, [flag]: true }
    else if (flags !== undefined) style = without(style, ...flags)
    else if (code >= 30 && code <= 37) style = { ...style, foreground: code - 30 }
    else if (code >= 90 && code <= 97) style = { ...style, foreground: code - 90 + 8 }
    else if (code >= 40 && code <= 47) style = { ...style, background: code - 40 }
    else if (code >= 100 && code <= 107) style = { ...style, background: code - 100 + 8 }
    else if (code === 39) style = without(style, "foreground")
    else if (code === 49) style = without(style, "background")
    else if (code === 38 || code === 48) {
      const { colour, taken } = extended(numbers, at + 1)
      if (colour !== undefined) {
        style = code === 38 ? { ...style, foreground: colour } : { ...style, background: colour }
      }
      at += taken
    }
  }
  return style
}

/** A style in which text is seen: without a background in the colour of the text. */
const seen = (style: Style): Style =>
  style.foreground !== undefined && String(style.foreground) === String(style.background)
    ? without(style, "background")
    : style

/** The text in stretches of one style each. Lone carriage returns, as progress bars write them, are line ends. */
export const spans = (value: string): ReadonlyArray<Span> => {
  const out: Array<Span> = []
  let style = unstyled
  const say = (part: string): void => {
    const shown = Visible.text(part.replace(/\r\n?/g, "\n"))
    if (shown !== "") out.push({ text: shown, style: seen(style) })
  }
  let from = 0
  for (const found of value.matchAll(sequence)) {
    say(value.slice(from, found.index))
    from = found.index + found[0].length
    if (found[1] !== undefined) style = apply(style, found[1])
  }
  say(value.slice(from))
  return out
}

/** The text without its colours. */
export const plain = (value: string): string =>
  spans(value)
    .map((span) => span.text)
    .join("")

const sgrColour = (colour: Colour, base: 30 | 40): string =>
  typeof colour !== "number"
    ? `${base + 8};2;${colour.join(";")}`
    : colour < 8
      ? String(base + colour)
      : colour < 16
        ? String(base + 60 + colour - 8)
        : `${base + 8};5;${colour}`

/** The sequence that begins a style on a terminal; empty where it is none. */
export const sgr = (style: Style): string => {
  const codes = [
    ...(style.bold ? ["1"] : []),
    ...(style.dim ? ["2"] : []),
    ...(style.italic ? ["3"] : []),
    ...(style.underline ? ["4"] : []),
    ...(style.inverse ? ["7"] : []),
    ...(style.strike ? ["9"] : []),
    ...(style.foreground === undefined ? [] : [sgrColour(style.foreground, 30)]),
    ...(style.background === undefined ? [] : [sgrColour(style.background, 40)])
  ]
  return codes.length === 0 ? "" : `${ESCAPE}[${codes.join(";")}m`
}

/** For a terminal that shows colours: each stretch in its own, which ends with it. */
export const coloured = (value: string): string =>
  spans(value)
    .map(({ style, text }) => {
      const begin = sgr(style)
      return begin === "" ? text : `${begin}${text}${ESCAPE}[0m`
    })
    .join("")
