/** Git calls of ours in an environment that points to another repository. */
import { execFileSync } from "node:child_process"
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Checkout from "../src/Checkout.ts"
import * as Git from "../src/Git.ts"
import * as Repository from "../src/Repository.ts"
import * as Worktree from "../src/Worktree.ts"

const clean = { PATH: process.env["PATH"], HOME: process.env["HOME"] }

const git = (cwd: string, ...args: ReadonlyArray<string>): string =>
  execFileSync("git", ["-c", "user.email=t@example.com", "-c", "user.name=t", ...args], {
    cwd,
    encoding: "utf8",
    env: clean
  }).trim()

const repository = (root: string, name: string) => {
  const directory = join(root, name)
  mkdirSync(directory)
  git(directory, "init", "-q", "-b", `branch-of-${name}`)
  writeFileSync(join(directory, "file"), name)
  git(directory, "add", ".")
  git(directory, "commit", "-qm", name)
  git(directory, "remote", "add", "origin", `https://example.com/owner/${name}.git`)
  return directory
}

const two = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const root = yield* fs.makeTempDirectoryScoped({ prefix: "causeway-git-" })
  const [ours, other] = [repository(root, "ours"), repository(root, "other")]
  // As a hook of the other repository leaves it; every variable that git itself calls local to a repository is there.
  const local = git(ours, "rev-parse", "--local-env-vars").split("\n")
  const hook = {
    ...clean,
    ...Object.fromEntries(local.map((name) => [name, "1"])),
    GIT_DIR: join(other, ".git"),
    GIT_WORK_TREE: other,
    GIT_INDEX_FILE: join(other, ".git", "index"),
    GIT_COMMON_DIR: join(other, ".git"),
    GIT_OBJECT_DIRECTORY: join(other, ".git", "objects"),
    GIT_CEILING_DIRECTORIES: root,
    GIT_NAMESPACE: "elsewhere",
    LC_ALL: "de_DE.UTF-8"
  }
  return { ours, other, hook }
})

describe("git, started in an environment of another repository", () => {
  it.scoped("answers for the directory that it was asked about", () =>
    Effect.gen(function* () {
      const { hook, ours } = yield* two
      const ask = (...args: ReadonlyArray<string>) => Git.make(hook).text(ours, ...args)
      expect(yield* ask("branch", "--show-current")).toBe("branch-of-ours")
      expect(yield* ask("remote", "get-url", "origin")).toBe("https://example.com/owner/ours.git")
      expect(yield* ask("status", "--porcelain")).toBe("")
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scoped("teleport takes the right checkout, and no other", () =>
    Effect.gen(function* () {
      const { hook, other, ours } = yield* two
      const prepare = (directory: string) =>
        Effect.gen(function* () {
          const repository = yield* Repository.parse("https://example.com/owner/ours")
          return yield* Checkout.prepare(directory, { repository, branches: ["branch-of-ours"] })
        }).pipe(Effect.provide(Git.layer(hook)))
      // Nothing listens on the remote's address here: what is in the checkout is used.
      git(ours, "config", `url.${other}.insteadOf`, "https://example.com/owner/ours.git")
      expect(yield* prepare(ours)).toMatchObject({ branch: "branch-of-ours" })
      const refused = yield* Effect.flip(prepare(other))
      expect(refused._tag).toBe("WrongRepository")
    }).pipe(Effect.provide(NodeContext.layer))
  )
})

describe("git, in a repository that names programs", () => {
  it.scoped("runs no hook, and nothing that is to watch its files", () =>
    Effect.gen(function* () {
      const { other, ours } = yield* two
      const ran = join(ours, "..", "ran")
      const program = join(ours, "..", "program")
      writeFileSync(program, `#!/bin/sh\necho "$0 $CAUSEWAY_TOKEN" >> '${ran}'\n`, { mode: 0o755 })
      for (const hook of [
        "post-checkout",
        "post-index-change",
        "pre-auto-gc",
        "reference-transaction",
        "post-merge"
      ]) {
        copyFileSync(program, join(ours, ".git", "hooks", hook))
      }
      git(ours, "config", "core.fsmonitor", program)
      // It shows: git as others call it runs them.
      git(ours, "update-ref", "refs/heads/before", "HEAD")
      git(ours, "status")
      expect(readFileSync(ran, "utf8")).toMatch(/reference-transaction.*program/s)
      rmSync(ran)
      git(other, "config", "receive.denyCurrentBranch", "ignore")
      git(ours, "config", `url.${other}.insteadOf`, "https://example.com/owner/ours.git")
      yield* Effect.gen(function* () {
        const worktree = { path: join(ours, "..", "tree"), branch: "causeway/a" }
        const own = yield* Git.Git
        const base = yield* Worktree.baseOf(own, ours)
        yield* Worktree.create(own, ours, { ...worktree, base })
        yield* own.text(ours, "status", "--porcelain")
        yield* Checkout.read(ours)
        yield* Checkout.files(ours)
        const repository = yield* Repository.parse("https://example.com/owner/ours")
        yield* Checkout.prepare(ours, { repository, branches: ["branch-of-other", "before"] })
        expect(yield* Worktree.remove(own, ours, { ...worktree, base })).toEqual({ _tag: "Removed" })
      }).pipe(Effect.provide(Git.layer({ ...clean, CAUSEWAY_TOKEN: "secret" })))
      expect(existsSync(ran)).toBe(false)
    }).pipe(Effect.provide(NodeContext.layer))
  )
})
