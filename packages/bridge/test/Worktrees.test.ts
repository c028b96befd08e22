import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { SessionId } from "@causeway/protocol/Ids"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Worktrees from "../src/Worktrees.ts"

const session = SessionId.make("session_a")

const git = (directory: string, ...args: ReadonlyArray<string>): string =>
  execFileSync("git", ["-C", directory, "-c", "user.name=T", "-c", "user.email=t@example.com", ...args], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"]
  }).trim()

interface Place {
  readonly checkout: string
  readonly root: string
  /** Runs with the service of a process of its own. */
  readonly during: <A, E>(
    use: (worktrees: Worktrees.Worktrees["Type"]) => Effect.Effect<A, E>
  ) => Effect.Effect<A, E>
}

const at = <A, E>(use: (place: Place) => Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const directory = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())
    const checkout = join(directory, "checkout")
    mkdirSync(join(checkout, "part"), { recursive: true })
    git(checkout, "init", "-q")
    writeFileSync(join(checkout, "part", "file"), "committed\n")
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "first")
    const root = join(directory, "worktrees")
    return yield* use({
      checkout,
      root,
      during: (run) =>
        Effect.flatMap(Worktrees.Worktrees, run).pipe(
          Effect.provide(
            Layer.fresh(Worktrees.layer({ root, environment: process.env })).pipe(
              Layer.provide(NodeContext.layer)
            )
          )
        )
    })
  }).pipe(Effect.provide(NodeContext.layer))

const removed = (path: string) => Option.some({ path, removal: { _tag: "Removed" } })
const kept = (path: string, reason: string) => Option.some({ path, removal: { _tag: "Kept", reason } })

