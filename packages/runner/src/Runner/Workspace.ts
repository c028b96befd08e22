/**
 * Where a run works: in the directory itself, or in a git worktree of its own.
 *
 * A worktree is removed only when nothing in it would be lost: no changed or new files, and no commit that its base
 * does not have. Otherwise it stays where it is and whoever asked is told.
 */
import { execFile } from "node:child_process"
import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import * as ChildEnvironment from "@causeway/protocol/ChildEnvironment"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/**
 * `same-dir`: several runs may work in one directory; `worktree`: each has a worktree and branch of its own; `session`:
 * one run alone works in the directory.
 */
export const SpawnMode = Schema.Literal("same-dir", "worktree", "session")
export type SpawnMode = typeof SpawnMode.Type

/** The workspace cannot be had: not a git checkout, git not installed, no commit yet. */
export class WorkspaceUnavailable extends Schema.TaggedError<WorkspaceUnavailable>()("WorkspaceUnavailable", {
  directory: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `no worktree can be made of ${this.directory}: ${this.detail}`
  }
}

export interface Worktree {
  readonly path: string
  readonly branch: string
  /** The commit that it was made of. */
  readonly base: string
}

/** What came of a removal. `reason` says what would have been lost. */
export type Removal = { readonly _tag: "Removed" } | { readonly _tag: "Kept"; readonly reason: string }

export interface Workspace {
  /** Makes a worktree under `root`, on a branch `causeway/<name>` that starts at the checkout's head. */
  readonly create: (
    directory: string,
    root: string,
    name: string
  ) => Effect.Effect<Worktree, WorkspaceUnavailable>
  /**
   * Removes a worktree and its branch where nothing would be lost. Ignored files go with it; whatever git cannot tell
   * (a damaged worktree, a git that fails) counts as work.
   */
  readonly remove: (directory: string, worktree: Worktree) => Effect.Effect<Removal>
}

/** `environment` is the host's, of which git's is made. */
export const make = (environment: ChildEnvironment.Variables): Workspace => {
  const env = ChildEnvironment.forGit(environment)

  const git = (
    directory: string,
    ...args: ReadonlyArray<string>
  ): Effect.Effect<string, WorkspaceUnavailable> =>
    Effect.async((resume, signal) => {
      execFile(
        "git",
        ["-C", directory, ...args],
        { signal, env, maxBuffer: 16 * 1024 * 1024 },
        (error, stdout, stderr) =>
          resume(
            error === null
              ? Effect.succeed(stdout.trim())
              : Effect.fail(
                  new WorkspaceUnavailable({
                    directory,
                    detail: stderr.trim() === "" ? error.message : stderr.trim()
                  })
                )
          )
      )
    })

  const kept = (reason: string): Removal => ({ _tag: "Kept", reason })

  return {
    create: (directory, root, name) =>
      Effect.gen(function* () {
        const base = yield* git(directory, "rev-parse", "--verify", "HEAD")
        const path = join(root, name)
        const branch = `causeway/${name}`
        yield* Effect.promise(() => mkdir(root, { recursive: true, mode: 0o700 }))
        yield* git(directory, "worktree", "add", "-b", branch, "--", path, base)
        return { path, branch, base }
      }),
    remove: (directory, worktree) =>
      Effect.gen(function* () {
        const changes = yield* git(worktree.path, "status", "--porcelain=v1", "--untracked-files=all")
        if (changes !== "") return kept(`it has ${changes.split("\n").length} changed or new files`)
        if ((yield* git(worktree.path, "rev-parse", "--verify", "HEAD")) !== worktree.base) {
          return kept("it has commits of its own")
        }
        // Stashes belong to the repository; those made on this worktree's branch name it.
        if ((yield* git(worktree.path, "stash", "list", "--format=%gs")).includes(worktree.branch)) {
          return kept("it has stashed work")
        }
        // Without --force: git refuses as well where it sees anything unsaved.
        yield* git(directory, "worktree", "remove", "--", worktree.path)
        // Checked out elsewhere meanwhile, it stays: a branch is nobody's file.
        yield* Effect.ignore(git(directory, "branch", "-d", "--", worktree.branch))
        return { _tag: "Removed" as const }
      }).pipe(Effect.catchAll((error) => Effect.succeed(kept(error.detail))))
  }
}
