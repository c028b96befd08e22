import * as AgentSettings from "@causeway/protocol/AgentSettings"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Settings from "../../src/Runner/Settings.ts"

const now = 1_000_000

describe("settings of a run", () => {
  it.prop(
    "have no end of skipping without skipping",
    [
      FastCheck.option(FastCheck.boolean(), { nil: undefined }),
      FastCheck.option(FastCheck.boolean()),
      FastCheck.option(FastCheck.nat())
    ],
    ([before, skip, millis]) => {
      const chosen = AgentSettings.merge(
        Settings.change({ skipPermissions: before, skipForMillis: 5 }, now),
        Settings.change(
          {
            ...(skip === null ? {} : { skipPermissions: skip }),
            ...(millis === null ? {} : { skipForMillis: millis })
          },
          now
        )
      )
      const next = Settings.of(chosen)
      if (!next.skipPermissions) expect(next.skipPermissionsUntil).toBeNull()
      if (skip !== null) expect(next.skipPermissions).toBe(skip)
      if (next.skipPermissions && millis !== null) expect(next.skipPermissionsUntil).toBe(now + millis)
      const later = now + 10 + (millis ?? 0)
      const over = next.skipPermissionsUntil !== null
      expect(Settings.of(Settings.at(chosen, later)).skipPermissions).toBe(next.skipPermissions && !over)
    }
  )

  it("forget an old end when skipping is turned on anew without one", () => {
    const apply = (chosen: AgentSettings.AgentSettings, patch: Settings.SettingsPatch) =>
      AgentSettings.merge(chosen, Settings.change(patch, now))
    const on = apply(AgentSettings.none, { skipPermissions: true, skipForMillis: 5 })
    const off = apply(on, { skipPermissions: false })
    expect(Settings.of(apply(off, { skipPermissions: true })).skipPermissionsUntil).toBeNull()
    expect(Settings.of(apply(on, { autoAcceptEdits: true })).skipPermissionsUntil).toBe(now + 5)
  })
})
