/** The flags of the program: those of the Claude CLI that a host gives, and two of its own. */
import { readFileSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { type Json, object, parse } from "./Json.ts"

export interface Arguments {
  readonly sessionId: string | undefined
  readonly resume: string | undefined
  readonly forkSession: boolean
  /** Where conversations are kept. */
  readonly directory: string
  readonly model: string | undefined
  readonly permissionMode: string | undefined
  readonly mayBypass: boolean
  readonly partialMessages: boolean
  /** It stands in for an agent that is not installed, and says so above each answer. */
  readonly standsIn: boolean
  readonly maxTurns: number
  readonly allowedTools: ReadonlyArray<string>
  readonly disallowedTools: ReadonlyArray<string>
  readonly additionalDirectories: ReadonlyArray<string>
  readonly systemPrompt: string | undefined
  readonly appendSystemPrompt: string | undefined
  readonly settings: Json
  readonly mcpServers: Json
}

const text = { type: "string" } as const
const on = { type: "boolean" } as const

export const read = (): Arguments => {
  const { values } = parseArgs({
    options: {
      "session-id": text,
      resume: text,
      "fork-session": on,
      "config-dir": text,
      model: text,
      "permission-mode": text,
      "allow-dangerously-skip-permissions": on,
      "include-partial-messages": on,
      "stand-in": on,
      "max-turns": text,
      allowedTools: text,
      disallowedTools: text,
      "add-dir": { type: "string", multiple: true },
      "system-prompt-file": text,
      "append-system-prompt-file": text,
      settings: text,
      "mcp-config": text
    }
  })
  const file = (path: string | undefined) => (path === undefined ? undefined : readFileSync(path, "utf8"))
  const json = (path: string | undefined) => parse(file(path) ?? "") ?? {}
  const names = (list: string | undefined) => list?.split(",") ?? []
  return {
    sessionId: values["session-id"],
    resume: values.resume,
    forkSession: values["fork-session"] === true,
    directory: values["config-dir"] ?? join(homedir(), ".causeway", "scripted"),
    model: values.model,
    permissionMode: values["permission-mode"],
    mayBypass:
      values["allow-dangerously-skip-permissions"] === true ||
      values["permission-mode"] === "bypassPermissions",
    partialMessages: values["include-partial-messages"] === true,
    standsIn: values["stand-in"] === true,
    maxTurns: Number(values["max-turns"] ?? Number.POSITIVE_INFINITY),
    allowedTools: names(values.allowedTools),
    disallowedTools: names(values.disallowedTools),
    additionalDirectories: values["add-dir"] ?? [],
    systemPrompt: file(values["system-prompt-file"]),
    appendSystemPrompt: file(values["append-system-prompt-file"]),
    settings: json(values.settings),
    mcpServers: object(json(values["mcp-config"])["mcpServers"])
  }
}
