/**
 * The agent processes of this host, written down so that the next one can end what a killed host left behind.
 *
 * A process is named by its id and the time it started, never by its name. A record belongs to the host that wrote it:
 * while that one runs, its processes are its own affair.
 */

import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import * as FileFailure from "@causeway/protocol/FileFailure"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as ProcessTable from "./ProcessTable.ts"

const Known = Schema.Struct({ pid: Schema.Int, started: Schema.String })

const ProcessRecord = Schema.parseJson(
  Schema.Struct({ ...Known.fields, runId: Schema.NullOr(Schema.String), host: Known })
)

/** The directory of the records cannot be used. */
export class RegistryFailed extends Data.TaggedError("RegistryFailed")<{
  readonly detail: string
}> {
  override get message(): string {
    return `agent processes cannot be recorded: ${this.detail}; or use another --state-dir`
  }
}

/** Between SIGTERM and SIGKILL to a process that was left behind. */
const patience = Duration.seconds(1)

/** A process that an earlier host left behind, and that was ended. */
export interface Orphan {
  readonly pid: number
  readonly runId: string | null
}

/** Nothing is written down unless a layer says where. */
export class ProcessRegistry extends Context.Reference<ProcessRegistry>()(
  "@causeway/runner/ProcessRegistry",
  {
    defaultValue: (): {
      /**
       * Writes a process down; the answer forgets it, once it has ended. Where that fails (disk full, directory gone)
       * it is logged, and the process runs all the same: a guard ends it with its host.
       */
      readonly hold: (process: {
        readonly pid: number
        readonly runId: string | undefined
      }) => Effect.Effect<Effect.Effect<void>>
      /** Found and ended when this host started. */
      readonly reaped: ReadonlyArray<Orphan>
    } => ({ hold: () => Effect.succeed(Effect.void), reaped: [] })
  }
) {}

const decode = Schema.decodeUnknownOption(ProcessRecord)

/** File operations of one directory; a failure names it. */
const io =
  (directory: string) =>
  <A>(operation: () => Promise<A>): Effect.Effect<A, RegistryFailed> =>
    Effect.tryPromise({
      try: operation,
      catch: (cause) => new RegistryFailed({ detail: FileFailure.describe(directory, cause) })
    })

const complain = (what: string) => (error: { readonly message: string }) =>
  Effect.logWarning(what).pipe(Effect.annotateLogs({ module: "ProcessRegistry", detail: error.message }))

const ended = (pid: number, started: string) =>
  Effect.gen(function* () {
    const gone = Effect.map(ProcessTable.startOf(pid), (now) => now !== started)
    if (yield* gone) return
    ProcessTable.signal(-pid, "SIGTERM")
    yield* gone.pipe(
      Effect.repeat({ until: (is) => is, schedule: Schedule.spaced("20 millis") }),
      Effect.timeoutOption(patience)
    )
    // The group also when its leader has ended in time; it is this one as long as the leader's id was not given away.
    if (!(yield* gone)) ProcessTable.signal(-pid, "SIGKILL")
  })

/** Ends the process of a record whose host has ended. A record that cannot be read now is left to the next start. */
const reapOne = (directory: string, name: string): Effect.Effect<ReadonlyArray<Orphan>> =>
  Effect.gen(function* () {
    const path = join(directory, name)
    const remove = io(directory)(() => rm(path, { force: true }))
    const known = decode(yield* io(directory)(() => readFile(path, "utf8")))
    if (known._tag === "None") {
      // Torn by a crash of the machine: what it named did not outlive that.
      yield* remove
      return []
    }
    const { host, pid, runId, started } = known.value
    if ((yield* ProcessTable.startOf(host.pid)) === host.started) return []
    const lives = (yield* ProcessTable.startOf(pid)) === started
    yield* ended(pid, started)
    yield* remove
    const strays = yield* ProcessTable.withVariable("CAUSEWAY_RUN_ID", new Set(runId === null ? [] : [runId]))
    for (const stray of strays) ProcessTable.signal(stray, "SIGKILL")
    return lives || strays.length > 0 ? [{ pid, runId }] : []
  }).pipe(
    Effect.catchAll((error) =>
      Effect.as(complain("A record of an agent process was left as it is")(error), [])
    )
  )

/** Ends the processes that hosts of this directory left behind, and forgets them. */
const reap = (directory: string): Effect.Effect<ReadonlyArray<Orphan>, RegistryFailed> =>
  Effect.gen(function* () {
    const names = yield* io(directory)(() => readdir(directory))
    const orphans = yield* Effect.forEach(
      names.filter((name) => name.endsWith(".json")),
      (name) => reapOne(directory, name),
      { concurrency: 8 }
    )
    return orphans.flat()
  })

/**
 * Keeps the record in `directory` (one small file a process). Building the layer ends what earlier hosts left behind,
 * so it comes before any agent is started; another live host that shares the directory is left alone.
 */
export const layer = (directory: string): Layer.Layer<never, RegistryFailed> =>
  Layer.effect(
    ProcessRegistry,
    Effect.gen(function* () {
      const make = () => mkdir(directory, { recursive: true, mode: 0o700 })
      yield* io(directory)(make)
      const reaped = yield* reap(directory)
      if (reaped.length > 0) {
        yield* Effect.logWarning("Ended agent processes that an earlier start left behind").pipe(
          Effect.annotateLogs({ module: "ProcessRegistry", pids: reaped.map(({ pid }) => pid) })
        )
      }
      const self = yield* Effect.mapError(
        ProcessTable.startOf(process.pid),
        ({ message }) => new RegistryFailed({ detail: message })
      )
      const host = { pid: process.pid, started: self ?? "" }
      return {
        reaped,
        hold: ({ pid, runId }) =>
          Effect.gen(function* () {
            const started = yield* ProcessTable.startOf(pid)
            if (started === undefined) return Effect.void
            const path = join(directory, `${host.pid}-${pid}.json`)
            const text = JSON.stringify({ pid, started, runId: runId ?? null, host })
            yield* io(directory)(async () => {
              // Somebody may have cleared the state directory meanwhile.
              await make()
              try {
                await writeFile(`${path}.new`, text, { mode: 0o600 })
                await rename(`${path}.new`, path)
              } catch (cause) {
                // A full disk takes the name of a file and not what is in it.
                await rm(`${path}.new`, { force: true })
                throw cause
              }
            })
            return io(directory)(() => rm(path, { force: true })).pipe(
              Effect.catchAll(complain("The record of an agent process was not removed"))
            )
          }).pipe(
            Effect.catchAll((error) =>
              Effect.as(
                complain("An agent process was not written down: if this host is killed it may stay")(error),
                Effect.void
              )
            )
          )
      }
    })
  )
