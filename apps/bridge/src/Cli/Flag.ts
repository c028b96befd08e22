/** A flag of a command: its name, its help, and how its value is read. A value that cannot be read is refused in words. */
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"

export interface Flag<out A> {
  readonly _tag: "Flag"
  /** Without its dashes. */
  readonly name: string
  /** One letter. */
  readonly alias: string | undefined
  /** What stands for its value in the help; undefined: it takes none. */
  readonly value: string | undefined
  /** A few words: with its name they are one line of the help. */
  readonly description: string
  /** Reads what was given for it, each time it was given, in order. The left side says what would be right. */
  readonly read: (given: ReadonlyArray<string>) => Either.Either<A, string>
}

interface About {
  /** What stands for the value in the help. */
  readonly value: string
  readonly description: string
}

/** Of several times the last one counts, as in other programs. */
const last =
  <A>(read: (text: string) => Either.Either<A, string>): Flag<Option.Option<A>>["read"] =>
  (given) => {
    const text = given.at(-1)
    return text === undefined ? Either.right(Option.none()) : Either.map(read(text), Option.some)
  }

const word = (text: string): Either.Either<string, string> =>
  text.trim() === "" ? Either.left("needs a value, and got none") : Either.right(text)

const valued = <A>(name: string, { value, description }: About, read: Flag<A>["read"]): Flag<A> => ({
  _tag: "Flag",
  name,
  alias: undefined,
  value,
  description,
  read
})

export const text = (name: string, about: About): Flag<Option.Option<string>> =>
  valued(name, about, last(word))

export const redacted = (name: string, about: About): Flag<Option.Option<Redacted.Redacted>> =>
  valued(
    name,
    about,
    last((text) => Either.map(word(text), Redacted.make))
  )

/** A text that can be given several times. */
export const repeated = (name: string, about: About): Flag<ReadonlyArray<string>> =>
  valued(name, about, (given) => Either.all(given.map(word)))

export const choice = <const A extends string>(
  name: string,
  options: About & { readonly choices: ReadonlyArray<A> }
): Flag<Option.Option<A>> =>
  valued(
    name,
    options,
    last((text) => {
      const found = options.choices.find((each) => each === text)
      return found === undefined
        ? Either.left(`is one of ${options.choices.join(", ")}, not ${JSON.stringify(text)}`)
        : Either.right(found)
    })
  )

interface Range extends About {
  readonly least: number
  readonly most: number
}

const between = (kind: string, pattern: RegExp, { least, most }: Range) =>
  last((text) => {
    const number = Number(text)
    return pattern.test(text) && number >= least && number <= most
      ? Either.right(number)
      : Either.left(`takes a ${kind} from ${least} to ${most}, not ${JSON.stringify(text)}`)
  })

/** A whole number in decimal digits, within a range. */
export const integer = (name: string, range: Range): Flag<Option.Option<number>> =>
  valued(name, range, between("whole number", /^[+-]?\d{1,15}$/, range))

/** A number with or without a fraction, within a range. */
export const decimal = (name: string, range: Range): Flag<Option.Option<number>> =>
  valued(name, range, between("number", /^[+-]?(?:\d{1,15}(?:\.\d{0,15})?|\.\d{1,15})$/, range))

/** A flag that is there or not. */
export const toggle = (name: string, description: string, alias?: string): Flag<boolean> => ({
  _tag: "Flag",
  name,
  alias,
  value: undefined,
  description,
  read: (given) => Either.right(given.length > 0)
})

/** The value where the flag is not given. */
export const withDefault = <A>(flag: Flag<Option.Option<A>>, fallback: A): Flag<A> => ({
  ...flag,
  read: (given) =>
    Either.map(
      flag.read(given),
      Option.getOrElse(() => fallback)
    )
})
