/** Real files: what a person is shown before an agent may change them. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Payload from "@causeway/protocol/Payload"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileBefore from "../src/FileBefore.ts"

const place = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "causeway-before-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const asks = (tool_name: string, input: object) =>
  Payload.make({
    type: "control_request",
    request_id: "r",
    request: { subtype: "can_use_tool", tool_use_id: "t", tool_name, input }
  } as never)

describe("what stands in a file", () => {
  it.scopedLive("is read where the agent works, or said why not", () =>
    Effect.gen(function* () {
      const root = yield* place
      const elsewhere = yield* place
      const cwd = join(root, "work")
      mkdirSync(join(cwd, "folder"), { recursive: true })
      writeFileSync(join(cwd, "a.txt"), "\ufeffone\r\ntwo\n")
      writeFileSync(join(cwd, "binary"), Buffer.from([1, 0, 2]))
      writeFileSync(join(cwd, "latin1"), Buffer.from([0x63, 0xe9]))
      writeFileSync(join(cwd, "large"), "")
      truncateSync(join(cwd, "large"), 300 * 1024)
      writeFileSync(join(elsewhere, "secret"), "s3cret")
      symlinkSync(join(elsewhere, "secret"), join(cwd, "link"))
      const write = (file_path: string) =>
        Effect.map(
          FileBefore.of(cwd, asks("Write", { file_path, content: "one\n" })),
          (told) => told?.file_before
        )
      expect(yield* write("a.txt")).toEqual({
        tool_use_id: "t",
        path: "a.txt",
        state: "text",
        text: "\ufeffone\r\ntwo\n",
        bytes: 12,
        added: 1,
        removed: 2
      })
      expect(yield* write(join(cwd, "new/deep.txt"))).toMatchObject({
        state: "missing",
        added: 1,
        removed: 0
      })
      expect(yield* write("binary")).toEqual({ tool_use_id: "t", path: "binary", state: "binary", bytes: 3 })
      expect(yield* write("latin1")).toMatchObject({ state: "binary" })
      expect(yield* write("large")).toMatchObject({ state: "too_large", bytes: 300 * 1024 })
      expect(yield* write("folder")).toMatchObject({ state: "unreadable" })
      for (const path of ["link", "../a.txt", join(elsewhere, "secret"), "a\0b"]) {
        expect(yield* write(path)).toEqual({ tool_use_id: "t", path, state: "outside" })
      }
      expect(
        yield* FileBefore.of(join(root, "gone"), asks("Write", { file_path: "a", content: "" }))
      ).toMatchObject({
        file_before: { state: "unreadable" }
      })
    })
  )

  it.scopedLive("of a notebook is the cell's", () =>
    Effect.gen(function* () {
      const cwd = yield* place
      const cells = [{ id: "one", source: ["a\n", "b"] }, { source: "c" }]
      writeFileSync(join(cwd, "n.ipynb"), JSON.stringify({ cells }))
      const edit = (input: object) =>
        Effect.map(
          FileBefore.of(cwd, asks("NotebookEdit", { notebook_path: "n.ipynb", new_source: "x", ...input })),
          (told) => told?.file_before
        )
      expect(yield* edit({ cell_id: "one" })).toMatchObject({ text: "a\nb", added: 1, removed: 2 })
      expect(yield* edit({ cell_id: "cell-1" })).toMatchObject({ text: "c", added: 1, removed: 1 })
      expect(yield* edit({ cell_id: "one", edit_mode: "insert" })).toMatchObject({
        text: "",
        added: 1,
        removed: 0
      })
      expect(yield* edit({ cell_id: "one", edit_mode: "delete" })).toMatchObject({ added: 0, removed: 2 })
      expect(yield* edit({ cell_id: "none" })).toMatchObject({ state: "unreadable" })
    })
  )

  it.scopedLive("is asked for requests to change a file only", () =>
    Effect.gen(function* () {
      const cwd = yield* place
      expect(yield* FileBefore.of(cwd, asks("Bash", { command: "ls" }))).toBe(null)
      expect(yield* FileBefore.of(cwd, asks("Read", { file_path: "a" }))).toBe(null)
      expect(yield* FileBefore.of(cwd, Payload.make({ type: "assistant" }))).toBe(null)
    })
  )
})
