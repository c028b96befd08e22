/**
 * Where Causeway keeps its data on this machine, and what stands there: `token` (the access token of the hub made
 * here), `hub.json` (where the running hub listens), `hub.db`, `journal.db`, and a pointer for each directory. The
 * directory is 0700, each file 0600.
 */
import { existsSync, statSync } from "node:fs"
import { mkdir, open as openFile, readFile, rename, rm, writeFile } from "node:fs/promises"
import { homedir } from "node:os"
import { dirname, join, resolve } from "node:path"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
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
  await mkdir(path, { mode: 0o700 })
}

/** Makes the directory when it is not there. `--state-dir` first, then `CAUSEWAY_STATE_DIR`, then the platform's. */
export const open = (option: Option.Option<string>): Effect.Effect<string, Failure> =>
  Effect.gen(function* () {
    const named = Option.orElse(option, () => Option.none())
    const fromEnvironment = yield* Config.option(Config.nonEmptyString("CAUSEWAY_STATE_DIR")).pipe(
      Effect.orDie
    )
    const fallback = yield* platformDefault
    const path = resolve(
      Option.getOrElse(
        Option.orElse(named, () => fromEnvironment),
        () => fallback
      )
    )
    yield* Effect.tryPromise({
      try: async () => {
        await make(path)
      },
      catch: (cause) =>
        new Failure({
          message: `the state directory ${path} cannot be used: ${describe(cause)}`,
          next: "name another one with --state-dir or CAUSEWAY_STATE_DIR"
        })
    })
    return path
  })

const describe = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

const notThere = (cause: unknown): boolean =>
  typeof cause === "object" && cause !== null && (cause as { readonly code?: unknown }).code === "ENOENT"

const read = (path: string): Effect.Effect<Option.Option<string>, Failure> =>
  Effect.tryPromise({ try: () => readFile(path, "utf8"), catch: (cause) => cause }).pipe(
    Effect.map(Option.some),
    Effect.catchAll((cause) =>
      notThere(cause)
        ? Effect.succeed(Option.none())
        : new Failure({
            message: `${path} cannot be read: ${describe(cause)}`,
            next: "check its permissions"
          })
    )
  )

/** Makes a file for its owner alone, where there is none: SQLite gives its side files the mode of the database. */
export const reserve = (path: string): Effect.Effect<void, Failure> =>
  Effect.tryPromise({
    try: async () => (await openFile(path, "a", 0o600)).close(),
    catch: (cause) =>
      new Failure({ message: `${path} cannot be opened: ${describe(cause)}`, next: "check its permissions" })
  })

/** Replaces a file in one step, 0600. */
const write = (path: string, text: string): Effect.Effect<void, Failure> =>
  Effect.tryPromise({
    try: async () => {
      const next = `${path}.${process.pid}.tmp`
      await writeFile(next, text, { mode: 0o600 })
      await rename(next, path)
    },
    catch: (cause) =>
      new Failure({ message: `${path} cannot be written: ${describe(cause)}`, next: "check its permissions" })
  })

// --- The access token --------------------------------------------------------

export const tokenFile = (stateDir: string): string => join(stateDir, "token")

export const readToken = (stateDir: string): Effect.Effect<Option.Option<Redacted.Redacted>, Failure> =>
  read(tokenFile(stateDir)).pipe(
    Effect.map((text) =>
      Option.flatMap(text, (t) => (t.trim() === "" ? Option.none() : Option.some(Redacted.make(t.trim()))))
    )
  )

export const writeToken = (stateDir: string, token: Redacted.Redacted): Effect.Effect<void, Failure> =>
  write(tokenFile(stateDir), `${Redacted.value(token)}\n`)

// --- The running hub ---------------------------------------------------------

const HubRecord = Schema.parseJson(
  Schema.Struct({
    url: Schema.String,
    /** Where other machines reach it; missing where they do not. */
    others: Schema.optional(Schema.String),
    pid: Schema.Int
  })
)
/** Where a hub of this machine is. */
export type HubRecord = typeof HubRecord.Type

const hubFile = (stateDir: string): string => join(stateDir, "hub.json")

/** What the last hub of this state directory wrote down; it may have ended since. */
export const readHub = (stateDir: string): Effect.Effect<Option.Option<HubRecord>, Failure> =>
  Effect.map(read(hubFile(stateDir)), Option.flatMap(Schema.decodeOption(HubRecord)))

/** Writes it down for as long as the scope is open. */
export const announceHub = (stateDir: string, hub: Omit<HubRecord, "pid">) =>
  Effect.acquireRelease(write(hubFile(stateDir), `${JSON.stringify({ ...hub, pid: process.pid })}\n`), () =>
    Effect.promise(() => rm(hubFile(stateDir), { force: true }))
  )

export const databaseFile = (stateDir: string): string => join(stateDir, "hub.db")

/** Agents, keys, retention and origins of the gateway; may be missing. */
export const gatewayFile = (stateDir: string): string => join(stateDir, "gateway.json")
