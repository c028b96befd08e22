import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Capacity from "../src/internal/Capacity.ts"

const places = FastCheck.array(
  FastCheck.record({ isBusy: FastCheck.boolean(), lastActive: FastCheck.nat(1000) }),
  { maxLength: 40 }
).map((all) => all.map((place, session) => ({ session, ...place })))

describe("who makes room", () => {
  it.prop(
    "is never a busy one, is the one idle for longest, and is nobody while there is a place",
    [places, FastCheck.integer({ min: 1, max: 50 })],
    ([all, capacity]) => {
      const sleeper = Capacity.sleeper(all, capacity)
      const idle = all.filter(({ isBusy }) => !isBusy)
      if (all.length < capacity || idle.length === 0) {
        expect(sleeper).toBeUndefined()
        return
      }
      const chosen = idle.find(({ session }) => session === sleeper)
      expect(chosen?.lastActive).toBe(Math.min(...idle.map(({ lastActive }) => lastActive)))
    }
  )
})
