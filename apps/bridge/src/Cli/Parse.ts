/**
 * What a command line means: which command, with which values, or the help of one. Flags may stand anywhere, before the
 * command's name as well; behind `--` everything is a word. Whatever is not understood is named itself, never the word
 * beside it.
 */
import { parseArgs } from "node:util"
import type * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { Failure } from "../Failure.ts"
import * as Command from "./Command.ts"
import { type Flag, valueOf } from "./Flag.ts"
import { nearest } from "./Nearest.ts"

export type Meaning<R> =
  | {
      readonly _tag: "Run"
      /** As it was called. */
      readonly name: string
      readonly run: Effect.Effect<void, Failure, R>
      /** The value of a global flag. */
      readonly global: <A>(flag: Flag<A>) => Either.Either<A, Failure>
    }
  | { readonly _tag: "Help"; readonly command: Command.Command<R>; readonly path: ReadonlyArray<string> }
  | { readonly _tag: "Version" }

const usage = (message: string, next: string) => Failure.usage(message, next)

/** How a person asks for the help of a command. */
const helpOf = (path: ReadonlyArray<string>): string =>
  `\`${[...path, "--help"].join(" ")}\` shows what there is`

const isNumber = (text: string): boolean => /^-\.?\d/.test(text)

/** Splits a command line by the flags of all commands: a flag takes a value wherever it stands, or never. */
const split = (known: ReadonlyMap<string, Flag<unknown>>, argv: ReadonlyArray<string>) => {
  const options = Object.fromEntries(
    [...known.values()].map(({ name, alias, value }) => [
      name,
      {
        type: value === undefined ? ("boolean" as const) : ("string" as const),
        ...(alias && { short: alias })
      }
    ])
  )
  const { positionals, tokens } = parseArgs({
    args: [...argv],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true
  })
  return { typed: tokens.flatMap((token) => (token.kind === "option" ? [token] : [])), words: positionals }
}

/** A flag as it was typed: `rawName` is `--port` or `-f`. */
type Typed = ReturnType<typeof split>["typed"][number]

/** What is wrong with a flag as it was typed, by itself. */
const whyNot = ({ inlineValue, rawName, value }: Typed, flag: Flag<unknown>): string | undefined => {
  if (flag.value === undefined) {
    return value === undefined ? undefined : `${rawName} takes no value, and got ${JSON.stringify(value)}`
  }
  if (value === undefined) return `${rawName} needs a value: ${rawName} ${flag.value}`
  return inlineValue !== true && value.startsWith("-") && value !== "-" && !isNumber(value)
    ? `${rawName} needs a value, and is followed by ${value}; a value that begins with a dash is written ${rawName}=${value}`
    : undefined
}

/** Follows the words to a command. What is left of them are its arguments. */
const find = <R>(root: Command.Group<R>, words: ReadonlyArray<string>) =>
  Either.gen(function* () {
    let command: Command.Command<R> = root
    const path: Array<string> = []
    for (const word of words) {
      if (command._tag === "Leaf") break
      const commands: ReadonlyArray<Command.Command<R>> = command.commands
      const next = commands.find(({ name }) => name === word)
      if (next === undefined) {
        const near = nearest(
          word,
          commands.map(({ name }) => name)
        )
        return yield* Either.left(
          usage(
            `there is no command ${JSON.stringify([...path, word].join(" "))}`,
            near === undefined
              ? helpOf(path)
              : `did you mean \`${[...path, near].join(" ")}\`? ${helpOf(path)}`
          )
        )
      }
      command = next
      path.push(word)
    }
    return { command, path, rest: words.slice(path.length) }
  })

/**
 * Reads a command line. `globals` are taken by every command, and read by the program itself; `environment` stands in for
 * flags that are not given.
 */
export const parse = <R>(
  root: Command.Group<R>,
  globals: ReadonlyArray<Flag<unknown>>,
  argv: ReadonlyArray<string>,
  environment: Command.Given["environment"] = {}
): Either.Either<Meaning<R>, Failure> =>
  Either.gen(function* () {
    const leaves = Command.walk(root).flatMap(({ command, path }) =>
      command._tag === "Leaf" ? [{ command, path }] : []
    )
    const all = [...globals, ...leaves.flatMap(({ command }) => command.flags)]
    const known = new Map(all.map((flag) => [flag.name, flag]))
    const { typed, words } = split(known, argv)

    // An unknown flag first: whether the word behind it is its value cannot be known.
    const unknown = typed.find(({ name }) => !known.has(name))
    if (unknown !== undefined) {
      const help = helpOf(words.filter((word) => root.commands.some(({ name }) => name === word)).slice(0, 1))
      const near = nearest(unknown.name, [...known.keys()])
      return yield* Either.left(
        usage(
          `there is no flag ${unknown.rawName}`,
          near === undefined ? help : `did you mean --${near}? ${help}`
        )
      )
    }

    const wantsHelp = words[0] === "help"
    const { command, path, rest } = yield* find(root, wantsHelp ? words.slice(1) : words)
    if (typed.some(({ name }) => name === "version")) return { _tag: "Version" } as const
    if (wantsHelp || typed.some(({ name }) => name === "help"))
      return { _tag: "Help", command, path } as const
    const leaf = command._tag === "Leaf" ? command : command.fallback
    if (leaf === undefined) {
      return yield* Either.left(
        usage(
          `\`${path.join(" ")}\` is a group of commands: ${
            command._tag === "Group" ? command.commands.map(({ name }) => name).join(", ") : ""
          }`,
          helpOf(path)
        )
      )
    }

    const taken = [...globals, ...leaf.flags]
    const flags = new Map<string, Array<string>>()
    for (const each of typed) {
      const flag = taken.find(({ name }) => name === each.name)
      if (flag === undefined) {
        const others = leaves.filter(({ command }) => command.flags.some(({ name }) => name === each.name))
        return yield* Either.left(
          usage(
            `${each.rawName} is no flag of \`${leaf.name}\``,
            `${others.map(({ path }) => `\`${path.join(" ")}\``).join(", ")} ${others.length === 1 ? "takes" : "take"} it; ${helpOf(path)}`
          )
        )
      }
      const why = whyNot(each, flag)
      if (why !== undefined) return yield* Either.left(usage(why, helpOf(path)))
      flags.set(flag.name, [...(flags.get(flag.name) ?? []), each.value ?? ""])
    }
    const extra = rest[leaf.arguments.length]
    if (extra !== undefined) {
      return yield* Either.left(
        usage(
          `\`${leaf.name}\` takes ${
            leaf.arguments.length === 0
              ? "no words"
              : `no more than ${leaf.arguments.map(({ name }) => name).join(" ")}`
          }, and got ${JSON.stringify(extra)} as well`,
          leaf.arguments.length === 0 ? helpOf(path) : `quote a text of several words; ${helpOf(path)}`
        )
      )
    }
    const refused = (why: string) => usage(why, helpOf(path))
    const global = <A>(flag: Flag<A>) =>
      Either.mapLeft(valueOf(flag, flags.get(flag.name) ?? [], environment), refused)
    for (const flag of globals) yield* global(flag)
    const run = yield* Either.mapLeft(leaf.bind({ environment, flags, words: rest }), refused)
    return {
      _tag: "Run",
      name: path.join(" ") || leaf.name,
      run,
      global
    } as const
  })
