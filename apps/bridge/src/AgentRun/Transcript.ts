/**
 * Prints a run as it goes on. For people the agent's text goes to standard output, as it is written; tools, failures and
 * notices go to standard error, one line each. For programs each line of the agent is one line, verbatim.
 */
import type { JsonObject, Payload } from "@causeway/protocol/Payload"
import * as Visible from "@causeway/protocol/Visible"
import type { Partial, RunnerEvent } from "@causeway/runner/Runner/Event"
import * as Live from "@causeway/transcript/Live"
import * as Preview from "@causeway/transcript/Preview"
import * as Read from "@causeway/transcript/Read"
import * as Effect from "effect/Effect"
import { Output, snakeCase } from "../Output.ts"

export interface Transcript {
  /** Text that is being written; shown behind the entry that it follows. */
  readonly partial: (partial: Partial) => Effect.Effect<void>
  readonly event: (event: RunnerEvent) => Effect.Effect<void>
  /** A line for people, on standard error, below what was written. */
  readonly note: (text: string) => Effect.Effect<void>
  /** Asks a person, on standard error. */
  readonly ask: (text: string) => Effect.Effect<void>
  /** The agent has said something. */
  readonly spoke: Effect.Effect<boolean>
}

/** The names of members in snake_case, as in all that programs read. */
const snake = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(snake)
    : typeof value === "object" && value !== null
      ? Object.fromEntries(Object.entries(value).map(([name, of]) => [snakeCase(name), snake(of)]))
      : value

/** An event of the runner; its place in the runner's record is nobody's business. */
const told = ({ sequence: _, type, ...more }: RunnerEvent): JsonObject => ({
  event: type,
  ...Read.object(snake(more))
})

/** How one kind of reader is shown what comes, in order. */
interface Printer extends Omit<Transcript, "partial"> {
  readonly partial: (payload: Payload) => Effect.Effect<void>
}

const forPrograms = (output: typeof Output.Service): Printer => ({
  partial: ({ text }) => output.jsonLines(`${text}\n`),
  event: (event) =>
    event.type !== "entry"
      ? output.value(told(event))
      : event.source === "worker"
        ? output.jsonLines(`${JSON.stringify(event.payload)}\n`)
        : Effect.void,
  note: () => Effect.void,
  ask: () => Effect.void,
  spoke: Effect.succeed(true)
})

/** What of a block of text is not printed yet, when its whole line has come. */
const missing = (printed: string, whole: string): string =>
  whole.startsWith(printed) ? whole.slice(printed.length) : `\n${whole}`

const forPeople = (output: typeof Output.Service): Printer => {
  let live = Live.empty
  let isWithinLine = false
  let spoke = false

  const write = (text: string) =>
    Effect.suspend(() => {
      if (text === "") return Effect.void
      isWithinLine = !text.endsWith("\n")
      spoke = true
      return output.piece(text)
    })
  const endLine = Effect.suspend(() => (isWithinLine ? write("\n") : Effect.void))
  const note = (text: string) => Effect.zipRight(endLine, output.progress(text))

  const partial = ({ json }: Payload) =>
    Effect.suspend(() => {
      const before = live
      live = Live.step(before, json)
      return Effect.forEach(
        live.blocks.filter(({ kind }) => kind === "text"),
        ({ index, text }) => {
          const old = before.blocks.find((block) => block.index === index)?.text ?? ""
          return write(text.startsWith(old) ? text.slice(old.length) : "")
        },
        { discard: true }
      )
    })

  const assistant = (json: JsonObject) =>
    Effect.gen(function* () {
      const printed = live.blocks.filter(({ kind }) => kind === "text")
      live = Live.step(live, json)
      // What the whole line leaves in the tail belongs to blocks behind it.
      const replaced = printed.filter(({ index }) => live.blocks.every((block) => block.index !== index))
      for (const block of Read.array(Read.object(json["message"])["content"])) {
        const { type, text, name, input } = Read.object(block)
        if (type === "text" && typeof text === "string") {
          yield* write(missing(replaced.shift()?.text ?? "", text))
          yield* endLine
        } else if (type === "tool_use") {
          yield* note(`${Visible.line(String(name))}: ${Preview.toolInput(input)}`)
        }
      }
    })

  const entry = (json: JsonObject) => {
    if (Read.isSubagent(json)) return Effect.void
    switch (json["type"]) {
      case "assistant":
        return assistant(json)
      case "user":
        return Effect.forEach(
          Read.array(Read.object(json["message"])["content"]).map(Read.object),
          ({ content, is_error: failed }) =>
            failed === true
              ? note(`  failed: ${Read.preview(Read.textOf(content) ?? "", 240)}`)
              : Effect.void,
          { discard: true }
        )
      case "bridge_error":
        return note(Read.string(json["message"]) ?? "the agent failed")
      case "system":
        return json["subtype"] === "notification" ? note(Read.string(json["message"]) ?? "") : Effect.void
      case "result":
        live = Live.step(live, json)
        return endLine
      default:
        return Effect.void
    }
  }

  return {
    partial,
    event: (event) =>
      event.type === "entry" && event.source === "worker"
        ? entry(event.payload)
        : event.type === "approval_settled" && event.by !== "run" && event.by !== "person"
          ? note(`  ${event.outcome} (${event.by.replaceAll("_", " ")})`)
          : Effect.void,
    note,
    ask: (text) => Effect.zipRight(endLine, output.ask(text)),
    spoke: Effect.sync(() => spoke)
  }
}

/** Partial text that waits for its entry, at most; the whole text comes in any case. */
const EARLY_MAX = 4096

export const make: Effect.Effect<Transcript, never, Output> = Effect.gen(function* () {
  const output = yield* Output
  const printer = output.json ? forPrograms(output) : forPeople(output)
  // What is told comes from several fibers; each is printed whole.
  const printing = (yield* Effect.makeSemaphore(1)).withPermits(1)
  let shown = 0
  let early: Array<Partial> = []
  const flush = Effect.suspend(() => {
    const due = early.filter(({ after }) => after <= shown)
    early = early.filter(({ after }) => after > shown)
    return Effect.forEach(due, ({ payload }) => printer.partial(payload), { discard: true })
  })
  return {
    spoke: printer.spoke,
    note: (text) => printing(printer.note(text)),
    ask: (text) => printing(printer.ask(text)),
    partial: (partial) =>
      printing(
        Effect.suspend(() => {
          early = [...early, partial].slice(-EARLY_MAX)
          return flush
        })
      ),
    event: (event) =>
      printing(
        Effect.suspend(() => {
          if (event.type !== "entry") return printer.event(event)
          shown = event.entry
          return Effect.zipRight(printer.event(event), flush)
        })
      )
  }
})
