/** The machine's ceiling before an agent: what people ask for is judged, and what is refused is told in the session. */
import { randomUUID } from "node:crypto"
import type { AgentSettings } from "@causeway/protocol/AgentSettings"
import * as Payload from "@causeway/protocol/Payload"
import * as Approvals from "@causeway/transcript/Approvals"
import { object } from "@causeway/transcript/Read"
import * as Effect from "effect/Effect"
import { type AgentOutput, AgentUnavailable } from "../Agent.ts"
import * as AgentOptions from "../AgentOptions.ts"
import * as Author from "../Ceiling/Author.ts"
import * as Launch from "../Ceiling/Launch.ts"
import * as Settings from "../Ceiling/Settings.ts"
import * as Steering from "../Ceiling/Steering.ts"
import * as Ceiling from "../Ceiling.ts"
import type { Channel } from "../Channel.ts"

const line = (json: Payload.JsonObject & { readonly type: string }): AgentOutput => ({
  _tag: "Line",
  payload: Payload.make({ ...json, uuid: randomUUID() })
})

const told = (why: ReadonlyArray<Ceiling.NotAllowed>): ReadonlyArray<AgentOutput> =>
  why.map(({ message }) => line({ type: "bridge_error", reason: "not_allowed", message }))

const unavailable = (agent: string, why: ReadonlyArray<Ceiling.NotAllowed>) =>
  new AgentUnavailable({
    agent,
    reason: "NotAllowed",
    detail: why.map(({ message }) => message).join("\n")
  })

/** Takes back what of a change of settings is refused, and tells it; answers with the rest. */
export const change = (
  ceiling: Ceiling.Ceiling,
  channel: Pick<Channel, "write">,
  given: AgentSettings,
  before: AgentSettings = {}
): Effect.Effect<AgentSettings> => {
  const { allowed, undo, why } = Settings.judge(ceiling, given, before)
  if (why.length === 0) return Effect.succeed(allowed)
  return Effect.as(
    channel.write([...told(why), line({ type: "session_update", ...undo, reason: "not_allowed" })]),
    allowed
  )
}

/**
 * Judges how a session would be started, in the settings that its log tells, which a hub or an earlier start may have
 * taken without a question. Fails where its agent may not start; a setting alone is taken back.
 */
export const launch = (
  ceiling: Ceiling.Ceiling,
  channel: Pick<Channel, "record" | "settings" | "write">
): Effect.Effect<void, AgentUnavailable> =>
  Effect.gen(function* () {
    const { agent, cwd, launch, permissionMode } = channel.record
    const settings = yield* change(ceiling, channel, yield* channel.settings)
    const options = AgentOptions.merge(launch.options ?? AgentOptions.none, {
      permissionMode: settings.permission_mode ?? permissionMode
    })
    const why = yield* Launch.refused(ceiling, { agent, cwd, options })
    if (why.length > 0) return yield* unavailable(agent, why)
  })

/** The line that an agent is given in the place of an answer that is refused. */
const denial = (payload: Payload.Payload, message: string): Payload.Payload => {
  const given = Approvals.answerOf(payload.json)
  const request_id = given?.requestId ?? object(payload.json["response"])["request_id"]
  return Payload.make({
    type: "control_response",
    uuid: randomUUID(),
    response:
      given?.outcome === "allowed"
        ? {
            subtype: "success",
            request_id,
            response: { behavior: "deny", message, toolUseID: given.toolUseId ?? undefined }
          }
        : { subtype: "error", request_id, error: message }
  })
}

/** What an agent is given for what somebody sent; a refusal is told, and answered. */
export const admitted = (
  ceiling: Ceiling.Ceiling,
  channel: Pick<Channel, "record" | "write">,
  payload: Payload.Payload
): Effect.Effect<ReadonlyArray<Payload.Payload>> =>
  Effect.gen(function* () {
    const why = yield* Steering.refused(ceiling, channel.record.cwd, Author.of(payload), payload)
    if (why.length === 0) return [payload]
    const message = why.map((each) => each.message).join("\n")
    const lines: Array<AgentOutput> = [...told(why)]
    if (payload.type === "control_request") {
      const request_id = payload.json["request_id"]
      const response = { subtype: "error", request_id, error: message, error_code: "not_allowed" }
      lines.push(line({ type: "control_response", response }))
    }
    if (payload.uuid !== undefined) lines.push({ _tag: "Delivery", uuid: payload.uuid, state: "processed" })
    yield* channel.write(lines)
    return payload.type === "control_response" ? [denial(payload, message)] : []
  })

/** Fails where a line of an agent tells of a mode that is not allowed: a prompt, or the agent itself, has moved it there. */
export const heard = (
  ceiling: Ceiling.Ceiling,
  { record: { agent } }: Pick<Channel, "record">,
  { json, type }: Payload.Payload
): Effect.Effect<void, AgentUnavailable> => {
  const mode =
    type === "system" ? json["permissionMode"] : type === "session_update" && json["permission_mode"]
  const why = typeof mode === "string" ? Ceiling.modeRefused(ceiling, mode) : undefined
  return why === undefined ? Effect.void : unavailable(agent, [why])
}