describe("Worktrees", () => {
  it.scopedLive("is made once and used again, also by a later process", () =>
    at(({ checkout, during, root }) =>
      Effect.gen(function* () {
        const first = yield* during((worktrees) =>
          Effect.gen(function* () {
            expect(yield* worktrees.placeOf(session, checkout)).toBe(join(root, "a"))
            expect(existsSync(join(root, "a"))).toBe(false)
            const path = yield* worktrees.open(session, checkout)
            writeFileSync(join(path, "mine"), "unsaved")
            expect(yield* worktrees.open(SessionId.make("cse_a"), checkout)).toBe(path)
            return path
          })
        )
        expect(first).toBe(join(root, "a"))
        expect(readFileSync(join(first, "part", "file"), "utf8")).toBe("committed\n")
        expect(git(first, "branch", "--show-current")).toBe("causeway/a")
        expect(statSync(join(root, "a.json")).mode & 0o777).toBe(0o600)
        expect(yield* during((worktrees) => worktrees.open(session, checkout))).toBe(first)
        expect(readFileSync(join(first, "mine"), "utf8")).toBe("unsaved")
        expect(existsSync(join(checkout, "mine"))).toBe(false)
        expect(yield* during((worktrees) => worktrees.of(checkout))).toEqual([session])
        expect(yield* during((worktrees) => worktrees.of(root))).toEqual([])
      })
    )
  )

  it.scopedLive("is removed by a later process where it is clean, and its branch with it", () =>
    at(({ checkout, during, root }) =>
      Effect.gen(function* () {
        const path = yield* during((worktrees) => worktrees.open(session, checkout))
        expect(yield* during((worktrees) => worktrees.close(session))).toEqual(removed(path))
        expect(existsSync(path)).toBe(false)
        expect(git(checkout, "branch", "--list", "causeway/*")).toBe("")
        expect(existsSync(join(root, "a.json"))).toBe(false)
        expect(yield* during((worktrees) => worktrees.close(session))).toEqual(Option.none())
        // It may be made again.
        expect(yield* during((worktrees) => worktrees.open(session, checkout))).toBe(path)
      })
    )
  )

  it.scopedLive("stays with changed files, with new files, and with commits that nobody else has", () =>
    at(({ checkout, during }) =>
      Effect.gen(function* () {
        const path = yield* during((worktrees) => worktrees.open(session, checkout))
        const close = during((worktrees) => worktrees.close(session))
        writeFileSync(join(path, "part", "file"), "changed")
        expect(yield* close).toEqual(kept(path, "it has 1 changed or new files"))
        git(path, "checkout", "-q", "--", ".")
        writeFileSync(join(path, "new"), "new")
        expect(yield* close).toEqual(kept(path, "it has 1 changed or new files"))
        git(path, "add", ".")
        git(path, "commit", "-q", "-m", "its own")
        expect(yield* close).toEqual(kept(path, "it has commits of its own"))
        expect(readFileSync(join(path, "new"), "utf8")).toBe("new")
        expect(yield* during((worktrees) => worktrees.of(checkout))).toEqual([session])
      })
    )
  )

  it.scopedLive("of a part of a checkout it is the same part, there or not", () =>
    at(({ checkout, during, root }) =>
      Effect.gen(function* () {
        const part = yield* during((worktrees) => worktrees.open(session, join(checkout, "part")))
        expect(part).toBe(join(root, "a", "part"))
        expect(existsSync(join(part, "file"))).toBe(true)
        mkdirSync(join(checkout, "fresh"))
        const fresh = yield* during((worktrees) =>
          worktrees.open(SessionId.make("session_b"), join(checkout, "fresh"))
        )
        expect(fresh).toBe(join(root, "b", "fresh"))
        expect(statSync(fresh).isDirectory()).toBe(true)
        expect(yield* during((worktrees) => worktrees.close(session))).toEqual(removed(join(root, "a")))
      })
    )
  )

  it.scopedLive(
    "is refused where there is no checkout, where it was taken away, and where another is in its way",
    () =>
      at(({ checkout, during, root }) =>
        Effect.gen(function* () {
          const plain = join(root, "..", "plain")
          mkdirSync(plain)
          const open = (directory: string) =>
            Effect.flip(during((worktrees) => worktrees.open(session, directory)))
          expect(yield* open(plain)).toMatchObject({ _tag: "WorkspaceUnavailable", directory: plain })
          mkdirSync(join(root, "a"), { recursive: true })
          writeFileSync(join(root, "a", "somebody's"), "work")
          expect((yield* open(checkout)).message).toContain("is in the way")
          expect(yield* during((worktrees) => worktrees.close(session))).toEqual(Option.none())
          expect(existsSync(join(root, "a", "somebody's"))).toBe(true)
          rmSync(join(root, "a"), { recursive: true })
          const path = yield* during((worktrees) => worktrees.open(session, checkout))
          rmSync(path, { recursive: true })
          expect((yield* open(checkout)).message).toContain("on the branch causeway/a")
          expect(yield* during((worktrees) => worktrees.close(session))).toEqual(removed(path))
        })
      )
  )

  it.scopedLive("is made without the hooks of the repository", () =>
    at(({ checkout, during, root }) =>
      Effect.gen(function* () {
        const hook = join(checkout, ".git", "hooks", "post-checkout")
        writeFileSync(hook, `#!/bin/sh\ntouch '${join(root, "ran")}'\nexit 1\n`, { mode: 0o755 })
        const path = yield* during((worktrees) => worktrees.open(session, checkout))
        expect(readFileSync(join(path, "part", "file"), "utf8")).toBe("committed\n")
        expect(existsSync(join(root, "ran"))).toBe(false)
      })
    )
  )

  it.scopedLive("is refused in words while a filter is missing, and made once it is there", () =>
    at(({ checkout, during }) =>
      Effect.gen(function* () {
        writeFileSync(join(checkout, ".gitattributes"), "part/file filter=big\n")
        git(checkout, "add", ".")
        git(checkout, "commit", "-q", "-m", "filtered")
        git(checkout, "config", "filter.big.smudge", "no-such-filter-program")
        git(checkout, "config", "filter.big.required", "true")
        const refused = yield* Effect.flip(during((worktrees) => worktrees.open(session, checkout)))
        expect(refused.message).toContain("no-such-filter-program")
        expect(git(checkout, "worktree", "list").split("\n")).toHaveLength(1)
        expect(git(checkout, "branch", "--list", "causeway/*")).toBe("")
        git(checkout, "config", "--unset", "filter.big.required")
        git(checkout, "config", "--unset", "filter.big.smudge")
        expect(existsSync(yield* during((worktrees) => worktrees.open(session, checkout)))).toBe(true)
      })
    )
  )

  it.scopedLive(
    "is made anew where its making was cut short, and taken up where only its record is missing",
    () =>
      at(({ checkout, during, root }) =>
        Effect.gen(function* () {
          const path = yield* during((worktrees) => worktrees.open(session, checkout))
          const file = join(root, "a.json")
          // As a kill in the midst leaves it: half a tree, and a record that says so.
          writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), unfinished: true }))
          rmSync(join(path, "part"), { recursive: true })
          expect(yield* during((worktrees) => worktrees.open(session, checkout))).toBe(path)
          expect(readFileSync(join(path, "part", "file"), "utf8")).toBe("committed\n")
          rmSync(file)
          expect(yield* during((worktrees) => worktrees.open(session, checkout))).toBe(path)
          rmSync(file)
          writeFileSync(join(path, "unsaved"), "work")
          const refused = yield* Effect.flip(during((worktrees) => worktrees.open(session, checkout)))
          expect(refused.message).toContain("is in the way")
          expect(readFileSync(join(path, "unsaved"), "utf8")).toBe("work")
        })
      )
  )

  it.scopedLive("with a submodule is removed where it is clean, and stays where the submodule has work", () =>
    at(({ checkout, during, root }) =>
      Effect.gen(function* () {
        const inner = join(root, "..", "inner")
        mkdirSync(inner)
        git(inner, "init", "-q")
        writeFileSync(join(inner, "x"), "x")
        git(inner, "add", ".")
        git(inner, "commit", "-q", "-m", "inner")
        const allow = ["-c", "protocol.file.allow=always"]
        git(checkout, ...allow, "submodule", "add", "-q", inner, "inner")
        git(checkout, "commit", "-q", "-m", "with a submodule")
        const path = yield* during((worktrees) => worktrees.open(session, checkout))
        const initialise = () => git(path, ...allow, "submodule", "update", "-q", "--init")
        const close = during((worktrees) => worktrees.close(session))
        initialise()
        const sub = join(path, "inner")
        writeFileSync(join(sub, "new"), "work")
        expect(yield* close).toEqual(kept(path, "it has 1 changed or new files"))
        git(sub, "checkout", "-q", "-b", "mine")
        git(sub, "add", ".")
        git(sub, "commit", "-q", "-m", "mine")
        git(sub, "checkout", "-q", "--detach", "HEAD~1")
        expect(yield* close).toEqual(kept(path, "its submodule inner has commits that no remote has"))
        git(sub, "branch", "-q", "-D", "mine")
        expect(yield* close).toEqual(removed(path))
        expect(existsSync(path)).toBe(false)
        expect(git(checkout, "branch", "--list", "causeway/*")).toBe("")
      })
    )
  )

  it.scopedLive("is made on its branch where an earlier one left that behind", () =>
    at(({ checkout, during }) =>
      Effect.gen(function* () {
        git(checkout, "branch", "causeway/a")
        const path = yield* during((worktrees) => worktrees.open(session, checkout))
        expect(git(path, "branch", "--show-current")).toBe("causeway/a")
      })
    )
  )
})
