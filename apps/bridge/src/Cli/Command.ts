/** A command: its name, its help, its flags and arguments, and what it does with their values. */
import type * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Failure } from "../Failure.ts"
import type { Argument } from "./Argument.ts"
import { type Flag, valueOf } from "./Flag.ts"

/** What a command takes, by the name under which it gets the value. Arguments in the order of their places. */
export interface Shape {
  readonly [name: string]: Flag<unknown> | Argument<unknown>
}

/** The values of a shape. */
export type Values<S extends Shape> = {
  readonly [K in keyof S]: S[K] extends Flag<infer A> | Argument<infer A> ? A : never
}

/** What was given: for each flag every value, for arguments the words in their places. */
export interface Given {
  readonly flags: ReadonlyMap<string, ReadonlyArray<string>>
  readonly words: ReadonlyArray<string>
  /** The variables that stand in for flags. */
  readonly environment: { readonly [name: string]: string | undefined }
}

/** Something to run. */
export interface Leaf<out R> {
  readonly _tag: "Leaf"
  readonly name: string
  readonly description: string
  readonly flags: ReadonlyArray<Flag<unknown>>
  readonly arguments: ReadonlyArray<Argument<unknown>>
  /** Binds it to what was given; the left side says what is wrong with that. */
  readonly bind: (given: Given) => Either.Either<Effect.Effect<void, Failure, R>, string>
}

/** Commands under one name. */
export interface Group<out R> {
  readonly _tag: "Group"
  readonly name: string
  readonly description: string
  readonly commands: ReadonlyArray<Command<R>>
  /** What is run where none of them is named. */
  readonly fallback: Leaf<R> | undefined
}

export type Command<R> = Leaf<R> | Group<R>

const isFlag = (part: Flag<unknown> | Argument<unknown>): part is Flag<unknown> => part._tag === "Flag"

const leaf = <R>(
  name: string,
  description: string,
  shape: Shape,
  run: (values: { readonly [name: string]: unknown }) => Effect.Effect<void, Failure, R>
): Leaf<R> => {
  const parts = Object.entries(shape)
  const places = parts.flatMap(([key, part]) => (isFlag(part) ? [] : [key]))
  const bind: Leaf<R>["bind"] = ({ environment, flags, words }) => {
    const values: { [name: string]: unknown } = {}
    for (const [key, part] of parts) {
      const value = isFlag(part)
        ? valueOf(part, flags.get(part.name) ?? [], environment)
        : part.read(words[places.indexOf(key)])
      if (Either.isLeft(value)) return Either.left(value.left)
      values[key] = value.right
    }
    return Either.right(run(values))
  }
  return {
    _tag: "Leaf",
    name,
    description,
    flags: parts.flatMap(([, part]) => (isFlag(part) ? [part] : [])),
    arguments: parts.flatMap(([, part]) => (isFlag(part) ? [] : [part])),
    bind
  }
}

// Each value was read by the part of its own name.

export const make = <const S extends Shape, R>(
  name: string,
  description: string,
  shape: S,
  handler: (values: Values<S>) => Effect.Effect<void, Failure, R>
): Leaf<R> => leaf(name, description, shape, (values) => handler(values as Values<S>))

/** A command that has flags and arguments of others too, before its own. */
export const extend = <const C extends Shape, const S extends Shape, R>(
  common: C,
  name: string,
  description: string,
  shape: S,
  handler: (values: Values<C> & Values<S>) => Effect.Effect<void, Failure, R>
): Leaf<R> =>
  leaf(name, description, { ...common, ...shape }, (values) => handler(values as Values<C> & Values<S>))

type Requirements<C> = C extends Command<infer R> ? R : never

export const group = <const C extends ReadonlyArray<Command<never> | Command<unknown>>>(
  name: string,
  description: string,
  commands: C,
  fallback?: Extract<C[number], { readonly _tag: "Leaf" }>
): Group<Requirements<C[number]>> => ({
  _tag: "Group",
  name,
  description,
  // Each is one of those whose requirements are counted.
  commands: commands as ReadonlyArray<Command<Requirements<C[number]>>>,
  fallback: fallback as Leaf<Requirements<C[number]>> | undefined
})

/** Every command below and including this one, with the names that lead to it. */
export const walk = <R>(
  command: Command<R>,
  path: ReadonlyArray<string> = []
): ReadonlyArray<{ readonly command: Command<R>; readonly path: ReadonlyArray<string> }> => [
  { command, path },
  ...(command._tag === "Group" ? command.commands.flatMap((each) => walk(each, [...path, each.name])) : [])
]
