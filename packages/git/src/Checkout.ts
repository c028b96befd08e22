/** A working directory as a checkout of a repository. Source: spec 1 §4 (`resume`). */
import { realpathSync } from "node:fs"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Git, type GitError, orElse, quote } from "./Git.ts"
import * as GitRemote from "./GitRemote.ts"
import * as Repository from "./Repository.ts"

// --- Errors ---

/** The directory is no git checkout at all. */
export class NotACheckout extends Schema.TaggedError<NotACheckout>()("NotACheckout", {
  directory: Schema.String,
  /** The session's repository. */
  expected: Schema.String
}) {
  override get message(): string {
    return `${this.directory} is not a git checkout; the session works on ${this.expected}`
  }
}

/** The directory is a checkout of something else. */
export class WrongRepository extends Schema.TaggedError<WrongRepository>()("WrongRepository", {
  directory: Schema.String,
  expected: Schema.String,
  /** The directory's repositories, as far as its remotes name any. */
  found: Schema.Array(Schema.String)
}) {
  override get message(): string {
    const found = this.found.length === 0 ? "a repository without remotes" : this.found.join(", ")
    return `${this.directory} is a checkout of ${found}; the session works on ${this.expected}`
  }
}

/** Changes that are not committed stand in the way of checking out the session's branch. */
export class TreeNotClean extends Schema.TaggedError<TreeNotClean>()("TreeNotClean", {
  directory: Schema.String,
  branch: Schema.String,
  /** At most 20 paths. */
  paths: Schema.Array(Schema.String),
  /** How many there are in all. */
  count: Schema.Int
}) {
  override get message(): string {
    const more = this.count > this.paths.length ? ` and ${this.count - this.paths.length} more` : ""
    return `cannot check out ${this.branch}: uncommitted changes in ${this.paths.join(", ")}${more}; commit or stash them first`
  }
}

/** Neither the remote nor the checkout has a branch of the session. */
export class BranchNotFound extends Schema.TaggedError<BranchNotFound>()("BranchNotFound", {
  directory: Schema.String,
  branches: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return this.branches.length === 0
      ? "the session names no branch (it may work on a detached commit)"
      : `none of the session's branches exists here or on the remote: ${this.branches.join(", ")}`
  }
}

export type CheckoutError = NotACheckout | WrongRepository | TreeNotClean | BranchNotFound | GitError

// --- A directory ---

/** A remote of a checkout. */
interface Remote {
  readonly name: string
  readonly repository: Repository.Repository
}

const lines = (text: string): ReadonlyArray<string> => text.split("\n").filter((line) => line !== "")

/** The same remote under the host that ssh connects to, where its address goes by an alias of ssh's configuration. */
const withoutAlias = (git: Git["Type"], address: string, repository: Repository.Repository) =>
  Effect.gen(function* () {
    const isSsh = /^ssh:/i.test(address) || !address.includes("://")
    if (repository._tag === "Local" || !isSsh) return repository
    const { remote } = repository
    const host = yield* git.sshHost(remote.host)
    return host === remote.host ? repository : { ...repository, remote: { ...remote, host } }
  })

/** Remotes as they are configured and as git rewrites them (`insteadOf`): people see either. */
const remotesOf = (git: Git["Type"], directory: string) =>
  Effect.gen(function* () {
    const top = yield* git.text(directory, "rev-parse", "--show-toplevel")
    const configured = yield* git.run(directory, "config", "--get-regexp", String.raw`^remote\..*\.url$`)
    const rewritten = yield* git.text(directory, "remote", "-v")
    const found = lines(`${configured.stdout}\n${rewritten.replaceAll(/ \((fetch|push)\)$/gm, "")}`).flatMap(
      (line) => {
        const [, key = "", address = ""] = /^(\S+)\s+(.+)$/.exec(line) ?? []
        const name = key.replace(/^remote\.(.*)\.url$/, "$1")
        return Option.match(Repository.parse(address, top), {
          onNone: () => [],
          onSome: (repository) => [{ name, address, repository }]
        })
      }
    )
    const known = new Map(found.map((each) => [`${each.name} ${each.address}`, each]))
    return yield* Effect.forEach(known.values(), ({ address, name, repository }) =>
      Effect.map(withoutAlias(git, address, repository), (real): Remote => ({ name, repository: real }))
    )
  })

