/** Scripts by which shells complete a command line: the names of commands and flags, as they are at this version. */
import { quote } from "@causeway/git/Git"
import * as Command from "./Command.ts"
import type { Flag } from "./Flag.ts"

export const SHELLS = ["bash", "zsh", "fish"] as const
export type Shell = (typeof SHELLS)[number]

interface Place {
  /** The words that lead there. */
  readonly path: string
  /** What may come next, each with its help. */
  readonly next: ReadonlyArray<readonly [word: string, description: string]>
}

const placesOf = <R>(globals: ReadonlyArray<Flag<unknown>>, root: Command.Command<R>): ReadonlyArray<Place> =>
  Command.walk(root).map(({ command, path }) => ({
    path: path.join(" "),
    next: [
      ...(command._tag === "Group" ? command.commands : []).map(
        ({ description, name }) => [name, description] as const
      ),
      ...[...(command._tag === "Group" ? (command.fallback?.flags ?? []) : command.flags), ...globals].map(
        ({ description, name }) => [`--${name}`, description] as const
      )
    ]
  }))

const bash = (program: string, places: ReadonlyArray<Place>): ReadonlyArray<string> => [
  `_${program}() {`,
  '  local path="" word i',
  "  for ((i = 1; i < COMP_CWORD; i++)); do",
  `    word="\${path:+$path }\${COMP_WORDS[i]}"`,
  '    case "$word" in',
  ...places.filter(({ path }) => path !== "").map(({ path }) => `      ${quote(path)}) path=$word ;;`),
  "    esac",
  "  done",
  '  case "$path" in',
  ...places.map(
    ({ next, path }) =>
      `    ${quote(path)}) COMPREPLY=($(compgen -W ${quote(next.map(([word]) => word).join(" "))} -- "\${COMP_WORDS[COMP_CWORD]}")) ;;`
  ),
  "  esac",
  "}",
  `complete -o default -F _${program} ${program}`
]

const fish = (program: string, places: ReadonlyArray<Place>): ReadonlyArray<string> =>
  places.flatMap(({ next, path }) => {
    const words = path.split(" ").filter((word) => word !== "")
    const where =
      words.length === 0
        ? "__fish_use_subcommand"
        : words.map((word) => `__fish_seen_subcommand_from ${word}`).join("; and ")
    return next.map(([word, description]) =>
      [
        `complete -c ${program} -n ${quote(where)}`,
        word.startsWith("--") ? `-l ${word.slice(2)}` : `-f -a ${word}`,
        `-d ${quote(description)}`
      ].join(" ")
    )
  })

/** The script for a shell, to be read at its start. */
export const render = <R>(
  shell: Shell,
  program: string,
  globals: ReadonlyArray<Flag<unknown>>,
  root: Command.Command<R>
): string => {
  const places = placesOf(globals, root)
  const lines =
    shell === "fish"
      ? fish(program, places)
      : [
          ...(shell === "zsh" ? ["autoload -U +X bashcompinit && bashcompinit"] : []),
          ...bash(program, places)
        ]
  return lines.join("\n")
}
