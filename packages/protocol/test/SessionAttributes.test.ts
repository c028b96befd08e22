import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as SessionAttributes from "../src/SessionAttributes.ts"

const value = FastCheck.oneof(FastCheck.integer(), FastCheck.string(), FastCheck.constant({ a: 1 }))
const members = FastCheck.dictionary(FastCheck.constantFrom("a", "b", "c", "d"), value)

describe("attributes of a session", () => {
  it.prop("a difference turns one object into the other", [members, members], ([before, after]) => {
    const entry = SessionAttributes.difference(before, after)
    expect(SessionAttributes.merge({ entry: before }, { entry }).entry).toEqual(after)
  })

  it.prop("changes of different members do not undo each other", [members, members], ([one, other]) => {
    const rest = Object.fromEntries(Object.entries(other).filter(([name]) => !(name in one)))
    const merged = (changes: ReadonlyArray<typeof one>) =>
      changes.reduce(
        (at, entry) => SessionAttributes.merge(at, { entry }),
        SessionAttributes.merge(SessionAttributes.none, { entry: {} })
      )
    expect(merged([one, rest])).toEqual(merged([rest, one]))
  })

  it("null takes a member away, and what has another form is no change", () => {
    const before = { key: "k", label: "L", entry: { a: 1 } }
    expect(SessionAttributes.merge(before, { label: null, entry: { a: null } })).toEqual({
      key: "k",
      entry: {}
    })
    expect(
      SessionAttributes.of({ attributes: { key: 1, label: ["x"], entry: [], agentId: "main", x: 1 } })
    ).toEqual({
      agentId: "main"
    })
    expect(SessionAttributes.of({ attributes: "x" })).toEqual({})
    expect(SessionAttributes.merge(before, {})).toBe(before)
  })

  it("an event that changes more than attributes is told apart", () => {
    const event = { type: "session_update", uuid: "u", attributes: { label: "L" } }
    expect(SessionAttributes.isAlone(event)).toBe(true)
    expect(SessionAttributes.isAlone({ ...event, title: "T" })).toBe(false)
    expect(SessionAttributes.isAlone({ type: "session_update", title: "T" })).toBe(false)
  })
})
