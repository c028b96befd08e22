/**
 * A connection to an agent that speaks the stream-JSON lines of spec 4 §1 over its standard streams: the Claude CLI and
 * the scripted agent.
 */
import * as Payload from "@causeway/protocol/Payload"
import * as Chunk from "effect/Chunk"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { AgentUnavailable } from "./Agent.ts"
import type { Connection, DriverLine } from "./Driver.ts"
import * as AgentProcess from "./Process/AgentProcess.ts"
import { EXCERPT_BYTES, type Line } from "./Process/LineSplitter.ts"

/** From an agent's start to its answer to `initialize`, at most. */
export const readyWithin: Duration.DurationInput = "60 seconds"

export const excerptOf = (text: string): string =>
  text.length > EXCERPT_BYTES ? `${text.slice(0, EXCERPT_BYTES)}…` : text

type Bad = Extract<DriverLine, { readonly _tag: "Bad" }>

export const bad = (issue: string, excerpt: string): Bad => ({ _tag: "Bad", issue, excerpt })

export const tooLong = ({ bytes, start }: Extract<Line, { readonly _tag: "TooLong" }>): Bad =>
  bad(`a line of ${bytes} bytes is longer than the limit`, start)

/** Reads a line; a blank one is nothing. */
export const read = (line: Line): Option.Option<DriverLine> => {
  if (line._tag === "TooLong") return Option.some(tooLong(line))
  if (line.text.trim() === "") return Option.none()
  return Option.some(
    Either.match(Payload.arrived(line.text), {
      onLeft: ({ issue }): DriverLine => bad(issue, excerptOf(line.text)),
      onRight: (payload): DriverLine => ({ _tag: "Payload", payload })
    })
  )
}

const answers = (line: DriverLine, requestId: string): boolean => {
  if (line._tag !== "Payload" || line.payload.type !== "control_response") return false
  const response = line.payload.json["response"]
  return typeof response === "object" && response !== null && "request_id" in response
    ? response.request_id === requestId
    : false
}

const begun = (line: DriverLine): boolean => line._tag === "Payload" && line.payload.type !== "result"

/** Errors of the results that an agent told before it ended. */
const errorsOf = (lines: ReadonlyArray<DriverLine>): ReadonlyArray<string> =>
  lines.flatMap((line) => {
    const errors =
      line._tag === "Payload" && line.payload.type === "result" ? line.payload.json["errors"] : undefined
    return Array.isArray(errors) ? errors.map(String) : []
  })

/**
 * Starts the process and waits until it has answered `initialize`. An agent that ends before that is unavailable
 * (`ExitedAtOnce`), with its own words as the detail.
 */
export const connect = (
  spec: AgentProcess.ProcessSpec,
  options: { readonly runId: string; readonly resumed: boolean }
): Effect.Effect<Connection, AgentUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const agent = yield* AgentProcess.spawn(spec)
    const requestId = `initialize_${options.runId}`
    const next = yield* Stream.toPull(Stream.filterMap(agent.lines, read))
    // Lines that come before the answer, in order: a resumed agent may begin its interrupted turn at once.
    const early: Array<DriverLine> = []
    /** Takes the next lines; answers whether the agent is ready. */
    const listen = Effect.matchEffect(next, {
      // One that began to work before it ended was there: its lines and its end are told as any other's.
      onFailure: () =>
        early.some(begun) ? Effect.succeed(true) : AgentProcess.endedAtOnce(agent, spec, errorsOf(early)),
      onSuccess: (lines) => {
        const others = Chunk.filter(lines, (line) => !answers(line, requestId))
        early.push(...others)
        return Effect.succeed(others.length < lines.length)
      }
    })
    const request = { type: "control_request", request_id: requestId, request: { subtype: "initialize" } }
    // An agent that is gone already has its say when it is listened to.
    const ready = Effect.zipRight(
      Effect.ignore(agent.write(JSON.stringify(request))),
      Effect.repeat(listen, { until: (isReady) => isReady })
    )
    yield* ready.pipe(
      Effect.timeoutFail({
        duration: readyWithin,
        onTimeout: () =>
          new AgentUnavailable({
            agent: spec.agent,
            reason: "Unknown",
            detail: `${spec.command} did not answer initialize in time`
          })
      })
    )

    return {
      pid: agent.pid,
      resumed: options.resumed,
      lines: Stream.concat(Stream.fromIterable(early), Stream.repeatEffectChunkOption(next)),
      send: (payload) => agent.write(payload.text),
      endInput: agent.endInput,
      signal: agent.signal,
      exit: agent.exit,
      stderr: agent.stderr
    }
  })
