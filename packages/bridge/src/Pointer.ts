/**
 * The file that remembers which session a directory's bridge was attached to.
 *
 * One file a directory, in the state directory (a repository stays as clean as it was, and two state directories do
 * not see each other's sessions): `bridges/<hash of the directory>/pointer.json`, 0600, replaced atomically. It is
 * stale when nobody touched it for 4 hours. Source: spec 1 §6.
 */
import { createHash, randomUUID } from "node:crypto"
import { EnvironmentId, SessionId } from "@causeway/protocol/Ids"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/** Longest age of a pointer that is still followed, counted from its last touch. Source: spec 1 §6. */
export const STALE_AFTER = Duration.hours(4)

/** How often a running bridge touches its pointer. */
export const TOUCH_EVERY = Duration.minutes(5)

/** What the file holds. `time` is the last touch, ISO 8601. */
export const Pointer = Schema.Struct({
  sessionId: SessionId,
  environmentId: EnvironmentId,
  /** Who wrote it, for people: `causeway-bridge`. */
  source: Schema.String,
  directory: Schema.String,
  time: Schema.Date
})
export type Pointer = typeof Pointer.Type

/** The pointer cannot be written. */
export class PointerFailed extends Schema.TaggedError<PointerFailed>()("PointerFailed", {
  file: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `the pointer ${this.file} cannot be written: ${this.detail}`
  }
}

/** Reads and writes the pointers of one state directory. Directories are absolute paths. */
export class Pointers extends Context.Tag("@causeway/bridge/Pointers")<
  Pointers,
  {
    /** The directory's pointer, unless there is none, it is stale, or it does not decode (which is logged). */
    readonly read: (directory: string) => Effect.Effect<Option.Option<Pointer>>
    /** Replaces the directory's pointer; its time is now. */
    readonly write: (
      pointer: Pick<Pointer, "sessionId" | "environmentId" | "directory">
    ) => Effect.Effect<void, PointerFailed>
    /** Removes it; none is success. */
    readonly remove: (directory: string) => Effect.Effect<void, PointerFailed>
  }
>() {}

/** Name of a directory's folder under `bridges`. */
export const directoryKey = (directory: string): string =>
  createHash("sha256").update(directory).digest("hex").slice(0, 32)

const Json = Schema.parseJson(Pointer)

const make = (options: { readonly stateDirectory: string }) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const folderOf = (directory: string) =>
      path.join(options.stateDirectory, "bridges", directoryKey(directory))
    const fileOf = (directory: string) => path.join(folderOf(directory), "pointer.json")

    const read = Effect.fn("Pointers.read")(function* (directory: string) {
      const file = fileOf(directory)
      const ignore = (why: string, detail?: string) =>
        Effect.as(
          Effect.logWarning("pointer not followed").pipe(
            Effect.annotateLogs({ file, why, ...(detail === undefined ? {} : { detail }) })
          ),
          Option.none<Pointer>()
        )
      const text = yield* Effect.option(fs.readFileString(file))
      if (Option.isNone(text)) return Option.none()
      const decoded = yield* Effect.either(Schema.decode(Json)(text.value))
      if (decoded._tag === "Left") return yield* ignore("not readable", decoded.left.message)
      const age = (yield* Clock.currentTimeMillis) - decoded.right.time.getTime()
      if (age > Duration.toMillis(STALE_AFTER)) return yield* ignore("stale")
      return decoded.right.directory === directory ? Option.some(decoded.right) : yield* ignore("foreign")
    })

    const write = Effect.fn("Pointers.write")(
      function* (pointer: Pick<Pointer, "sessionId" | "environmentId" | "directory">) {
        const file = fileOf(pointer.directory)
        const text = yield* Schema.encode(Json)({
          sessionId: pointer.sessionId,
          environmentId: pointer.environmentId,
          directory: pointer.directory,
          source: "causeway-bridge",
          time: new Date(yield* Clock.currentTimeMillis)
        })
        const draft = `${file}.${randomUUID()}`
        yield* fs.makeDirectory(folderOf(pointer.directory), { recursive: true, mode: 0o700 })
        yield* fs.writeFileString(draft, text, { flag: "wx", mode: 0o600 }).pipe(
          Effect.zipRight(fs.rename(draft, file)),
          Effect.onError(() => Effect.ignore(fs.remove(draft)))
        )
      },
      (effect, pointer) =>
        Effect.mapError(
          effect,
          (error) => new PointerFailed({ file: fileOf(pointer.directory), detail: error.message })
        )
    )

    const remove = Effect.fn("Pointers.remove")((directory: string) =>
      fs
        .remove(fileOf(directory), { force: true })
        .pipe(
          Effect.mapError((error) => new PointerFailed({ file: fileOf(directory), detail: error.message }))
        )
    )

    return Pointers.of({ read, write, remove })
  })

export const layer = (options: {
  readonly stateDirectory: string
}): Layer.Layer<Pointers, never, FileSystem.FileSystem | Path.Path> => Layer.effect(Pointers, make(options))