export interface Attached {
  /** None where the head is detached. */
  readonly branch: Option.Option<string>
  /** Address of its repository, without credentials and under no alias. */
  readonly remote: Option.Option<string>
}

/** Branch and repository of a directory; neither without git or outside of a checkout. */
export const read: (directory: string) => Effect.Effect<Attached, never, Git> = Effect.fn("Checkout.read")(
  function* (directory: string) {
    const git = yield* Git
    const branch = yield* git.text(directory, "branch", "--show-current")
    const remotes = yield* remotesOf(git, directory)
    const upstream = yield* git.run(directory, "config", "--get", `branch.${branch}.remote`)
    // Addresses of hosts first: that a mirror on this disk stands in for one is of no use elsewhere.
    const preferred = [upstream.stdout.trim(), "origin", ...remotes.map(({ name }) => name)]
      .flatMap((name) => remotes.filter((remote) => remote.name === name))
      .map(({ repository }) => repository)
    const remote = preferred.find(({ _tag }) => _tag === "Hosted") ?? preferred[0]
    return {
      branch: Option.liftPredicate(branch, (name) => name !== ""),
      remote: Option.map(Option.fromNullable(remote), Repository.toAddress)
    }
  },
  orElse({ branch: Option.none(), remote: Option.none() }, "git did not answer")
)

/**
 * Files of a directory in a checkout: committed ones and new ones that are not ignored, relative to it, the shortest
 * paths first. None outside of a checkout, or where git takes longer than 3 s.
 */
