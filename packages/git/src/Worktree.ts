/**
 * Worktrees of a checkout: made whole or not at all, and removed only where nothing in them would be lost.
 *
 * Nothing is lost: there are no changed or new files, no commits that the base or a remote does not have, and no
 * stashes, in the worktree and in its submodules. Otherwise it stays where it is, and whoever asked is told.
 */
import { mkdir, realpath, rm } from "node:fs/promises"
import { dirname, join } from "node:path"
import * as FileFailure from "@causeway/protocol/FileFailure"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { detailOf, type Git, type GitError, quote } from "./Git.ts"

/** The workspace cannot be had: not a git checkout, git not installed, no commit yet, a hook that fails. */
export class WorkspaceUnavailable extends Schema.TaggedError<WorkspaceUnavailable>()("WorkspaceUnavailable", {
  directory: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `cannot create a worktree of ${this.directory}: ${this.detail}`
  }
}

export interface Worktree {
  readonly path: string
  readonly branch: string
  /** The commit that it was made of. */
  readonly base: string
}

/** The outcome of a removal. `reason` says what would have been lost. */
export type Removal = { readonly _tag: "Removed" } | { readonly _tag: "Kept"; readonly reason: string }

const kept = (reason: string): Removal => ({ _tag: "Kept", reason })

const detailOfError = (error: GitError): string => (error._tag === "GitFailed" ? error.detail : error.message)

const unavailable = (directory: string) => (error: GitError) =>
  new WorkspaceUnavailable({ directory, detail: detailOfError(error) })

/** A file operation at `path`. */
const io = <A>(
  directory: string,
  path: string,
  operation: (path: string) => Promise<A>
): Effect.Effect<A, WorkspaceUnavailable> =>
  Effect.tryPromise({
    try: () => operation(path),
    catch: (cause) => new WorkspaceUnavailable({ directory, detail: FileFailure.describe(path, cause) })
  })

/** Changed and new files. */
const changesIn = (git: Git["Type"], path: string, ...flags: ReadonlyArray<string>) =>
  git.text(path, "status", "--porcelain=v1", "--untracked-files=all", ...flags)

/** Where the worktree of this name is, and its branch. */
export const placeOf = (root: string, name: string): { readonly path: string; readonly branch: string } => ({
  path: join(root, name),
  branch: `causeway/${name}`
})

// --- Making ---

/**
 * Takes away a worktree that nobody has worked in, finished or not, and its branch where that has no commit beyond
 * `base`. What cannot be taken away is told by git at the next attempt.
 */
export const discard = Effect.fn("Worktree.discard")(function* (
  git: Git["Type"],
  directory: string,
  { base, branch, path }: Worktree
) {
  yield* Effect.ignore(git.run(directory, "worktree", "remove", "--force", "--force", "--", path))
  yield* io(directory, path, (path) => rm(path, { recursive: true, force: true }))
  yield* Effect.ignore(git.run(directory, "worktree", "prune"))
  const tip = yield* Effect.option(
    git.run(directory, "rev-parse", "--verify", "--quiet", `refs/heads/${branch}`)
  )
  if (tip._tag === "Some" && tip.value.stdout.trim() === base) {
    yield* Effect.ignore(git.run(directory, "branch", "-D", "--", branch))
  }
})

/** The commit that a worktree of `directory` would be made of. */
export const baseOf = (git: Git["Type"], directory: string): Effect.Effect<string, WorkspaceUnavailable> =>
  Effect.mapError(git.text(directory, "rev-parse", "--verify", "HEAD"), unavailable(directory))

/**
 * Makes the worktree, on its branch: a new one at `base`, or the one that is there already. To be called where nothing
 * stands at its path; leaves nothing there where it fails.
 */
export const create = Effect.fn("Worktree.create")(
  function* (git: Git["Type"], directory: string, worktree: Worktree) {
    const { base, branch, path } = worktree
    yield* io(directory, dirname(path), (path) => mkdir(path, { recursive: true, mode: 0o700 }))
    const exists = yield* git.run(directory, "rev-parse", "--verify", "--quiet", `refs/heads/${branch}`)
    const ran = yield* exists.exitCode === 0
      ? git.run(directory, "worktree", "add", "--", path, branch)
      : git.run(directory, "worktree", "add", "-b", branch, "--", path, base)
    if (ran.exitCode === 0) return
    // A hook or a filter may fail when all is there already: what git says is not all there is to undo.
    yield* discard(git, directory, worktree)
    return yield* new WorkspaceUnavailable({ directory, detail: detailOf(ran) })
  },
  (effect, _git, directory) =>
    Effect.mapError(effect, (error) =>
      error._tag === "WorkspaceUnavailable" ? error : unavailable(directory)(error)
    )
)

