import { EnvironmentId, SessionId } from "@causeway/protocol/Ids"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import * as Pointer from "../src/Pointer.ts"

const pointer = {
  sessionId: SessionId.make("session_a"),
  environmentId: EnvironmentId.make("env_1"),
  directory: "/project"
}

const withPointers = <A, E>(
  use: (
    pointers: Pointer.Pointers["Type"],
    stateDirectory: string
  ) => Effect.Effect<A, E, FileSystem.FileSystem>
) =>
  Effect.gen(function* () {
    const stateDirectory = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())
    const pointers = yield* Effect.provide(Pointer.Pointers, Pointer.layer({ stateDirectory }))
    return yield* use(pointers, stateDirectory)
  }).pipe(Effect.provide(NodeContext.layer))

const fileOf = (stateDirectory: string) =>
  `${stateDirectory}/bridges/${Pointer.directoryKey(pointer.directory)}/pointer.json`

describe("Pointer", () => {
  it.scoped("is written for its directory alone and comes back", () =>
    withPointers((pointers) =>
      Effect.gen(function* () {
        yield* pointers.write(pointer)
        expect(Option.getOrThrow(yield* pointers.read("/project"))).toMatchObject(pointer)
        expect(yield* pointers.read("/other")).toEqual(Option.none())
        yield* pointers.remove("/project")
        yield* pointers.remove("/project")
        expect(yield* pointers.read("/project")).toEqual(Option.none())
      })
    )
  )

  it.scoped("is followed for four hours after the last touch, and not after", () =>
    withPointers((pointers) =>
      Effect.gen(function* () {
        yield* pointers.write(pointer)
        yield* TestClock.adjust(Duration.hours(3))
        yield* pointers.write(pointer)
        yield* TestClock.adjust(Duration.hours(4))
        expect(Option.isSome(yield* pointers.read("/project"))).toBe(true)
        yield* TestClock.adjust(Duration.millis(1))
        expect(yield* pointers.read("/project")).toEqual(Option.none())
      })
    )
  )

  it.scoped("is readable by its owner alone, and no draft stays behind", () =>
    withPointers((pointers, stateDirectory) =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        yield* pointers.write(pointer)
        yield* pointers.write(pointer)
        const file = fileOf(stateDirectory)
        expect(((yield* fs.stat(file)).mode & 0o777).toString(8)).toBe("600")
        expect(yield* fs.readDirectory(file.slice(0, file.lastIndexOf("/")))).toEqual(["pointer.json"])
      })
    )
  )

  it.scoped.each(["", "{", '{"sessionId":"../../x"}', "null"])("one that holds %j counts as none", (text) =>
    withPointers((pointers, stateDirectory) =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        yield* pointers.write(pointer)
        yield* fs.writeFileString(fileOf(stateDirectory), text)
        expect(yield* pointers.read("/project")).toEqual(Option.none())
      })
    )
  )
})
