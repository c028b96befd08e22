/** The control requests that a host may make. */
import { type Agent, DEFAULT_MODEL, interrupt, moveTo } from "./Agent.ts"
import { isObject, type Json } from "./Json.ts"
import { write } from "./Output.ts"

const respond = (requestId: string, subtype: "success" | "error", response: Json, more: Json = {}): void =>
  write(
    JSON.stringify({
      type: "control_response",
      response: { subtype, request_id: requestId, ...response },
      ...more
    })
  )

const refuse = (requestId: string, error: string, code?: string): void =>
  respond(requestId, "error", { error, ...(code === undefined ? {} : { error_code: code }) })

type Handler = (agent: Agent, request: Json, requestId: string, reply: (response: Json) => void) => void

const handlers: { readonly [subtype: string]: Handler } = {
  initialize: ({ model, question }, _request, requestId) => {
    const response = { commands: [], agents: [], models: [{ value: model, displayName: model }], account: {} }
    const pending =
      question === undefined ? [] : [{ request_id: question.requestId, request: question.request }]
    respond(requestId, "success", { response }, { pending_permission_requests: pending })
  },
  interrupt: (agent, { cancel_queued }, _requestId, reply) => {
    const cancelled = cancel_queued === true ? agent.waiting.splice(0) : []
    // The withdrawn question goes first, then the reply, then the aborted turn's lines.
    interrupt(agent)
    reply({
      still_queued: agent.waiting.map(({ uuid }) => uuid),
      ...(cancel_queued === true ? { cancelled: cancelled.map(({ uuid }) => uuid) } : {})
    })
  },
  cancel_async_message: ({ waiting }, { message_uuid }, _requestId, reply) => {
    const at = waiting.findIndex(({ uuid }) => uuid === message_uuid)
    if (at >= 0) waiting.splice(at, 1)
    reply({ cancelled: at >= 0 })
  },
  set_model: (agent, { model }, _requestId, reply) => {
    agent.model = typeof model === "string" && model !== "default" ? model : DEFAULT_MODEL
    reply({})
  },
  set_permission_mode: (agent, { mode }, requestId, reply) => {
    if (typeof mode !== "string") return refuse(requestId, "mode is missing")
    if (mode === "bypassPermissions" && !agent.args.mayBypass) {
      return refuse(requestId, "bypassPermissions needs a launch in that mode", "bypass_not_launched")
    }
    reply({ mode })
    moveTo(agent, mode)
  },
  set_max_thinking_tokens: (agent, { max_thinking_tokens: tokens }, _requestId, reply) => {
    agent.thinkingTokens = typeof tokens === "number" ? tokens : null
    reply({})
  },
  apply_flag_settings: (agent, { settings }, _requestId, reply) => {
    if (isObject(settings)) agent.flagSettings = { ...agent.flagSettings, ...settings }
    reply({})
  }
}

export const control = (agent: Agent, requestId: string, request: Json): void => {
  const subtype = String(request["subtype"])
  const handler = Object.hasOwn(handlers, subtype) ? handlers[subtype] : undefined
  if (handler === undefined) refuse(requestId, `unsupported request: ${subtype}`, "unsupported_request")
  else handler(agent, request, requestId, (response) => respond(requestId, "success", { response }))
}
