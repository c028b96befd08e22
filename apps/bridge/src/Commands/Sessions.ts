/** `sessions list / show / rename / archive / export`. */
import { randomUUID } from "node:crypto"
import * as Sessions from "@causeway/client/Sessions"
import * as Teleport from "@causeway/client/Teleport"
import type * as Api from "@causeway/protocol/SessionsApi"
import * as Visible from "@causeway/protocol/Visible"
import * as Repair from "@causeway/transcript/Repair"
import * as Repairs from "@causeway/transcript/Repairs"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { Failure } from "../Failure.ts"
import * as Flags from "../Flags.ts"
import { Output } from "../Output.ts"
import * as Remote from "../Remote.ts"
import * as Session from "../Session.ts"

const session = Args.text({ name: "session" })

const statusOf = (found: Api.Session): string => (found.archived_at === null ? found.status : "archived")

const list = Command.make(
  "list",
  {
    ...Flags.remote,
    all: Options.boolean("all").pipe(Options.withDescription("Archived ones too")),
    limit: Options.integer("limit").pipe(
      Options.withDefault(50),
      Options.withDescription("How many at most, most recently used first")
    )
  },
  ({ all, limit, ...flags }) =>
    Effect.gen(function* () {
      const output = yield* Output
      const count = yield* Session.list({
        archived: all ? "all" : "false",
        limit: Math.min(Math.max(limit, 1), 1000)
      }).pipe(
        Stream.take(limit),
        Stream.tap((found) => output.value(found)),
        Stream.tap((found) =>
          output.line(
            `${found.id}  ${statusOf(found).padEnd(15)} ${found.updated_at}  ${Visible.text(found.title ?? "(no title)")}`
          )
        ),
        Stream.runCount
      )
      if (count === 0) yield* output.progress("no sessions")
    }).pipe(Remote.withHub(flags))
).pipe(Command.withDescription("List sessions, most recently used first"))

const show = Command.make("show", { ...Flags.remote, session }, ({ session, ...flags }) =>
  Effect.gen(function* () {
    const output = yield* Output
    const found = yield* Session.find(session)
    yield* output.value(found)
    const rows: ReadonlyArray<readonly [string, string | number | null | undefined]> = [
      ["id", found.id],
      ["title", found.title],
      ["status", statusOf(found)],
      ["waiting for", found.waiting_for],
      ["environment", found.environment_id],
      ["model", found.model],
      ["created", found.created_at],
      ["updated", found.updated_at],
      ["events", found.last_sequence_num],
      ["turns", found.num_turns],
      ["cost (USD)", found.total_cost_usd],
      ["last message", found.last_message]
    ]
    for (const [name, value] of rows) {
      if (value !== null && value !== undefined)
        yield* output.line(`${name.padEnd(14)}${Visible.text(String(value))}`)
    }
    for (const approval of found.pending_approvals ?? []) {
      yield* output.line(
        `approval      ${approval.tool_use_id} ${Visible.text(approval.tool_name)} ${Visible.text(JSON.stringify(approval.input))}`,
        "warn"
      )
    }
  }).pipe(Remote.withHub(flags))
).pipe(Command.withDescription("Show what the hub knows of a session"))

const rename = Command.make(
  "rename",
  { ...Flags.remote, session, title: Args.text({ name: "title" }) },
  ({ session, title, ...flags }) =>
    Effect.gen(function* () {
      const output = yield* Output
      const sessions = yield* Sessions.Sessions
      const { id } = yield* Session.find(session)
      yield* sessions.updateTitle(id, title).pipe(Effect.mapError(Remote.failure))
      yield* output.value({ event: "renamed", session_id: id, title })
      yield* output.line(`${id} is now called ${Visible.text(title)}`)
    }).pipe(Remote.withHub(flags))
).pipe(Command.withDescription("Give a session another title"))

const archive = Command.make("archive", { ...Flags.remote, session }, ({ session, ...flags }) =>
  Effect.gen(function* () {
    const output = yield* Output
    const sessions = yield* Sessions.Sessions
    const { id } = yield* Session.find(session)
    yield* sessions.archive(id).pipe(Effect.mapError(Remote.failure))
    yield* output.value({ event: "archived", session_id: id })
    yield* output.line(`${id} is archived`)
  }).pipe(Remote.withHub(flags))
).pipe(Command.withDescription("Archive a session; its transcript stays"))

/** The lines of a transcript that a model takes. What needs no mending keeps its text. */
const mended = (entries: ReadonlyArray<Teleport.TranscriptEntry>) => {
  const { lines, repairs } = Repair.transcript(
    Repair.current(entries.map(({ json, text, uuid }) => ({ json, uuid, from: json, text }))),
    randomUUID
  )
  return {
    lines: Stream.fromIterable(
      lines.map(({ from, json, text }) => `${json === from ? text : JSON.stringify(json)}\n`)
    ),
    repairs
  }
}

const exportTranscript = Command.make(
  "export",
  {
    ...Flags.remote,
    out: Options.text("out").pipe(
      Options.optional,
      Options.withDescription("File to write, 0600; default: standard output")
    ),
    verbatim: Options.boolean("verbatim").pipe(
      Options.withDescription("Every line as the log has it, what no model takes included")
    ),
    session
  },
  ({ out, session, verbatim, ...flags }) =>
    Effect.gen(function* () {
      const output = yield* Output
      const files = yield* FileSystem.FileSystem
      const teleport = yield* Teleport.Teleport
      const { id } = yield* Session.find(session)
      const entries = Stream.mapError(teleport.events(id), Remote.failure)
      const { lines, repairs } = verbatim
        ? { lines: Stream.map(entries, (entry) => `${entry.text}\n`), repairs: Repairs.none }
        : mended(Chunk.toReadonlyArray(yield* Stream.runCollect(entries)))
      const words = Repairs.describe(repairs)
      if (words !== null) {
        yield* output.progress(
          `mended so that a model takes it: ${words} (--verbatim writes the log as it is)`
        )
      }
      if (Option.isNone(out)) return yield* Stream.runForEach(lines, output.raw)
      const count = yield* lines.pipe(
        Stream.rechunk(256),
        Stream.broadcast(2, 16),
        Effect.flatMap(([a, b]) =>
          Effect.zipRight(
            Stream.run(Stream.encodeText(a), files.sink(out.value, { flag: "w", mode: 0o600 })),
            Stream.runCount(b),
            { concurrent: true }
          )
        ),
        Effect.scoped,
        Effect.catchTag(
          "SystemError",
          (error) => new Failure({ message: `${out.value} cannot be written: ${error.message}` })
        ),
        Effect.catchTag(
          "BadArgument",
          (error) => new Failure({ message: `${out.value} cannot be written: ${error.message}` })
        )
      )
      yield* output.value({
        event: "exported",
        session_id: id,
        entries: count,
        out: out.value,
        ...(verbatim ? {} : { repaired: repairs })
      })
      yield* output.progress(`${count} entries written to ${out.value}`)
    }).pipe(Remote.withHub(flags))
).pipe(Command.withDescription("Write a session's transcript as JSON lines"))

export const sessions = Command.make("sessions").pipe(
  Command.withDescription("List and manage sessions"),
  Command.withSubcommands([list, show, rename, archive, exportTranscript])
)
