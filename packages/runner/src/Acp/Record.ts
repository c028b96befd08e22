/**
 * This host's record of a conversation with an ACP agent: the id that the agent gave it, and the prompts that the
 * agent was given and has answered. ACP knows neither an id of the client's choice nor a prompt's idempotency key, so
 * both are kept here, one file of JSON lines a conversation; a line is on disk before what it tells is done.
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs"
import { join } from "node:path"
import * as FileFailure from "@causeway/protocol/FileFailure"
import * as Read from "@causeway/transcript/Read"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Scope from "effect/Scope"

/** The file cannot be read or written. */
export class RecordUnavailable extends Data.TaggedError("RecordUnavailable")<{
  readonly detail: string
}> {
  override get message(): string {
    return `the record of the conversation is not kept: ${this.detail}`
  }
}

export type Progress = "unknown" | "given" | "answered"

export interface Record {
  /** The agent's id of the conversation; undefined before its first. */
  readonly acpSessionId: () => string | undefined
  readonly setAcpSessionId: (id: string) => Effect.Effect<void, RecordUnavailable>
  readonly progress: (prompt: string) => Progress
  readonly given: (prompt: string) => Effect.Effect<void, RecordUnavailable>
  readonly answered: (prompt: string) => Effect.Effect<void, RecordUnavailable>
  /** Prompts that were given and not answered. */
  readonly open: () => ReadonlyArray<string>
}

type Line = { readonly session?: unknown; readonly given?: unknown; readonly answered?: unknown }

/** Lines that cannot be read are of a process that was killed while it wrote: what they were to tell was not done. */
const linesOf = (text: string): ReadonlyArray<Line> =>
  text.split("\n").map((line) => Either.getOrElse(parse(line), () => ({})))

const parse = (line: string) => Either.try((): Line => Read.object(JSON.parse(line)))

const isSession = (line: Line): line is { readonly session: string } => typeof line.session === "string"

const attempt = <A>(path: string, run: () => A): Effect.Effect<A, RecordUnavailable> =>
  Effect.try({
    try: run,
    catch: (cause) => new RecordUnavailable({ detail: FileFailure.describe(path, cause) })
  })

const fileOf = (directory: string, name: string): string => join(directory, `${name}.jsonl`)

/** The agent's id of a conversation that was recorded here; undefined where there is none. */
export const acpSessionIdOf = (
  directory: string,
  name: string
): Effect.Effect<string | undefined, RecordUnavailable> => {
  const path = fileOf(directory, name)
  return attempt(path, () =>
    existsSync(path) ? linesOf(readFileSync(path, "utf8")).findLast(isSession)?.session : undefined
  )
}

/** Opens the record of a conversation, whether or not there is one. `name` must be fit for a file's name. */
export const open = (
  directory: string,
  name: string
): Effect.Effect<Record, RecordUnavailable, Scope.Scope> => {
  const path = fileOf(directory, name)
  return Effect.gen(function* () {
    const file = yield* Effect.acquireRelease(
      attempt(path, () => {
        mkdirSync(directory, { recursive: true, mode: 0o700 })
        return openSync(path, "a+", 0o600)
      }),
      (file) => Effect.ignore(attempt(path, () => closeSync(file)))
    )
    let acpSessionId: string | undefined
    const prompts = new Map<string, Progress>()
    const take = ({ session, given, answered }: Line): void => {
      if (typeof session === "string") acpSessionId = session
      if (typeof given === "string") prompts.set(given, "given")
      if (typeof answered === "string") prompts.set(answered, "answered")
    }
    const text = yield* attempt(path, () => readFileSync(path, "utf8"))
    for (const line of linesOf(text)) take(line)
    let torn = text !== "" && !text.endsWith("\n")

    const append = (line: Line) =>
      attempt(path, () => {
        writeSync(file, `${torn ? "\n" : ""}${JSON.stringify(line)}\n`)
        fsyncSync(file)
        torn = false
        take(line)
      })

    return {
      acpSessionId: () => acpSessionId,
      setAcpSessionId: (session) => (session === acpSessionId ? Effect.void : append({ session })),
      progress: (prompt) => prompts.get(prompt) ?? "unknown",
      given: (prompt) => append({ given: prompt }),
      answered: (prompt) => append({ answered: prompt }),
      open: () => [...prompts].flatMap(([prompt, progress]) => (progress === "given" ? [prompt] : []))
    }
  })
}
