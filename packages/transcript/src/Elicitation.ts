/**
 * Forms that an agent's own program asks people to fill in (`elicitation`): its fields as questions, and the answers as
 * the form's content. Source: spec 4 §1 (control requests), the Model Context Protocol (elicitation).
 */
import * as Either from "effect/Either"
import { type Question, respond } from "./Answers.ts"
import { array, type JsonObject, name, object } from "./Read.ts"

/** One field of a form. */
export interface Field {
  readonly key: string
  /** As people are asked; its options are those of a choice, none where words are asked for. */
  readonly question: Question
  readonly isRequired: boolean
  readonly type: "text" | "number" | "integer" | "boolean" | "choice" | "choices"
  /** What each option stands for, in the order of the question's options. */
  readonly values: ReadonlyArray<unknown>
}

export interface Form {
  readonly message: string
  /** A page to open instead of a form. */
  readonly url: string | null
  /** None where nothing but consent is asked for. */
  readonly fields: ReadonlyArray<Field>
}

interface Choice {
  readonly label: string
  readonly value: unknown
}

const choice = (entry: unknown): ReadonlyArray<Choice> => {
  const value = typeof entry === "string" ? entry : object(entry)["const"]
  return typeof value === "string" ? [{ label: name(object(entry)["title"]) ?? value, value }] : []
}

const choicesOf = (property: JsonObject): ReadonlyArray<Choice> => {
  if (property["type"] === "boolean") {
    return [
      { label: "Yes", value: true },
      { label: "No", value: false }
    ]
  }
  const names = array(property["enumNames"])
  const items = object(property["items"])
  for (const list of [property["oneOf"], property["enum"], items["anyOf"], items["oneOf"], items["enum"]]) {
    const choices = array(list).flatMap(choice)
    if (choices.length > 0)
      return choices.map((each, n) => ({ ...each, label: name(names[n]) ?? each.label }))
  }
  return []
}

const typeOf = (property: JsonObject, choices: ReadonlyArray<Choice>): Field["type"] => {
  const type = property["type"]
  if (type === "boolean") return "boolean"
  if (choices.length > 0) return type === "array" ? "choices" : "choice"
  return type === "number" || type === "integer" ? type : "text"
}

/** The form of a control request's `request`; null where it is another one. */
export const formOf = (request: unknown): Form | null => {
  const json = object(request)
  if (json["subtype"] !== "elicitation") return null
  const schema = object(json["requested_schema"])
  const required = new Set(array(schema["required"]))
  return {
    message: name(json["message"], 4096) ?? "",
    url: json["mode"] === "url" ? name(json["url"], 4096) : null,
    fields: Object.entries(object(schema["properties"])).map(([key, value]): Field => {
      const property = object(value)
      const choices = choicesOf(property)
      const type = typeOf(property, choices)
      const title = name(property["title"]) ?? key
      const description = name(property["description"], 1024)
      const isRequired = required.has(key)
      return {
        key,
        type,
        isRequired,
        values: choices.map((each) => each.value),
        question: {
          question: `${description === null ? title : `${title}: ${description}`}${isRequired ? "" : " (optional)"}`,
          header: null,
          multiSelect: type === "choices",
          options: choices.map(({ label }) => ({ label, description: null }))
        }
      }
    })
  }
}

/** What is answered to a field: the options that were chosen, or words; nothing where it is left out. */
export type Answer =
  | { readonly _tag: "Chosen"; readonly options: ReadonlyArray<number> }
  | { readonly _tag: "Words"; readonly text: string }

/** The value of a field, `undefined` where it is left out; or what is wrong, in a person's words. */
export const valueOf = (field: Field, answer: Answer): Either.Either<unknown, string> => {
  if (answer._tag === "Chosen") {
    const values = answer.options.flatMap((n) => (n in field.values ? [field.values[n]] : []))
    return field.type === "choices" ? Either.right(values) : Either.right(values[0])
  }
  const text = answer.text.trim()
  if (text === "") return field.isRequired ? Either.left("this needs an answer") : Either.right(undefined)
  switch (field.type) {
    case "text":
      return Either.right(text)
    case "number":
    case "integer": {
      const number = Number(text)
      if (!Number.isFinite(number)) return Either.left("this needs a number")
      return field.type === "integer" && !Number.isInteger(number)
        ? Either.left("this needs a whole number")
        : Either.right(number)
    }
    default:
      return Either.left("choose one of the options")
  }
}

/** The payload that sends the form in. */
export const accept = (requestId: string, content: JsonObject) =>
  respond(requestId, { action: "accept", content })

/** The payload that says no. */
export const decline = (requestId: string) => respond(requestId, { action: "decline" })