/**
 * A worktree that stands at a path without anybody's record of it: `base` where it is one of `directory`, on the branch
 * that it should be on, and holds nothing that is not committed; otherwise a refusal that says what to do.
 */
export const adopt = Effect.fn("Worktree.adopt")(function* (
  git: Git["Type"],
  directory: string,
  { branch, path }: { readonly path: string; readonly branch: string }
) {
  const inTheWay = new WorkspaceUnavailable({
    directory,
    detail: `${path} is in the way: it is not a worktree of this session; move it away, or remove it with: git -C ${quote(directory)} worktree remove --force ${quote(path)}`
  })
  const real = yield* io(directory, path, realpath)
  const listed = yield* Effect.mapError(
    git.text(directory, "worktree", "list", "--porcelain"),
    unavailable(directory)
  )
  const ours = listed
    .split("\n\n")
    .some(
      (block) => block.startsWith(`worktree ${real}\n`) && block.includes(`\nbranch refs/heads/${branch}`)
    )
  if (!ours) return yield* inTheWay
  const changes = yield* Effect.mapError(changesIn(git, path), () => inTheWay)
  if (changes !== "") return yield* inTheWay
  return yield* baseOf(git, path)
})

// --- Removing ---

/** Why a submodule must stay, or nothing. Its repository lies in the worktree's, and would go with it. */
const keepsSubmodule = (git: Git["Type"], path: string, name: string) =>
  Effect.gen(function* () {
    if ((yield* changesIn(git, path)) !== "") {
      return `its submodule ${name} has changed or new files`
    }
    const own = ["--max-count=1", "HEAD", "--branches", "--not", "--remotes"]
    if ((yield* git.text(path, "rev-list", ...own)) !== "") {
      return `its submodule ${name} has commits that no remote has`
    }
    return (yield* git.text(path, "stash", "list")) === ""
      ? undefined
      : `its submodule ${name} has stashed work`
  })

/** Initialised submodules, those in submodules too, as paths in the worktree. */
const submodulesOf = (git: Git["Type"], path: string) =>
  Effect.map(git.text(path, "submodule", "status", "--recursive"), (said) =>
    said.split("\n").flatMap((line) => {
      // ` <commit> <path> (<described>)`; `-` in front: not initialised.
      const [, mark, name] = /^([ +U-]?)[0-9a-f]{40,64} (.+?)(?: \([^()]*\))?$/.exec(line) ?? []
      return name === undefined || mark === "-" ? [] : [name]
    })
  )

/**
 * Removes a worktree and its branch where nothing would be lost. Ignored files go with it; whatever git cannot tell (a
 * damaged worktree, a git that fails) counts as work.
 */
export const remove = Effect.fn("Worktree.remove")(
  function* (git: Git["Type"], directory: string, { base, branch, path }: Worktree) {
    const changes = yield* changesIn(git, path, "--ignore-submodules=none")
    if (changes !== "") return kept(`it has ${changes.split("\n").length} changed or new files`)
    if ((yield* git.text(path, "rev-parse", "--verify", "HEAD")) !== base) {
      return kept("it has commits of its own")
    }
    // Stashes belong to the repository; those made on this worktree's branch name it.
    if ((yield* git.text(path, "stash", "list", "--format=%gs")).includes(branch)) {
      return kept("it has stashed work")
    }
    const submodules = yield* submodulesOf(git, path)
    for (const name of submodules) {
      const reason = yield* keepsSubmodule(git, join(path, name), name)
      if (reason !== undefined) return kept(reason)
    }
    // Git itself removes no worktree with submodules; without them it looks once more for what is not saved.
    const force = submodules.length > 0 ? ["--force"] : []
    yield* git.text(directory, "worktree", "remove", ...force, "--", path)
    // Checked out elsewhere meanwhile, it stays: a branch is nobody's file.
    yield* Effect.ignore(git.text(directory, "branch", "-d", "--", branch))
    const removed: Removal = { _tag: "Removed" }
    return removed
  },
  Effect.catchAll((error) => Effect.succeed(kept(detailOfError(error))))
)
