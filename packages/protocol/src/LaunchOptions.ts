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
