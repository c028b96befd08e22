/** `sessions list / show / rename / archive / export`. */
import { randomUUID } from "node:crypto"
import * as Sessions from "@causeway/client/Sessions"
import * as Teleport from "@causeway/client/Teleport"
import type * as Api from "@causeway/protocol/http/Sessions"
import * as Visible from "@causeway/protocol/Visible"
import * as Repair from "@causeway/transcript/Repair"
import * as Repairs from "@causeway/transcript/Repairs"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { dollars } from "../Attach/Layout.ts"
import * as Argument from "../Cli/Argument.ts"
import * as Command from "../Cli/Command.ts"
import * as Flag from "../Cli/Flag.ts"
import { Failure } from "../Failure.ts"
import * as Flags from "../Flags.ts"
import { Output } from "../Output.ts"
import * as Remote from "../Remote.ts"
import * as Session from "../Session.ts"
import { changeOf } from "./Drive.ts"

const statusOf = (found: Api.Session): string => (found.archived_at === null ? found.status : "archived")

const list = Command.make(
  "list",
  "Sessions, most recently used first",
  {
    ...Flags.remote,
    all: Flag.toggle("all", "Archived ones too"),
    limit: Flag.integer("limit", {
      value: "N",
      least: 1,
      most: 1_000_000,
      description: "How many at most (default: all of them)"
    })
  },
  ({ all, limit, ...flags }) =>
    Effect.gen(function* () {
      const output = yield* Output
      const most = Option.getOrElse(limit, () => Number.MAX_SAFE_INTEGER - 1)
      // One more than is shown tells whether any are left out.
      const count = yield* Session.list({
        archived: all ? "all" : "false",
        limit: Math.min(most + 1, 500)
      }).pipe(
        Stream.take(most + 1),
        Stream.zipWithIndex,
        Stream.tap(([found, index]) =>
          index >= most
            ? Effect.void
            : Effect.zipRight(
                output.value(found),
                output.line(
                  `${found.id}  ${statusOf(found).padEnd(15)} ${found.updated_at}  ${Visible.line(found.title ?? "(no title)")}`
                )
              )
        ),
        Stream.runCount
      )
      if (count > most) yield* output.progress(`more are not shown: --limit was ${most}`)
      if (all) {
        if (count === 0) yield* output.progress("no sessions")
        return
      }
      const archived = yield* Stream.runCount(Stream.take(Session.list({ archived: "true", limit: 1 }), 1))
      if (archived > 0)
        yield* output.progress(
          `${count === 0 ? "no open sessions; a" : "A"}rchived ones are not shown: --all shows them`
        )
      else if (count === 0) yield* output.progress("no sessions")
    }).pipe(Remote.withHub(flags))
)

const show = Command.make(
  "show",
  "What the hub knows of a session",
  { ...Flags.remote, session: Session.argument },
  ({ session, ...flags }) =>
    Effect.gen(function* () {
      const output = yield* Output
      const found = yield* Session.find(session, { _tag: "read" })
      yield* output.value(found)
      const rows: ReadonlyArray<readonly [string, string | number | null | undefined]> = [
        ["id", found.id],
        ["title", found.title],
        ["status", statusOf(found)],
        ["waits", found.waiting_for],
        ["environment", found.environment_id],
        ["model", found.model],
        ["created", found.created_at],
        ["updated", found.updated_at],
        ["events", found.last_sequence_num],
        ["turns", found.num_turns],
        ["cost", typeof found.total_cost_usd === "number" ? dollars(found.total_cost_usd) : null],
        ["last message", found.last_message]
      ]
      for (const [name, value] of rows) {
        if (value !== null && value !== undefined)
          yield* output.line(`${name.padEnd(14)}${Visible.line(String(value))}`)
      }
      for (const approval of found.pending_approvals ?? []) {
        yield* output.line(
          `approval      ${Visible.line(approval.tool_use_id)} ${Visible.line(approval.tool_name)} ${Visible.line(JSON.stringify(approval.input))}${changeOf(approval)}`,
          "warn"
        )
      }
    }).pipe(Remote.withHub(flags))
)

const rename = Command.make(
  "rename",
  "Give a session another title",
  { ...Flags.remote, session: Session.argument, title: Argument.text("TITLE", "Its title from now on") },
  ({ session, title, ...flags }) =>
    Effect.gen(function* () {
      const output = yield* Output
      const sessions = yield* Sessions.Sessions
      const { id } = yield* Session.find(session, { _tag: "open" })
      yield* sessions.updateTitle(id, title).pipe(Effect.mapError(Remote.failure))
      yield* output.value({ event: "renamed", session_id: id, title })
      yield* output.line(`${id} is now called ${Visible.line(title)}`)
    }).pipe(Remote.withHub(flags))
)

const archive = Command.make(
  "archive",
  "Archive a session; its transcript stays",
  { ...Flags.remote, session: Session.argument },
  ({ session, ...flags }) =>
    Effect.gen(function* () {
      const output = yield* Output
      const sessions = yield* Sessions.Sessions
      const { id } = yield* Session.find(session, { _tag: "open" })
      yield* sessions.archive(id).pipe(Effect.mapError(Remote.failure))
      yield* output.value({ event: "archived", session_id: id })
      yield* output.line(`${id} is archived`)
    }).pipe(Remote.withHub(flags))
)

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
  "Write a session's transcript as JSON lines",
  {
    ...Flags.remote,
    out: Flag.text("out", { value: "FILE", description: "Write here, 0600 (default: standard output)" }),
    verbatim: Flag.toggle("verbatim", "As the log has it, what no model takes included"),
    session: Session.argument
  },
  ({ out, session, verbatim, ...flags }) =>
    Effect.gen(function* () {
      const output = yield* Output
      const files = yield* FileSystem.FileSystem
      const teleport = yield* Teleport.Teleport
      const { id } = yield* Session.find(session, { _tag: "read" })
      const { entries, truncated } = yield* Effect.mapError(teleport.transcript(id), Remote.failure)
      if (truncated) {
        yield* output.progress(`the transcript is longer: its first ${entries.length} entries are exported`)
      }
      const { lines, repairs } = verbatim
        ? {
            lines: Stream.fromIterable(entries.map((entry) => `${entry.text}\n`)),
            repairs: Repairs.none
          }
        : mended(entries)
      const words = Repairs.describe(repairs)
      if (words !== null) {
        yield* output.progress(
          `mended so that a model takes it: ${words} (--verbatim writes the log as it is)`
        )
      }
      if (Option.isNone(out)) return yield* Stream.runForEach(lines, output.jsonLines)
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
        truncated,
        ...(verbatim ? {} : { repaired: repairs })
      })
      yield* output.progress(`${count} entries written to ${out.value}`)
    }).pipe(Remote.withHub(flags))
)

export const sessions = Command.group("sessions", "List and manage sessions", [
  list,
  show,
  rename,
  archive,
  exportTranscript
])
