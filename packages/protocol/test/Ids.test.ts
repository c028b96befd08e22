import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Schema from "effect/Schema"
import { SessionId, sameSession, sessionBody, toCompat, toInfra } from "../src/Ids.ts"

const body = FastCheck.stringMatching(/^[A-Za-z0-9_-]{1,60}$/).filter(
  (text) => !text.startsWith("cse_") && !text.startsWith("session_")
)
const spelled = FastCheck.tuple(FastCheck.constantFrom("session_", "cse_", ""), body)

describe("session id spellings", () => {
  it.prop("both conversions are idempotent and keep the body", [spelled], ([[prefix, rest]]) => {
    const id = SessionId.make(prefix + rest)
    expect(toCompat(toCompat(id))).toBe(toCompat(id))
    expect(toInfra(toInfra(id))).toBe(toInfra(id))
    expect(sessionBody(toCompat(id))).toBe(rest)
    expect(sessionBody(toInfra(id))).toBe(rest)
  })

  it.prop(
    "each conversion undoes the other, and unknown prefixes are left alone",
    [spelled],
    ([[prefix, rest]]) => {
      const id = SessionId.make(prefix + rest)
      expect(toCompat(toInfra(id))).toBe(toCompat(id))
      expect(toInfra(toCompat(id))).toBe(toInfra(id))
      if (prefix === "") expect(toCompat(id)).toBe(id)
    }
  )

  it.prop(
    "two ids name one session exactly when their bodies agree",
    [spelled, spelled],
    ([[p, a], [q, b]]) => {
      expect(sameSession(SessionId.make(p + a), SessionId.make(q + b))).toBe(a === b)
    }
  )

  it.prop("nothing that could reach another path is an id", [FastCheck.string()], ([text]) => {
    const accepted = Schema.is(SessionId)(text)
    expect(accepted).toBe(/^[A-Za-z0-9_-]{1,128}$/.test(text))
    if (accepted) expect(encodeURIComponent(text)).toBe(text)
  })
})
