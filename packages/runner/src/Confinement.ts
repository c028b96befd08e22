/**
 * Paths within a directory, and plain files at them. What an agent asks its client to read, write or run is looked up in
 * the session's working directory and nowhere else. Source: spec 4 §3.7.
 *
 * This keeps an agent's requests where the person expects them; it is no sandbox: an agent's own process can open what
 * its user can.
 */
import { constants } from "node:fs"
import { type FileHandle, lstat, open, realpath } from "node:fs/promises"
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

/** The path leads out of the directory, or cannot be followed. `detail` names it, in words for the agent. */
export class Refused extends Data.TaggedError("Refused")<{ readonly path: string; readonly detail: string }> {
  override get message(): string {
    return `${JSON.stringify(this.path)} ${this.detail}`
  }
}

/** `path` is `root` or below it, both without links and dots. */
export const contains = (root: string, path: string): boolean => {
  const way = relative(root, path)
  return way === "" || (way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way))
}

const code = (cause: unknown): string =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : String(cause)

/**
 * The real path of what exists of `path`, with the rest of it behind. Undefined where a link on the way leads nowhere:
 * to create what it names would be to create it at an unknown place.
 */
const follow = async (path: string): Promise<string | undefined> => {
  const rest: Array<string> = []
  for (let at = path; ; at = dirname(at)) {
    try {
      return join(await realpath(at), ...rest)
    } catch (cause) {
      if (code(cause) !== "ENOENT") throw cause
    }
    const exists = await lstat(at).then(
      () => true,
      () => false
    )
    if (exists || at === dirname(at)) return undefined
    rest.unshift(basename(at))
  }
}

/**
 * The real path that `path` names, taken from `root` where it is relative. Fails where that is outside of `root`, by
 * `..`, by an absolute path or through a link. `root` is a real path. What the path names need not exist.
 */
export const within = (root: string, path: string): Effect.Effect<string, Refused> =>
  Effect.gen(function* () {
    const refuse = (detail: string) => new Refused({ path, detail })
    if (path === "" || path.includes("\0")) return yield* refuse("is not a path")
    const outside = `is outside of the working directory ${root}`
    const found = yield* Effect.tryPromise({
      try: () => follow(resolve(root, path)),
      catch: (cause) => refuse(`cannot be followed (${code(cause)})`)
    })
    if (found === undefined) return yield* refuse("leads through a link to nowhere")
    return contains(root, found) ? found : yield* refuse(outside)
  })

/** There is something at the path that is no regular file. */
export class NotPlain extends Error {}

/**
 * Uses the plain file at a real path. A link that takes its last part's place meanwhile is not followed, and a pipe or
 * device does not hold the opening up.
 */
export const using = async <A>(
  path: string,
  flags: number,
  use: (file: FileHandle, size: number) => Promise<A>
): Promise<A> => {
  const file = await open(path, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK, 0o666)
  try {
    const stat = await file.stat()
    if (!stat.isFile()) throw new NotPlain(`${JSON.stringify(path)} is not a regular file`)
    return await use(file, stat.size)
  } finally {
    await file.close()
  }
}

/** At most the first `max` bytes of a plain file. `size` is more than `max` where there are more. */
export const readStart = (
  path: string,
  max: number
): Promise<{ readonly bytes: Buffer; readonly size: number }> =>
  using(path, constants.O_RDONLY, async (file, size) => {
    // One more byte tells a file that has grown.
    const content = Buffer.alloc(Math.min(size, max) + 1)
    let length = 0
    while (length < content.length) {
      const { bytesRead } = await file.read(content, length, content.length - length, length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    return { bytes: content.subarray(0, Math.min(length, max)), size: Math.max(size, length) }
  })
