/** Checkouts as people have them: clones of one branch, shallow ones, remotes under aliases, in directories, detached. */
import { execFileSync } from "node:child_process"
import { chmodSync, mkdirSync, readdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Checkout from "../src/Checkout.ts"
import * as Git from "../src/Git.ts"
import * as Repository from "../src/Repository.ts"

const git = (cwd: string, ...args: ReadonlyArray<string>): string =>
  execFileSync(
    "git",
    ["-c", "user.email=t@example.com", "-c", "user.name=t", "-c", "init.defaultBranch=main", ...args],
    { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }
  ).trim()

const commit = (directory: string, file: string) => {
  writeFileSync(join(directory, file), file)
  git(directory, "add", ".")
  git(directory, "commit", "-q", "-m", file)
}

/** `origin` has `main` with two commits and `claude/topic` with one more. */
const repositories = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const root = realpathSync(yield* fs.makeTempDirectoryScoped({ prefix: "causeway-checkout-" }))
  const origin = join(root, "origin")
  mkdirSync(origin)
  git(origin, "init", "-q")
  commit(origin, "a")
  commit(origin, "b")
  git(origin, "checkout", "-q", "-b", "claude/topic")
  commit(origin, "c")
  git(origin, "checkout", "-q", "main")
  return { root, origin, checkout: join(root, "checkout") }
})

/** Gives the clone's remote an address on a host; git takes the directory instead. */
const address = (checkout: string, origin: string, as: string) => {
  git(checkout, "remote", "set-url", "origin", as)
  git(checkout, "config", `url.${origin}.insteadOf`, as)
}

const prepare = (
  directory: string,
  repository: string,
  options: {
    readonly branches?: ReadonlyArray<string>
    readonly anyRepository?: boolean
    readonly host?: NodeJS.ProcessEnv
  } = {}
) =>
  Effect.provide(
    Checkout.prepare(directory, {
      repository: Option.getOrThrow(Repository.parse(repository)),
      branches: options.branches ?? ["claude/topic"],
      anyRepository: options.anyRepository ?? false
    }),
    Git.layer(options.host ?? process.env)
  )

const test = (name: string, body: Effect.Effect<void, unknown, FileSystem.FileSystem | Scope.Scope>) =>
  it.scopedLive(name, () => Effect.provide(body, NodeContext.layer))

describe("the session's branch is brought in", () => {
  test(
    "into a clone of a single branch, and into a shallow one",
    Effect.gen(function* () {
      const { origin, root } = yield* repositories
      const clones = [
        ["--single-branch", "--branch", "main"],
        ["--depth", "1", "--branch", "main"]
      ]
      for (const [index, options] of clones.entries()) {
        const checkout = join(root, `clone-${index}`)
        git(root, "clone", "-q", ...options, `file://${origin}`, checkout)
        const prepared = yield* prepare(checkout, origin)
        expect(prepared).toMatchObject({
          branch: "claude/topic",
          remote: "origin",
          fetched: true,
          upToDate: true
        })
        expect(readdirSync(checkout)).toContain("c")
        // It follows the remote's, as a branch that git made itself.
        expect(git(checkout, "rev-parse", "--abbrev-ref", "@{upstream}")).toBe("origin/claude/topic")
        git(origin, "checkout", "-q", "claude/topic")
        commit(origin, `later-${index}`)
        git(origin, "checkout", "-q", "main")
        expect(yield* prepare(checkout, origin)).toMatchObject({ upToDate: true })
        expect(readdirSync(checkout)).toContain(`later-${index}`)
      }
    })
  )
})

describe("the right checkout is taken", () => {
  for (const as of [
    "git@github.com-work:o/r",
    "git@github.com-work:o/r.git",
    "work:o/r.git",
    "ssh://work/o/r",
    "github.com:o/r.git",
    "ssh://git@github.com:22/o/r.git",
    "https://someone:secret@github.com/o/r"
  ]) {
    test(
      `whose remote is ${as}`,
      Effect.gen(function* () {
        const { checkout, origin, root } = yield* repositories
        git(root, "clone", "-q", origin, checkout)
        address(checkout, origin, as)
        expect(yield* prepare(checkout, "https://github.com/o/r")).toMatchObject({
          branch: "claude/topic",
          fetched: true
        })
      })
    )
  }

  test(
    "under a name of ssh's configuration, whatever it is",
    Effect.gen(function* () {
      const { checkout, origin, root } = yield* repositories
      git(root, "clone", "-q", origin, checkout)
      address(checkout, origin, "my.alias:o/r")
      mkdirSync(join(root, "bin"))
      // ssh reads the configuration of the user's real home, which is no test's to write.
      writeFileSync(join(root, "bin", "ssh"), '#!/bin/sh\n[ "$1" = -G ] && echo "hostname git.example.org"\n')
      chmodSync(join(root, "bin", "ssh"), 0o755)
      const host = { ...process.env, PATH: `${join(root, "bin")}:${process.env["PATH"]}` }
      expect(yield* prepare(checkout, "https://git.example.org/o/r", { host })).toMatchObject({
        remote: "origin",
        note: undefined
      })
      const attached = yield* Effect.provide(Checkout.read(checkout), Git.layer(host))
      expect(attached.remote).toEqual(Option.some("https://git.example.org/o/r"))
    })
  )

  test(
    "of a repository in a directory, also through a link and from within",
    Effect.gen(function* () {
      const { checkout, origin, root } = yield* repositories
      git(root, "clone", "-q", origin, checkout)
      symlinkSync(origin, join(root, "link"))
      expect(yield* prepare(checkout, join(root, "link"))).toMatchObject({ remote: "origin" })
      expect(yield* prepare(origin, `${origin}/.git`)).toMatchObject({ remote: undefined, fetched: true })
    })
  )
})

