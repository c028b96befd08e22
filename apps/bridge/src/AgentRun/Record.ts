/**
 * Records of runs in the state directory: one SQLite file a conversation in `runs/`, and for each run a file that is named
 * after it and says which record it is in. Runs at the same time have records of their own.
 */
import { randomUUID } from "node:crypto"
import { mkdir, readdir, stat } from "node:fs/promises"
import { join } from "node:path"
import * as FileFailure from "@causeway/protocol/FileFailure"
import { SessionId } from "@causeway/protocol/Ids"
import * as FileLock from "@causeway/store/FileLock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { Failure } from "../Failure.ts"
import * as StateDirectory from "../StateDirectory.ts"

export interface Record {
  readonly file: string
  /** The run that is gone on from. */
  readonly parent: Option.Option<SessionId>
  /** Notes that a run is in this record. */
  readonly note: (id: SessionId) => Effect.Effect<void, Failure>
}

const PREFIX = "session_"

const tried = <A>(path: string, run: () => Promise<A>): Effect.Effect<A, Failure> =>
  Effect.tryPromise({
    try: run,
    catch: (cause) => Failure.failed(FileFailure.describe(path, cause))
  })

/** The run that was started last. */
const latest = async (directory: string): Promise<string | undefined> => {
  const names = (await readdir(directory)).filter((name) => name.startsWith(PREFIX))
  const found = await Promise.all(
    names.map(async (name) => ({ name, at: (await stat(join(directory, name))).mtimeMs }))
  )
  return found.sort((a, b) => b.at - a.at)[0]?.name
}

/** The run that a person names, with the name of its record. */
const find = (directory: string, reference: string) =>
  Effect.gen(function* () {
    const id = reference === "latest" ? yield* tried(directory, () => latest(directory)) : reference
    const record =
      id === undefined || !/^session_[\w-]+$/.test(id)
        ? Option.none<string>()
        : yield* StateDirectory.read(join(directory, id))
    if (id === undefined || Option.isNone(record)) {
      return yield* Failure.notFound(
        id === undefined
          ? "there is no run to resume yet"
          : `there is no run ${JSON.stringify(reference)} here`,
        "--resume takes the id that `run` prints at its end, or latest; runs are kept by state directory"
      )
    }
    return { id: SessionId.make(id), record: record.value.trim() }
  })

/** Opens a record for this process alone until the scope closes: a new one, or that of the run to resume. */
export const open = (
  stateDir: string,
  resume: Option.Option<string>
): Effect.Effect<Record, Failure, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = join(stateDir, "runs")
    yield* tried(directory, () => mkdir(directory, { recursive: true, mode: 0o700 }))
    const parent = Option.isSome(resume)
      ? Option.some(yield* find(directory, resume.value))
      : Option.none<{ readonly id: SessionId; readonly record: string }>()
    const name = Option.match(parent, { onNone: () => randomUUID(), onSome: ({ record }) => record })
    yield* FileLock.hold(
      { file: join(directory, `${name}.lock`), record: join(directory, `${name}.json`) },
      {}
    ).pipe(
      Effect.mapError((error) =>
        error._tag === "LockFailed"
          ? Failure.failed(error.message)
          : Failure.failed(
              `this conversation is going on elsewhere: ${error.message}`,
              "wait for its end, or interrupt it there"
            )
      )
    )
    return {
      file: join(directory, `${name}.db`),
      parent: Option.map(parent, ({ id }) => id),
      note: (id) => StateDirectory.write(join(directory, id), `${name}\n`)
    }
  })
