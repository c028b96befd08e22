/** The help of a command: short enough for one screen, a line for each thing that it takes. */
import type { Argument } from "./Argument.ts"
import type * as Command from "./Command.ts"
import type { Flag } from "./Flag.ts"

/** A screen: what `--help` of every command keeps to. */
export const SCREEN = { columns: 80, rows: 24 } as const

/** Makes a heading stand out, where that can be seen. */
export type Strong = (text: string) => string

const spell = ({ name, alias, value }: Flag<unknown>): string =>
  `${alias === undefined ? "" : `-${alias}, `}--${name}${value === undefined ? "" : ` ${value}`}`

const place = ({ name, optional }: Argument<unknown>): string => (optional ? `[${name}]` : name)

/** Rows of two columns; what is too long for the first one takes of the second. */
const table = (rows: ReadonlyArray<readonly [string, string]>): ReadonlyArray<string> => {
  const width = Math.max(...rows.map(([left]) => left.length).filter((length) => length <= 27), 0)
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`)
}

/** Words in lines of a screen's width. */
const wrap = (begin: string, words: ReadonlyArray<string>): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let line = begin
  for (const word of words) {
    if (line.length + word.length + 2 > SCREEN.columns) {
      lines.push(line)
      line = "   "
    }
    line += `  ${word}`
  }
  return [...lines, line]
}

/** The help. `globals` are what every command takes. */
export const render = <R>(
  program: string,
  globals: ReadonlyArray<Flag<unknown>>,
  command: Command.Command<R>,
  path: ReadonlyArray<string>,
  strong: Strong
): ReadonlyArray<string> => {
  const called = [program, ...path].join(" ")
  const shared = (flags: ReadonlyArray<Flag<unknown>>) => wrap("Always:", [...flags, ...globals].map(spell))
  if (command._tag === "Group") {
    return [
      strong(`${called} COMMAND`),
      command.description,
      "",
      ...table(command.commands.map(({ name, description }) => [name, description])),
      "",
      ...wrap("Always:", globals.map(spell)),
      `\`${called} COMMAND --help\` says what a command takes.`
    ]
  }
  const own = command.flags.filter((flag) => !isShared(flag) && !isOfNetwork(flag))
  const network = command.flags.filter(isOfNetwork)
  const rest = command.flags.filter(isShared)
  return [
    strong(
      [called, ...(command.flags.length > 0 ? ["[FLAGS]"] : []), ...command.arguments.map(place)].join(" ")
    ),
    command.description,
    "",
    ...table([
      ...command.arguments.map((each) => [each.name, each.description] as const),
      ...own.map((flag) => [spell(flag), flag.description] as const)
    ]),
    ...(network.length > 0 ? wrap("Network (docs/security.md):", network.map(spell)) : []),
    ...shared(rest)
  ]
}

/** Flags that so many commands take that their names are enough. */
const isShared = ({ name }: Flag<unknown>): boolean =>
  ["state-dir", "json", "hub", "token", "token-file"].includes(name)

/** Flags that say how a hub is reached beyond this machine: their names are enough where the documents explain them. */
const isOfNetwork = ({ name }: Flag<unknown>): boolean =>
  [
    "public-url",
    "trusted-network",
    "behind-proxy",
    "tls-cert",
    "tls-key",
    "dangerously-without-authentication",
    "trusted-proxy",
    "allowed-host",
    "push-contact"
  ].includes(name)
