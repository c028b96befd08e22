/**
 * Git remotes as people and `git remote -v` write them. Source: spec 1 §2.
 *
 * A general URL library reads web addresses of hosting sites too and takes `…/tree` or `…/blob` for parts of a page;
 * here every path segment is part of the repository's name.
 */
import * as Option from "effect/Option"

export interface GitRemote {
  /** Host, with the port where the remote is a web address: ports of other protocols mean nothing to a browser. */
  readonly host: string
  /** Everything before the name; several segments where groups are nested. */
  readonly owner: string
  /** Without `.git`. */
  readonly name: string
}

const HOST = String.raw`[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]`
const URL_FORM = new RegExp(
  String.raw`^(https?|ssh|git)://(?:[^@/\s]+@)?(${HOST})(?::(\d{1,5}))?/(\S+)$`,
  "i"
)
/** A host of one letter is a drive of Windows. */
const SCP_FORM = new RegExp(
  String.raw`^(?:[^@/:\s]+@(${HOST})|([A-Za-z0-9][A-Za-z0-9.-]*[A-Za-z0-9])):(?!//)(\S+)$`
)
const SHORT_FORM = /^[A-Za-z0-9][A-Za-z0-9_.-]*\/[A-Za-z0-9_.-]+$/
const SEGMENT = /^[^\s/\\?#:@]+$/

const repository = (host: string, path: string): Option.Option<GitRemote> => {
  const trimmed = path.replace(/^\/+/, "").replace(/\/+$/, "")
  const segments = trimmed.replace(/\.git$/, "").split("/")
  const name = segments.at(-1)
  const sound = segments.every((segment) => SEGMENT.test(segment) && segment !== "." && segment !== "..")
  return name === undefined || segments.length < 2 || !sound
    ? Option.none()
    : Option.some({ host, owner: segments.slice(0, -1).join("/"), name })
}

/**
 * Reads `https://host[:port]/owner/name[.git]`, `ssh://` and `git://` alike, `[user@]host:owner/name[.git]`, and
 * `owner/name`, which is on github.com. `None` for everything else.
 */
export const parse = (text: string): Option.Option<GitRemote> => {
  const remote = text.trim()
  const url = URL_FORM.exec(remote)
  if (url !== null) {
    const [, scheme = "", host = "", port, path = ""] = url
    const web = scheme.toLowerCase().startsWith("http")
    return repository(web && port !== undefined ? `${host}:${port}` : host, path)
  }
  const scp = SCP_FORM.exec(remote)
  if (scp !== null) return repository(scp[1] ?? scp[2] ?? "", scp[3] ?? "")
  return SHORT_FORM.test(remote) ? repository("github.com", remote) : Option.none()
}

/** `https://<host>/<owner>/<name>`. */
export const toUrl = (remote: GitRemote): string => `https://${remote.host}/${remote.owner}/${remote.name}`

/** `<owner>/<name>`. */
export const repo = (remote: GitRemote): string => `${remote.owner}/${remote.name}`

/** Two remotes name one repository. Hosts and names are compared without regard to case, ports ignored. */
export const same = (a: GitRemote, b: GitRemote): boolean => {
  const key = (remote: GitRemote) =>
    `${remote.host.replace(/:\d+$/, "")}/${remote.owner}/${remote.name}`.toLowerCase()
  return key(a) === key(b)
}
