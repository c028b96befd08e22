import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as OpenFiles from "../src/OpenFiles.ts"

describe("the limit on open files", () => {
  it.prop(
    "leaves room for one session at least, and never for more than fit",
    [FastCheck.nat(100_000)],
    ([files]) => {
      const room = OpenFiles.roomFor(files)
      expect(room).toBeGreaterThanOrEqual(1)
      if (room > 1) {
        expect(OpenFiles.OF_THE_PROGRAM + room * OpenFiles.OF_A_SESSION).toBeLessThanOrEqual(files)
      }
    }
  )
})
