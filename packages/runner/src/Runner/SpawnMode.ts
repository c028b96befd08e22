import * as Schema from "effect/Schema"

/**
 * `same-dir`: several runs may work in one directory; `worktree`: each has a worktree and branch of its own; `session`:
 * one run alone works in the directory.
 */
export const SpawnMode = Schema.Literal("same-dir", "worktree", "session")
export type SpawnMode = typeof SpawnMode.Type
