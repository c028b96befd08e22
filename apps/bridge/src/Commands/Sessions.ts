/** `sessions`: list, show, rename, archive, export; the rest of them stands in `Manage`. */
import { randomUUID } from "node:crypto"
import * as Sessions from "@causeway/client/Sessions"
import * as Teleport from "@causeway/client/Teleport"
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import type * as Api from "@causeway/protocol/http/Sessions"
import * as Visible from "@causeway/protocol/Visible"
import * as Repair from "@causeway/transcript/Repair"
import * as Repairs from "@causeway/transcript/Repairs"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { dollars } from "../Attach/Layout.ts"
import * as Argument from "../Cli/Argument.ts"
import * as Command from "../Cli/Command.ts"
import * as Flag from "../Cli/Flag.ts"
import { Failure } from "../Failure.ts"
import * as Remote from "../Remote.ts"
import * as Session from "../Session.ts"
import { changeOf } from "./Drive.ts"
import * as Manage from "./Manage.ts"

const statusOf = (found: Api.Session): string => (found.archived_at === null ? found.status : "archived")

const list = Remote.command(
  "list",
  "List sessions, most recently used first",
  {
    all: Flag.toggle("all", "Include archived sessions"),
    leaves: Flag.toggle("leaves", "Only those that no other goes on from"),
    limit: Flag.withDefault(
      Flag.integer("limit", "N", [1, 1_000_000], "At most this many (default: all)"),
      Number.MAX_SAFE_INTEGER - 1
    )
  },
  ({ all, leaves, limit }, output) =>
    Effect.gen(function* () {
      // One more than is shown tells whether any are left out.
      const count = yield* Session.list({
        archived: all ? "all" : "false",
        ...(leaves ? { leaves: "true" as const } : {}),
        limit: Math.min(limit + 1, 500)
      }).pipe(
        Stream.take(limit + 1),
        Stream.zipWithIndex,
        Stream.tap(([found, index]) =>
          index >= limit
            ? Effect.void
            : output.tell(
                found,
                `${found.id}  ${statusOf(found).padEnd(15)} ${Visible.line(`${found.updated_at}  ${found.title ?? "(no title)"}`)}`
              )
        ),
        Stream.runCount
      )
      if (count > limit) yield* output.progress(`more are not shown: --limit was ${limit}`)
      const archived = all
        ? 0
        : yield* Stream.runCount(Stream.take(Session.list({ archived: "true", limit: 1 }), 1))
      if (archived > 0) {
        yield* output.progress(
          `${count === 0 ? "no open sessions; a" : "A"}rchived ones are not shown: --all shows them`
        )
      } else if (count === 0) yield* output.progress("no sessions")
    })
)

const show = Session.command("show", "Show what the hub knows about a session", "read", {}, (found, output) =>
  Effect.gen(function* () {
    yield* output.value(found)
    const settings = AgentSettings.of(found.agent_settings ?? {})
    const { edits, permissions } = Manage.decidedAhead(settings, yield* Clock.currentTimeMillis)
    const rows = Object.entries({
      id: found.id,
      title: found.title,
      status: statusOf(found),
      "latest turn": found.run_status?.replaceAll("_", " "),
      waits: found.waiting_for,
      environment: found.environment_id,
      model: found.model,
      edits: settings.auto_accept_edits === undefined ? null : edits,
      permissions: settings.skip_permissions === undefined ? null : permissions,
      "goes on from": found.continued_from,
      "continued in": found.continued_in?.length === 0 ? null : found.continued_in?.join(", "),
      created: found.created_at,
      updated: found.updated_at,
      events: found.last_sequence_num,
      turns: found.num_turns,
      cost: typeof found.total_cost_usd === "number" ? dollars(found.total_cost_usd) : null,
      "last message": found.last_message
    })
    for (const [name, value] of rows) {
      if (value === null || value === undefined) continue
      yield* output.line(`${name.padEnd(14)}${Visible.line(String(value))}`)
    }
    for (const approval of found.pending_approvals ?? []) {
      const words = [approval.tool_use_id, approval.tool_name, JSON.stringify(approval.input)]
      yield* output.line(
        `approval      ${words.map((word) => Visible.line(word)).join(" ")}${changeOf(approval)}`,
        "warn"
      )
    }
  })
)

const rename = Session.command(
  "rename",
  "Give a session another title",
  "open",
  { title: Argument.text("TITLE", "The new title") },
  ({ id }, output, { title }) =>
    Effect.gen(function* () {
      const sessions = yield* Sessions.Sessions
      yield* sessions.updateTitle(id, title)
      yield* output.tell(
        { event: "renamed", session_id: id, title },
        `${id} is now called ${Visible.line(title)}`
      )
    })
)

const archive = Session.command(
  "archive",
  "Archive a session; its transcript stays",
  "open",
  {},
  ({ id }, output) =>
    Effect.gen(function* () {
      const sessions = yield* Sessions.Sessions
      yield* sessions.archive(id)
      yield* output.tell({ event: "archived", session_id: id }, `${id} is archived`)
    })
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

/** Writes lines to a file, 0600, and counts them. */
const writeLines = (file: string, lines: Stream.Stream<string>) =>
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    let count = 0
    yield* lines.pipe(
      Stream.tap(() => Effect.sync(() => count++)),
      Stream.rechunk(256),
      Stream.encodeText,
      Stream.run(files.sink(file, { flag: "w", mode: 0o600 }))
    )
    return count
  }).pipe(Effect.mapError(({ message }) => Failure.failed(`${file} cannot be written: ${message}`)))

const exportTranscript = Session.command(
  "export",
  "Write a session's transcript as JSON lines",
  "read",
  {
    out: Flag.text("out", "FILE", "Write here, 0600 (default: standard output)"),
    verbatim: Flag.toggle("verbatim", "As in the log, without repairs for the model")
  },
  ({ id }, output, { out, verbatim }) =>
    Effect.gen(function* () {
      const teleport = yield* Teleport.Teleport
      const { entries, truncated } = yield* teleport.transcript(id)
      if (truncated) {
        yield* output.progress(`the transcript is longer: its first ${entries.length} entries are exported`)
      }
      const { lines, repairs } = verbatim
        ? { lines: Stream.fromIterable(entries.map((entry) => `${entry.text}\n`)), repairs: undefined }
        : mended(entries)
      const words = repairs === undefined ? null : Repairs.describe(repairs)
      if (words !== null) {
        yield* output.progress(
          `mended so that a model takes it: ${words} (--verbatim writes the log as it is)`
        )
      }
      if (Option.isNone(out)) return yield* Stream.runForEach(lines, output.jsonLines)
      const count = yield* writeLines(out.value, lines)
      yield* output.value({
        event: "exported",
        session_id: id,
        entries: count,
        out: out.value,
        truncated,
        repaired: repairs
      })
      yield* output.progress(`${count} entries written to ${out.value}`)
    })
)

export const sessions = Command.group("sessions", "List and manage sessions", [
  list,
  show,
  rename,
  archive,
  exportTranscript,
  Manage.settings,
  Manage.goOn,
  Manage.stop,
  Manage.snapshots
])
