/**
 * The options of a session in ACP's words, as `session/new`, `session/load`, `session/resume` and `session/fork` take
 * them. Source: spec 4 §2.
 */
import type { HttpHeader, McpServer } from "@agentclientprotocol/sdk"
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Read from "@causeway/transcript/Read"
import * as AgentOptions from "../AgentOptions.ts"
import type { ConnectSpec } from "../Driver.ts"
import { type Announced, can } from "./Handshake.ts"

const pairs = (value: unknown): Array<HttpHeader> =>
  Object.entries(Read.object(value)).flatMap(([name, text]) =>
    typeof text === "string" ? [{ name, value: text }] : []
  )

/**
 * The servers of a session: a command with `args` and `env`, or an address with `headers` and the type `http` or `sse`.
 * One that is neither is left out.
 */
export const mcpServers = (
  spec: Pick<ConnectSpec, "options" | "runId" | "sessionId">
): ReadonlyArray<McpServer> =>
  Object.entries(AgentOptions.mcpServers(spec.options ?? AgentOptions.none, spec)).flatMap(
    ([name, { args, command, env, headers, type, url }]): ReadonlyArray<McpServer> => {
      if (typeof command === "string") {
        const words = Read.array(args).filter((each) => typeof each === "string")
        return [{ name, command, args: words, env: pairs(env) }]
      }
      return typeof url === "string"
        ? [{ type: type === "sse" ? "sse" : "http", name, url, headers: pairs(headers) }]
        : []
    }
  )

/** The servers that the agent can use: those over HTTP only where it says so. */
const usable = (
  servers: ReadonlyArray<McpServer>,
  agentCapabilities: JsonObject
): ReadonlyArray<McpServer> => {
  const takes = Read.object(agentCapabilities["mcpCapabilities"])
  return servers.filter((server) => !("type" in server) || takes[server.type] === true)
}

const defined = (json: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(json).filter(([, value]) => value !== undefined))

/**
 * Options that ACP has no member for, in `_meta` as Claude's ACP adapter reads them. Other agents pass over them, so that
 * the person is told.
 */
const extensions = ({
  allowedTools,
  appendSystemPrompt,
  disallowedTools,
  maxTurns,
  systemPrompt
}: AgentOptions.AgentOptions): JsonObject => {
  const options = defined({ maxTurns, allowedTools, disallowedTools })
  return defined({
    systemPrompt:
      systemPrompt === undefined
        ? appendSystemPrompt && { append: appendSystemPrompt }
        : [systemPrompt, ...(appendSystemPrompt === undefined ? [] : [appendSystemPrompt])].join("\n\n"),
    claudeCode: Object.keys(options).length === 0 ? undefined : { options }
  })
}

export interface Surroundings {
  /** Members of the request that opens the session. */
  readonly params: JsonObject
  /** Options that the agent does not take or need not follow, in words for a person. */
  readonly warnings: ReadonlyArray<string>
}

export const make = (
  agent: Announced,
  spec: Pick<ConnectSpec, "cwd" | "options" | "runId" | "sessionId">
): Surroundings => {
  const options = spec.options ?? AgentOptions.none
  const directories = options.additionalDirectories ?? []
  const servers = mcpServers(spec)
  const taken = usable(servers, agent.capabilities)
  const unused = servers.filter((server) => !taken.includes(server)).map(({ name }) => name)
  const ignored = directories.length > 0 && !can(agent, "additionalDirectories") ? directories : []
  const meta = extensions(options)
  const beyond = Object.keys({ ...meta, ...Read.object(Read.object(meta["claudeCode"])["options"]) })
    .filter((name) => name !== "claudeCode")
    .join(", ")
  return {
    params: {
      cwd: spec.cwd,
      mcpServers: taken,
      ...(directories.length > ignored.length ? { additionalDirectories: directories } : {}),
      ...(beyond === "" ? {} : { _meta: meta })
    },
    warnings: [
      ...(unused.length > 0 ? [`${agent.name} cannot use these MCP servers: ${unused.join(", ")}`] : []),
      ...(ignored.length > 0 ? [`${agent.name} takes no additional directories: ${ignored.join(", ")}`] : []),
      ...(beyond === ""
        ? []
        : [`${agent.name} may not follow these options, which ACP does not define: ${beyond}`])
    ]
  }
}
