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
})
