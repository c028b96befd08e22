/** Permissions that a run's person has decided ahead, as a program sees them. What they decide: `Policy`. */
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import * as Schema from "effect/Schema"

export const Settings = Schema.Struct({
  /** Edits of files are allowed without asking. */
  autoAcceptEdits: Schema.Boolean,
  /** Everything is allowed without asking, except what only a person can answer. */
  skipPermissions: Schema.Boolean,
  /** End of the skipping, in milliseconds since the epoch; null: it has none. */
  skipPermissionsUntil: Schema.NullOr(Schema.Number)
})
export type Settings = typeof Settings.Type

/** A change; what is left out stays. `skipForMillis`: null is without an end. */
export interface SettingsPatch {
  readonly autoAcceptEdits?: boolean | undefined
  readonly skipPermissions?: boolean | undefined
  readonly skipForMillis?: number | null | undefined
}

export const of = (chosen: AgentSettings.AgentSettings): Settings => ({
  autoAcceptEdits: chosen.auto_accept_edits === true,
  skipPermissions: chosen.skip_permissions === true,
  skipPermissionsUntil: chosen.skip_permissions === true ? (chosen.skip_permissions_until ?? null) : null
})

/** A patch as the change of the session that it is. */
export const change = (patch: SettingsPatch, now: number): AgentSettings.AgentSettings => ({
  ...(patch.autoAcceptEdits === undefined ? {} : { auto_accept_edits: patch.autoAcceptEdits }),
  ...(patch.skipPermissions === undefined ? {} : { skip_permissions: patch.skipPermissions }),
  ...(patch.skipForMillis === undefined
    ? {}
    : { skip_permissions_until: patch.skipForMillis === null ? null : now + patch.skipForMillis })
})

/** The settings without a skipping that is over. */
export const at = (chosen: AgentSettings.AgentSettings, now: number): AgentSettings.AgentSettings =>
  chosen.skip_permissions === true && !AgentSettings.skipsPermissions(chosen, now)
    ? { ...chosen, skip_permissions: false, skip_permissions_until: null }
    : chosen
