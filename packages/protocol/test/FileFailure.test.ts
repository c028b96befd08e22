import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Logger from "effect/Logger"
import * as TestClock from "effect/TestClock"
import * as FileFailure from "../src/FileFailure.ts"

const failure = (code: string, message = "no words") => Object.assign(new Error(message), { code })

describe("what is said of a file that fails", () => {
  it("names the file and the next step, however deep the failure's code is", () => {
    const wrapped = { _tag: "SqlError", message: "Failed to execute", cause: failure("SQLITE_FULL") }
    expect(FileFailure.describe("/x/hub.db", wrapped)).toBe(
      "the disk that holds /x/hub.db is full: free some space; then it goes on by itself (SQLITE_FULL)"
    )
    expect(FileFailure.describe("/x/token", failure("ENOSPC"))).toContain(
      "the disk that holds /x/token is full"
    )
    expect(FileFailure.describe("/x/a", failure("SQLITE_IOERR_WRITE"))).toContain(
      "the disk that holds /x/a fails"
    )
    expect(FileFailure.describe("/x/a", failure("SQLITE_READONLY_DBMOVED"))).toContain("read-only")
    expect(FileFailure.describe("/x/a", failure("EMFILE"))).toContain("ulimit -n")
  })

  it("keeps the words of a failure that it does not know", () => {
    expect(FileFailure.describe("/x/a", { cause: new Error("strange") })).toBe("/x/a: strange")
    expect(FileFailure.describe("/x/a", "text")).toBe("/x/a: text")
    expect(FileFailure.describe("/x/a", undefined)).toBe("/x/a: undefined")
  })

  it.effect("is logged when it begins and when it is over, and not with every call", () =>
    Effect.gen(function* () {
      const logged: Array<string> = []
      const logger = Logger.make(({ annotations, message }) => {
        logged.push(
          `${Chunk.toReadonlyArray(Chunk.fromIterable([message].flat())).join(" ")} ${String(HashMap.unsafeGet(annotations, "detail")).slice(0, 30)}`
        )
      })
      yield* Effect.gen(function* () {
        const trouble = FileFailure.trouble("/x/a", "Test")
        yield* trouble.written
        for (let n = 0; n < 100; n++) yield* trouble.failed(failure("SQLITE_FULL"))
        yield* trouble.written
        yield* trouble.written
        // Nearly full: it takes one and refuses the next.
        yield* trouble.failed(failure("SQLITE_FULL"))
        yield* trouble.written
        yield* TestClock.adjust("1 minute")
        yield* trouble.failed(failure("SQLITE_FULL"))
        yield* trouble.failed(failure("EACCES"))
      }).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
      expect(logged.map((line) => line.split(" /x")[0])).toEqual([
        "a file cannot be used the disk that holds",
        "a file can be used again the disk that holds",
        "a file can be used again the disk that holds",
        "a file cannot be used the disk that holds",
        "a file cannot be used"
      ])
    })
  )
})
