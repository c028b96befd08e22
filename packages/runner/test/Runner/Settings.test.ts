import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Settings from "../../src/Runner/Settings.ts"

const now = 1_000_000
const settings: FastCheck.Arbitrary<Settings.Settings> = FastCheck.record({
  autoAcceptEdits: FastCheck.boolean(),
  skipPermissions: FastCheck.boolean(),
  skipPermissionsUntil: FastCheck.option(FastCheck.integer({ min: 0, max: 2 * now }))
})
const approval = FastCheck.record({
  kind: FastCheck.constantFrom("tool" as const, "dialog" as const),
  toolName: FastCheck.constantFrom("Edit", "Write", "MultiEdit", "NotebookEdit", "Bash", "Read"),
  requiresUserInteraction: FastCheck.boolean()
})

describe("what is decided ahead", () => {
  it.prop(
    "is asked in order: what only a person can answer, skipping, edits, the person",
    [approval, settings],
    ([asked, given]) => {
      const decision = Settings.decide(asked, given, now)
      const skips =
        given.skipPermissions && (given.skipPermissionsUntil === null || given.skipPermissionsUntil > now)
      const edits = given.autoAcceptEdits && Settings.editTools.has(asked.toolName)
      const person = asked.kind === "dialog" || asked.requiresUserInteraction
      expect(decision).toBe(person ? "ask" : skips ? "skip_permissions" : edits ? "auto_accept_edits" : "ask")
    }
  )

  it.prop(
    "has no end of skipping without skipping",
    [settings, FastCheck.option(FastCheck.boolean()), FastCheck.option(FastCheck.nat())],
    ([given, skip, millis]) => {
      const next = Settings.patched(
        Settings.at(given, now),
        {
          ...(skip === null ? {} : { skipPermissions: skip }),
          ...(millis === null ? {} : { skipForMillis: millis })
        },
        now
      )
      if (!next.skipPermissions) expect(next.skipPermissionsUntil).toBeNull()
      if (skip !== null) expect(next.skipPermissions).toBe(skip)
      if (next.skipPermissions && millis !== null) expect(next.skipPermissionsUntil).toBe(now + millis)
      expect(Settings.hasExpired(Settings.at(next, now), now)).toBe(false)
    }
  )

  it("forgets an old end when skipping is turned on anew without one", () => {
    const on = Settings.patched(Settings.none, { skipPermissions: true, skipForMillis: 5 }, now)
    const off = Settings.patched(on, { skipPermissions: false }, now)
    expect(Settings.patched(off, { skipPermissions: true }, now).skipPermissionsUntil).toBeNull()
    expect(Settings.patched(on, { autoAcceptEdits: true }, now).skipPermissionsUntil).toBe(now + 5)
  })
})
