/** The options of an agent as flags of the Claude CLI, which the scripted agent takes too. Source: spec 4 §1 (Launch). */
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as FileFailure from "@causeway/protocol/FileFailure"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { AgentUnavailable } from "../Agent.ts"
import * as AgentOptions from "../AgentOptions.ts"
import type { ConnectSpec } from "../Driver.ts"

/** Given at every start: a process that stays, lines both ways, questions over them. */
export const always: ReadonlyArray<string> = [
  "-p",
  "--input-format=stream-json",
  "--output-format=stream-json",
  "--verbose",
  "--permission-prompt-tool=stdio",
  "--replay-user-messages",
  "--include-partial-messages"
]

/** `--name=value`: joined, so that a value that begins with a dash is no flag. */
const flag = (name: string, value: string | undefined): ReadonlyArray<string> =>
  value === undefined ? [] : [`--${name}=${value}`]

const list = (name: string, values: ReadonlyArray<string> | undefined): ReadonlyArray<string> =>
  values === undefined || values.length === 0 ? [] : [`--${name}=${values.join(",")}`]

/** Flags, and the directories of the files that they name. */
export interface Given {
  readonly flags: ReadonlyArray<string>
  readonly files: ReadonlyArray<string>
}

/** Writes what others must not see in a process list to files that only this user reads; they go with the scope. */
const inFiles = (
  agent: string,
  contents: ReadonlyArray<{ readonly flag: string; readonly file: string; readonly text: string }>
): Effect.Effect<Given, AgentUnavailable, Scope.Scope> => {
  if (contents.length === 0) return Effect.succeed({ flags: [], files: [] })
  const io = <A>(operation: () => Promise<A>) =>
    Effect.tryPromise({
      try: operation,
      catch: (cause) =>
        new AgentUnavailable({
          agent,
          reason: "Unknown",
          detail: `its options cannot be handed over: ${FileFailure.describe(tmpdir(), cause)}`
        })
    })
  return Effect.acquireRelease(
    io(() => mkdtemp(join(tmpdir(), "causeway-agent-"))),
    (directory) =>
      io(() => rm(directory, { recursive: true, force: true })).pipe(
        Effect.catchAll((error) =>
          Effect.logWarning("An agent's file of options was not removed").pipe(
            Effect.annotateLogs({ module: "Claude", detail: error.detail })
          )
        )
      )
  ).pipe(
    Effect.flatMap((directory) =>
      Effect.forEach(contents, ({ flag, file, text }) => {
        const path = join(directory, file)
        return Effect.as(
          io(() => writeFile(path, text, { mode: 0o600 })),
          `--${flag}=${path}`
        )
      }).pipe(Effect.map((flags) => ({ flags, files: [directory] })))
    )
  )
}

/** Claude does not start as root where it may skip permissions by itself; they are skipped beside it all the same. */
const startsSo = (agent: string): boolean => agent !== "claude" || process.getuid?.() !== 0

/** The flags of a session's options. */
export const ofSpec = (spec: ConnectSpec): Effect.Effect<Given, AgentUnavailable, Scope.Scope> => {
  const options = spec.options ?? AgentOptions.none
  const { appendSystemPrompt, settings, systemPrompt } = options
  const mcpServers = AgentOptions.mcpServers(options, spec)
  const file = (flag: string, text: string | undefined, file = `${flag}.txt`) =>
    text === undefined ? [] : [{ flag, file, text }]
  const files = inFiles(spec.agent, [
    ...file("system-prompt-file", systemPrompt),
    ...file("append-system-prompt-file", appendSystemPrompt),
    ...file("settings", settings && JSON.stringify(Redacted.value(settings)), "settings.json"),
    ...file("mcp-config", options.mcpServers && JSON.stringify({ mcpServers }), "mcp.json")
  ])
  return Effect.map(files, (given) => ({
    files: given.files,
    flags: [
      ...flag("model", options.model),
      ...flag("permission-mode", options.permissionMode),
      ...(spec.mayBypass === true && options.permissionMode !== "bypassPermissions" && startsSo(spec.agent)
        ? ["--allow-dangerously-skip-permissions"]
        : []),
      ...flag("max-turns", options.maxTurns?.toString()),
      ...list("allowedTools", options.allowedTools),
      ...list("disallowedTools", options.disallowedTools),
      ...(options.additionalDirectories ?? []).flatMap((directory) => flag("add-dir", directory)),
      ...given.flags
    ]
  }))
}
