import { describe, expect, it } from "@effect/vitest"
import * as Expiry from "../src/Expiry.ts"

const DAY = 86_400_000
const token = (id: string, expiresAtMs: number | null) => ({ id, name: id, expiresAtMs })

describe("Expiry", () => {
  it("tells of what expires within a week or has just expired, the soonest first", () => {
    const now = 100 * DAY
    const all = [
      token("never", null),
      token("week", now + 7 * DAY),
      token("later", now + 7 * DAY + 1),
      token("soon", now + 1),
      token("just", now - DAY / 2),
      token("long ago", now - 2 * DAY)
    ]
    expect(Expiry.soon(all, now).map(({ credential, left }) => [credential.id, left])).toEqual([
      ["just", -DAY / 2],
      ["soon", 1],
      ["week", 7 * DAY]
    ])
  })

  it("has words", () => {
    expect([-1, 0, 1, 2 * 3_600_000, 47 * 3_600_000, 2 * DAY, 6.9 * DAY].map(Expiry.words)).toEqual([
      "has expired",
      "has expired",
      "expires within an hour",
      "expires in 2 hours",
      "expires in 47 hours",
      "expires in 2 days",
      "expires in 6 days"
    ])
  })
})
