/**
 * Settings of an ACP session: its mode and its config options. The model is the config option of category
 * `model`; a mode may be told in either way. Source: spec 4 §2.
 */
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Read from "@causeway/transcript/Read"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import type { AgentOptions } from "../AgentOptions.ts"

export interface Choice {
  readonly value: string
  readonly name: string
}

export interface Settings {
  /** Id of the mode in force; null where the agent has no modes. */
  readonly mode: string | null
  readonly modes: ReadonlyArray<Choice>
  /** As the agent told them. */
  readonly configOptions: ReadonlyArray<JsonObject>
}

export const empty: Settings = { mode: null, modes: [], configOptions: [] }

/** The choices of a config option; groups are flattened. */
export const choices = (option: JsonObject): ReadonlyArray<Choice> =>
  Read.array(option["options"]).flatMap((each) => {
    const json = Read.object(each)
    const nested = json["options"]
    if (Array.isArray(nested)) return choices({ options: nested })
    const value = json["value"]
    return typeof value === "string" ? [{ value, name: Read.string(json["name"]) ?? value }] : []
  })

/** The option of a category; the one that goes by the category's name where none is of it. */
const ofCategory = (settings: Settings, category: string): JsonObject | undefined =>
  settings.configOptions.find((option) => option["category"] === category) ??
  settings.configOptions.find((option) => option["id"] === category)

const current = (option: JsonObject | undefined): string | null => Read.name(option?.["currentValue"])

/** The model in force, or null where the agent does not tell. */
export const model = (settings: Settings): string | null => current(ofCategory(settings, "model"))

/** The mode in force, or null where the agent has none. */
export const mode = (settings: Settings): string | null =>
  settings.mode ?? current(ofCategory(settings, "mode"))

/** The settings with what a reply to `session/new`, `session/load` or `session/resume` tells. */
export const opened = (reply: JsonObject): Settings => {
  const modes = Read.object(reply["modes"])
  return {
    mode: Read.name(modes["currentModeId"]),
    modes: Read.array(modes["availableModes"]).flatMap((each) => {
      const { id, name } = Read.object(each)
      return typeof id === "string" ? [{ value: id, name: Read.string(name) ?? id }] : []
    }),
    configOptions: Read.array(reply["configOptions"]).map(Read.object)
  }
}

export const withMode = (settings: Settings, modeId: unknown): Settings => ({
  ...settings,
  mode: Read.name(modeId) ?? settings.mode
})

export const withConfigOptions = (settings: Settings, configOptions: unknown): Settings =>
  Array.isArray(configOptions) ? { ...settings, configOptions: configOptions.map(Read.object) } : settings

/** The call that makes a change. */
export type Change =
  | { readonly method: "session/set_mode"; readonly params: { readonly modeId: string } }
  | {
      readonly method: "session/set_config_option"
      readonly params:
        | { readonly configId: string; readonly value: string }
        | { readonly configId: string; readonly type: "boolean"; readonly value: boolean }
    }

const pick = (offered: ReadonlyArray<Choice>, asked: string): Choice | undefined =>
  offered.find((choice) => choice.value === asked) ??
  offered.find((choice) => choice.value.toLowerCase() === asked.toLowerCase()) ??
  offered.find((choice) => choice.name.toLowerCase() === asked.toLowerCase())

const unknown = (what: string, asked: string, offered: ReadonlyArray<Choice>): string =>
  offered.length === 0
    ? `this agent has no choice of ${what}`
    : `this agent has no ${what} ${asked}; it has ${offered.map((choice) => choice.value).join(", ")}`

const select = (
  option: JsonObject | undefined,
  what: string,
  asked: string
): Either.Either<Change, string> => {
  const offered = option === undefined ? [] : choices(option)
  const choice = pick(offered, asked)
  const configId = option?.["id"]
  return choice === undefined || typeof configId !== "string"
    ? Either.left(unknown(what, asked, offered))
    : Either.right({ method: "session/set_config_option", params: { configId, value: choice.value } })
}

/** The call that sets the model, by value or name; left says why not, in words for a person. */
export const setModel = (settings: Settings, asked: string): Either.Either<Change, string> =>
  select(ofCategory(settings, "model"), "model", asked)

/** The call that sets the mode, by id or name. */
export const setMode = (settings: Settings, asked: string): Either.Either<Change, string> => {
  const found = pick(settings.modes, asked)
  if (found !== undefined)
    return Either.right({ method: "session/set_mode", params: { modeId: found.value } })
  return settings.modes.length > 0
    ? Either.left(unknown("mode", asked, settings.modes))
    : select(ofCategory(settings, "mode"), "mode", asked)
}

/** The call that sets any config option. */
export const setOption = (
  settings: Settings,
  configId: string,
  value: unknown
): Either.Either<Change, string> => {
  const option = settings.configOptions.find((each) => each["id"] === configId)
  if (option === undefined) {
    const known = settings.configOptions.map((each) => String(each["id"])).join(", ")
    return Either.left(`this agent has no option ${configId}${known === "" ? "" : `; it has ${known}`}`)
  }
  if (option["type"] === "boolean") {
    return typeof value === "boolean"
      ? Either.right({ method: "session/set_config_option", params: { configId, type: "boolean", value } })
      : Either.left(`option ${configId} is either true or false`)
  }
  return select(option, `option ${configId}`, typeof value === "string" ? value : String(value))
}

/** What a change moves the agent to, by id and by name: the mode, or the choice of another option. */
export const movesTo = (settings: Settings, { params }: Change): ReadonlyArray<string> => {
  const named = (offered: ReadonlyArray<Choice>, value: string) => [
    value,
    ...offered.flatMap((choice) => (choice.value === value ? [choice.name] : []))
  ]
  if ("modeId" in params) return named(settings.modes, params.modeId)
  const option = settings.configOptions.find((each) => each["id"] === params.configId)
  return typeof params.value === "string" ? named(choices(option ?? {}), params.value) : []
}

/** Whether a change is one of the mode. */
export const isOfMode = (settings: Settings, { params }: Change): boolean =>
  "modeId" in params || ofCategory(settings, "mode")?.["id"] === params.configId

/** A change that is asked for, judged by the settings that hold when its turn comes. */
export type Choose = (settings: Settings) => Either.Either<Change, string>

/** The changes that the options of a session ask for, in order. */
export const chosen = (options: AgentOptions): ReadonlyArray<Choose> => {
  const { model, permissionMode, settings } = options
  return [
    ...(model === undefined ? [] : [(settings: Settings) => setModel(settings, model)]),
    ...(permissionMode === undefined ? [] : [(settings: Settings) => setMode(settings, permissionMode)]),
    ...Object.entries(settings === undefined ? {} : Redacted.value(settings)).map(
      ([id, value]): Choose =>
        (settings) =>
          setOption(settings, id, value)
    )
  ]
}
