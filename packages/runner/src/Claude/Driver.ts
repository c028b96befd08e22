/**
 * Drives the Claude Code CLI over its standard streams. Source: spec 4 §1; every flag and variable here was tried with
 * the published program, which is never a dependency.
 */
import { randomUUID } from "node:crypto"
import { readdirSync, realpathSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"
import * as ClaudeRecord from "@causeway/transcript/ClaudeRecord"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import { type AgentConversation, AgentUnavailable } from "../Agent.ts"
import type { ConnectSpec, Driver, DriverLine } from "../Driver.ts"
import type * as Environment from "../Environment.ts"
import type { Grace } from "../Process/AgentProcess.ts"
import * as Sandbox from "../Sandbox.ts"
import * as Flags from "./Flags.ts"
import * as Program from "./Program.ts"

export interface ClaudeOptions extends Environment.HostOptions {
  /** The program: a path, or a name that is looked up on the path. */
  readonly command: string
  readonly grace?: Grace | undefined
}

const realPath = (path: string): string => {
  try {
    return realpathSync(path)
  } catch {
    // A directory that is not there is reported when the process is started in it.
    return path
  }
}

const namesIn = (directory: string): ReadonlyArray<string> => {
  try {
    return readdirSync(directory)
  } catch {
    // There is none yet, or the CLI will say why it cannot use it.
    return []
  }
}

/** Where the CLI keeps what is its own. */
const placesOf = (spec: AgentConversation, host: Environment.Variables) => {
  const home = spec.env?.["HOME"] ?? host["HOME"] ?? homedir()
  const config = spec.env?.["CLAUDE_CONFIG_DIR"] ?? host["CLAUDE_CONFIG_DIR"] ?? join(home, ".claude")
  return { home, config }
}

/** Path of the CLI's record of a conversation. */
const recordPath = (spec: AgentConversation, host: Environment.Variables): string => {
  const { config } = placesOf(spec, host)
  const projects = join(config, "projects")
  const folder = ClaudeRecord.projectFolder(realPath(spec.cwd), namesIn(projects))
  return join(projects, folder, `${spec.agentSessionId}.jsonl`)
}

/** `transcript_mirror` lines become the entries that no other line shows; all others pass as they are. */
const unfold = (line: DriverLine): ReadonlyArray<DriverLine> =>
  line._tag === "Payload" && line.payload.type === "transcript_mirror"
    ? ClaudeRecord.mirrored(line.payload).map((payload) => ({ _tag: "Payload", payload }))
    : [line]

/** Has the CLI tell what it writes to its record. */
const MIRROR = "--session-mirror"

const refusesFlag = (flag: string) => (cause: AgentUnavailable) =>
  cause.reason === "ExitedAtOnce" && /unknown option/i.test(cause.detail) && cause.detail.includes(flag)

/** Fails as before, unless the program lacks a flag that every start needs. */
const wrongVersion = (cause: AgentUnavailable): AgentUnavailable =>
  refusesFlag("")(cause) && !refusesFlag(MIRROR)(cause)
    ? new AgentUnavailable({
        agent: cause.agent,
        reason: "WrongVersion",
        detail: `this version cannot be driven, upgrade it: ${cause.detail}`
      })
    : cause

export const make = (options: ClaudeOptions): Effect.Effect<Driver> =>
  Effect.gen(function* () {
    /** Learnt at the first start: older versions refuse the flag. */
    const mirrors = yield* Ref.make(true)
    const program: Program.Program = {
      ...options,
      args: Flags.always,
      variables: { CLAUDE_CODE_SDK_READS_SESSION_STATE: "1", CLAUDE_CODE_ENTRYPOINT: "causeway" },
      recordPath: (conversation) => recordPath(conversation, options.environment),
      own: (conversation) => {
        const { config, home } = placesOf(conversation, options.environment)
        return Sandbox.ofClaude(home, config)
      }
    }
    const start = (spec: ConnectSpec, flags: ReadonlyArray<string>) =>
      Effect.mapError(Program.start(program, spec, flags), wrongVersion)
    return {
      connect: (spec) =>
        Effect.gen(function* () {
          const connection = (yield* Ref.get(mirrors))
            ? yield* start(spec, [MIRROR]).pipe(
                Effect.catchIf(refusesFlag(MIRROR), () =>
                  Effect.zipRight(Ref.set(mirrors, false), start(spec, []))
                )
              )
            : yield* start(spec, [])
          return { ...connection, lines: Stream.mapConcat(connection.lines, unfold) }
        }),
      adopt: (conversation, entries) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) =>
          Program.adopt(program, conversation, () =>
            ClaudeRecord.convert(entries, {
              agentSessionId: conversation.agentSessionId,
              directory: realPath(conversation.cwd),
              now: new Date(now).toISOString(),
              uuid: randomUUID
            })
          )
        )
    }
  })
