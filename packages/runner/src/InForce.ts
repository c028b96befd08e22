/**
 * What is set of an agent, across the ends of its process. Pure bookkeeping: no process, no clock.
 *
 * A change that the agent confirms, or makes by itself, is told as a `session_update` line before the line that shows it,
 * so that it is durable before anybody is answered. Each process is started in what was last set.
 */
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import * as Payload from "@causeway/protocol/Payload"
import { uuid5 } from "@causeway/protocol/Uuid5"

type Settings = AgentSettings.AgentSettings

export interface Start {
  readonly model: string | undefined
  readonly permissionMode: string | undefined
  /** What the start itself cannot take: to be asked for before the first prompt. */
  readonly requests: ReadonlyArray<Payload.Payload>
}

export interface Heard {
  /** To be told before the line. */
  readonly before: ReadonlyArray<Payload.Payload>
  /** The line answers a request of this book, and is nobody else's. */
  readonly own: boolean
}

export interface InForce {
  readonly current: () => Settings
  /** A process is about to start. */
  readonly start: () => Start
  /** A client payload was given to the agent. */
  readonly given: (payload: Payload.Payload) => void
  /** Sets what a person has set otherwise than by asking the agent; answers with what to ask of a running one. */
  readonly set: (change: Settings) => ReadonlyArray<Payload.Payload>
  /** A line of the process. */
  readonly line: (payload: Payload.Payload) => Heard
}

const member = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Payload.JsonObject)[name]
    : undefined

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined

const nothing: Heard = { before: [], own: false }

/** The members of a change, as they were before it. */
const undone = (before: Settings, change: Settings): Settings => ({
  ...("model" in change ? { model: before.model ?? null } : {}),
  ...("permission_mode" in change ? { permission_mode: before.permission_mode ?? null } : {}),
  ...("max_thinking_tokens" in change ? { max_thinking_tokens: before.max_thinking_tokens ?? null } : {}),
  ...("flag_settings" in change ? { flag_settings: before.flag_settings ?? {} } : {}),
  ...("config_options" in change ? { config_options: before.config_options ?? {} } : {})
})

/** `base` is what the session was made with: it holds until something else is set. */
export const make = (options: {
  readonly agentSessionId: string
  readonly runId: () => string
  readonly base: { readonly model: string | undefined; readonly permissionMode: string | undefined }
  readonly settings: Settings
}): InForce => {
  const { base } = options
  let settings = options.settings
  /** Requests of people that wait for the agent's word, by request id. */
  const asked = new Map<string, Settings>()
  /** Requests of this book, with what held before them. */
  const own = new Map<string, { readonly change: Settings; readonly before: Settings }>()
  /** What the running process has told of itself. */
  let told: { model: string | undefined; permissionMode: string | undefined } = {
    model: undefined,
    permissionMode: undefined
  }
  let position = 0

  const effective = () => ({
    // Back to the default is the agent's own, as it takes it while it runs.
    model: settings.model === null ? undefined : (settings.model ?? base.model),
    permissionMode: settings.permission_mode ?? base.permissionMode
  })

  const ask = (change: Settings, before: Settings): ReadonlyArray<Payload.Payload> =>
    AgentSettings.requests(change).map((request) => {
      const requestId = `settings_${options.runId()}_${position++}`
      own.set(requestId, { change: AgentSettings.asked(request), before })
      return Payload.make({ type: "control_request", request_id: requestId, request })
    })

  /** Holds from now on; told where it was not known. */
  const hold = (change: Settings, reason: string): ReadonlyArray<Payload.Payload> => {
    if (change.model !== undefined) told.model = change.model ?? undefined
    if (change.permission_mode !== undefined) {
      told.permissionMode = change.permission_mode ?? base.permissionMode
    }
    if (AgentSettings.isEmpty(change) || AgentSettings.changesNothing(settings, change)) return []
    settings = AgentSettings.merge(settings, change)
    return [
      Payload.make({
        type: "session_update",
        ...change,
        uuid: uuid5(options.agentSessionId, `settings ${reason}`)
      })
    ]
  }

  const onResponse = (payload: Payload.Payload): Heard => {
    const response = payload.json["response"]
    const requestId = text(member(response, "request_id"))
    if (requestId === undefined) return nothing
    const refused = member(response, "subtype") === "error"
    const mine = own.get(requestId)
    if (mine !== undefined) {
      own.delete(requestId)
      if (!refused) return { before: [], own: true }
      const why = text(member(response, "error")) ?? "it gave no reason"
      return {
        before: [
          ...hold(undone(mine.before, mine.change), requestId),
          Payload.make({
            type: "bridge_error",
            reason: "setting_refused",
            message: `the agent does not take the setting ${JSON.stringify(mine.change)}: ${why}`,
            uuid: uuid5(options.agentSessionId, `refused ${requestId}`)
          })
        ],
        own: true
      }
    }
    const change = asked.get(requestId)
    asked.delete(requestId)
    return change === undefined || refused ? nothing : { before: hold(change, requestId), own: false }
  }

  /** A line that an agent says of its mode, and some of their model, whenever these change. */
  const onStatus = (payload: Payload.Payload): Heard => {
    const permissionMode = text(payload.json["permissionMode"])
    const model = text(payload.json["model"])
    const change: Settings = {
      ...(permissionMode === undefined || permissionMode === told.permissionMode
        ? {}
        : { permission_mode: permissionMode }),
      ...(model === undefined || model === told.model ? {} : { model })
    }
    return { before: hold(change, payload.uuid ?? `${options.runId()} ${position++}`), own: false }
  }

  return {
    current: () => settings,
    start: () => {
      own.clear()
      told = effective()
      const { max_thinking_tokens: tokens, flag_settings: flags, config_options: config } = settings
      // What is refused at a start is dropped.
      const requests = ask(
        AgentSettings.of({
          max_thinking_tokens: tokens ?? undefined,
          flag_settings: flags,
          config_options: config
        }),
        AgentSettings.none
      )
      return { ...effective(), requests }
    },
    given: (payload) => {
      if (payload.type !== "control_request") return
      const requestId = text(payload.json["request_id"])
      const change = AgentSettings.asked(payload.json["request"])
      if (requestId !== undefined && !AgentSettings.isEmpty(change)) asked.set(requestId, change)
    },
    set: (change) => {
      if (AgentSettings.isEmpty(change) || AgentSettings.changesNothing(settings, change)) return []
      const before = settings
      settings = AgentSettings.merge(settings, change)
      return ask(change, before)
    },
    line: (payload) => {
      if (payload.type === "control_response") return onResponse(payload)
      if (payload.type !== "system") return nothing
      if (payload.json["subtype"] === "status") return onStatus(payload)
      if (payload.json["subtype"] === "init") {
        told.model ??= text(payload.json["model"])
        told.permissionMode ??= text(payload.json["permissionMode"])
      }
      return nothing
    }
  }
}
