/**
 * Keys as a terminal sends them: a decoder over pieces of input that may be cut anywhere. It knows the sequences of
 * xterm and its like, `CSI … u` (kitty, tmux with extended keys) and bracketed paste; what it does not know is dropped,
 * never shown as text.
 */

export type Name =
  | "enter"
  | "newline"
  | "backspace"
  | "delete"
  | "left"
  | "right"
  | "up"
  | "down"
  | "home"
  | "end"
  | "page-up"
  | "page-down"
  | "word-left"
  | "word-right"
  | "delete-word"
  | "line-up"
  | "line-down"
  | "top"
  | "bottom"
  | "tab"
  | "escape"
  | `ctrl-${string}`

export type Key =
  | { readonly _tag: "Text"; readonly text: string }
  | { readonly _tag: "Paste"; readonly text: string }
  | { readonly _tag: "Named"; readonly name: Name }

/** What has come and is not a whole key yet. */
export interface Decoder {
  readonly rest: string
  /** Pasted text so far, within a bracketed paste. */
  readonly paste: string | null
}

export const initial: Decoder = { rest: "", paste: null }

/** Characters that one paste keeps. */
export const PASTE_MAX = 1_048_576
/** A control sequence longer than this is none. */
const SEQUENCE_MAX = 64

const PASTE_BEGIN = "\u001b[200~"
const PASTE_END = "\u001b[201~"
const ESCAPE = "\u001b"

const named = (name: Name): Key => ({ _tag: "Named", name })

const shift = 1
const alt = 2
const ctrl = 4

/** The key that a character is together with modifiers, as `CSI code ; modifiers u` tells it. */
const ofCode = (code: number, modifiers: number): Key | undefined => {
  switch (code) {
    case 13:
      return named((modifiers & (shift | alt | ctrl)) === 0 ? "enter" : "newline")
    case 9:
      return named("tab")
    case 27:
      return named("escape")
    case 8:
    case 127:
      return named((modifiers & (alt | ctrl)) === 0 ? "backspace" : "delete-word")
  }
  // Code points above are private use (function keys) or no character at all.
  if (code < 32 || code > 0x10ffff || (code >= 0xd800 && code <= 0xf8ff)) return undefined
  const text = String.fromCodePoint(code)
  if ((modifiers & ctrl) !== 0) return named(`ctrl-${text.toLowerCase()}`)
  if ((modifiers & alt) !== 0) return ofAlt(text)
  return { _tag: "Text", text }
}

const of =
  (table: { readonly [key: string]: Name }) =>
  (key: string): Key | undefined => {
    const name = Object.hasOwn(table, key) ? table[key] : undefined
    return name === undefined ? undefined : named(name)
  }

const ofAlt = of({
  "\r": "newline",
  "\n": "newline",
  b: "word-left",
  f: "word-right",
  "\u007f": "delete-word",
  "\b": "delete-word"
})

/** Cursor keys by their final letter: alone, with any modifier, and with Alt or Ctrl. */
const plainArrows = of({ A: "up", B: "down", C: "right", D: "left", H: "home", F: "end", Z: "tab" })
const shiftedArrows = of({ A: "line-up", B: "line-down" })
const farArrows = of({ C: "word-right", D: "word-left", H: "top", F: "bottom" })

const ofArrow = (letter: string, modifiers: number): Key | undefined =>
  (modifiers === 0 ? undefined : shiftedArrows(letter)) ??
  ((modifiers & (alt | ctrl)) === 0 ? undefined : farArrows(letter)) ??
  plainArrows(letter)

/** Keys that end in a tilde, by their number. */
const plainTildes = of({
  1: "home",
  7: "home",
  4: "end",
  8: "end",
  3: "delete",
  5: "page-up",
  6: "page-down"
})
const farTildes = of({ 1: "top", 7: "top", 4: "bottom", 8: "bottom" })

const ofTilde = (code: string, modifiers: number): Key | undefined =>
  ((modifiers & (alt | ctrl)) === 0 ? undefined : farTildes(code)) ?? plainTildes(code)

/** The modifiers' parameter is one more than their bits; kitty adds `:event` to it. */
const bits = (parameter: string | undefined): number => {
  const value = Number((parameter ?? "").split(":")[0])
  return Number.isInteger(value) && value > 0 ? (value - 1) & 7 : 0
}

const isRelease = (parameter: string | undefined): boolean => (parameter ?? "").split(":")[1] === "3"

const ofSequence = (parameters: string, final: string): Key | undefined => {
  const parts = parameters.split(";")
  if (isRelease(parts[1])) return undefined
  if (final === "u") return ofCode(Number((parts[0] ?? "").split(":")[0]), bits(parts[1]))
  if (final === "~") {
    // `CSI 27 ; modifiers ; code ~`: xterm's modifyOtherKeys.
    return parts[0] === "27" && parts.length === 3
      ? ofCode(Number(parts[2]), bits(parts[1]))
      : ofTilde(String(Number(parts[0])), bits(parts[1]))
  }
  return ofArrow(final, bits(parts[1]))
}

