/**
 * What a run's person has decided ahead, and the one place where that settles a question of the agent: skip while it
 * has not expired, then auto-accept of edits, then the person. Source: spec 3 (preface and §5).
 */
import type { Approval } from "@causeway/transcript/Approvals"
import * as Schema from "effect/Schema"

export const Settings = Schema.Struct({
  /** Edits of files are allowed without asking. */
  autoAcceptEdits: Schema.Boolean,
  /** Everything is allowed without asking, except what only a person can answer. */
  skipPermissions: Schema.Boolean,
  /** When skipping ends, in milliseconds since the epoch; null: it does not. */
  skipPermissionsUntil: Schema.NullOr(Schema.Number)
})
export type Settings = typeof Settings.Type

export const none: Settings = { autoAcceptEdits: false, skipPermissions: false, skipPermissionsUntil: null }

/** What `settings` may change; what is left out stays. `skipFor` in milliseconds; null: without an end. */
export interface SettingsPatch {
  readonly autoAcceptEdits?: boolean | undefined
  readonly skipPermissions?: boolean | undefined
  readonly skipForMillis?: number | null | undefined
}

/** The tools that edit files. */
export const editTools: ReadonlySet<string> = new Set(["Edit", "Write", "MultiEdit", "NotebookEdit"])

export const patched = (settings: Settings, patch: SettingsPatch, now: number): Settings => {
  const skipPermissions = patch.skipPermissions ?? settings.skipPermissions
  return {
    autoAcceptEdits: patch.autoAcceptEdits ?? settings.autoAcceptEdits,
    skipPermissions,
    skipPermissionsUntil: !skipPermissions
      ? null
      : patch.skipForMillis === undefined
        ? patch.skipPermissions === true && !settings.skipPermissions
          ? null
          : settings.skipPermissionsUntil
        : patch.skipForMillis === null
          ? null
          : now + patch.skipForMillis
  }
}

/** Whether skipping was on and its time is over. */
export const hasExpired = (settings: Settings, now: number): boolean =>
  settings.skipPermissions && settings.skipPermissionsUntil !== null && settings.skipPermissionsUntil <= now

/** The settings as they hold at a moment: without what has expired. */
export const at = (settings: Settings, now: number): Settings =>
  hasExpired(settings, now) ? { ...settings, skipPermissions: false, skipPermissionsUntil: null } : settings

export type Decision = "skip_permissions" | "auto_accept_edits" | "ask"

export const decide = (
  approval: Pick<Approval, "kind" | "toolName" | "requiresUserInteraction">,
  settings: Settings,
  now: number
): Decision => {
  if (approval.kind !== "tool" || approval.requiresUserInteraction) return "ask"
  const current = at(settings, now)
  if (current.skipPermissions) return "skip_permissions"
  return current.autoAcceptEdits && editTools.has(approval.toolName) ? "auto_accept_edits" : "ask"
}
