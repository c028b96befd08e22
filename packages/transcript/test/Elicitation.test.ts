import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Elicitation from "../src/Elicitation.ts"

const request = (properties: object, required: ReadonlyArray<string> = []) => ({
  subtype: "elicitation",
  mcp_server_name: "forms",
  message: "Please fill this in",
  mode: "form",
  requested_schema: { type: "object", properties, required }
})

const form = (properties: object, required?: ReadonlyArray<string>): Elicitation.Form => {
  const read = Elicitation.formOf(request(properties, required))
  if (read === null) throw new Error("no form")
  return read
}

const labels = (properties: object) =>
  form(properties).fields.map(({ question }) => question.options.map((option) => option.label))

describe("forms of an agent's program", () => {
  it("reads each kind of field, and no other request", () => {
    const read = form(
      {
        name: { type: "string", title: "Your name", description: "as others call you" },
        age: { type: "integer" },
        sure: { type: "boolean" },
        colour: { type: "string", enum: ["r", "b"], enumNames: ["Red", "Blue"] },
        size: { type: "string", oneOf: [{ const: "s", title: "Small" }, { const: "l" }] },
        tags: { type: "array", items: { anyOf: [{ const: "x", title: "X, the first" }, { const: "y" }] } }
      },
      ["name"]
    )
    expect(read.fields.map(({ type }) => type)).toEqual([
      "text",
      "integer",
      "boolean",
      "choice",
      "choice",
      "choices"
    ])
    expect(read.fields.map(({ question }) => question.question)).toEqual([
      "Your name: as others call you",
      "age (optional)",
      "sure (optional)",
      "colour (optional)",
      "size (optional)",
      "tags (optional)"
    ])
    expect(labels({ a: { enum: ["r", "b"], enumNames: ["Red", "Blue"] } })).toEqual([["Red", "Blue"]])
    expect(labels({ a: { type: "array", items: { enum: ["one, two"] } } })).toEqual([["one, two"]])
    expect(Elicitation.formOf({ subtype: "request_user_dialog" })).toBeNull()
    expect(Elicitation.formOf(null)).toBeNull()
    expect(Elicitation.formOf({ subtype: "elicitation", mode: "url", url: "https://x.example" })).toEqual({
      message: "",
      url: "https://x.example",
      fields: []
    })
  })

  it("says what is wrong with an answer", () => {
    const [age, name] = form({ age: { type: "integer" }, name: { type: "string" } }, ["name"]).fields
    const words = (field: Elicitation.Field | undefined, text: string) =>
      field === undefined ? undefined : Elicitation.valueOf(field, { _tag: "Words", text })
    expect(words(age, "x")).toEqual(Either.left("this needs a number"))
    expect(words(age, "1.5")).toEqual(Either.left("this needs a whole number"))
    expect(words(age, " 7 ")).toEqual(Either.right(7))
    expect(words(age, "")).toEqual(Either.right(undefined))
    expect(words(name, " ")).toEqual(Either.left("this needs an answer"))
  })

  it.prop(
    "never reads words or a choice as a value that the field does not have, whatever was asked",
    [
      FastCheck.dictionary(FastCheck.string(), FastCheck.jsonValue()),
      FastCheck.oneof(
        FastCheck.record({ _tag: FastCheck.constant("Words" as const), text: FastCheck.string() }),
        FastCheck.record({
          _tag: FastCheck.constant("Chosen" as const),
          options: FastCheck.array(FastCheck.integer({ min: -1, max: 9 }))
        })
      )
    ],
    ([properties, answer]) => {
      for (const field of form(properties).fields) {
        const value = Elicitation.valueOf(field, answer)
        if (Either.isLeft(value) || value.right === undefined) continue
        const { right } = value
        switch (field.type) {
          case "text":
            expect(typeof right).toBe("string")
            break
          case "number":
            expect(Number.isFinite(right)).toBe(true)
            break
          case "integer":
            expect(Number.isInteger(right)).toBe(true)
            break
          case "choices":
            expect(field.values).toEqual(expect.arrayContaining(right as Array<unknown>))
            break
          default:
            expect(field.values).toContain(right)
        }
      }
    }
  )
})
