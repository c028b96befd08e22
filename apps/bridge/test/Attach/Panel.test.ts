/** Forms of an agent's program, answered key by key. */
import type { Approval } from "@causeway/transcript/Approvals"
import type { Request } from "@causeway/transcript/View/Requests"
import { describe, expect, it } from "@effect/vitest"
import type { Key } from "../../src/Attach/Keys.ts"
import * as Panel from "../../src/Attach/Panel.ts"
import * as PanelRows from "../../src/Attach/PanelRows.ts"
import * as Row from "../../src/Attach/Row.ts"

const asked = (more: object) => ({
  subtype: "elicitation",
  mcp_server_name: "forms",
  message: "Fill \u001b[31mthis\u202e in",
  ...more
})

const approval = (input: object): Approval => ({
  toolUseId: "r1",
  requestId: "r1",
  kind: "dialog",
  toolName: "elicitation",
  displayName: null,
  description: null,
  input,
  inputTruncated: false,
  inputDigest: "",
  hasSuggestions: false,
  requiresUserInteraction: true,
  agentId: null,
  createdAt: 0,
  seq: 1
})

const key = (text: string): Key =>
  text.length === 1 ? { _tag: "Text", text } : ({ _tag: "Named", name: text } as Key)

/** Presses keys one after the other: what is answered, what is hinted, and what the panel shows at last. */
const press = (input: object, ...keys: ReadonlyArray<string>) => {
  const request: Request = { input, suggestions: [], before: null }
  const of = approval(input)
  let outcome: Panel.Outcome = { panel: Panel.open("r1"), answer: null, hint: null, taken: true }
  for (const each of keys) outcome = Panel.press(outcome.panel, of, request, key(each))
  const shown = PanelRows.rows({
    approval: of,
    request,
    panel: outcome.panel,
    focused: true,
    others: 0,
    columns: 80,
    most: 20
  })
  return { ...outcome, shown: shown.map(Row.textOf).join("\n") }
}

const response = (response: object) => ({
  type: "control_response",
  response: { subtype: "success", request_id: "r1", response }
})

const fields = asked({
  mode: "form",
  requested_schema: {
    type: "object",
    properties: {
      name: { type: "string", title: "Name" },
      age: { type: "integer", title: "Age" },
      tags: { type: "array", title: "Tags", items: { enum: ["a, b", "c", "d"] } },
      sure: { type: "boolean", title: "Sure" }
    },
    required: ["name", "sure"]
  }
})

describe("a form in the panel", () => {
  it("is filled in field by field, and sent in as the form wants it", () => {
    const name = ["o", "A", "d", "a", "enter"]
    const age = ["o", "3", "6", "enter"]
    expect(press(fields).shown).toContain("Fill \\u001b[31mthis\\u202e in\nName\n")
    expect(press(fields).shown).toContain("o answer, d decline")
    expect(press(fields, ...name).shown).toContain("asks (2 of 4)")
    expect(press(fields, ...name, ...age, "1", "3", "enter").shown).toContain("1 Yes")
    expect(press(fields, ...name, ...age, "1", "3", "enter", "2").answer).toEqual(
      response({ action: "accept", content: { name: "Ada", age: 36, tags: ["a, b", "d"], sure: false } })
    )
    // What is optional may be left out.
    expect(press(fields, ...name, "o", "enter", "2", "enter", "1").answer).toEqual(
      response({ action: "accept", content: { name: "Ada", tags: ["c"], sure: true } })
    )
  })

  it("takes no answer that the field cannot have, and says why", () => {
    expect(press(fields, "o", "enter")).toMatchObject({ answer: null, hint: "type an answer, or Esc" })
    expect(press(fields, "o", "x", "enter", "o", "y", "enter")).toMatchObject({
      answer: null,
      hint: "this needs a number",
      panel: { answers: [{ _tag: "Words", text: "x" }] }
    })
  })

  it("is declined at any moment; one that only wants consent is accepted", () => {
    expect(press(fields, "o", "x", "enter", "d").answer).toEqual(response({ action: "decline" }))
    const page = asked({ mode: "url", url: "https://sign.example/in" })
    expect(press(page).shown).toContain("https://sign.example/in")
    expect(press(page).shown).toContain("a accept, d decline")
    expect(press(page, "a").answer).toEqual(response({ action: "accept", content: {} }))
  })
})