const controls = of({
  "\r": "enter",
  "\n": "newline",
  "\t": "tab",
  "\u007f": "backspace",
  "\b": "backspace"
})

const ofControl = (c: string): Key | undefined => {
  const code = c.charCodeAt(0)
  return (
    controls(c) ?? (code >= 1 && code <= 26 ? named(`ctrl-${String.fromCharCode(code + 96)}`) : undefined)
  )
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are keys
const isControl = (c: string): boolean => /[\u0000-\u001f\u007f-\u009f]/.test(c)

/** Pasted text: new lines as the composer knows them, no other control characters. */
const pasted = (text: string): string =>
  text
    .replace(/\r\n?/g, "\n")
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "")

/** One step over `input`: the key that stands first and how much it takes; null where more input has to come. */
const first = (input: string): { readonly key: Key | undefined; readonly taken: number } | null => {
  const c = input.charAt(0)
  if (c !== ESCAPE) {
    if (isControl(c)) return { key: ofControl(c), taken: 1 }
    // biome-ignore lint/suspicious/noControlCharactersInRegex: text ends at the next control character
    const text = /^[^\u0000-\u001f\u007f-\u009f]+/.exec(input)?.[0] ?? c
    // Half a surrogate pair waits for the other one.
    const last = text.charCodeAt(text.length - 1)
    const half = text.length === input.length && last >= 0xd800 && last <= 0xdbff
    const whole = half ? text.slice(0, -1) : text
    return whole === "" ? null : { key: { _tag: "Text", text: whole }, taken: whole.length }
  }
  if (input.length === 1) return null
  const second = input.charAt(1)
  if (second === "[") {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape begins the sequence
    const match = /^\u001b\[([\u0030-\u003f]*)[\u0020-\u002f]*([\u0040-\u007e])/.exec(input)
    if (match !== null) return { key: ofSequence(match[1] ?? "", match[2] ?? ""), taken: match[0].length }
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape begins the sequence
    const open = /^\u001b\[[\u0020-\u003f]*$/.test(input)
    return open && input.length < SEQUENCE_MAX ? null : { key: undefined, taken: 2 }
  }
  if (second === "O") {
    if (input.length === 2) return null
    return { key: ofArrow(input.charAt(2), 0), taken: 3 }
  }
  if (second === ESCAPE) return { key: named("escape"), taken: 1 }
  // Half a surrogate pair waits here, too.
  if (input.length === 2 && /[\ud800-\udbff]/.test(second)) return null
  const key = ofAlt(second)
  // An unknown Alt combination: the escape and its letter are dropped together.
  return { key, taken: (input.codePointAt(1) ?? 0) > 0xffff ? 3 : 2 }
}

/** The keys that stand whole in what has come so far. */
export const decode = (decoder: Decoder, piece: string): readonly [Decoder, ReadonlyArray<Key>] => {
  const keys: Array<Key> = []
  let rest = decoder.rest + piece
  let { paste } = decoder
  while (paste !== null || rest !== "") {
    if (paste !== null) {
      const end = rest.indexOf(PASTE_END)
      if (end < 0) {
        // The end may be cut in two: what could be its beginning stays.
        const keep = heldBack(rest, PASTE_END)
        paste = (paste + rest.slice(0, rest.length - keep)).slice(0, PASTE_MAX)
        return [{ rest: rest.slice(rest.length - keep), paste }, keys]
      }
      keys.push({ _tag: "Paste", text: pasted((paste + rest.slice(0, end)).slice(0, PASTE_MAX)) })
      paste = null
      rest = rest.slice(end + PASTE_END.length)
      continue
    }
    if (rest.startsWith(PASTE_BEGIN)) {
      paste = ""
      rest = rest.slice(PASTE_BEGIN.length)
      continue
    }
    const step = first(rest)
    if (step === null) return [{ rest, paste }, keys]
    if (step.key !== undefined) keys.push(step.key)
    rest = rest.slice(step.taken)
  }
  return [{ rest, paste }, keys]
}

/** How many characters at the end of `text` could begin `mark`. */
const heldBack = (text: string, mark: string): number => {
  for (let length = Math.min(mark.length - 1, text.length); length > 0; length--) {
    if (text.endsWith(mark.slice(0, length))) return length
  }
  return 0
}

/** Nothing more has come for a moment: an escape that stands alone is the key of that name. */
export const flush = (decoder: Decoder): readonly [Decoder, ReadonlyArray<Key>] => {
  if (decoder.paste !== null || decoder.rest === "") return [decoder, []]
  return [initial, decoder.rest.startsWith(ESCAPE) ? [named("escape")] : []]
}

/** Whether {@link flush} would give a key. */
export const waits = (decoder: Decoder): boolean => decoder.paste === null && decoder.rest !== ""
