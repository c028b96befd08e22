import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Approvals from "../src/Approvals.ts"
import type { JsonObject, ReadableEvent } from "../src/Read.ts"
import { answerJson, anything, asks, client, log } from "./events.ts"

const fold = (events: Iterable<ReadableEvent>): Approvals.Approvals => {
  let at = Approvals.empty
  for (const event of events) at = Approvals.step(at, event)
  return at
}

describe("judge", () => {
  const answered = (response: JsonObject) => fold(log(asks("t1", "r1"), client(answerJson("r1", response))))
  const verdict = (approvals: Approvals.Approvals, response: JsonObject, request = "r1") =>
    Approvals.judge(approvals, answerJson(request, response))?.verdict

  it("accepts the first, and the same again, and no other", () => {
    const open = fold(log(asks("t1", "r1")))
    expect(verdict(open, { behavior: "allow" })).toBe("accept")
    expect(verdict(open, { behavior: "allow" }, "r2")).toBe("unknown")
    const allowed = answered({ behavior: "allow", updatedInput: { command: "ls" } })
    expect(verdict(allowed, { behavior: "allow" })).toBe("duplicate")
    expect(verdict(allowed, { behavior: "allow", updatedInput: { command: "rm" } })).toBe("conflict")
    expect(verdict(allowed, { behavior: "allow", updatedPermissions: [{ type: "addRules" }] })).toBe(
      "conflict"
    )
    expect(verdict(allowed, { behavior: "deny" })).toBe("conflict")
    const denied = answered({ behavior: "deny", message: "no" })
    expect(verdict(denied, { behavior: "deny", message: "no", toolUseID: "t1" })).toBe("duplicate")
    expect(verdict(denied, { behavior: "deny", message: "never" })).toBe("conflict")
  })

  it("finds an approval by its tool use where no request is named", () => {
    const open = fold(log(asks("t1", "r1")))
    const payload = {
      type: "control_response",
      response: { subtype: "success", response: { behavior: "allow", toolUseID: "t1" } }
    }
    expect(Approvals.judge(open, payload)?.verdict).toBe("accept")
  })

  it("an error reply is an answer too", () => {
    const payload = { type: "control_response", response: { subtype: "error", request_id: "r1", error: "x" } }
    const after = fold(log(asks("t1", "r1"), client(payload)))
    expect(after.settled[0]?.outcome).toBe("denied")
    expect(Approvals.judge(after, payload)?.verdict).toBe("duplicate")
  })

  it("says nothing of payloads that are no answers", () => {
    expect(Approvals.judge(Approvals.empty, { type: "user" })).toBeNull()
    expect(Approvals.judge(Approvals.empty, { type: "control_response" })?.verdict).toBe("unknown")
  })

  it("remembers two hundred answers of one turn", () => {
    const ids = Array.from({ length: 200 }, (_, i) => i)
    const after = fold(
      log(
        ...ids.map((i) => asks(`t${i}`, `r${i}`)),
        ...ids.map((i) => client(answerJson(`r${i}`, { behavior: "allow" })))
      )
    )
    for (const i of ids) {
      expect(verdict(after, { behavior: "allow" }, `r${i}`)).toBe("duplicate")
      expect(verdict(after, { behavior: "deny" }, `r${i}`)).toBe("conflict")
    }
  })

  it.prop(
    "whatever the order in which people answer, each approval has one outcome, that of its first answer",
    [
      FastCheck.integer({ min: 1, max: 8 }),
      FastCheck.array(
        FastCheck.tuple(
          FastCheck.nat(9),
          FastCheck.constantFrom(
            { behavior: "allow" },
            { behavior: "allow", updatedInput: { command: "other" } },
            { behavior: "deny", message: "a" },
            { behavior: "deny", message: "b" }
          )
        ),
        { maxLength: 40 }
      )
    ],
    ([count, given]) => {
      const open = fold(log(...Array.from({ length: count }, (_, i) => asks(`t${i}`, `r${i}`))))
      // One hub judges before it stores; another stores everything. Both must agree.
      let judged = open
      let stored = open
      const won = new Map<string, JsonObject>()
      let seq = 100
      for (const [n, response] of given) {
        const payload = answerJson(`r${n}`, response)
        const event: ReadableEvent = {
          seq: ++seq,
          uuid: `a${seq}`,
          source: "client",
          createdAt: seq,
          payload: { type: "control_response", json: payload }
        }
        const first = won.get(`r${n}`)
        const expected =
          n >= count
            ? "unknown"
            : first === undefined
              ? "accept"
              : first === response
                ? "duplicate"
                : "conflict"
        expect(Approvals.judge(judged, payload)?.verdict).toBe(expected)
        if (expected === "accept") {
          won.set(`r${n}`, response)
          judged = Approvals.step(judged, event)
        }
        stored = Approvals.step(stored, event)
      }
      expect(stored).toEqual(judged)
      expect(judged.pending.length + judged.settled.length).toBe(count)
      for (const settled of judged.settled)
        expect(settled.outcome).toBe(
          won.get(settled.requestId)?.["behavior"] === "allow" ? "allowed" : "denied"
        )
    }
  )

  it.prop("nothing is open and settled at once, and nothing is open twice", [anything], ([events]) => {
    const { pending, settled } = fold(events)
    const open = pending.map((p) => p.toolUseId)
    expect(new Set(open).size).toBe(open.length)
    const done = new Set(settled.map((s) => s.requestId))
    expect(pending.filter((p) => done.has(p.requestId))).toEqual([])
  })
})

describe("answers", () => {
  const input = { questions: [{ question: "Which?", options: [{ label: "A" }, "B", 7] }, { nothing: 1 }] }

  it("are read back as what they decide", () => {
    expect(Approvals.answerOf(Approvals.allow({ requestId: "r", toolUseId: "t", input: {} }))).toMatchObject({
      requestId: "r",
      toolUseId: "t",
      outcome: "allowed"
    })
    expect(
      Approvals.answerOf(Approvals.deny({ requestId: "r", toolUseId: "t", message: "no" }))?.outcome
    ).toBe("denied")
  })

  it("repeat the asked input or leave it out: the same answer", () => {
    const open = fold(log(asks("t1", "r1"), client(answerJson("r1", { behavior: "allow" }))))
    const again = Approvals.allow({ requestId: "r1", toolUseId: "t1", input: { command: "ls" } })
    expect(Approvals.judge(open, again)?.verdict).toBe("duplicate")
  })

  it("carry what was chosen", () => {
    expect(Approvals.questionsOf(input)).toEqual([
      {
        question: "Which?",
        header: null,
        multiSelect: false,
        options: [
          { label: "A", description: null },
          { label: "B", description: null }
        ]
      }
    ])
    expect(Approvals.withAnswers(input, { "Which?": "A" })).toEqual({ ...input, answers: { "Which?": "A" } })
    expect(Approvals.questionsOf("x")).toEqual([])
  })
})
