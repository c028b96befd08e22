/**
 * The options that an agent is started with: one record for every kind of agent. Claude and the scripted agent are given
 * them as flags and private files (`Claude/Flags.ts`), ACP agents with their session (`Acp/Surroundings.ts`).
 */
import type { LaunchOptions } from "@causeway/protocol/LaunchOptions"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

const Text = Schema.optional(Schema.String)
const Names = Schema.optional(Schema.Array(Schema.String))
const Json = Schema.Record({ key: Schema.String, value: Schema.Unknown })

/** MCP servers by name, each as the agent's own configuration has it. */
export const McpServers = Schema.Record({ key: Schema.String, value: Json })
export type McpServers = typeof McpServers.Type

/**
 * An option that is left out is the agent's own default. `mcpServers` and `settings` may hold secrets: they are redacted
 * wherever they are logged, and only encoding (`Schema.encode`) shows them.
 */
export const AgentOptions = Schema.Struct({
  model: Text,
  permissionMode: Text,
  /** Most rounds with the model in one turn. */
  maxTurns: Schema.optional(Schema.Int.pipe(Schema.positive())),
  /** Instead of the agent's own. */
  systemPrompt: Text,
  appendSystemPrompt: Text,
  /** Tools, or rules such as `Bash(git log:*)`, that are used without asking. */
  allowedTools: Names,
  disallowedTools: Names,
  additionalDirectories: Names,
  mcpServers: Schema.optional(Schema.Redacted(McpServers)),
  /** Session-scoped settings as the agent's settings file has them; config options by id for an ACP agent. */
  settings: Schema.optional(Schema.Redacted(Json))
})
export type AgentOptions = typeof AgentOptions.Type

export const none: AgentOptions = {}

/** The options that a session asks for. */
export const ofLaunch = (asked: LaunchOptions): AgentOptions =>
  merge(none, {
    maxTurns: asked.max_turns ?? undefined,
    systemPrompt: asked.system_prompt ?? undefined,
    appendSystemPrompt: asked.append_system_prompt ?? undefined,
    allowedTools: asked.allowed_tools ?? undefined,
    disallowedTools: asked.disallowed_tools ?? undefined,
    additionalDirectories: asked.additional_directories ?? undefined,
    mcpServers: asked.mcp_servers == null ? undefined : Redacted.make(asked.mcp_servers)
  })

/** `over` before `base`, option by option. */
export const merge = (base: AgentOptions, over: AgentOptions): AgentOptions => ({
  ...base,
  ...Object.fromEntries(Object.entries(over).filter(([, value]) => value !== undefined))
})

/** The MCP servers with their secrets; those that are commands are told which session they serve. */
export const mcpServers = (
  { mcpServers }: AgentOptions,
  serves: { readonly runId: string; readonly sessionId: string }
): McpServers =>
  mcpServers === undefined
    ? {}
    : Object.fromEntries(
        Object.entries(Redacted.value(mcpServers)).map(([name, server]) => {
          const { command, env } = server
          // Servers of other kinds have no environment.
          if (typeof command !== "string") return [name, server]
          const marks = { CAUSEWAY_RUN_ID: serves.runId, CAUSEWAY_SESSION_ID: serves.sessionId }
          return [name, { ...server, env: { ...(typeof env === "object" ? env : {}), ...marks } }]
        })
      )
