/** `fs/read_text_file` and `fs/write_text_file`, within one directory. Source: spec 4 §2 and §3.7. */
import { constants } from "node:fs"
import { type FileHandle, mkdir } from "node:fs/promises"
import { dirname } from "node:path"
import * as Read from "@causeway/transcript/Read"
import * as Effect from "effect/Effect"
import * as Confinement from "../Confinement.ts"
import { codes, invalidParams, RpcError } from "./JsonRpc.ts"

/** The most that one answer holds, in bytes. */
export const READ_MAX = 8 * 1024 * 1024
const CHUNK = 64 * 1024
const LINE_FEED = 10

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Bytes of the lines from `first` (0 is the first line) on, `count` of them, without the last one's line break. */
const lines = async (file: FileHandle, first: number, count: number, path: string): Promise<Uint8Array> => {
  const kept: Array<Uint8Array> = []
  let size = 0
  let line = 0
  if (count <= 0) return new Uint8Array()
  while (line - first < count) {
    const { bytesRead, buffer } = await file.read(new Uint8Array(CHUNK), 0, CHUNK)
    if (bytesRead === 0) break
    const chunk = buffer.subarray(0, bytesRead)
    let from = 0
    while (line < first) {
      const at = chunk.indexOf(LINE_FEED, from)
      if (at < 0) {
        from = chunk.length
        break
      }
      from = at + 1
      line++
    }
    let to = from
    while (to < chunk.length && line - first < count) {
      const at = chunk.indexOf(LINE_FEED, to)
      to = at < 0 ? chunk.length : at + 1
      if (at >= 0) line++
    }
    kept.push(chunk.subarray(from, to))
    size += to - from
    if (size > READ_MAX) {
      throw invalidParams(
        `${JSON.stringify(path)} is too large: at most ${READ_MAX} bytes are read at once; give a line and a limit`
      )
    }
  }
  const bytes = Buffer.concat(kept)
  return line - first >= count && bytes.at(-1) === LINE_FEED ? bytes.subarray(0, -1) : bytes
}

const failure =
  (path: string) =>
  (cause: unknown): RpcError => {
    if (cause instanceof RpcError) return cause
    if (cause instanceof Confinement.NotPlain) return invalidParams(cause.message)
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined
    const named = JSON.stringify(path)
    switch (code) {
      case "ENOENT":
        return new RpcError({
          code: codes.notFound,
          message: `there is no file ${named}`,
          data: { uri: path }
        })
      case "EISDIR":
        return invalidParams(`${named} is a directory`)
      case "ENOTDIR":
        return invalidParams(`${named} leads through a file`)
      case "ELOOP":
        return invalidParams(`${named} is a link`)
      case "EACCES":
      case "EPERM":
        return invalidParams(`${named} may not be opened (permission denied)`)
      default:
        return cause instanceof TypeError
          ? invalidParams(`${named} is not UTF-8 text`)
          : new RpcError({
              code: codes.internal,
              message: `${named}: ${cause instanceof Error ? cause.message : String(cause)}`
            })
    }
  }

/** A line number or a count; absent or null is `otherwise`. */
const whole = (value: unknown, what: string, otherwise: number): Effect.Effect<number, RpcError> =>
  value === undefined || value === null
    ? Effect.succeed(otherwise)
    : typeof value === "number" && Number.isSafeInteger(value) && value >= 0
      ? Effect.succeed(value)
      : Effect.fail(invalidParams(`${what} must be a whole number that is not negative`))

const confined = (root: string, path: unknown): Effect.Effect<string, RpcError> =>
  typeof path === "string"
    ? Effect.mapError(Confinement.within(root, path), (refused) => invalidParams(refused.message))
    : Effect.fail(invalidParams("path must be text"))

const using = <A>(
  path: string,
  flags: number,
  use: (file: FileHandle) => Promise<A>
): Effect.Effect<A, RpcError> =>
  Effect.tryPromise({ try: () => Confinement.using(path, flags, use), catch: failure(path) })

/** Answers `fs/read_text_file`: the text of the lines from `line` (1 is the first), `limit` of them. */
export const readTextFile = (
  root: string,
  params: unknown
): Effect.Effect<{ readonly content: string }, RpcError> =>
  Effect.gen(function* () {
    const { path, line, limit } = Read.object(params)
    const real = yield* confined(root, path)
    const first = yield* whole(line, "line", 1)
    const count = yield* whole(limit, "limit", Number.POSITIVE_INFINITY)
    const content = yield* using(real, constants.O_RDONLY, async (file) =>
      decoder.decode(await lines(file, Math.max(0, first - 1), count, real))
    )
    return { content }
  })

/** What git runs by. */
const PROGRAMS = /[\\/]\.git([\\/](hooks|config|modules)|$)/

/** Answers `fs/write_text_file`: the file's whole text; missing directories are made. */
export const writeTextFile = (
  root: string,
  params: unknown,
  sandboxed = false
): Effect.Effect<object, RpcError> =>
  Effect.gen(function* () {
    const { path, content } = Read.object(params)
    const real = yield* confined(root, path)
    if (sandboxed && PROGRAMS.test(real)) {
      return yield* invalidParams(`${JSON.stringify(path)} is not written from the sandbox: git runs by it`)
    }
    if (typeof content !== "string") return yield* invalidParams("content must be text")
    yield* Effect.tryPromise({
      try: () => mkdir(dirname(real), { recursive: true }),
      catch: failure(dirname(real))
    })
    yield* using(real, constants.O_WRONLY | constants.O_CREAT, async (file) => {
      await file.truncate(0)
      await file.writeFile(content)
    })
    return {}
  })
