/** The MCP servers that a session's agent is given, in ACP's words. Their secrets are never logged. Source: spec 4 §2. */
import type { HttpHeader, McpServer } from "@agentclientprotocol/sdk"
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Read from "@causeway/transcript/Read"
import type { AgentOptions } from "../AgentOptions.ts"
import type { ConnectSpec } from "../Driver.ts"

const pairs = (value: unknown): ReadonlyArray<HttpHeader> =>
  Object.entries(Read.object(value)).flatMap(([name, text]) =>
    typeof text === "string" ? [{ name, value: text }] : []
  )

/**
 * Servers as an agent's own configuration names them: a command with `args` and `env`, or an address with `headers` and
 * the type `http` or `sse`. One that is neither is left out. Commands learn which session they serve.
 */
export const ofOptions = (
  servers: NonNullable<AgentOptions["mcpServers"]>,
  spec: Pick<ConnectSpec, "runId" | "sessionId">
): ReadonlyArray<McpServer> =>
  Object.entries(servers).flatMap(([name, server]): ReadonlyArray<McpServer> => {
    const { args, command, env, headers, type, url } = server
    if (typeof command === "string") {
      return [
        {
          name,
          command,
          args: Read.array(args).filter((each) => typeof each === "string"),
          env: [
            ...pairs(env),
            { name: "CAUSEWAY_RUN_ID", value: spec.runId },
            { name: "CAUSEWAY_SESSION_ID", value: spec.sessionId }
          ]
        }
      ]
    }
    return typeof url === "string"
      ? [{ type: type === "sse" ? "sse" : "http", name, url, headers: [...pairs(headers)] }]
      : []
  })

/** The servers that the agent can use: those over HTTP only where it says so. */
export const usable = (
  servers: ReadonlyArray<McpServer>,
  agentCapabilities: JsonObject
): ReadonlyArray<McpServer> => {
  const takes = Read.object(agentCapabilities["mcpCapabilities"])
  return servers.filter((server) => !("type" in server) || takes[server.type] === true)
}
