/**
 * Paths within a directory. What an agent asks its client to read, write or run is looked up in the session's working
 * directory and nowhere else. Source: spec 4 §3.7.
 *
 * This keeps an agent's requests where the person expects them; it is no sandbox: an agent's own process can open what
 * its user can.
 */
import { lstat, realpath } from "node:fs/promises"
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

/** The path leads out of the directory, or cannot be followed. `detail` names it, in words for the agent. */
export class Refused extends Data.TaggedError("Refused")<{ readonly path: string; readonly detail: string }> {
  override get message(): string {
    return `${JSON.stringify(this.path)} ${this.detail}`
  }
}

/** Whether `path` is `root` or below it, both without links and dots. */
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
