/** The command of an `acp:<command>` agent, split into words without a shell. */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"

/** The text is no command: empty, or a quote that is never closed. */
export class CommandInvalid extends Schema.TaggedError<CommandInvalid>()("CommandInvalid", {
  issue: Schema.String
}) {
  override get message(): string {
    return `not a command: ${this.issue}`
  }
}

/** A program and its arguments. */
export interface Command {
  readonly program: string
  readonly args: ReadonlyArray<string>
}

/**
 * Splits at white space, as a POSIX shell splits words: `'…'` is taken as it stands, within `"…"` a backslash escapes
 * `"` and `\`, elsewhere any character. Nothing else has a meaning: no variables, no patterns, no operators.
 */
export const words = (text: string): Either.Either<ReadonlyArray<string>, CommandInvalid> => {
  const out: Array<string> = []
  let word: string | undefined
  let quote: "'" | '"' | undefined
  for (let i = 0; i < text.length; i++) {
    const c = text.charAt(i)
    if (quote === "'") {
      if (c === "'") quote = undefined
      else word += c
    } else if (quote === '"') {
      if (c === '"') quote = undefined
      else if (c === "\\" && (text[i + 1] === '"' || text[i + 1] === "\\")) word += text.charAt(++i)
      else word += c
    } else if (c === "'" || c === '"') {
      quote = c
      word ??= ""
    } else if (c === "\\") {
      if (i + 1 >= text.length) return Either.left(new CommandInvalid({ issue: "it ends in a backslash" }))
      word = (word ?? "") + text.charAt(++i)
    } else if (/\s/.test(c)) {
      if (word !== undefined) out.push(word)
      word = undefined
    } else {
      word = (word ?? "") + c
    }
  }
  if (quote !== undefined)
    return Either.left(new CommandInvalid({ issue: `the quote ${quote} is never closed` }))
  if (word !== undefined) out.push(word)
  return Either.right(out)
}

/** Reads a command. */
export const parse = (text: string): Either.Either<Command, CommandInvalid> =>
  Either.flatMap(words(text), ([program, ...args]) =>
    program === undefined || program === ""
      ? Either.left(new CommandInvalid({ issue: "it names no program" }))
      : Either.right({ program, args })
  )
