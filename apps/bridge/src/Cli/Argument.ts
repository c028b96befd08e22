/** A word that a command takes by its place. */
import * as Either from "effect/Either"
import * as Option from "effect/Option"

export interface Argument<out A> {
  readonly _tag: "Argument"
  /** As the help shows it. */
  readonly name: string
  readonly description: string
  /** Whether it can be left out. */
  readonly optional: boolean
  /** The left side says what is missing. */
  readonly read: (given: string | undefined) => Either.Either<A, string>
}

/** A word that has to be given. */
export const text = (name: string, description: string): Argument<string> => ({
  _tag: "Argument",
  name,
  description,
  optional: false,
  read: (given) =>
    given === undefined || given === "" ? Either.left(`${name} is missing`) : Either.right(given)
})

/** A word that can be left out; those that have to be given stand before it. */
export const optional = (argument: Argument<string>): Argument<Option.Option<string>> => ({
  ...argument,
  optional: true,
  read: (given) =>
    given === undefined ? Either.right(Option.none()) : Either.map(argument.read(given), Option.some)
})
