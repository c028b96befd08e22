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
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type AgentSessionSpec, AgentUnavailable } from "../Agent.ts"
import * as AgentRecord from "../AgentRecord.ts"
import type { Connection, ConnectSpec, Driver, DriverLine } from "../Driver.ts"
import * as Environment from "../Environment.ts"
import type { Grace } from "../Process/AgentProcess.ts"
import * as StreamJson from "../StreamJson.ts"
import * as Flags from "./Flags.ts"

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

/** Where the CLI keeps the record of a conversation. */
const recordPath = (
  spec: Pick<AgentSessionSpec, "cwd" | "agentSessionId" | "env">,
  host: Environment.Variables
): string => {
  const home = spec.env?.["HOME"] ?? host["HOME"] ?? homedir()
  const config = spec.env?.["CLAUDE_CONFIG_DIR"] ?? host["CLAUDE_CONFIG_DIR"] ?? join(home, ".claude")
  const projects = join(config, "projects")
  const folder = ClaudeRecord.projectFolder(realPath(spec.cwd), namesIn(projects))
  return join(projects, folder, `${spec.agentSessionId}.jsonl`)
}

/** `transcript_mirror` lines become the entries that no other line shows; all others pass as they are. */
const unfold = (line: DriverLine): ReadonlyArray<DriverLine> =>
  line._tag === "Payload" && line.payload.type === "transcript_mirror"
    ? ClaudeRecord.mirrored(line.payload).map((payload) => ({ _tag: "Payload", payload }))
    : [line]

const refusesFlag = (flag: string) => (cause: AgentUnavailable) =>
  cause.reason === "ExitedAtOnce" && /unknown option/i.test(cause.detail) && cause.detail.includes(flag)

export const make = (options: ClaudeOptions): Effect.Effect<Driver> =>
  Effect.gen(function* () {
    /** Learnt at the first start: older versions refuse the flag. */
    const mirrors = yield* Ref.make(true)

    const start = (
      spec: ConnectSpec,
      flags: ReadonlyArray<string>
    ): Effect.Effect<Connection, AgentUnavailable, Scope.Scope> =>
      Effect.flatMap(Flags.ofSpec(spec), (own) => {
        const { args, resumed } = AgentRecord.flags(spec, (agentSessionId) =>
          recordPath({ ...spec, agentSessionId }, options.environment)
        )
        return StreamJson.connect(
          {
            agent: spec.agent,
            command: options.command,
            args: [...Flags.always, ...args, ...own, ...flags],
            cwd: spec.cwd,
            env: Environment.forAgent(options, spec, {
              CLAUDE_CODE_SDK_READS_SESSION_STATE: "1",
              CLAUDE_CODE_ENTRYPOINT: "causeway",
              CLAUDE_CODE_RESUME_INTERRUPTED_TURN: spec.resumeInterrupted ? "1" : undefined
            }),
            grace: options.grace
          },
          { runId: spec.runId, resumed }
        )
      }).pipe(
        Effect.mapError((cause) =>
          refusesFlag("")(cause) && !refusesFlag("--session-mirror")(cause)
            ? new AgentUnavailable({
                agent: spec.agent,
                reason: "WrongVersion",
                detail: `this version cannot be driven, upgrade it: ${cause.detail}`
              })
            : cause
        )
      )

    const connect = (spec: ConnectSpec) =>
      Effect.gen(function* () {
        const connection = (yield* Ref.get(mirrors))
          ? yield* start(spec, ["--session-mirror"]).pipe(
              Effect.catchIf(refusesFlag("--session-mirror"), () =>
                Effect.zipRight(Ref.set(mirrors, false), start(spec, []))
              )
            )
          : yield* start(spec, [])
        return { ...connection, lines: Stream.mapConcat(connection.lines, unfold) }
      })

    const adopt: Driver["adopt"] = (spec, entries) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        AgentRecord.write(spec.agent, recordPath(spec, options.environment), () =>
          ClaudeRecord.convert(entries, {
            agentSessionId: spec.agentSessionId,
            directory: realPath(spec.cwd),
            now: new Date(now).toISOString(),
            uuid: randomUUID
          })
        )
      )

    return { connect, adopt }
  })
