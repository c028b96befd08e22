/**
 * Options that a session asks its agent to be started with: `session_context.options`, as JSON. `mcp_servers` are by name,
 * each as the agent's own configuration has it, and may hold secrets. Source: spec 3 §2.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

const Text = Schema.optional(Schema.NullOr(Schema.String))
const Names = Schema.optional(Schema.NullOr(Schema.Array(Schema.String)))
const Json = Schema.Record({ key: Schema.String, value: Schema.Unknown })

export const LaunchOptions = Schema.Struct({
  /** Most rounds with the model in one turn. */
  max_turns: Schema.optional(Schema.NullOr(Schema.Int.pipe(Schema.positive()))),
  /** Instead of the agent's own. */
  system_prompt: Text,
  append_system_prompt: Text,
  allowed_tools: Names,
  disallowed_tools: Names,
  additional_directories: Names,
  mcp_servers: Schema.optional(Schema.NullOr(Schema.Record({ key: Schema.String, value: Json })))
})
export type LaunchOptions = typeof LaunchOptions.Type

const decode = Schema.decodeUnknownOption(LaunchOptions)

/** The options that a value is; none where it is of another form. */
export const of = (value: unknown): LaunchOptions => Option.getOrElse(decode(value ?? {}), () => ({}))

/** Stands for a secret. */
export const HIDDEN = "(hidden)"

const isObject = (value: unknown): value is { readonly [name: string]: unknown } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const hidden = (value: unknown): unknown =>
  isObject(value) ? Object.fromEntries(Object.keys(value).map((name) => [name, HIDDEN])) : HIDDEN

/** An address without who signs in and what is asked, where keys stand. */
const hiddenInAddress = (value: unknown): unknown => {
  if (typeof value !== "string" || !URL.canParse(value)) return value
  const url = new URL(value)
  if (url.username === "" && url.password === "" && url.search === "" && url.hash === "") return value
  return `${url.protocol}//${url.host}${url.pathname} ${HIDDEN}`
}

/** The members of a server's configuration that say what it is, not how it signs in. */
const OPEN_MEMBERS = new Set(["type", "command", "transport", "timeout"])

const shownServer = (server: unknown): unknown =>
  isObject(server)
    ? Object.fromEntries(
        Object.entries(server).map(([name, value]) => [
          name,
          OPEN_MEMBERS.has(name) ? value : name === "url" ? hiddenInAddress(value) : hidden(value)
        ])
      )
    : HIDDEN

/**
 * A session's context as people may read it: of MCP servers it tells names, programs and addresses; arguments, headers,
 * environment and whatever else they are configured with is hidden. Workers get it whole (`Worker.launch_options`).
 */
export const shown = <C extends { readonly [name: string]: unknown }>(context: C): C => {
  const { options } = context
  if (!isObject(options) || !isObject(options["mcp_servers"])) return context
  const servers = Object.entries(options["mcp_servers"]).map(([name, server]) => [name, shownServer(server)])
  return { ...context, options: { ...options, mcp_servers: Object.fromEntries(servers) } }
}

/** It has members that {@link shown} hides. */
export const hasSecrets = ({ mcp_servers: servers }: LaunchOptions): boolean =>
  Object.keys(servers ?? {}).length > 0
