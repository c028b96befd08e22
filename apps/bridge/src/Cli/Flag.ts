/**
 * A flag of a command: its name, its help, and how its value is read. A value that cannot be read is refused in words. Where
 * it is not given, the environment variable that it names stands in.
 */
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"

/** What was given, each time it was given, in order; `as`: how the person spelled it. The left side is a sentence. */
type Read<out A> = (given: ReadonlyArray<string>, as: string) => Either.Either<A, string>

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
  readonly variable: string | undefined
  /** What separates the values of the variable, which are taken beside those that were given. */
  readonly separator: RegExp | undefined
  readonly read: Read<A>
}

/** Reads a flag from what was typed, else from its variable. */
export const valueOf = <A>(
  flag: Flag<A>,
  typed: ReadonlyArray<string>,
  environment: { readonly [name: string]: string | undefined }
): Either.Either<A, string> => {
  const { name, read, separator, variable = "" } = flag
  const text = environment[variable] ?? ""
  if (separator !== undefined) {
    return read([...typed, ...text.split(separator).filter((part) => part !== "")], `--${name}`)
  }
  return typed.length > 0 || text === "" ? read(typed, `--${name}`) : read([text], variable)
}

/** Reads one value; of several times the last one counts, as in other programs. */
const last =
  <A>(read: (text: string, as: string) => Either.Either<A, string>): Read<Option.Option<A>> =>
  (given, as) => {
    const text = given.at(-1)
    return text === undefined ? Either.right(Option.none()) : Either.map(read(text, as), Option.some)
  }

const word = (text: string, as: string): Either.Either<string, string> =>
  text.trim() === "" ? Either.left(`${as} needs a value, and got none`) : Either.right(text)

/** `value`: what stands for the value in the help. */
const valued = <A>(name: string, value: string | undefined, description: string, read: Read<A>): Flag<A> => ({
  _tag: "Flag",
  name,
  alias: undefined,
  variable: undefined,
  separator: undefined,
  value,
  description,
  read
})

export const text = (name: string, value: string, description: string) =>
  valued(name, value, description, last(word))

export const redacted = (name: string, value: string, description: string) =>
  map(text(name, value, description), Option.map(Redacted.make))

/** A text that `parse` reads; its left side says what is wrong. */
export const parsed = <A>(
  name: string,
  value: string,
  description: string,
  parse: (text: string) => Either.Either<A, string>
): Flag<Option.Option<A>> =>
  valued(
    name,
    value,
    description,
    last((text, as) => Either.flatMap(word(text, as), () => naming(as)(parse(text))))
  )

/** A text that can be given several times; `parse` reads all of them. */
export const list = <A>(
  name: string,
  value: string,
  description: string,
  parse: (texts: ReadonlyArray<string>) => Either.Either<A, string>
): Flag<Option.Option<A>> =>
  valued(name, value, description, (given, as) =>
    given.length === 0
      ? Either.right(Option.none())
      : Either.flatMap(Either.all(given.map((text) => word(text, as))), (texts) =>
          Either.map(naming(as)(parse(texts)), Option.some)
        )
  )

const naming = (as: string) => Either.mapLeft((why: string) => `${as}: ${why}`)

export const repeated = (name: string, value: string, description: string) =>
  withDefault(list(name, value, description, Either.right<ReadonlyArray<string>>), [])

export const choice = <const A extends string>(
  name: string,
  value: string,
  choices: ReadonlyArray<A>,
  description: string
): Flag<Option.Option<A>> =>
  valued(
    name,
    value,
    description,
    last((text, as) => {
      const found = choices.find((each) => each === text.toLowerCase())
      return found === undefined
        ? Either.left(`${as} is one of ${choices.join(", ")}, not ${JSON.stringify(text)}`)
        : Either.right(found)
    })
  )

const between =
  (kind: string, pattern: RegExp) =>
  (name: string, value: string, [least, most]: readonly [least: number, most: number], description: string) =>
    valued(
      name,
      value,
      description,
      last((text, as) => {
        const number = Number(text)
        return pattern.test(text) && number >= least && number <= most
          ? Either.right(number)
          : Either.left(`${as} takes a ${kind} from ${least} to ${most}, not ${JSON.stringify(text)}`)
      })
    )

/** A whole number in decimal digits, within a range. */
export const integer = between("whole number", /^[+-]?\d{1,15}$/)

/** A number with or without a fraction, within a range. */
export const decimal = between("number", /^[+-]?(?:\d{1,15}(?:\.\d{0,15})?|\.\d{1,15})$/)

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** A time with its unit, like `90s`, `30m`, `2h` or `1d`; in milliseconds. */
export const milliseconds = (text: string): Option.Option<number> => {
  const [, digits, unit] = /^(\d{1,6})(ms|s|m|h|d)$/.exec(text) ?? []
  return unit === undefined ? Option.none() : Option.some(Number(digits) * UNITS[unit as keyof typeof UNITS])
}

/** A flag that is there or not. */
export const toggle = (name: string, description: string, alias?: string): Flag<boolean> => ({
  ...valued(name, undefined, description, (given) => Either.right(given.length > 0)),
  alias
})

/** Takes the variable where the flag is not given. With a separator it holds several values, which count beside those given. */
export const orVariable = <A>(variable: string, flag: Flag<A>, separator?: RegExp): Flag<A> => ({
  ...flag,
  variable,
  separator
})

export const map = <A, B>(flag: Flag<A>, f: (value: A) => B): Flag<B> => ({
  ...flag,
  read: (given, as) => Either.map(flag.read(given, as), f)
})

/** The value where the flag is not given. */
export const withDefault = <A, B extends A>(flag: Flag<Option.Option<A>>, fallback: B): Flag<A> =>
  map(flag, (value) => Option.getOrElse(value, () => fallback))
