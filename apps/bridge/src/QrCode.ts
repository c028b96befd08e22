/** A QR code as lines of text: two modules high a character. */
import * as Option from "effect/Option"
import { encode } from "uqr"

export interface Options {
  /** Width of the terminal; a code that does not fit is none. */
  readonly columns: number
  /**
   * `coloured`: black on white, whatever the terminal's own colours are. Without colours the terminal's own are used, and
   * it must be known which they are, because readers want dark on light.
   */
  readonly paint: "coloured" | "dark-terminal" | "light-terminal"
}

/** Modules of white that readers need around the code. The standard asks for four; every reader takes two. */
const QUIET = 2

const BLACK_ON_WHITE = "\u001b[30;107m"
const RESET = "\u001b[0m"

export const render = (text: string, options: Options): Option.Option<ReadonlyArray<string>> => {
  const { data, size } = encode(text, { border: QUIET })
  if (size > options.columns) return Option.none()
  // A character's ink is the terminal's foreground: dark modules where that is black, light ones where it is white.
  const inkIsDark = options.paint !== "dark-terminal"
  const inked = (row: number, column: number): boolean => (data[row]?.[column] ?? false) === inkIsDark
  const lines: Array<string> = []
  for (let row = 0; row < size; row += 2) {
    let line = ""
    for (let column = 0; column < size; column += 1) {
      const upper = inked(row, column)
      const lower = inked(row + 1, column)
      line += upper ? (lower ? "█" : "▀") : lower ? "▄" : " "
    }
    lines.push(options.paint === "coloured" ? `${BLACK_ON_WHITE}${line}${RESET}` : line)
  }
  return Option.some(lines)
}

/**
 * How to paint on this terminal. `COLORFGBG` is how terminals tell their colours: its last part is the background, of
 * which 7 and 9 to 15 are light.
 */
export const paintOf = (environment: {
  readonly noColor: boolean
  readonly colorFgBg: string | undefined
}): Options["paint"] => {
  if (!environment.noColor) return "coloured"
  const background = Number(environment.colorFgBg?.split(";").at(-1) ?? Number.NaN)
  return background === 7 || background >= 9 ? "light-terminal" : "dark-terminal"
}
