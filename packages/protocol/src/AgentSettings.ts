/**
 * What is set of a session's agent: by a person, or by the agent itself (a plan that was accepted moves its mode).
 *
 * Settings are members of a `session_update` event, durable before the change is answered; folded from the log they are
 * what every start of the agent is given. A client may append such an event itself: whoever holds the session applies it
 * to the agent that runs, and to the next one otherwise. A member that is null goes back to the agent's own default.
 */
import type { JsonObject } from "./Payload.ts"

/** A member that is left out stays as it is. */
export interface AgentSettings {
  readonly model?: string | null
  readonly permission_mode?: string | null
  readonly max_thinking_tokens?: number | null
  /** Merged into the agent's session-scoped settings (`apply_flag_settings`): effort, fast mode. */
  readonly flag_settings?: JsonObject
  /** Options of an agent that speaks the Agent Client Protocol, by id. */
  readonly config_options?: JsonObject
  /** Edits of files are allowed without asking. Decided beside the agent, which knows nothing of it. */
  readonly auto_accept_edits?: boolean
  /** Everything is allowed without asking, except what only a person can answer; beside the agent, too. */
  readonly skip_permissions?: boolean
  /** End of the skipping in milliseconds since the epoch; null: it has none. Turning it on anew forgets an earlier end. */
  readonly skip_permissions_until?: number | null
}

export const none: AgentSettings = {}

/** Longest name of a model or a mode, in UTF-16 units. */
const NAME_MAX = 256
/** Longest JSON text of the options together: a session's row carries them. */
const OPTIONS_MAX = 8 * 1024

const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const nameOrNull = (value: unknown): value is string | null =>
  value === null || (typeof value === "string" && value !== "" && value.length <= NAME_MAX)

const amountOrNull = (value: unknown): value is number | null =>
  value === null || (typeof value === "number" && Number.isInteger(value) && value >= 0)

const options = (value: unknown): value is JsonObject =>
  isObject(value) && Object.keys(value).length > 0 && JSON.stringify(value).length <= OPTIONS_MAX

/** The settings among an event's members; those of a form that nobody can apply are left out. */
export const of = (json: JsonObject): AgentSettings => ({
  ...(nameOrNull(json["model"]) ? { model: json["model"] } : {}),
  ...(nameOrNull(json["permission_mode"]) ? { permission_mode: json["permission_mode"] } : {}),
  ...(amountOrNull(json["max_thinking_tokens"]) ? { max_thinking_tokens: json["max_thinking_tokens"] } : {}),
  ...(options(json["flag_settings"]) ? { flag_settings: json["flag_settings"] } : {}),
  ...(options(json["config_options"]) ? { config_options: json["config_options"] } : {}),
  ...(typeof json["auto_accept_edits"] === "boolean" ? { auto_accept_edits: json["auto_accept_edits"] } : {}),
  ...(typeof json["skip_permissions"] === "boolean" ? { skip_permissions: json["skip_permissions"] } : {}),
  ...(amountOrNull(json["skip_permissions_until"])
    ? { skip_permissions_until: json["skip_permissions_until"] }
    : {})
})

export const isEmpty = (settings: AgentSettings): boolean => Object.keys(settings).length === 0

/** Settings that a control request asks for; {@link none} where it sets nothing that lasts. */
export const asked = (request: unknown): AgentSettings => {
  if (!isObject(request)) return none
  switch (request["subtype"]) {
    case "set_model": {
      const model = request["model"] ?? null
      return of({ model: model === "default" ? null : model })
    }
    case "set_permission_mode":
      return of({ permission_mode: request["mode"] })
    case "set_max_thinking_tokens":
      return of({ max_thinking_tokens: request["max_thinking_tokens"] ?? null })
    case "apply_flag_settings":
      return of({ flag_settings: request["settings"] })
    case "set_config_option":
      return typeof request["config_id"] === "string"
        ? of({ config_options: { [request["config_id"]]: request["value"] } })
        : none
    default:
      return none
  }
}

/** The requests that set it, as `asked` reads them. */
export const requests = (settings: AgentSettings): ReadonlyArray<JsonObject> => [
  ...(settings.model === undefined ? [] : [{ subtype: "set_model", model: settings.model ?? "default" }]),
  ...(settings.permission_mode === undefined
    ? []
    : [{ subtype: "set_permission_mode", mode: settings.permission_mode ?? "default" }]),
  ...(settings.max_thinking_tokens === undefined
    ? []
    : [{ subtype: "set_max_thinking_tokens", max_thinking_tokens: settings.max_thinking_tokens }]),
  ...(settings.flag_settings === undefined
    ? []
    : [{ subtype: "apply_flag_settings", settings: settings.flag_settings }]),
  ...Object.entries(settings.config_options ?? {}).map(([id, value]) => ({
    subtype: "set_config_option",
    config_id: id,
    value
  }))
]

const merged = (before: JsonObject | undefined, after: JsonObject | undefined): JsonObject | undefined => {
  const both = { ...before, ...after }
  return options(both) ? both : (after ?? before)
}

/** The settings after a change. */
export const merge = (before: AgentSettings, change: AgentSettings): AgentSettings => {
  const flags = merged(before.flag_settings, change.flag_settings)
  const config = merged(before.config_options, change.config_options)
  const skip = change.skip_permissions ?? before.skip_permissions
  const until =
    skip !== true
      ? null
      : change.skip_permissions_until !== undefined || change.skip_permissions !== undefined
        ? (change.skip_permissions_until ?? null)
        : before.skip_permissions_until
  const { skip_permissions_until: _, ...others } = { ...before, ...change }
  return {
    ...others,
    ...(skip === undefined ? {} : { skip_permissions_until: until ?? null }),
    ...(flags === undefined ? {} : { flag_settings: flags }),
    ...(config === undefined ? {} : { config_options: config })
  }
}

/** Permissions are skipped at a moment, in milliseconds since the epoch. */
export const skipsPermissions = (settings: AgentSettings, now: number): boolean =>
  settings.skip_permissions === true &&
  (settings.skip_permissions_until == null || settings.skip_permissions_until > now)

const canonical = (value: unknown): unknown =>
  isObject(value)
    ? Object.fromEntries(
        Object.keys(value)
          .sort()
          .map((key) => [key, canonical(value[key])])
      )
    : value

/** A change leaves the settings as they are. */
export const changesNothing = (before: AgentSettings, change: AgentSettings): boolean =>
  JSON.stringify(canonical(merge(before, change))) === JSON.stringify(canonical(before))
