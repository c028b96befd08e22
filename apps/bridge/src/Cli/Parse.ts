/**
 * What a command line means: which command, with which values, or the help of one. Flags may stand anywhere, before the
 * command's name as well; behind `--` everything is a word. Whatever is not understood is named itself, never the word
 * beside it.
 */
import { parseArgs } from "node:util"
import type * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { ExitCode, Failure } from "../Failure.ts"
import * as Command from "./Command.ts"
import type { Flag } from "./Flag.ts"
import { nearest } from "./Nearest.ts"

export type Meaning<R> =
  | {
      readonly _tag: "Run"
      /** As it was called. */
      readonly name: string
      readonly run: Effect.Effect<void, Failure, R>
      /** What was given for a global flag. */
      readonly given: (flag: string) => ReadonlyArray<string>
    }
  | { readonly _tag: "Help"; readonly command: Command.Command<R>; readonly path: ReadonlyArray<string> }
  | { readonly _tag: "Version" }

/** A flag as it was typed. */
interface Typed {
  /** `--port`, `-f`. */
  readonly as: string
  readonly name: string
  readonly value: string | undefined
  readonly inline: boolean
}

const usage = (message: string, next: string) => new Failure({ message, next, exitCode: ExitCode.usage })

/** How a person asks for the help of a command. */
const helpOf = (path: ReadonlyArray<string>): string =>
  `\`${[...path, "--help"].join(" ")}\` shows what there is`

const isNumber = (text: string): boolean => /^-\.?\d/.test(text)

/** Splits a command line by the flags of all commands: a flag takes a value wherever it stands, or never. */
const split = (
  known: ReadonlyMap<string, Flag<unknown>>,
  argv: ReadonlyArray<string>
): { readonly typed: ReadonlyArray<Typed>; readonly words: ReadonlyArray<string> } => {
  const options = Object.fromEntries(
    [...known.values()].map(({ name, alias, value }) => [
      name,
      {
        type: value === undefined ? ("boolean" as const) : ("string" as const),
        ...(alias === undefined ? {} : { short: alias })
      }
    ])
  )
  const { tokens } = parseArgs({
    args: [...argv],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true
  })
  return {
    typed: tokens.flatMap((token) =>
      token.kind === "option"
        ? [{ as: token.rawName, name: token.name, value: token.value, inline: token.inlineValue === true }]
        : []
    ),
    words: tokens.flatMap((token) => (token.kind === "positional" ? [token.value] : []))
  }
}

/** What is wrong with a flag as it was typed, by itself. */
const whyNot = ({ as, value, inline }: Typed, flag: Flag<unknown>): string | undefined => {
  if (flag.value === undefined) {
    return value === undefined ? undefined : `${as} takes no value, and got ${JSON.stringify(value)}`
  }
  if (value === undefined) return `${as} needs a value: ${as} ${flag.value}`
  return !inline && value.startsWith("-") && value !== "-" && !isNumber(value)
    ? `${as} needs a value, and is followed by ${value}; a value that begins with a dash is written ${as}=${value}`
    : undefined
}

/** Follows the words to a command. What is left of them are its arguments. */
const find = <R>(
  root: Command.Group<R>,
  words: ReadonlyArray<string>
): Either.Either<
  {
    readonly command: Command.Command<R>
    readonly path: ReadonlyArray<string>
    readonly rest: ReadonlyArray<string>
  },
  Failure
> => {
  let command: Command.Command<R> = root
  let at = 0
  while (command._tag === "Group" && at < words.length) {
    const word = words[at] ?? ""
    const next: Command.Command<R> | undefined = command.commands.find(({ name }) => name === word)
    if (next === undefined) {
      const path = words.slice(0, at)
      const near = nearest(
        word,
        command.commands.map(({ name }) => name)
      )
      return Either.left(
        usage(
          `there is no command ${JSON.stringify([...path, word].join(" "))}`,
          near === undefined ? helpOf(path) : `did you mean \`${[...path, near].join(" ")}\`? ${helpOf(path)}`
        )
      )
    }
    command = next
    at += 1
  }
  return Either.right({ command, path: words.slice(0, at), rest: words.slice(at) })
}

/** Reads a command line. `globals` are taken by every command, and read by the program itself. */
export const parse = <R>(
  root: Command.Group<R>,
  globals: ReadonlyArray<Flag<unknown>>,
  argv: ReadonlyArray<string>
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
      const path = words.filter((word) => Command.walk(root).some(({ path }) => path.includes(word)))
      const near = nearest(unknown.name, [...known.keys()])
      return yield* Either.left(
        usage(
          `there is no flag ${unknown.as}`,
          near === undefined
            ? helpOf(path.slice(0, 1))
            : `did you mean --${near}? ${helpOf(path.slice(0, 1))}`
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
            `${each.as} is no flag of \`${leaf.name}\``,
            `${others.map(({ path }) => `\`${path.join(" ")}\``).join(", ")} ${others.length === 1 ? "takes" : "take"} it; ${helpOf(path)}`
          )
        )
      }
      const why = whyNot(each, flag)
      if (why !== undefined) return yield* Either.left(usage(why, helpOf(path)))
      flags.set(flag.name, [...(flags.get(flag.name) ?? []), each.value ?? ""])
    }
    for (const flag of globals) {
      const value = flag.read(flags.get(flag.name) ?? [])
      if (Either.isLeft(value)) return yield* Either.left(usage(`--${flag.name} ${value.left}`, helpOf(path)))
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
    const run = yield* Either.mapLeft(leaf.bind({ flags, words: rest }), (why) => usage(why, helpOf(path)))
    return {
      _tag: "Run",
      name: path.join(" ") || leaf.name,
      run,
      given: (flag) => flags.get(flag) ?? []
    } as const
  })
