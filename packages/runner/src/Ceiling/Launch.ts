/** How a session asks its agent to be started, against the machine's ceiling. */
import { realpath } from "node:fs/promises"
import { resolve } from "node:path"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { AgentOptions } from "../AgentOptions.ts"
import * as Ceiling from "../Ceiling.ts"
import * as Confinement from "../Confinement.ts"
import * as Settings from "./Settings.ts"

/** Members of an MCP server that is an address; others may name programs (`headersHelper`). */
const REMOTE: ReadonlySet<string> = new Set(["type", "url", "headers", "timeout"])

/** Why a session may not bring MCP servers. */
export const mcpServers = (
  ceiling: Ceiling.Ceiling,
  servers: { readonly [name: string]: unknown }
): ReadonlyArray<Ceiling.NotAllowed> =>
  Object.entries(servers).flatMap(([name, server]) => {
    if (ceiling.mcpServers === "any") return []
    const isRemote =
      typeof server === "object" &&
      server !== null &&
      "url" in server &&
      Object.keys(server).every((member) => REMOTE.has(member))
    return isRemote && ceiling.mcpServers === "remote"
      ? []
      : [Ceiling.byFile(`the MCP server ${Ceiling.word(name)}${isRemote ? "" : ", which is a command"}`)]
  })

/** Why rules may not allow a tool: people answer for it each time. A name with a `*`, or of a server, may be about any. */
export const toolAsked = (ceiling: Ceiling.Ceiling, tool: string): boolean =>
  ceiling.alwaysAsk.length > 0 &&
  (tool === "" ||
    tool.includes("*") ||
    Ceiling.isAlwaysAsked(ceiling, tool) ||
    ceiling.alwaysAsk.some((name) => name.startsWith(`${tool}__`)))

/** One tool, with or without what it may be given: agents take a comma or a space for the end of a rule. */
const isRule = (rule: string): boolean => /^[\w.*:-]+(\(.*\))?$/s.test(rule) && !/\)[,\s]/.test(rule)

/** Why a session may not bring rules that allow tools without a question. */
export const rules = (
  ceiling: Ceiling.Ceiling,
  given: ReadonlyArray<string>
): ReadonlyArray<Ceiling.NotAllowed> =>
  given.flatMap((rule) => {
    const [tool = ""] = rule.split("(", 1)
    const what = `the rule ${Ceiling.word(rule)}, which allows a tool without a question`
    if (!isRule(rule) || toolAsked(ceiling, tool)) return Ceiling.skips(ceiling) ? [] : [Ceiling.byFile(what)]
    const isListed = ceiling.allowedTools.some((each) => each === rule || each === tool)
    return isListed || ceiling.skipPermissions ? [] : [Ceiling.byFlag(what)]
  })

const isWithin = (roots: ReadonlyArray<string>, path: string): Effect.Effect<boolean> =>
  Effect.exists(roots, (root) =>
    Effect.flatMap(
      Effect.promise(() => realpath(root).catch(() => root)),
      (real) => Effect.isSuccess(Confinement.within(real, path))
    )
  )

const directoryRefused = (path: string) => Ceiling.byFile(`the directory ${Ceiling.word(path)}`)

/** Why sessions may not work in a directory. */
export const place = (
  { directories }: Ceiling.Ceiling,
  path: string
): Effect.Effect<ReadonlyArray<Ceiling.NotAllowed>> =>
  Effect.map(isWithin(directories ?? [path], path), (isAllowed) =>
    isAllowed ? [] : [directoryRefused(path)]
  )

/** Why a directory may not be given to an agent that works in `cwd`; it is taken from there. */
export const directory = (
  ceiling: Ceiling.Ceiling,
  cwd: string,
  path: string
): Effect.Effect<ReadonlyArray<Ceiling.NotAllowed>> => {
  const { directories } = ceiling
  if (Ceiling.skips(ceiling) && directories === undefined) return Effect.succeed([])
  // Agents take `~` for a home directory, and a path does not.
  const named = path.startsWith("~") ? "" : resolve(cwd, path)
  return Effect.map(isWithin([...(directories ?? []), cwd], named), (isAllowed) =>
    isAllowed ? [] : [directoryRefused(path)]
  )
}

/** Why a session may not be served as it asks; `options` with the mode in force. */
export const refused = (
  ceiling: Ceiling.Ceiling,
  asked: { readonly agent: string; readonly cwd: string; readonly options: AgentOptions }
): Effect.Effect<ReadonlyArray<Ceiling.NotAllowed>> =>
  Effect.gen(function* () {
    const { agent, cwd, options } = asked
    const mode =
      options.permissionMode === undefined ? undefined : Ceiling.modeRefused(ceiling, options.permissionMode)
    const directories = yield* Effect.forEach(options.additionalDirectories ?? [], (path) =>
      directory(ceiling, cwd, path)
    )
    return [
      ...(Ceiling.allowsAgent(ceiling, agent) ? [] : [Ceiling.byFile(`the agent ${Ceiling.word(agent)}`)]),
      ...(mode === undefined ? [] : [mode]),
      ...rules(ceiling, options.allowedTools ?? []),
      ...directories.flat(),
      ...(options.mcpServers === undefined ? [] : mcpServers(ceiling, Redacted.value(options.mcpServers))),
      ...(options.settings === undefined ? [] : Settings.flags(ceiling, Redacted.value(options.settings)))
    ]
  })
