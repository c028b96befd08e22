/** Git as it is called here: in a directory that is named, whatever repository the environment points to. */
import { execFile } from "node:child_process"
import { devNull } from "node:os"
import * as ChildEnvironment from "@causeway/protocol/ChildEnvironment"
import { scrub } from "@causeway/protocol/Scrub"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

/** Git could not be run, or failed. */
export class GitFailed extends Schema.TaggedError<GitFailed>()("GitFailed", {
  /** `git` and its subcommand. */
  command: Schema.String,
  exitCode: Schema.optional(Schema.Int),
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.command}: ${this.detail}`
  }
}

/** Git refuses a directory that belongs to another user. */
export class DirectoryNotTrusted extends Schema.TaggedError<DirectoryNotTrusted>()("DirectoryNotTrusted", {
  directory: Schema.String
}) {
  override get message(): string {
    return `git does not trust ${this.directory}: it belongs to another user; if you trust it, run: git config --global --add safe.directory ${quote(this.directory)}`
  }
}

export type GitError = GitFailed | DirectoryNotTrusted

/** Goes on with `fallback` where git has failed, and logs that as `message`. */
export const orElse =
  <B>(fallback: B, message: string) =>
  <A, R>(effect: Effect.Effect<A, GitError, R>): Effect.Effect<A | B, never, R> =>
    Effect.catchAll(effect, (error) =>
      Effect.as(
        Effect.logDebug(message).pipe(Effect.annotateLogs({ module: "Git", detail: error.message })),
        fallback
      )
    )

/** A finished program's exit code and output. */
export interface Ran {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

export class Git extends Context.Tag("@causeway/git/Git")<
  Git,
  {
    /**
     * `git -C directory ARGS`, whatever its exit code; at most two minutes and 64 MiB of output. No hook of the repository is
     * run, and nothing that it names to watch its files.
     */
    readonly run: (directory: string, ...args: ReadonlyArray<string>) => Effect.Effect<Ran, GitError>
    /** Git's output without the space around it; any other exit code than 0 is a failure. */
    readonly text: (directory: string, ...args: ReadonlyArray<string>) => Effect.Effect<string, GitError>
    /** The host that ssh connects to for a name of the person's ssh configuration; the name itself where it is none. */
    readonly sshHost: (name: string) => Effect.Effect<string>
  }
>() {}

const GIT_TIMEOUT = 120_000
const SSH_TIMEOUT = 5_000
const MAX_OUTPUT = 64 * 1024 * 1024
/** Most of an error's text that is kept. */
const DETAIL = 600

/** A word as a POSIX shell reads it back. */
export const quote = (word: string): string =>
  /^[A-Za-z0-9_./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`

/** Text of a failure, for a person. */
export const detailOf = ({ exitCode, stderr, stdout }: Ran): string =>
  scrub((stderr.trim() || stdout.trim() || `exit code ${exitCode}`).slice(0, DETAIL))

/**
 * Programs that a repository names and that our calls never run: its hooks, and what watches its files. An agent may have
 * written them, and what it may run is decided elsewhere.
 */
const WITHOUT_PROGRAMS: ReadonlyArray<string> = [
  "-c",
  `core.hooksPath=${devNull}`,
  "-c",
  "core.fsmonitor=false"
]

const execute = (
  program: string,
  command: string,
  args: ReadonlyArray<string>,
  env: Record<string, string>,
  timeout: number
): Effect.Effect<Ran, GitFailed> =>
  Effect.async((resume, signal) => {
    const failed = (detail: string) => resume(new GitFailed({ command, detail }))
    try {
      execFile(
        program,
        args,
        { signal, env, timeout, maxBuffer: MAX_OUTPUT, windowsHide: true },
        (error, stdout, stderr) => {
          if (error === null) return resume(Effect.succeed({ exitCode: 0, stdout, stderr }))
          if (typeof error.code === "number") {
            return resume(Effect.succeed({ exitCode: error.code, stdout, stderr }))
          }
          if (error.killed === true)
            return failed(`took longer than ${timeout / 1000} s, or printed too much`)
          failed(error.code === "ENOENT" ? `${program} is not installed` : error.message)
        }
      )
    } catch (error) {
      // Arguments that no program can be given, such as one with a NUL.
      failed(error instanceof Error ? error.message : String(error))
    }
  })

/** `host`: the environment that this process was started in; git's is made of it. */
export const make = (host: ChildEnvironment.Variables): Context.Tag.Service<Git> => {
  const env = ChildEnvironment.forGit(host)

  const run = (directory: string, ...args: ReadonlyArray<string>) =>
    execute(
      "git",
      `git ${args[0] ?? ""}`,
      ["-C", directory, ...WITHOUT_PROGRAMS, ...args],
      env,
      GIT_TIMEOUT
    ).pipe(
      Effect.filterOrFail(
        ({ exitCode, stderr }) => exitCode === 0 || !/dubious ownership|unsafe repository/.test(stderr),
        ({ stderr }) =>
          new DirectoryNotTrusted({
            directory: /repository (?:at )?'([^'\n]+)'/.exec(stderr)?.[1] ?? directory
          })
      )
    )

  const text = (directory: string, ...args: ReadonlyArray<string>) =>
    Effect.flatMap(run(directory, ...args), (ran) =>
      ran.exitCode === 0
        ? Effect.succeed(ran.stdout.trim())
        : new GitFailed({ command: `git ${args[0] ?? ""}`, exitCode: ran.exitCode, detail: detailOf(ran) })
    )

  const sshHost = (name: string) =>
    execute("ssh", "ssh", ["-G", "--", name], env, SSH_TIMEOUT).pipe(
      Effect.map(({ stdout }) => /^hostname (\S+)$/m.exec(stdout)?.[1] ?? name),
      orElse(name, "ssh's configuration was not read")
    )

  return Git.of({ run, text, sshHost })
}

/** `host`: the environment that this process was started in. */
export const layer = (host: ChildEnvironment.Variables): Layer.Layer<Git> => Layer.succeed(Git, make(host))
