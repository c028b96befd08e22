/** Settings of a session's agent against the machine's ceiling: each member alone, since they are set alone. */
import type { AgentSettings } from "@causeway/protocol/AgentSettings"
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Ceiling from "../Ceiling.ts"

/** Members of an agent's session-scoped settings that allow it nothing: all others may run programs, or lift questions. */
const HARMLESS: ReadonlySet<string> = new Set([
  "alwaysThinkingEnabled",
  "effortLevel",
  "fastMode",
  "language",
  "model",
  "outputStyle",
  "verbose"
])

/** Names of an ACP agent's options that are its modes. The driver knows the others by what the agent tells of them. */
const MODES = /mode|approval|permission|sandbox/i

const flagRefused = (
  ceiling: Ceiling.Ceiling,
  name: string,
  value: unknown
): Ceiling.NotAllowed | undefined =>
  value === null || HARMLESS.has(name) || Ceiling.skips(ceiling)
    ? undefined
    : Ceiling.byFlag(`the agent's setting ${Ceiling.word(name)}`)

const optionRefused = (
  ceiling: Ceiling.Ceiling,
  id: string,
  value: unknown
): Ceiling.NotAllowed | undefined => {
  if (typeof value !== "string") return undefined
  // A choice of the same name as a mode that never asks is one, whatever its option is called.
  return MODES.test(id) || !Ceiling.allowsMode({ ...ceiling, permissionModes: undefined }, value)
    ? Ceiling.modeRefused(ceiling, value)
    : undefined
}

/** Why the members of an agent's settings, as its settings file has them, may not be set. */
export const flags = (ceiling: Ceiling.Ceiling, given: JsonObject): ReadonlyArray<Ceiling.NotAllowed> =>
  Object.entries(given).flatMap(([name, value]) => flagRefused(ceiling, name, value) ?? [])

export interface Judged {
  /** Why members are refused. */
  readonly why: ReadonlyArray<Ceiling.NotAllowed>
  /** The others. */
  readonly allowed: AgentSettings
  /** Takes the refused ones back to what held before. */
  readonly undo: AgentSettings
}

type Check = (ceiling: Ceiling.Ceiling, name: string, value: unknown) => Ceiling.NotAllowed | undefined

/** The same for the members of an option, one by one. */
const judgeEach = (
  ceiling: Ceiling.Ceiling,
  check: Check,
  given: JsonObject = {},
  before: JsonObject = {}
) => {
  const refused = new Map(
    Object.entries(given).flatMap(([name, value]) => {
      const why = check(ceiling, name, value)
      return why === undefined ? [] : [[name, why] as const]
    })
  )
  const old = (name: string): unknown =>
    check(ceiling, name, before[name] ?? null) === undefined ? (before[name] ?? null) : null
  const allowed = Object.entries(given).filter(([name]) => !refused.has(name))
  return {
    why: [...refused.values()],
    allowed: allowed.length === 0 ? undefined : Object.fromEntries(allowed),
    undo:
      refused.size === 0
        ? undefined
        : Object.fromEntries([...refused.keys()].map((name) => [name, old(name)]))
  }
}

/** Judges a change of settings, or all of them. What was not allowed `before` is gone as well. */
export const judge = (
  ceiling: Ceiling.Ceiling,
  change: AgentSettings,
  before: AgentSettings = {}
): Judged => {
  const {
    auto_accept_edits,
    config_options,
    flag_settings,
    permission_mode,
    skip_permissions_until,
    ...others
  } = change
  const { skip_permissions, ...plain } = others
  const mode = permission_mode == null ? undefined : Ceiling.modeRefused(ceiling, permission_mode)
  const old = before.permission_mode ?? null
  const skips = skip_permissions === true && !ceiling.skipPermissions
  const edits = auto_accept_edits === true && !ceiling.acceptEdits
  const flag = judgeEach(ceiling, flagRefused, flag_settings, before.flag_settings)
  const option = judgeEach(ceiling, optionRefused, config_options, before.config_options)
  return {
    why: [
      ...(mode === undefined ? [] : [mode]),
      ...(skips ? [Ceiling.byFlag("skipping permissions")] : []),
      ...(edits ? [Ceiling.byFile("accepting edits without a question")] : []),
      ...flag.why,
      ...option.why
    ],
    allowed: {
      ...plain,
      ...(permission_mode === undefined || mode !== undefined ? {} : { permission_mode }),
      ...(skip_permissions === undefined || skips ? {} : { skip_permissions }),
      ...(skip_permissions_until === undefined || skips ? {} : { skip_permissions_until }),
      ...(auto_accept_edits === undefined || edits ? {} : { auto_accept_edits }),
      ...(flag.allowed === undefined ? {} : { flag_settings: flag.allowed }),
      ...(option.allowed === undefined ? {} : { config_options: option.allowed })
    },
    undo: {
      ...(mode === undefined
        ? {}
        : { permission_mode: old !== null && Ceiling.allowsMode(ceiling, old) ? old : null }),
      ...(skips ? { skip_permissions: false, skip_permissions_until: null } : {}),
      ...(edits ? { auto_accept_edits: false } : {}),
      ...(flag.undo === undefined ? {} : { flag_settings: flag.undo }),
      ...(option.undo === undefined ? {} : { config_options: option.undo })
    }
  }
}