export const files: (directory: string) => Effect.Effect<ReadonlyArray<string>, never, Git> = Effect.fn(
  "Checkout.files"
)(
  function* (directory: string) {
    const git = yield* Git
    const flags = ["-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    const { stdout } = yield* git.run(directory, "ls-files", ...flags)
    const depth = (path: string) => path.split("/").length
    return stdout
      .split("\0")
      .filter((path) => path !== "")
      .sort((a, b) => depth(a) - depth(b) || (a < b ? -1 : 1))
  },
  Effect.timeoutTo({ duration: "3 seconds", onTimeout: () => [], onSuccess: (found) => found }),
  orElse([], "git told no files")
)

// --- Which remote is the session's ---

/**
 * Hosts under which one repository may be meant: `github.com-work` and the like are how people name a second account in
 * ssh's configuration, and a word without a dot is no host of the internet. Only where owner and name are the same.
 */
const isAlias = (name: string, host: string): boolean =>
  !name.includes(".") ||
  (name.toLowerCase().startsWith(host.toLowerCase()) && /^[-_]/.test(name.slice(host.length)))

const real = (path: string): string => {
  for (const each of [path, `${path}.git`]) {
    try {
      return realpathSync(each).replace(/(?<=[^/])(?:\/\.git|\.git)$/, "")
    } catch {
      // Not on this machine, or under its other name.
    }
  }
  return path
}

const same = (a: Repository.Repository, b: Repository.Repository): boolean =>
  a._tag === "Hosted" && b._tag === "Hosted"
    ? GitRemote.same(a.remote, b.remote)
    : a._tag === "Local" && b._tag === "Local" && real(a.path) === real(b.path)

const sameUnderAlias = (a: Repository.Repository, wanted: Repository.Repository): boolean =>
  a._tag === "Hosted" &&
  wanted._tag === "Hosted" &&
  isAlias(a.remote.host, wanted.remote.host) &&
  GitRemote.same({ ...a.remote, host: wanted.remote.host }, wanted.remote)

/** How the directory belongs to the repository. */
interface Match {
  /** The remote that is the repository; none where the directory itself is, or belongs to another. */
  readonly remote: string | undefined
  readonly note: string | undefined
}

const match = Effect.fnUntraced(function* (
  git: Git["Type"],
  directory: string,
  { anyRepository = false, repository }: Wanted
): Effect.fn.Return<Match, WrongRepository | GitError> {
  const remotes = yield* remotesOf(git, directory)
  const expected = Repository.toAddress(repository)
  const exact = remotes.find((remote) => same(remote.repository, repository))
  if (exact !== undefined) return { remote: exact.name, note: undefined }
  const alias = remotes.find((remote) => sameUnderAlias(remote.repository, repository))
  if (alias !== undefined) {
    return {
      remote: alias.name,
      note: `${Repository.toAddress(alias.repository)} is taken for ${expected}: owner and name are the same`
    }
  }
  if (repository._tag === "Local") {
    const common = yield* git.text(directory, "rev-parse", "--path-format=absolute", "--git-common-dir")
    if (real(common) === real(repository.path)) return { remote: undefined, note: undefined }
  }
  const found = [...new Set(remotes.map((remote) => Repository.toAddress(remote.repository)))]
  if (!anyRepository) return yield* new WrongRepository({ directory, expected, found })
  const nearest = remotes.find(({ name }) => name === "origin") ?? remotes[0]
  return {
    remote: nearest?.name,
    note: `${directory} is no known checkout of ${expected}; it is used as you asked`
  }
})

// --- The checkout ---

export interface Wanted {
  readonly repository: Repository.Repository
  /** The session's branches, the one to prefer first. */
  readonly branches: ReadonlyArray<string>
  /** Goes on where the directory belongs to another repository, as far as its remotes tell. Default false. */
  readonly anyRepository?: boolean
}

export interface Prepared {
  readonly branch: string
  /** The remote that is the session's repository. */
  readonly remote: string | undefined
  /** The remote answered, or there is none; where it did not, what is here was used. */
  readonly fetched: boolean
  /** The branch is as new as the remote's was when it last answered: false where both have commits of their own. */
  readonly upToDate: boolean
  /** In words for a person: how the checkout was found. */
  readonly note: string | undefined
  /** The commit that was checked out before and is on no branch, tag or remote. */
  readonly leftBehind: string | undefined
}

/** Fit to be handed to git as a branch: nothing that reads as an option, a path or an expression. */
const isBranch = (name: string): boolean =>
  name.length <= 255 &&
  /^[A-Za-z0-9_][A-Za-z0-9._/+@-]*$/.test(name) &&
  !/(\.\.|@\{|\/\/|\/\.|\.lock(\/|$)|\/$|\.$)/.test(name)

/**
 * Brings in the session's branches by name, as a clone of a single branch or a shallow one has no rule for them. False
 * where the remote does not answer.
 */
const fetch = (git: Git["Type"], directory: string, remote: string, branches: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const heads = branches.map((branch) => `refs/heads/${branch}`)
    const there = yield* git.text(directory, "ls-remote", "--heads", "--", remote, ...heads)
    const names = branches.filter((branch) => there.includes(`\trefs/heads/${branch}`))
    if (names.length > 0) {
      const rules = names.map((branch) => `+refs/heads/${branch}:refs/remotes/${remote}/${branch}`)
      yield* git.text(directory, "fetch", "--quiet", "--", remote, ...rules)
    }
    return true
  }).pipe(
    Effect.catchTag("GitFailed", (error) =>
      Effect.as(
        Effect.logWarning("The remote did not answer; going on with what is here").pipe(
          Effect.annotateLogs({ module: "Checkout", detail: error.message })
        ),
        false
      )
    )
  )

/** Makes a branch of the remote's, whatever the clone's rules of fetching are. */
const track = (git: Git["Type"], directory: string, remote: string, branch: string) =>
  Effect.gen(function* () {
    const rules = lines((yield* git.run(directory, "config", "--get-all", `remote.${remote}.fetch`)).stdout)
    const isCovered = rules.some((rule) => /^\+?refs\/heads\/(.+):/.exec(rule)?.[1] === "*")
    // Git follows a branch only where a rule of the remote names it.
    if (!isCovered) yield* git.text(directory, "remote", "set-branches", "--add", remote, branch)
    const upstream = `refs/remotes/${remote}/${branch}`
    yield* git.text(directory, "checkout", "--quiet", "--track", "-b", branch, upstream)
  })

/** The commit that is checked out, where no branch, tag or remote has it. */
const loneCommit = (git: Git["Type"], directory: string) =>
  Effect.gen(function* () {
    const head = yield* git.text(directory, "rev-parse", "--verify", "HEAD")
    const holders = yield* git.text(directory, "for-each-ref", "--count=1", "--contains", head)
    return holders === "" ? head : undefined
  })

/**
 * Makes the directory show the session's branch: checks that it is a checkout of the session's repository, fetches,
 * and checks out where the tree is clean. Changes nothing where it fails.
 */
export const prepare = Effect.fn("Checkout.prepare")(function* (directory: string, wanted: Wanted) {
  const git = yield* Git
  const inside = yield* git.run(directory, "rev-parse", "--is-inside-work-tree")
  if (inside.exitCode !== 0 || inside.stdout.trim() !== "true") {
    return yield* new NotACheckout({ directory, expected: Repository.toAddress(wanted.repository) })
  }
  const { note, remote } = yield* match(git, directory, wanted)
  const branches = wanted.branches.filter(isBranch)
  const fetched =
    remote === undefined || branches.length === 0 || (yield* fetch(git, directory, remote, branches))

  const exists = (ref: string) =>
    Effect.map(
      git.run(directory, "rev-parse", "--verify", "--quiet", `${ref}^{commit}`),
      ({ exitCode }) => exitCode === 0
    )
  const current = (yield* git.run(directory, "symbolic-ref", "--quiet", "--short", "HEAD")).stdout.trim()

  for (const branch of branches) {
    const upstream = `refs/remotes/${remote}/${branch}`
    const isLocal = yield* exists(`refs/heads/${branch}`)
    const isRemote = remote !== undefined && (yield* exists(upstream))
    if (!isLocal && !isRemote) continue
    let leftBehind: string | undefined
    if (current !== branch) {
      // Files that git does not know are in nobody's way until git says so.
      const changed = lines(
        (yield* git.run(directory, "status", "--porcelain", "--untracked-files=no")).stdout
      )
      if (changed.length > 0) {
        return yield* new TreeNotClean({
          directory,
          branch,
          paths: changed.slice(0, 20).map((line) => line.slice(3)),
          count: changed.length
        })
      }
      leftBehind = current === "" ? yield* loneCommit(git, directory) : undefined
      yield* isLocal || remote === undefined
        ? git.text(directory, "checkout", "--quiet", branch, "--")
        : track(git, directory, remote, branch)
    }
    // Brings in what the session pushed; commits of one's own stay where they are.
    if (isRemote) yield* git.run(directory, "merge", "--quiet", "--ff-only", upstream)
    const behind = isRemote ? yield* git.text(directory, "rev-list", "--count", `HEAD..${upstream}`) : "0"
    const prepared: Prepared = { branch, remote, fetched, upToDate: behind === "0", note, leftBehind }
    return prepared
  }
  return yield* new BranchNotFound({ directory, branches: wanted.branches })
})

/** How a commit that was left behind is kept, as words for a person. */
export const keeping = (commit: string): string =>
  `the commit ${commit.slice(0, 12)} that was checked out is on no branch; keep it with: git branch ${quote(`kept-${commit.slice(0, 12)}`)} ${commit}`
