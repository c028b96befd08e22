/**
 * Where Causeway keeps its data on this machine, and what stands there: `token` (the access token of the hub made
 * here), `hub.lock` and `hub.json` (who runs the hub, and where), `hub.db`, `journal.db`, and a pointer for each directory. The
 * directory is 0700, each file 0600.
 */
import { constants, existsSync, statSync } from "node:fs"
import {
  access,
  chmod,
  mkdir,
  open as openFile,
  readdir,
  readFile,
  rename,
  writeFile
} from "node:fs/promises"
import { homedir } from "node:os"
import { dirname, join, resolve } from "node:path"
import * as FileFailure from "@causeway/protocol/FileFailure"
import * as FileLock from "@causeway/store/FileLock"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { Failure } from "./Failure.ts"

/** The platform's directory for state: `$XDG_STATE_HOME`, `~/Library/Application Support`, `%LOCALAPPDATA%`. */
const platformDefault: Effect.Effect<string> = Effect.gen(function* () {
  if (process.platform === "darwin") return join(homedir(), "Library", "Application Support", "causeway")
  const variable = process.platform === "win32" ? "LOCALAPPDATA" : "XDG_STATE_HOME"
  const fallback =
    process.platform === "win32" ? join(homedir(), "AppData", "Local") : join(homedir(), ".local", "state")
  const base = yield* Config.option(Config.nonEmptyString(variable))
  return join(
    Option.getOrElse(base, () => fallback),
    "causeway"
  )
}).pipe(Effect.orDie)

/**
 * Makes a directory and those above it that are missing, each for its owner alone. Step by step: Node's own recursive
 * form never returns where the file system answers that a new entry does not exist (`/proc`).
 */
const make = async (path: string): Promise<void> => {
  if (existsSync(path)) {
    if (!statSync(path).isDirectory()) throw new Error("it is not a directory")
    return
  }
  const parent = dirname(path)
  if (parent !== path) await make(parent)
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (cause) {
    // Another start made it at the same moment.
    if (!existsSync(path)) throw cause
  }
}

/** What stands in a directory of ours. */
const OURS = new Set([
  "hub.db",
  "journal.db",
  "token",
  "hub.lock",
  "hub.json",
  "gateway.json",
  "agents",
  "runs"
])

/**
 * Takes a directory away from others who may look into it. One that holds other things too is not ours to close: `/tmp`, or
 * somebody's home.
 */
const close = async (path: string): Promise<void> => {
  const { mode, uid } = statSync(path)
  if (process.platform === "win32" || (mode & 0o077) === 0 || uid !== process.getuid?.()) return
  const names = await readdir(path)
  if (names.some((name) => name !== "lost+found") && !names.some((name) => OURS.has(name))) {
    throw new Error("others can look into it, and it holds other things: chmod 700 it")
  }
  await chmod(path, 0o700)
}

/** Makes the directory when it is not there: the one that was named, else the platform's. */
export const open = (named: Option.Option<string>): Effect.Effect<string, Failure> =>
  Effect.gen(function* () {
    const fallback = yield* platformDefault
    const path = resolve(Option.getOrElse(named, () => fallback))
    yield* Effect.tryPromise({
      try: async () => {
        await make(path)
        await access(path, constants.R_OK | constants.W_OK | constants.X_OK).catch((cause: unknown) => {
          const owner = statSync(path).uid
          throw owner === process.getuid?.()
            ? cause
            : new Error(`it belongs to another user (${owner}), and this one may not write to it`, { cause })
        })
        await close(path)
      },
      catch: (cause) =>
        Failure.failed(
          `the state directory ${path} cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`,
          "name another one with --state-dir or CAUSEWAY_STATE_DIR"
        )
    })
    return path
  })

/** A file of the state directory that cannot be used, in words that say what to do. */
const unusable = (path: string) => (cause: unknown) => Failure.failed(FileFailure.describe(path, cause))

/** A file's text; none where it is not there. */
export const read = (path: string): Effect.Effect<Option.Option<string>, Failure> =>
  Effect.tryPromise({ try: () => readFile(path, "utf8"), catch: (cause) => cause }).pipe(
    Effect.map(Option.some),
    Effect.catchAll((cause) =>
      FileFailure.codeOf(cause) === "ENOENT" ? Effect.succeed(Option.none()) : unusable(path)(cause)
    )
  )

/** Makes a file for its owner alone, where there is none: SQLite gives its side files the mode of the database. */
export const reserve = (path: string): Effect.Effect<void, Failure> =>
  Effect.tryPromise({
    try: async () => (await openFile(path, "a", 0o600)).close(),
    catch: unusable(path)
  })

/** Replaces a file in one step, 0600. */
export const write = (path: string, text: string): Effect.Effect<void, Failure> =>
  Effect.tryPromise({
    try: async () => {
      const next = `${path}.${process.pid}.tmp`
      await writeFile(next, text, { mode: 0o600 })
      await rename(next, path)
    },
    catch: unusable(path)
  })

// --- The access token --------------------------------------------------------

export const tokenFile = (stateDir: string): string => join(stateDir, "token")

/** A secret that stands alone in a file; none where there is no file, or nothing in it. */
export const readSecret = (path: string): Effect.Effect<Option.Option<Redacted.Redacted>, Failure> =>
  read(path).pipe(
    Effect.map((text) =>
      Option.flatMap(text, (t) => (t.trim() === "" ? Option.none() : Option.some(Redacted.make(t.trim()))))
    )
  )

export const readToken = (stateDir: string): Effect.Effect<Option.Option<Redacted.Redacted>, Failure> =>
  readSecret(tokenFile(stateDir))

export const writeToken = (stateDir: string, token: Redacted.Redacted): Effect.Effect<void, Failure> =>
  write(tokenFile(stateDir), `${Redacted.value(token)}\n`)

// --- The running hub ---------------------------------------------------------

const hubLock = (stateDir: string): FileLock.Place => ({
  file: join(stateDir, "hub.lock"),
  record: join(stateDir, "hub.json")
})

/** The hub that runs on this state directory, as it says itself. Its `url` is missing while it starts. */
export const runningHub = (stateDir: string): Effect.Effect<Option.Option<FileLock.Holder>> =>
  FileLock.holder(hubLock(stateDir))

/** This process is the hub of the state directory as long as the scope is open; of two who try, one is. */
export const becomeHub = (
  stateDir: string,
  about: FileLock.About
): Effect.Effect<FileLock.Held, FileLock.LockHeld | Failure, Scope.Scope> =>
  FileLock.hold(hubLock(stateDir), about).pipe(
    Effect.catchTag("LockFailed", ({ message }) => Failure.failed(message))
  )

export const databaseFile = (stateDir: string): string => join(stateDir, "hub.db")

/** Agents, keys, retention and origins of the gateway; may be missing. */
export const gatewayFile = (stateDir: string): string => join(stateDir, "gateway.json")
