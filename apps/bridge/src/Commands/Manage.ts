/** `sessions settings / continue / stop / snapshots` and `directories`: what is decided ahead, forks, and what is known of the work. */
import * as SessionManager from "@causeway/client/SessionManager"
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import type * as Api from "@causeway/protocol/http/SessionManager"
import { STOP_ALL_MAX_MILLIS } from "@causeway/protocol/http/SessionManager"
import type { Session as SessionInfo } from "@causeway/protocol/http/Sessions"
import type { LaunchOptions } from "@causeway/protocol/LaunchOptions"
import * as Visible from "@causeway/protocol/Visible"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Options from "../AgentRun/Options.ts"
import * as Argument from "../Cli/Argument.ts"
import * as Flag from "../Cli/Flag.ts"
import { Failure } from "../Failure.ts"
import * as Flags from "../Flags.ts"
import * as Remote from "../Remote.ts"
import * as Session from "../Session.ts"
import * as StandardInput from "../StandardInput.ts"

// --- Settings ---

/** The longest that permissions may be skipped with an end; without one there is `on`. */
const SKIP_MAX_MILLIS = 30 * 86_400_000

type Skip = "on" | "off" | { readonly millis: number }

const skipOf = (text: string): Either.Either<Skip, string> => {
  if (text === "on" || text === "off") return Either.right(text)
  return Option.match(
    Option.filter(Flag.milliseconds(text), (millis) => millis > 0 && millis <= SKIP_MAX_MILLIS),
    {
      onNone: () =>
        Either.left(
          `it is off, on (without an end) or a time up to 30d, like 15m or 2h; not ${JSON.stringify(text)}`
        ),
      onSome: (millis) => Either.right({ millis })
    }
  )
}

/** What is decided ahead for a session, as a person reads it. */
export const decidedAhead = (settings: AgentSettings.AgentSettings, now: number) => {
  const { skip_permissions_until: until } = settings
  return {
    edits: settings.auto_accept_edits === true ? "allowed without asking" : "asked for",
    permissions: AgentSettings.skipsPermissions(settings, now)
      ? `skipped ${until == null ? "until somebody turns it off" : `until ${new Date(until).toISOString()}`}`
      : "asked for"
  }
}

export const settings = Session.command(
  "settings",
  "Show or change what a session's agent may do unasked",
  "open",
  {
    edits: Flag.choice("auto-accept-edits", "WHEN", ["on", "off"], "Allow edits of files without asking"),
    skip: Flag.parsed("skip-permissions", "TIME", "Allow everything for so long (30m), on or off", skipOf)
  },
  (found, output, { edits, skip }) =>
    Effect.gen(function* () {
      const manager = yield* SessionManager.SessionManager
      const change: Api.SettingsChange = {
        ...(Option.isNone(edits) ? {} : { auto_accept_edits: edits.value === "on" }),
        ...(Option.isNone(skip) ? {} : { skip_permissions: skip.value !== "off" }),
        ...(Option.isSome(skip) && typeof skip.value === "object"
          ? { skip_permissions_for_ms: skip.value.millis }
          : {})
      }
      const after: SessionInfo =
        Object.keys(change).length === 0 ? found : yield* manager.settings(found.id, change)
      const chosen = AgentSettings.of(after.agent_settings ?? {})
      yield* output.value({ event: "settings", session_id: found.id, settings: chosen })
      const { edits: onEdits, permissions } = decidedAhead(chosen, yield* Clock.currentTimeMillis)
      yield* output.line(`edits          ${onEdits}`)
      yield* output.line(`permissions    ${permissions}`, permissions === "asked for" ? "plain" : "warn")
    })
)

// --- Going on ---

/** What the flags say of the new session's agent; what is left out is inherited. */
const launchOf = (flags: Parameters<typeof Options.of>[0]): Effect.Effect<LaunchOptions, Failure> =>
  Effect.map(Options.of(flags), (given = {}) => ({
    ...(given.maxTurns === undefined ? {} : { max_turns: given.maxTurns }),
    ...(given.systemPrompt === undefined ? {} : { system_prompt: given.systemPrompt }),
    ...(given.appendSystemPrompt === undefined ? {} : { append_system_prompt: given.appendSystemPrompt }),
    ...(given.allowedTools === undefined ? {} : { allowed_tools: given.allowedTools }),
    ...(given.disallowedTools === undefined ? {} : { disallowed_tools: given.disallowedTools }),
    ...(given.additionalDirectories === undefined
      ? {}
      : { additional_directories: given.additionalDirectories }),
    ...(given.mcpServers === undefined ? {} : { mcp_servers: Redacted.value(given.mcpServers) })
  }))

