import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as FileSystem from "../src/Acp/FileSystem.ts"
import * as Confinement from "../src/Confinement.ts"

/**
 * `root` with directories and links of every kind, beside a directory `outside` with a secret in it. Names are few, so
 * that generated paths meet them.
 */
const tree = Effect.acquireRelease(
  Effect.sync(() => {
    const top = realpathSync(mkdtempSync(join(tmpdir(), "acp-files-")))
    const root = join(top, "root")
    const outside = join(top, "outside")
    mkdirSync(join(root, "a", "b"), { recursive: true })
    mkdirSync(outside)
    writeFileSync(join(outside, "secret"), "secret")
    writeFileSync(join(root, "file"), "inside")
    writeFileSync(join(root, "a", "secret"), "inside")
    symlinkSync(outside, join(root, "out"))
    symlinkSync("../..", join(root, "a", "up"))
    symlinkSync(join(outside, "secret"), join(root, "leak"))
    symlinkSync(join(outside, "new"), join(root, "dangling"))
    symlinkSync("a/b", join(root, "in"))
    symlinkSync("loop", join(root, "loop"))
    return { top, root, outside }
  }),
  ({ top }) => Effect.sync(() => rmSync(top, { recursive: true, force: true }))
)

const name = FastCheck.constantFrom(
  "a",
  "b",
  "file",
  "secret",
  "out",
  "up",
  "leak",
  "dangling",
  "in",
  "loop",
  "new",
  "..",
  ".",
  "",
  "outside",
  "root",
  "…"
)
const way = FastCheck.array(name, { maxLength: 7 }).map((names) => names.join("/"))
/** Relative, absolute from the root, absolute from its parent, absolute from anywhere. */
const path = FastCheck.tuple(FastCheck.constantFrom("", "ROOT/", "TOP/", "/"), way).map(
  ([from, rest]) => from + rest
)

describe("a path", () => {
  it.scopedLive("never leads out of the directory, for reading or for writing", () =>
    Effect.gen(function* () {
      const { top, root, outside } = yield* tree
      let allowed = 0
      let refused = 0
      yield* Effect.promise(() =>
        FastCheck.assert(
          FastCheck.asyncProperty(path, FastCheck.boolean(), async (generated, writes) => {
            const asked = generated.replace("ROOT", root).replace("TOP", top)
            const outcome = await Effect.runPromise(
              Effect.either(
                writes
                  ? FileSystem.writeTextFile(root, { path: asked, content: "written" })
                  : FileSystem.readTextFile(root, { path: asked })
              )
            )
            const found = await Effect.runPromise(Effect.either(Confinement.within(root, asked)))
            if (Either.isRight(found)) {
              expect(Confinement.contains(root, found.right)).toBe(true)
              allowed++
            } else {
              expect(Either.isLeft(outcome)).toBe(true)
              refused++
            }
            if (Either.isRight(outcome) && "content" in outcome.right)
              expect(outcome.right.content).not.toBe("secret")
            expect(readFileSync(join(outside, "secret"), "utf8")).toBe("secret")
            expect(() => readFileSync(join(outside, "new"))).toThrow()
          }),
          { numRuns: 1500 }
        )
      )
      // Both kinds were met, so the property says something.
      expect(allowed).toBeGreaterThan(100)
      expect(refused).toBeGreaterThan(100)
    })
  )

  it.scopedLive("is told apart by what it leads to", () =>
    Effect.gen(function* () {
      const { root, outside, top } = yield* tree
      const within = (asked: string) => Effect.either(Confinement.within(root, asked))
      const detail = (asked: string) =>
        Effect.map(within(asked), (each) => (Either.isLeft(each) ? each.left.detail : each.right))
      expect(yield* detail("in/x")).toBe(join(root, "a/b/x"))
      expect(yield* detail(".")).toBe(root)
      expect(yield* detail("a/up/root/file")).toBe(join(root, "file"))
      for (const asked of [
        "..",
        "../root-beside",
        outside,
        "out/secret",
        "out/new/deep",
        "leak",
        "a/up/outside",
        top
      ]) {
        expect(yield* detail(asked)).toContain("is outside of the working directory")
      }
      expect(yield* detail("dangling")).toBe("leads through a link to nowhere")
      expect(yield* detail("dangling/deeper")).toBe("leads through a link to nowhere")
      expect(yield* detail("loop")).toContain("cannot be followed")
      expect(yield* detail("")).toBe("is not a path")
      expect(yield* detail("a\0b")).toBe("is not a path")
    })
  )
})

describe("files", () => {
  const read = (root: string, params: object) =>
    Effect.map(FileSystem.readTextFile(root, params), ({ content }) => content)

  it.scopedLive("line and limit cut as splitting the text at line feeds does", () =>
    Effect.gen(function* () {
      const { root } = yield* tree
      const file = join(root, "text")
      yield* Effect.promise(() =>
        FastCheck.assert(
          FastCheck.asyncProperty(
            FastCheck.array(FastCheck.constantFrom("", "a", "ü", "日本", "x".repeat(40_000), "\r"), {
              maxLength: 8
            }),
            FastCheck.option(FastCheck.nat({ max: 9 })),
            FastCheck.option(FastCheck.nat({ max: 9 })),
            async (parts, line, limit) => {
              const text = parts.join("\n")
              writeFileSync(file, text)
              const first = Math.max(0, (line ?? 1) - 1)
              const expected = text
                .split("\n")
                .slice(first, limit === null ? undefined : first + limit)
                .join("\n")
              expect(await Effect.runPromise(read(root, { path: file, line, limit }))).toBe(expected)
            }
          ),
          { numRuns: 300 }
        )
      )
    })
  )

  it.scopedLive("what is written is read back, and directories are made", () =>
    Effect.gen(function* () {
      const { root } = yield* tree
      for (const content of ["", "\uFEFFwith mark\n", "längere\nZeilen 🎈"]) {
        yield* FileSystem.writeTextFile(root, { path: "new/deep/file", content })
        expect(yield* read(root, { path: join(root, "new/deep/file") })).toBe(content)
      }
    })
  )

  it.scopedLive("what is no text file is refused in words", () =>
    Effect.gen(function* () {
      const { root } = yield* tree
      writeFileSync(join(root, "binary"), new Uint8Array([0xff, 0xfe, 0x00]))
      writeFileSync(join(root, "large"), "x".repeat(FileSystem.READ_MAX + 1))
      const why = (params: object) =>
        Effect.map(
          Effect.flip(FileSystem.readTextFile(root, params)),
          ({ code, message }) => `${code} ${message}`
        )
      expect(yield* why({ path: "nothing" })).toMatch(/^-32002 there is no file/)
      expect(yield* why({ path: "a" })).toMatch(/^-32602 .*(is a directory|is not a regular file)/)
      expect(yield* why({ path: "file/x" })).toMatch(/^-32602 /)
      expect(yield* why({ path: "binary" })).toMatch(/is not UTF-8 text/)
      expect(yield* why({ path: "large" })).toMatch(/give a line and a limit/)
      expect(yield* why({ path: 7 })).toMatch(/path must be text/)
      expect(yield* why({ path: "file", line: -1 })).toMatch(/whole number/)
      expect(yield* why({ path: "file", limit: 1.5 })).toMatch(/whole number/)
      const unwritable = yield* Effect.flip(FileSystem.writeTextFile(root, { path: "a", content: "x" }))
      expect(unwritable.message).toMatch(/is a directory/)
    })
  )
})
