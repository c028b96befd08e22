/** A working directory as a checkout of a session's repository. Source: spec 1 §4 (`resume`). */
import * as Command from "@effect/platform/Command"
import type * as PlatformError from "@effect/platform/Error"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Git from "./Git.ts"
import * as GitRemote from "./GitRemote.ts"

// --- Errors ---

/** The directory is no git checkout at all. */
export class NotACheckout extends Schema.TaggedError<NotACheckout>()("NotACheckout", {
  directory: Schema.String,
  /** The session's repository. */
  expected: Schema.String
}) {
  override get message(): string {
    return `${this.directory} is not a git checkout; the session works on ${this.expected}: go to a checkout of it`
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
    return `${this.directory} is a checkout of ${found}; the session works on ${this.expected}: go to a checkout of it`
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
    return `none of the session's branches exists here or on the remote: ${this.branches.join(", ")}`
  }
}

/** Git could not be run, or failed. */
export class GitFailed extends Schema.TaggedError<GitFailed>()("GitFailed", {
  command: Schema.String,
  exitCode: Schema.optional(Schema.Int),
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.command}: ${this.detail}`
  }
}

export type CheckoutError = NotACheckout | WrongRepository | TreeNotClean | BranchNotFound | GitFailed

// --- Git ---

interface Ran {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

const GIT_TIMEOUT = "2 minutes"

/** Addresses of remotes may hold passwords. */
const scrub = (text: string): string => text.replace(/(\w+:\/\/)[^@/\s]+@/g, "$1<redacted>@")

const run = (directory: string, ...args: ReadonlyArray<string>) => {
  const name = `git ${args[0] ?? ""}`
  const failed = (error: PlatformError.PlatformError) =>
    new GitFailed({
      command: name,
      detail:
        error._tag === "SystemError" && error.reason === "NotFound" ? "git is not installed" : error.message
    })
  return Effect.gen(function* () {
    const process = yield* Command.start(yield* Git.command(directory, ...args))
    const [stdout, stderr, exitCode] = yield* Effect.all(
      [
        Stream.mkString(Stream.decodeText(process.stdout)),
        Stream.mkString(Stream.decodeText(process.stderr)),
        process.exitCode
      ],
      { concurrency: 3 }
    )
    const ran: Ran = { exitCode, stdout, stderr }
    return ran
  }).pipe(
    Effect.scoped,
    Effect.mapError(failed),
    Effect.timeoutFail({
      duration: GIT_TIMEOUT,
      onTimeout: () => new GitFailed({ command: name, detail: "took longer than 2 minutes" })
    })
  )
}

/** Runs git and takes its output; any other exit code than 0 is a failure. */
const git = (directory: string, ...args: ReadonlyArray<string>) =>
  Effect.flatMap(run(directory, ...args), ({ exitCode, stderr, stdout }) =>
    exitCode === 0
      ? Effect.succeed(stdout)
      : new GitFailed({
          command: `git ${args[0] ?? ""}`,
          exitCode,
          detail: scrub((stderr.trim() || stdout.trim() || `exit code ${exitCode}`).slice(0, 500))
        })
  )

const lines = (text: string): ReadonlyArray<string> => text.split("\n").filter((line) => line !== "")

/** What may be handed to git as a branch: nothing that reads as an option, a path or an expression. */
const isBranch = (name: string): boolean =>
  name.length <= 255 &&
  /^[A-Za-z0-9_][A-Za-z0-9._/+@-]*$/.test(name) &&
  !/(\.\.|@\{|\/\/|\/\.|\.lock(\/|$)|\/$|\.$)/.test(name)

// --- The checkout ---

export interface Wanted {
  readonly repository: GitRemote.GitRemote
  /** The session's branches, the one to prefer first. */
  readonly branches: ReadonlyArray<string>
}

export interface Prepared {
  readonly branch: string
  /** The remote that is the session's repository. */
  readonly remote: string
  /** Whether the remote answered; where it did not, what is here was used. */
  readonly fetched: boolean
  /** Whether the branch is as new as the remote's was when it last answered: false where both have commits of their own. */
  readonly upToDate: boolean
}

/** Addresses of remotes as they are configured and as git rewrites them (`insteadOf`): people see either. */
const remotesOf = (directory: string) =>
  Effect.gen(function* () {
    const configured = yield* run(directory, "config", "--get-regexp", String.raw`^remote\..*\.url$`)
    const rewritten = yield* git(directory, "remote", "-v")
    return lines(`${configured.stdout}\n${rewritten}`).flatMap((line) => {
      const [key = "", address = ""] = line.split(/\s+/)
      return Option.match(GitRemote.parse(address), {
        onNone: () => [],
        onSome: (remote) => [{ name: key.replace(/^remote\.(.*)\.url$/, "$1"), remote }]
      })
    })
  })

/**
 * Makes the directory show the session's branch: checks that it is a checkout of the session's repository, fetches,
 * and checks out where the tree is clean. Changes nothing where it fails.
 */
export const prepare = Effect.fn("Checkout.prepare")(function* (directory: string, wanted: Wanted) {
  const expected = GitRemote.toUrl(wanted.repository)
  const inside = yield* run(directory, "rev-parse", "--is-inside-work-tree")
  if (inside.exitCode !== 0 || inside.stdout.trim() !== "true") {
    return yield* new NotACheckout({ directory, expected })
  }
  const remotes = yield* remotesOf(directory)
  const ours = remotes.find(({ remote }) => GitRemote.same(remote, wanted.repository))
  if (ours === undefined) {
    const found = [...new Set(remotes.map(({ remote }) => GitRemote.toUrl(remote)))]
    return yield* new WrongRepository({ directory, expected, found })
  }
  const fetched = yield* git(directory, "fetch", "--quiet", "--", ours.name).pipe(
    Effect.as(true),
    Effect.catchTag("GitFailed", (error) =>
      Effect.as(
        Effect.logWarning("The remote did not answer; going on with what is here").pipe(
          Effect.annotateLogs({ module: "Checkout", detail: error.message })
        ),
        false
      )
    )
  )

  const exists = (ref: string) =>
    Effect.map(
      run(directory, "rev-parse", "--verify", "--quiet", `${ref}^{commit}`),
      ({ exitCode }) => exitCode === 0
    )
  const current = (yield* run(directory, "symbolic-ref", "--quiet", "--short", "HEAD")).stdout.trim()

  for (const branch of wanted.branches.filter(isBranch)) {
    const upstream = `refs/remotes/${ours.name}/${branch}`
    const local = yield* exists(`refs/heads/${branch}`)
    const remote = yield* exists(upstream)
    if (!local && !remote) continue
    if (current !== branch) {
      // Files that git does not know are in nobody's way until git says so.
      const changed = lines(yield* git(directory, "status", "--porcelain", "--untracked-files=no"))
      if (changed.length > 0) {
        return yield* new TreeNotClean({
          directory,
          branch,
          paths: changed.slice(0, 20).map((line) => line.slice(3)),
          count: changed.length
        })
      }
      yield* local
        ? git(directory, "checkout", "--quiet", branch, "--")
        : git(directory, "checkout", "--quiet", "--track", "-b", branch, upstream)
    }
    // Brings in what the session pushed; commits of one's own stay where they are.
    if (remote) yield* Effect.either(git(directory, "merge", "--quiet", "--ff-only", upstream))
    const behind = remote ? (yield* git(directory, "rev-list", "--count", `HEAD..${upstream}`)).trim() : "0"
    const prepared: Prepared = {
      branch,
      remote: ours.name,
      fetched,
      upToDate: behind === "0"
    }
    return prepared
  }
  return yield* new BranchNotFound({ directory, branches: wanted.branches })
})

// --- What a session says of its repository ---

const Context = Schema.Struct({
  session_context: Schema.Struct({
    sources: Schema.optional(Schema.NullOr(Schema.Array(Schema.Unknown))),
    outcomes: Schema.optional(Schema.NullOr(Schema.Array(Schema.Unknown)))
  })
})
const Source = Schema.Struct({
  type: Schema.Literal("git_repository"),
  url: Schema.String,
  revision: Schema.optional(Schema.NullOr(Schema.String))
})
const Outcome = Schema.Struct({
  type: Schema.Literal("git_repository"),
  git_info: Schema.Struct({ branches: Schema.Array(Schema.String) })
})

const decode = <A, I>(schema: Schema.Schema<A, I>, values: ReadonlyArray<unknown> | null | undefined) =>
  (values ?? []).flatMap((value) =>
    Either.match(Schema.decodeUnknownEither(schema)(value), { onLeft: () => [], onRight: (found) => [found] })
  )

/**
 * The repository and branches of a session as the Sessions API tells it: the branches that its work goes to, then the
 * one it began from. `None` where it works on no repository.
 */
export const wantedBy = (session: unknown): Option.Option<Wanted> =>
  Option.flatMap(Schema.decodeUnknownOption(Context)(session), ({ session_context }) => {
    const [source] = decode(Source, session_context.sources)
    if (source === undefined) return Option.none()
    return Option.map(GitRemote.parse(source.url), (repository) => ({
      repository,
      branches: [
        ...new Set([
          ...decode(Outcome, session_context.outcomes).flatMap(({ git_info }) => git_info.branches),
          ...(source.revision == null ? [] : [source.revision])
        ])
      ]
    }))
  })
