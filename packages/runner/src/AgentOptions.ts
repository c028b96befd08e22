/** What an agent may be started with beyond its model and mode. A driver passes over what its agent does not know. */
import * as Schema from "effect/Schema"

const Names = Schema.optional(Schema.Array(Schema.String))

/**
 * `mcpServers` by name, each as the agent's own configuration has it. They may hold secrets: they are never logged and
 * reach the agent by a file that only its user reads.
 */
export const AgentOptions = Schema.Struct({
  /** Most rounds with the model in one turn. */
  maxTurns: Schema.optional(Schema.Int.pipe(Schema.positive())),
  systemPrompt: Schema.optional(Schema.String),
  appendSystemPrompt: Schema.optional(Schema.String),
  /** Tools, or rules such as `Bash(git log:*)`, that need no asking; and those that are not to be had. */
  allowedTools: Names,
  disallowedTools: Names,
  additionalDirectories: Names,
  mcpServers: Schema.optional(
    Schema.Record({ key: Schema.String, value: Schema.Record({ key: Schema.String, value: Schema.Unknown }) })
  )
})
export type AgentOptions = typeof AgentOptions.Type