describe("another checkout is refused, and says how to go on", () => {
  for (const as of [
    "git@gitlab.com:o/r",
    "git@github.com-work:o/other",
    "work:other/r",
    "https://github.com.evil.example/o/r"
  ]) {
    test(
      `whose remote is ${as}`,
      Effect.gen(function* () {
        const { checkout, origin, root } = yield* repositories
        git(root, "clone", "-q", origin, checkout)
        address(checkout, origin, as)
        const refused = yield* Effect.flip(prepare(checkout, "https://github.com/o/r"))
        expect(refused).toMatchObject({ _tag: "WrongRepository", expected: "https://github.com/o/r" })
        expect(git(checkout, "branch", "--show-current")).toBe("main")
        const forced = yield* prepare(checkout, "https://github.com/o/r", { anyRepository: true })
        expect(forced).toMatchObject({ branch: "claude/topic" })
        expect(forced.note).toContain("it is used as you asked")
      })
    )
  }

  test(
    "of another directory than the session's",
    Effect.gen(function* () {
      const { checkout, origin, root } = yield* repositories
      git(root, "clone", "-q", origin, checkout)
      const other = join(root, "other.git")
      git(root, "init", "-q", "--bare", other)
      expect(yield* Effect.flip(prepare(checkout, other))).toMatchObject({
        _tag: "WrongRepository",
        expected: join(root, "other"),
        found: [origin]
      })
    })
  )

  test(
    "that belongs to somebody else, by that name",
    Effect.gen(function* () {
      const { checkout, origin, root } = yield* repositories
      git(root, "clone", "-q", origin, checkout)
      // Git's own switch for trying this without another user.
      const host = { ...process.env, GIT_TEST_ASSUME_DIFFERENT_OWNER: "1" }
      const refused = yield* Effect.flip(prepare(checkout, origin, { host }))
      expect(refused._tag).toBe("DirectoryNotTrusted")
      expect(refused.message).toContain(`git config --global --add safe.directory ${checkout}`)
    })
  )
})

test(
  "a commit that is on no branch is named when the checkout leaves it",
  Effect.gen(function* () {
    const { checkout, origin, root } = yield* repositories
    git(root, "clone", "-q", origin, checkout)
    git(checkout, "checkout", "-q", "--detach")
    expect(yield* prepare(checkout, origin)).toMatchObject({ leftBehind: undefined })
    git(checkout, "checkout", "-q", "--detach")
    commit(checkout, "mine")
    const mine = git(checkout, "rev-parse", "HEAD")
    const prepared = yield* prepare(checkout, origin)
    expect(prepared.leftBehind).toBe(mine)
    const said = Checkout.keeping(mine)
    // What it says to type is what keeps it.
    execFileSync("sh", ["-c", said.slice(said.indexOf("git branch"))], { cwd: checkout })
    expect(git(checkout, "branch", "--contains", mine)).toContain("kept-")
  })
)

it.prop(
  "a directory's name comes out of a shell as it went in",
  {
    name: FastCheck.oneof(
      FastCheck.constantFrom(
        "a $HOME b",
        "it's",
        '"quoted"',
        "`id`",
        "$(id)",
        "a\\b",
        "-n",
        "\ttab",
        "~",
        "*",
        "a;b",
        "!x"
      ),
      FastCheck.string({ minLength: 1, unit: "grapheme" }).filter((text) => !text.includes("\0"))
    )
  },
  ({ name }) => {
    expect(execFileSync("sh", ["-c", `printf %s ${Git.quote(name)}`], { encoding: "utf8" })).toBe(name)
  },
  { fastCheck: { numRuns: 60 } }
)

test(
  "its files are told without what is ignored, the nearest first, relative to where one is",
  Effect.gen(function* () {
    const { origin, root } = yield* repositories
    mkdirSync(join(origin, "deep", "er"), { recursive: true })
    writeFileSync(join(origin, "deep", "er", "new file"), "")
    writeFileSync(join(origin, "ignored"), "")
    writeFileSync(join(origin, ".gitignore"), "ignored\n")
    const of = (directory: string) => Effect.provide(Checkout.files(directory), Git.layer(process.env))
    expect(yield* of(origin)).toEqual([".gitignore", "a", "b", "deep/er/new file"])
    expect(yield* of(join(origin, "deep"))).toEqual(["er/new file"])
    expect(yield* of(root)).toEqual([])
  })
)
