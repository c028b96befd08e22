import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as FileLock from "../src/FileLock.ts"

const place = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "causeway-lock-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  ),
  (directory) => ({ file: join(directory, "x.lock"), record: join(directory, "x.json") })
)

describe("a lock between processes", () => {
  it.scopedLive("is held by one, who says who it is, until its scope closes", () =>
    Effect.gen(function* () {
      const at = yield* place
      expect(yield* FileLock.holder(at)).toEqual(Option.none())
      const scope = yield* Scope.make()
      const held = yield* Scope.extend(FileLock.hold(at, { directory: "/somewhere" }), scope)
      yield* held.note({ url: "http://127.0.0.1:1" })
      expect(yield* FileLock.holder(at)).toMatchObject({
        value: { pid: process.pid, url: "http://127.0.0.1:1", directory: "/somewhere" }
      })
      // To look at it or to be refused takes nothing from the holder.
      for (let attempt = 0; attempt < 2; attempt++) {
        const error = yield* Effect.flip(Effect.scoped(FileLock.hold(at)))
        expect(error).toMatchObject({ _tag: "LockHeld", holder: { value: { directory: "/somewhere" } } })
      }
      yield* Scope.close(scope, Exit.void)
      expect(existsSync(at.record)).toBe(false)
      expect(yield* FileLock.holder(at)).toEqual(Option.none())
      yield* FileLock.hold(at)
    })
  )

  it.scopedLive("that nobody holds has no holder, whatever the record of a killed one says", () =>
    Effect.gen(function* () {
      const at = yield* place
      yield* Effect.scoped(FileLock.hold(at))
      writeFileSync(at.record, JSON.stringify({ pid: process.pid, url: "http://127.0.0.1:1" }))
      expect(yield* FileLock.holder(at)).toEqual(Option.none())
    })
  )

  it.scopedLive("of many who try at the same moment one gets it", () =>
    Effect.gen(function* () {
      const at = yield* place
      const tries = yield* Effect.forEach(
        Array.from({ length: 8 }, (_, i) => i),
        () => Effect.either(FileLock.hold(at)),
        { concurrency: "unbounded" }
      )
      expect(tries.filter(Either.isRight)).toHaveLength(1)
    })
  )

  it.scopedLive("whose file cannot be used is an error with the reason", () =>
    Effect.gen(function* () {
      const at = yield* place
      writeFileSync(at.file, "something else")
      expect(yield* Effect.flip(FileLock.hold(at))).toMatchObject({ _tag: "LockFailed", file: at.file })
      const missing = { file: `${at.file}/x`, record: at.record }
      expect(yield* Effect.flip(FileLock.hold(missing))).toMatchObject({ _tag: "LockFailed" })
    })
  )
})
