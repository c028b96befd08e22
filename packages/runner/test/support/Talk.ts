/** Talking to an agent session in tests: give prompts, and take its output up to a moment. */
import { randomUUID } from "node:crypto"
import { SessionId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import * as Stream from "effect/Stream"
import type { AgentOutput, AgentSession, AgentSessionSpec } from "../../src/Agent.ts"

export const spec = (more: Partial<AgentSessionSpec> & Pick<AgentSessionSpec, "cwd">): AgentSessionSpec => ({
  sessionId: SessionId.make(`session_${randomUUID()}`),
  agent: "scripted",
  agentSessionId: randomUUID(),
  resume: false,
  ...more
})

export const prompt = (text: string, uuid: string = randomUUID()): Payload.Payload =>
  Payload.make({ type: "user", uuid, message: { role: "user", content: text } })

export const request = (body: Payload.JsonObject): Payload.Payload =>
  Payload.make({ type: "control_request", uuid: randomUUID(), request_id: randomUUID(), request: body })

export const answer = (requestId: unknown, response: Payload.JsonObject): Payload.Payload =>
  Payload.make({
    type: "control_response",
    uuid: randomUUID(),
    response: { subtype: "success", request_id: requestId, response }
  })

export interface Talk {
  /** Takes output until one matches; answers with it. */
  readonly until: (matches: (output: AgentOutput) => boolean) => Effect.Effect<AgentOutput>
  readonly untilLine: (matches: (payload: Payload.Payload) => boolean) => Effect.Effect<Payload.Payload>
  /** The result of a prompt. */
  readonly result: (prompt: Payload.Payload) => Effect.Effect<Payload.Payload>
  /** Everything taken so far. */
  readonly seen: ReadonlyArray<AgentOutput>
  readonly lines: () => ReadonlyArray<Payload.Payload>
  readonly deliveries: (uuid: string | undefined) => ReadonlyArray<string>
}

export const listen = (session: AgentSession) =>
  Effect.gen(function* () {
    const mailbox = yield* Mailbox.make<AgentOutput>()
    yield* session.output.pipe(
      Stream.runForEach((each) => mailbox.offer(each)),
      Effect.ignore,
      Effect.ensuring(mailbox.end),
      Effect.forkScoped
    )
    const seen: Array<AgentOutput> = []
    const until: Talk["until"] = (matches) =>
      mailbox.take.pipe(
        Effect.orDieWith(() => new Error(`the output ended; last: ${JSON.stringify(seen.slice(-5))}`)),
        Effect.tap((each) => Effect.sync(() => seen.push(each))),
        Effect.repeat({ until: matches })
      )
    const untilLine: Talk["untilLine"] = (matches) =>
      Effect.flatMap(
        until((each) => each._tag === "Line" && matches(each.payload)),
        (each) => (each._tag === "Line" ? Effect.succeed(each.payload) : Effect.never)
      )
    const talk: Talk = {
      until,
      untilLine,
      result: (of) =>
        untilLine(({ type, json }) => type === "result" && json["user_message_uuid"] === of.uuid),
      seen,
      lines: () => seen.flatMap((each) => (each._tag === "Line" ? [each.payload] : [])),
      deliveries: (uuid) =>
        seen.flatMap((each) => (each._tag === "Delivery" && each.uuid === uuid ? [each.state] : []))
    }
    return talk
  })
