/** The flags of the Claude CLI. Source: spec 4 §1 (Launch). */
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { AgentUnavailable } from "../Agent.ts"
import type { AgentOptions } from "../AgentOptions.ts"
import type { ConnectSpec } from "../Driver.ts"

/** What every start has: a process that stays, lines both ways, questions over them. */
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

/** Writes the MCP servers where only this user reads them; the file goes with the scope. */
const mcpConfig = (
  servers: NonNullable<AgentOptions["mcpServers"]>,
  spec: Pick<ConnectSpec, "runId" | "sessionId" | "agent">
): Effect.Effect<string, AgentUnavailable, Scope.Scope> => {
  const io = <A>(operation: () => Promise<A>) =>
    Effect.tryPromise({
      try: operation,
      catch: (cause) =>
        new AgentUnavailable({
          agent: spec.agent,
          reason: "Unknown",
          detail: `its MCP servers cannot be written to ${tmpdir()}: ${cause instanceof Error ? cause.message : String(cause)}`
        })
    })
  return Effect.map(
    Effect.acquireRelease(
      io(() => mkdtemp(join(tmpdir(), "causeway-mcp-"))),
      (directory) =>
        io(() => rm(directory, { recursive: true, force: true })).pipe(
          Effect.catchAll((error) =>
            Effect.logWarning("A file of MCP servers was not removed").pipe(
              Effect.annotateLogs({ module: "Claude", detail: error.detail })
            )
          )
        )
    ),
    (directory) => join(directory, "mcp.json")
  ).pipe(
    Effect.tap((path) => {
      const named = Object.fromEntries(
        Object.entries(servers).map(([name, server]) => {
          // Servers of other kinds than a command have no environment.
          if (typeof server["command"] !== "string") return [name, server]
          const env = server["env"]
          return [
            name,
            {
              ...server,
              env: {
                ...(typeof env === "object" ? env : {}),
                CAUSEWAY_RUN_ID: spec.runId,
                CAUSEWAY_SESSION_ID: spec.sessionId
              }
            }
          ]
        })
      )
      return io(() => writeFile(path, JSON.stringify({ mcpServers: named }), { mode: 0o600 }))
    })
  )
}

/** What a session's own wishes come to. */
export const ofSpec = (
  spec: ConnectSpec
): Effect.Effect<ReadonlyArray<string>, AgentUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const options = spec.options ?? {}
    const servers = options.mcpServers
    return [
      ...flag("model", spec.model),
      ...flag("permission-mode", spec.permissionMode),
      ...(spec.mayBypass === true && spec.permissionMode !== "bypassPermissions"
        ? ["--allow-dangerously-skip-permissions"]
        : []),
      ...flag("max-turns", options.maxTurns?.toString()),
      ...flag("system-prompt", options.systemPrompt),
      ...flag("append-system-prompt", options.appendSystemPrompt),
      ...list("allowedTools", options.allowedTools),
      ...list("disallowedTools", options.disallowedTools),
      ...(options.additionalDirectories ?? []).flatMap((directory) => flag("add-dir", directory)),
      ...(servers === undefined ? [] : flag("mcp-config", yield* mcpConfig(servers, spec)))
    ]
  })
