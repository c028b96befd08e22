/**
 * What this host remembers of a conversation with an ACP agent: the id that the agent gave it, and the prompts that the
 * agent was given and has answered. ACP knows neither an id of the client's choice nor a prompt's idempotency key, so
 * both are kept here, one file of JSON lines a conversation; a line is on disk before what it tells is done.
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs"
import { join } from "node:path"
import * as Read from "@causeway/transcript/Read"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** The file cannot be read or written. */
export class RecordUnavailable extends Data.TaggedError("RecordUnavailable")<{
  readonly path: string
  readonly detail: string
}> {
  override get message(): string {
    return `cannot keep the conversation's record ${this.path}: ${this.detail}`
  }
}

/** How far the agent has come with a prompt. */
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

const errno = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

const lineOf = (text: string): { readonly [key: string]: unknown } => {
  try {
    return Read.object(JSON.parse(text))
  } catch {
    // The last line of a process that was killed while it wrote: what it was to tell was not done.
    return {}
  }
}

const fileOf = (directory: string, name: string): string => join(directory, `${name}.jsonl`)

/** The agent's id of a conversation that was recorded here; undefined where there is none. */
export const acpSessionIdOf = (directory: string, name: string): Effect.Effect<string | undefined> =>
  Effect.sync(() => {
    const path = fileOf(directory, name)
    const sessions = existsSync(path)
      ? readFileSync(path, "utf8")
          .split("\n")
          .flatMap((line) => Read.string(line === "" ? null : lineOf(line)["session"]) ?? [])
      : []
    return sessions.at(-1)
  })

/** Opens the record of a conversation, whether or not there is one. `name` must be fit for a file's name. */
export const open = (
  directory: string,
  name: string
): Effect.Effect<Record, RecordUnavailable, Scope.Scope> => {
  const path = fileOf(directory, name)
  const attempt = <A>(run: () => A): Effect.Effect<A, RecordUnavailable> =>
    Effect.try({ try: run, catch: (cause) => new RecordUnavailable({ path, detail: errno(cause) }) })
  return Effect.gen(function* () {
    const file = yield* Effect.acquireRelease(
      attempt(() => {
        mkdirSync(directory, { recursive: true, mode: 0o700 })
        return openSync(path, "a+", 0o600)
      }),
      (file) => Effect.ignore(attempt(() => closeSync(file)))
    )
    let acpSessionId: string | undefined
    const prompts = new Map<string, Progress>()
    const take = (line: { readonly [key: string]: unknown }): void => {
      const { session, given, answered } = line
      if (typeof session === "string") acpSessionId = session
      if (typeof given === "string") prompts.set(given, "given")
      if (typeof answered === "string") prompts.set(answered, "answered")
    }
    const text = yield* attempt(() => readFileSync(path, "utf8"))
    for (const line of text.split("\n")) if (line !== "") take(lineOf(line))
    let torn = text !== "" && !text.endsWith("\n")

    const append = (line: { readonly [key: string]: string }) =>
      attempt(() => {
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
