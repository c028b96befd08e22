/**
 * What a person is told when a file cannot be read or written: which file, what is wrong with its disk, and what to do. Both
 * databases, the state files and the agents' records use these words.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** Codes of the system and of SQLite (`SQLITE_IOERR_WRITE` is looked up as `SQLITE_IOERR` too). */
const sentences: { readonly [code: string]: ((file: string) => string) | undefined } = {
  full: (file) => `the disk that holds ${file} is full: free some space; then it goes on by itself`,
  quota: (file) =>
    `the quota of the disk that holds ${file} is used up: free some space; then it goes on by itself`,
  readonly: (file) => `${file} cannot be written, its disk or file is read-only: make it writable`,
  device: (file) => `the disk that holds ${file} fails: look at the system's log`,
  large: (file) =>
    `${file} may not grow any more: raise the limit on the size of files (ulimit -f) or free space`,
  files: (file) => `${file} cannot be opened, too many files are open: allow more (ulimit -n)`,
  open: (file) => `${file} cannot be opened: check that its directory is there and writable`,
  denied: (file) => `${file} may not be used: check its permissions`,
  directory: (file) => `${file} is a directory, and a file is kept there: move it away`,
  damaged: (file) => `${file} is damaged: move it away, or bring a copy of it back`,
  busy: (file) => `${file} is in use by another process: it is tried again`
}

const kinds: { readonly [code: string]: string | undefined } = {
  ENOSPC: "full",
  SQLITE_FULL: "full",
  EDQUOT: "quota",
  EROFS: "readonly",
  SQLITE_READONLY: "readonly",
  EIO: "device",
  SQLITE_IOERR: "device",
  EFBIG: "large",
  EMFILE: "files",
  ENFILE: "files",
  SQLITE_CANTOPEN: "open",
  ENOENT: "open",
  ENOTDIR: "open",
  EISDIR: "directory",
  EACCES: "denied",
  EPERM: "denied",
  SQLITE_PERM: "denied",
  SQLITE_CORRUPT: "damaged",
  SQLITE_NOTADB: "damaged",
  SQLITE_BUSY: "busy",
  SQLITE_LOCKED: "busy"
}

/** The code of a failure, or of what caused it. */
export const codeOf = (failure: unknown): string | undefined => {
  let at = failure
  for (let depth = 0; depth < 8 && typeof at === "object" && at !== null; depth++) {
    if ("code" in at && typeof at.code === "string") return at.code
    at = "cause" in at ? at.cause : "error" in at ? at.error : undefined
  }
  return undefined
}

/** The innermost message of a failure. */
const messageOf = (failure: unknown): string => {
  let message = String(failure)
  let at = failure
  for (let depth = 0; depth < 8 && typeof at === "object" && at !== null; depth++) {
    if ("message" in at && typeof at.message === "string" && at.message !== "") message = at.message
    at = "cause" in at ? at.cause : undefined
  }
  return message
}

const kindOf = (code: string): string | undefined =>
  kinds[code] ?? kinds[code.split("_").slice(0, 2).join("_")]

/** One sentence: the file, its trouble, and the next step; the failure's own words where the trouble is another. */
export const describe = (file: string, failure: unknown): string => {
  const code = codeOf(failure)
  const kind = code === undefined ? undefined : kindOf(code)
  const sentence = kind === undefined ? undefined : sentences[kind]
  return sentence === undefined ? `${file}: ${messageOf(failure)}` : `${sentence(file)} (${code})`
}

/** State of a file's trouble, as far as it has been logged. */
export interface Trouble {
  /** The failure in words; logged when it begins, and not with every call that meets it. */
  readonly failed: (failure: unknown) => Effect.Effect<string>
  /** Something was written to the file: the trouble, where there was one, is over. */
  readonly written: Effect.Effect<void>
}

/** A disk that is nearly full takes some writes and refuses others: the same words are logged once in this time. */
const SAME_AGAIN_MILLIS = 60_000

/** Keeps the log short while a file cannot be used. `file`: its path; `module`: who logs. */
export const trouble = (file: string, module: string): Trouble => {
  let now: { readonly detail: string; calls: number } | undefined
  let logged: { readonly detail: string; readonly at: number } | undefined
  return {
    failed: (failure) =>
      Effect.flatMap(Clock.currentTimeMillis, (at) => {
        const detail = describe(file, failure)
        const same = now?.detail === detail
        now = { detail, calls: same ? (now?.calls ?? 0) + 1 : 1 }
        if (same || (logged?.detail === detail && at - logged.at < SAME_AGAIN_MILLIS)) {
          return Effect.succeed(detail)
        }
        logged = { detail, at }
        return Effect.as(
          Effect.logError("a file cannot be used").pipe(Effect.annotateLogs({ module, detail })),
          detail
        )
      }),
    written: Effect.suspend(() => {
      if (now === undefined) return Effect.void
      const { calls, detail } = now
      now = undefined
      return Effect.logInfo("a file can be used again").pipe(Effect.annotateLogs({ module, calls, detail }))
    })
  }
}
