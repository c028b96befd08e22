import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Snapshot from "../src/Snapshot.ts"
import * as Scripted from "./support/Scripted.ts"

const take = (directory: string, path: string, file?: object) =>
  Effect.map(
    Snapshot.take(
      directory,
      "tool",
      path,
      file === undefined ? {} : { tool_use_result: { type: "text", file } }
    ),
    Option.map(({ content, sha256, truncated }) => {
      expect(sha256).toBe(createHash("sha256").update(content).digest("hex"))
      return { bytes: content.length, start: content.toString("utf8", 0, 10), truncated }
    })
  )

describe("a snapshot", () => {
  it.scopedLive("is of what the agent saw where its result holds the whole, else of the file", () =>
    Effect.gen(function* () {
      const directory = yield* Scripted.directory
      writeFileSync(join(directory, "a.txt"), "new on disk")
      const whole = { content: "as seen", startLine: 1, numLines: 1, totalLines: 1 }
      expect(yield* take(directory, "a.txt", whole)).toEqual(
        Option.some({ bytes: 7, start: "as seen", truncated: false })
      )
      const part = { content: "as seen", startLine: 1, numLines: 1, totalLines: 9 }
      expect(yield* take(directory, "a.txt", part)).toEqual(
        Option.some({ bytes: 11, start: "new on dis", truncated: false })
      )
      expect(yield* take(directory, join(directory, "a.txt"))).toEqual(
        Option.some({ bytes: 11, start: "new on dis", truncated: false })
      )
    })
  )

  it.scopedLive("holds 10 MiB at most and says that there was more", () =>
    Effect.gen(function* () {
      const directory = yield* Scripted.directory
      writeFileSync(join(directory, "exact"), Buffer.alloc(Snapshot.MAX_BYTES, "e"))
      writeFileSync(join(directory, "more"), Buffer.alloc(Snapshot.MAX_BYTES + 1, "m"))
      expect(yield* take(directory, "exact")).toMatchObject(
        Option.some({ bytes: Snapshot.MAX_BYTES, truncated: false })
      )
      expect(yield* take(directory, "more")).toMatchObject(
        Option.some({ bytes: Snapshot.MAX_BYTES, truncated: true })
      )
    })
  )

  it.scopedLive("is of no file outside, by whatever way, and of nothing that is no file", () =>
    Effect.gen(function* () {
      const root = yield* Scripted.directory
      const directory = join(root, "code")
      mkdirSync(join(directory, "sub"), { recursive: true })
      mkdirSync(join(root, "code-next-door"))
      writeFileSync(join(root, "secret"), "secret")
      writeFileSync(join(root, "code-next-door", "secret"), "secret")
      symlinkSync(join(root, "secret"), join(directory, "file-link"))
      symlinkSync(root, join(directory, "directory-link"))
      execFileSync("mkfifo", [join(directory, "pipe")])
      const seen = { content: "secret", startLine: 1, numLines: 1, totalLines: 1 }
      for (const path of [
        "../secret",
        join(root, "secret"),
        "../code-next-door/secret",
        "file-link",
        "directory-link/secret",
        "sub/../../secret",
        "nothing",
        "/dev/zero"
      ]) {
        expect(yield* take(directory, path)).toEqual(Option.none())
        expect(yield* take(directory, path, seen)).toEqual(Option.none())
      }
      for (const path of ["pipe", "sub", "."]) expect(yield* take(directory, path)).toEqual(Option.none())
    })
  )
})