export const goOn = Session.command(
  "continue",
  "Go on from a session in a new one; the old one stays as it is",
  "read",
  {
    title: Flags.attaching.title,
    model: Flags.attaching.model,
    permissionMode: Flags.attaching.permissionMode,
    ...Flags.agentOptions,
    text: Argument.text("TEXT", "The message; - reads standard input")
  },
  ({ id }, output, flags) =>
    Effect.gen(function* () {
      const manager = yield* SessionManager.SessionManager
      const message = yield* StandardInput.message(flags.text)
      const options = yield* launchOf(flags)
      const context = {
        ...(Option.isNone(flags.model) ? {} : { model: flags.model.value }),
        ...(Object.keys(options).length === 0 ? {} : { options })
      }
      const made = yield* manager.goOn(id, {
        message,
        ...(Option.isNone(flags.title) ? {} : { title: flags.title.value }),
        ...(Option.isNone(flags.permissionMode) ? {} : { permission_mode: flags.permissionMode.value }),
        ...(Object.keys(context).length === 0 ? {} : { session_context: context })
      })
      yield* output.tell(
        { event: "continued", session_id: made.id, parent_session_id: id },
        `${made.id} goes on from ${id}`
      )
      yield* output.progress(`see it with \`attach ${made.id}\` or \`logs ${made.id} --follow\``)
    })
)

// --- Stopping ---

const within = Flag.parsed("within", "TIME", "How long that may take (default: 20s, at most 60s)", (text) =>
  Option.match(
    Option.filter(Flag.milliseconds(text), (millis) => millis <= STOP_ALL_MAX_MILLIS),
    {
      onNone: () => Either.left(`it is a time up to 60s, like 10s; not ${JSON.stringify(text)}`),
      onSome: (millis) => Either.right(millis)
    }
  )
)

export const stop = Remote.command(
  "stop",
  "Stop the turn of a session or of all, and wait for it",
  {
    all: Flag.toggle("all", "Stop the turns of all sessions"),
    within,
    session: Argument.optional(Session.argument)
  },
  ({ all, session, within: bound }, output) =>
    Effect.gen(function* () {
      if (all === Option.isSome(session)) {
        return yield* Failure.usage(
          all ? "--all and a session were both given" : "no session was given",
          "name one (or latest), or say --all for the turns of all sessions"
        )
      }
      const found = yield* Effect.transposeMapOption(session, (name) => Session.find(name, "running"))
      const manager = yield* SessionManager.SessionManager
      const { running, stopped } = yield* manager.stopAll({
        ...(Option.isNone(found) ? {} : { session_ids: [found.value.id] }),
        ...(Option.isNone(bound) ? {} : { within_ms: bound.value })
      })
      yield* output.value({ event: "stopped", stopped, running })
      for (const id of stopped) yield* output.line(`${id} has stopped`)
      for (const id of running) yield* output.line(`${id} was told to stop and is still working`, "warn")
      if (running.length > 0) {
        return yield* Failure.failed(
          `${running.length} of ${running.length + stopped.length} did not stop in time`,
          "look again in a moment with `sessions list`: agents that do not listen are ended"
        )
      }
      if (stopped.length === 0) yield* output.progress("nothing was running")
    })
)

// --- Files and directories ---

const size = (bytes: number): string => (bytes < 1024 ? `${bytes} B` : `${Math.round(bytes / 1024)} KiB`)

export const snapshots = Session.command(
  "snapshots",
  "List the files that a session's agent read, or print one",
  "read",
  {
    toolUseId: Argument.optional(Argument.text("TOOL-USE-ID", "Print what this call read"))
  },
  ({ id }, output, { toolUseId }) =>
    Effect.gen(function* () {
      const manager = yield* SessionManager.SessionManager
      const { data } = yield* manager.snapshots(id)
      if (Option.isNone(toolUseId)) {
        if (data.length === 0) yield* output.progress(`no file that ${id} read is kept`)
        for (const each of data) {
          const { text: _, ...named } = each
          const part = each.truncated ? ", its beginning" : ""
          yield* output.tell(
            named,
            `${Visible.line(each.tool_use_id)}  ${each.created_at}  ${Visible.line(each.path)} (${size(each.bytes)}${part})`
          )
        }
        return
      }
      const found = data.filter((each) => each.tool_use_id === toolUseId.value)
      if (found.length === 0) {
        return yield* Failure.notFound(
          `${id} kept no file of the call ${Visible.line(toolUseId.value)}`,
          `\`sessions snapshots ${id}\` lists those that it kept`
        )
      }
      for (const each of found) {
        yield* output.value(each)
        if (each.text === null) {
          yield* output.progress(
            `${Visible.line(each.path)} is no text, or too long for the log: it is kept on the machine that read it (sha256 ${each.sha256})`
          )
        } else yield* output.piece(each.text)
      }
    })
)

export const directories = Remote.command(
  "directories",
  "List the directories that sessions worked in, latest first",
  { limit: Flag.withDefault(Flag.integer("limit", "N", [1, 100], "At most this many (default: 20)"), 20) },
  ({ limit }, output) =>
    Effect.gen(function* () {
      const manager = yield* SessionManager.SessionManager
      const { data } = yield* manager.directories(limit)
      if (data.length === 0) yield* output.progress("no session has worked in a directory yet")
      for (const each of data) {
        const sessions = each.usage_count === 1 ? "1 session" : `${each.usage_count} sessions`
        yield* output.tell(
          each,
          `${each.last_used}  ${Visible.line(each.machine_name)}:${Visible.line(each.path)}  ${sessions}`
        )
      }
    })
)
