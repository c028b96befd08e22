/**
 * Forms that an agent asks its client to show (`elicitation/create`), as the questions that people know
 * (`AskUserQuestion`), and their answers as the form's content. Source: spec 4 §1 (Permissions) and §2.
 */
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Read from "@causeway/transcript/Read"

interface Choice {
  readonly label: string
  readonly description: string | null
  readonly value: string | boolean
}

interface Field {
  /** Null where the form asks for nothing but consent. */
  readonly key: string | null
  /** A text field beside a choice, for an answer of one's own. */
  readonly ownKey: string | null
  readonly question: string
  readonly header: string | null
  readonly type: string
  readonly choices: ReadonlyArray<Choice>
  readonly isMany: boolean
  readonly isRequired: boolean
}

export interface Form {
  readonly message: string
  readonly fields: ReadonlyArray<Field>
}

/** A choice's name without the words that explain it, which some agents put behind it. */
const choice = (value: unknown): ReadonlyArray<Choice> => {
  const json = Read.object(value)
  const id = typeof value === "string" ? value : json["const"]
  if (typeof id !== "string") return []
  const title = Read.string(json["title"]) ?? id
  if (!title.startsWith(id)) return [{ label: title, description: null, value: id }]
  const rest = title.slice(id.length).replace(/^[\s—–:-]+/, "")
  return [{ label: id, description: rest === "" ? null : rest, value: id }]
}

const choicesOf = (property: JsonObject): ReadonlyArray<Choice> => {
  if (property["type"] === "boolean") {
    return [
      { label: "Yes", description: null, value: true },
      { label: "No", description: null, value: false }
    ]
  }
  const items = Read.object(property["items"])
  for (const list of [property["oneOf"], property["enum"], items["anyOf"], items["enum"]]) {
    if (Array.isArray(list)) return list.flatMap(choice)
  }
  return []
}

/** The form of a request; undefined where it is of another kind. */
export const form = (params: JsonObject): Form | undefined => {
  if (params["mode"] !== "form") return undefined
  const message = Read.name(params["message"], 16_384) ?? "The agent asks:"
  const schema = Read.object(params["requestedSchema"])
  const properties = Object.entries(Read.object(schema["properties"])).map(
    ([key, value]) => [key, Read.object(value)] as const
  )
  const required = new Set(Read.array(schema["required"]))
  const keys = new Set(properties.map(([key]) => key))
  const ownKey = (key: string): string | null => (keys.has(`${key}_custom`) ? `${key}_custom` : null)
  const asked = properties.filter(
    ([key]) => !(key.endsWith("_custom") && keys.has(key.slice(0, -"_custom".length)))
  )
  const taken = new Set<string>()
  const fields = asked.map(([key, property]): Field => {
    const words =
      Read.name(property["description"], 4096) ??
      (asked.length === 1 ? message : (Read.name(property["title"]) ?? key))
    // Answers are told apart by their questions.
    const question = taken.has(words) ? `${words} (${key})` : words
    taken.add(question)
    return {
      key,
      ownKey: ownKey(key),
      question,
      header: Read.name(property["title"]),
      type: Read.name(property["type"]) ?? "string",
      choices: choicesOf(property),
      isMany: property["type"] === "array",
      isRequired: required.has(key)
    }
  })
  const consent: Field = {
    key: null,
    ownKey: null,
    question: message,
    header: null,
    type: "consent",
    choices: [{ label: "OK", description: null, value: true }],
    isMany: false,
    isRequired: false
  }
  return { message, fields: fields.length === 0 ? [consent] : fields }
}

/** The input of the `AskUserQuestion` that asks what the form asks. */
export const input = ({ fields }: Form): JsonObject => ({
  questions: fields.map(({ choices, header, isMany, question }) => ({
    question,
    ...(header === null ? {} : { header }),
    multiSelect: isMany,
    options: choices.map(({ description, label }) => ({
      label,
      ...(description === null ? {} : { description })
    }))
  }))
})

/** The labels of an answer, which are joined by commas; a label may hold commas itself. */
const parts = (text: string, labels: ReadonlyArray<string>): ReadonlyArray<string> => {
  const longest = [...labels].sort((a, b) => b.length - a.length)
  const out: Array<string> = []
  let rest = text.trim()
  while (rest !== "") {
    const label = longest.find((each) => rest === each || rest.startsWith(`${each}, `))
    const comma = rest.indexOf(", ")
    const part = label ?? (comma < 0 ? rest : rest.slice(0, comma))
    out.push(part)
    rest = rest.slice(part.length).replace(/^, */, "")
  }
  return out
}

/** Members of the content that a field's answer adds. */
const contentOf = (field: Field, text: string): ReadonlyArray<readonly [string, unknown]> => {
  const { choices, key, ownKey } = field
  if (key === null || text.trim() === "") return []
  const valueOf = (label: string) => choices.find((each) => each.label === label)?.value
  if (field.isMany) {
    const chosen = parts(
      text,
      choices.map(({ label }) => label)
    )
    const own = chosen.filter((label) => valueOf(label) === undefined)
    if (own.length > 0 && ownKey !== null) return [[ownKey, chosen.join(", ")]]
    return [[key, chosen.map((label) => valueOf(label) ?? label)]]
  }
  if (field.type === "number" || field.type === "integer") {
    const number = Number(text)
    return Number.isFinite(number) && (field.type === "number" || Number.isInteger(number))
      ? [[key, number]]
      : []
  }
  const value = valueOf(text) ?? valueOf(text.trim())
  if (value !== undefined) return [[key, value]]
  if (field.type === "boolean") return []
  return [[choices.length > 0 && ownKey !== null ? ownKey : key, text]]
}

export type Answer =
  | { readonly action: "accept"; readonly content: JsonObject }
  | { readonly action: "decline" }

/**
 * Reads the `response` of a `control_response`: a denial, or an answer that lacks what the form requires, declines; an
 * allow without answers leaves out all that may be left out.
 */
export const answer = ({ fields }: Form, response: JsonObject): Answer => {
  const body = Read.object(response["response"])
  if (response["subtype"] === "error" || body["behavior"] !== "allow") return { action: "decline" }
  const answers = Read.object(Read.object(body["updatedInput"])["answers"])
  const content = Object.fromEntries(
    fields.flatMap((field) => contentOf(field, Read.string(answers[field.question]) ?? ""))
  )
  const isWhole = fields.every(
    ({ isRequired, key, ownKey }) =>
      !isRequired || (key !== null && key in content) || (ownKey !== null && ownKey in content)
  )
  return isWhole ? { action: "accept", content } : { action: "decline" }
}
