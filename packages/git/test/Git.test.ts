/** Git calls of ours in an environment that points to another repository. */
import { execFileSync } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Checkout from "../src/Checkout.ts"
import * as Git from "../src/Git.ts"
import * as Repository from "../src/Repository.ts"

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
