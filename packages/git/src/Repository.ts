/** Which repository an address names: one on a host, or one in a directory of this machine. */
import { homedir } from "node:os"
import { isAbsolute, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as GitRemote from "./GitRemote.ts"

export type Repository =
  | { readonly _tag: "Hosted"; readonly remote: GitRemote.GitRemote }
  /** `path` is absolute, without `.git` and slashes at its end. */
  | { readonly _tag: "Local"; readonly path: string }

const local = (path: string): Option.Option<Repository> =>
  Option.some({
    _tag: "Local",
    path: path.replace(/(?<=.)\/+$/, "").replace(/(?<=[^/])(?:\/\.git|\.git)$/, "")
  })

/**
 * Reads the address of a remote: all that `GitRemote.parse` reads, `file:` addresses, and paths. `base`: the directory
 * that relative paths begin at. `None` for what names neither.
 */
export const parse = (address: string, base = "/"): Option.Option<Repository> => {
  const text = address.trim()
  if (/^file:/i.test(text)) {
    return Option.flatMap(Either.getRight(Either.try(() => fileURLToPath(text))), local)
  }
  if (isAbsolute(text)) return local(resolve(text))
  if (/^\.{1,2}(\/|$)/.test(text)) return local(resolve(base, text))
  if (/^~\//.test(text)) return local(resolve(homedir(), text.slice(2)))
  return Option.map(GitRemote.parse(text), (remote) => ({ _tag: "Hosted", remote }))
}

/** The address for a person, without credentials; what {@link parse} reads. */
export const toAddress = (repository: Repository): string =>
  repository._tag === "Hosted" ? GitRemote.toUrl(repository.remote) : repository.path
