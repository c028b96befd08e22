/** The directive of a prompt: a slash command, or the first line that begins with one; else an echo. */
import { commands, directives } from "./Directives.ts"

export interface Directive {
  readonly name: string
  readonly rest: string
}

export const parse = (prompt: string): Directive => {
  const found = (match: RegExpExecArray | null, names: ReadonlyArray<string>): Array<Directive> => {
    const [, name = "", rest = ""] = match ?? []
    return names.includes(name) ? [{ name, rest }] : []
  }
  const [directive] = [
    ...found(/^\/([a-z]+)(?:\s+([\s\S]*?))?\s*$/.exec(prompt), commands),
    ...prompt
      .split("\n")
      .flatMap((line) => found(/^!([a-z]+)(?:\s+(.*?))?\s*$/.exec(line), Object.keys(directives)))
  ]
  return directive ?? { name: "say", rest: `echo: ${prompt}` }
}
