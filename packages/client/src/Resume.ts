/**
 * Carries a session here: the checkout, the transcript, and the command that resumes it. Source: spec 1 §4 (`resume`).
 */
import { randomUUID } from "node:crypto"
import * as Checkout from "@causeway/git/Checkout"
import { Git } from "@causeway/git/Git"
import type { SessionId } from "@causeway/protocol/Ids"
import * as ClaudeRecord from "@causeway/transcript/ClaudeRecord"
import type { Repairs } from "@causeway/transcript/Repairs"
import type * as PlatformError from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { AccessError, SessionExpired, SessionNotFound } from "./ClientError.ts"
import { Environments } from "./Environments.ts"
import * as SessionRepository from "./SessionRepository.ts"
import { Sessions } from "./Sessions.ts"
import { Teleport } from "./Teleport.ts"

/** There is nothing to resume: the session has no message yet. */
export class NothingToResume extends Schema.TaggedError<NothingToResume>()("NothingToResume", {
  sessionId: Schema.String
}) {
  override get message(): string {
    return `session ${this.sessionId} has no messages to resume`
  }
}

/** The transcript could not be written, or does not read back as it was written. */
export class TranscriptNotWritten extends Schema.TaggedError<TranscriptNotWritten>()("TranscriptNotWritten", {
  path: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `cannot write the transcript to ${this.path}: ${this.detail}`
  }
}

export interface Options {
  /** Where to resume; a checkout of the session's repository where it has one. */
  readonly directory: string
  /** Claude Code's configuration directory, see {@link configDirectory}. */
  readonly configDirectory: string
  /** Version of the agent that will resume; written where an entry has none. Default `ClaudeRecord.VERSION`. */
  readonly version?: string
  /** The agent's session id here; default a new one, so that no file of another conversation is touched. */
  readonly agentSessionId?: string
}

export interface Resumed {
  /** The file that was written. */
  readonly path: string
  readonly agentSessionId: string
  /** Lines written, counted again from the file. */
  readonly entries: number
  /** Entries of the transcript that are not part of the conversation. */
  readonly skipped: number
  /** Repairs that were needed so that a model takes it. */
  readonly repairs: Repairs
  /** The server had more than could be read. */
  readonly truncated: boolean
  /** The checkout; `None` where the session works on no repository. */
  readonly checkout: Option.Option<Checkout.Prepared>
  readonly directory: string
  /** Program and arguments that resume it, run in `directory`. */
  readonly command: readonly [string, ...ReadonlyArray<string>]
}

export type ResumeError =
  | AccessError
  | SessionNotFound
  | SessionExpired
  | Checkout.CheckoutError
  | NothingToResume
  | TranscriptNotWritten

export class Resume extends Context.Tag("@causeway/client/Resume")<
  Resume,
  {
    /**
     * Checks and prepares the checkout, reads the transcript, writes it where Claude Code resumes it and says how. The
     * session itself is left as it is.
     */
    readonly resume: (sessionId: SessionId, options: Options) => Effect.Effect<Resumed, ResumeError>
  }
>() {}

/** `CLAUDE_CONFIG_DIR`, or `.claude` in the home directory. */
export const configDirectory: Config.Config<string> = Config.nonEmptyString("CLAUDE_CONFIG_DIR").pipe(
  Config.orElse(() => Config.map(Config.nonEmptyString("HOME"), (home) => `${home}/.claude`))
)

export const make = Effect.gen(function* () {
  const sessions = yield* Sessions
  const teleport = yield* Teleport
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const git = yield* Git
  const environments = yield* Environments

  /** Writes the file whole or not at all, readable by its owner only, and counts what it holds. */
  const write = (file: string, lines: ReadonlyArray<unknown>) =>
    Effect.gen(function* () {
      const folder = path.dirname(file)
      yield* fs.makeDirectory(folder, { recursive: true, mode: 0o700 })
      const text = `${lines.map((line) => JSON.stringify(line)).join("\n")}\n`
      const temporary = `${file}.${randomUUID()}.tmp`
      yield* fs.writeFileString(temporary, text, { mode: 0o600 }).pipe(
        Effect.zipRight(fs.rename(temporary, file)),
        Effect.onError(() => Effect.ignore(fs.remove(temporary, { force: true })))
      )
      const read = yield* fs.readFileString(file)
      return read.split("\n").filter((line) => line !== "").length
    }).pipe(
      Effect.mapError(
        (error: PlatformError.PlatformError) =>
          new TranscriptNotWritten({ path: file, detail: error.message })
      ),
      Effect.filterOrFail(
        (count) => count === lines.length,
        (count) =>
          new TranscriptNotWritten({
            path: file,
            detail: `${lines.length} lines written, ${count} read back`
          })
      )
    )

  const resume = Effect.fn("Resume.resume")(function* (sessionId: SessionId, options: Options) {
    yield* Effect.annotateCurrentSpan("session.id", sessionId)
    const session = yield* sessions.get(sessionId)
    const directory = yield* fs
      .realPath(options.directory)
      .pipe(
        Effect.mapError(
          (error) =>
            new TranscriptNotWritten({ path: options.directory, detail: `not a directory: ${error.message}` })
        )
      )
    // First what can be refused without reading a long transcript.
    const checkout = yield* Option.match(
      yield* SessionRepository.of(session).pipe(Effect.provideService(Environments, environments)),
      {
        onNone: () => Effect.succeed(Option.none<Checkout.Prepared>()),
        onSome: (wanted) =>
          Effect.map(Effect.provideService(Checkout.prepare(directory, wanted), Git, git), Option.some)
      }
    )
    const transcript = yield* teleport.transcriptWithFallback(sessionId)
    const agentSessionId = options.agentSessionId ?? randomUUID()
    const { lines, messages, repairs, skipped } = ClaudeRecord.convert(transcript.entries, {
      agentSessionId,
      directory,
      gitBranch: Option.getOrUndefined(Option.map(checkout, ({ branch }) => branch)),
      version: options.version,
      now: DateTime.formatIso(yield* DateTime.now),
      uuid: randomUUID
    })
    if (messages === 0) return yield* new NothingToResume({ sessionId })
    const projects = path.join(options.configDirectory, "projects")
    // There is none before the agent's first conversation.
    const existing = yield* Effect.orElseSucceed(fs.readDirectory(projects), () => [])
    const file = path.join(
      projects,
      ClaudeRecord.projectFolder(directory, existing),
      `${agentSessionId}.jsonl`
    )
    const entries = yield* write(file, lines)
    const resumed: Resumed = {
      path: file,
      agentSessionId,
      entries,
      skipped,
      repairs,
      truncated: transcript.truncated,
      checkout,
      directory,
      command: ["claude", "--resume", agentSessionId]
    }
    yield* Effect.annotateCurrentSpan("entries.count", entries)
    return resumed
  })

  return Resume.of({ resume })
})

export const layer: Layer.Layer<
  Resume,
  never,
  Sessions | Environments | Teleport | FileSystem.FileSystem | Path.Path | Git
> = Layer.effect(Resume, make)
