/** The context of a session: where its code comes from and goes, and which agent works on it, and how. */
import * as Schema from "effect/Schema"
import { LaunchOptions } from "../LaunchOptions.ts"
import { JsonObject, nullish, open } from "./Schemas.ts"

/** Where a session's code comes from. */
const GitSource = open({
  type: Schema.Literal("git_repository"),
  url: Schema.String,
  revision: nullish(Schema.String)
})
/** Where a session's work goes. */
const GitOutcome = open({
  type: Schema.Literal("git_repository"),
  git_info: open({
    type: Schema.String,
    repo: Schema.String,
    branches: Schema.Array(Schema.String)
  })
})
/** The context of a session. Sources and outcomes of kinds unknown here are kept as they are. */
export const SessionContext = open({
  sources: nullish(Schema.Array(Schema.Union(GitSource, JsonObject))),
  outcomes: nullish(Schema.Array(Schema.Union(GitOutcome, JsonObject))),
  model: nullish(Schema.String),
  cwd: nullish(Schema.String),
  /** Which of the environment's agents works on it; default: the first. See EnvironmentCapabilities. */
  agent: nullish(Schema.String),
  /** How its agent is started. */
  options: Schema.optional(Schema.NullOr(LaunchOptions)),
  /** True, or a string: it works in a git worktree of its own. */
  worktree: nullish(Schema.Union(Schema.Boolean, Schema.String))
})
export type SessionContext = typeof SessionContext.Type
