/**
 * Checks requests against JSON Schemas that are derived from Effect schemas, in the words clients know.
 *
 * `invalid <method> params: ` is followed by parts joined with `; `: for an unknown property `at root: unexpected
 * property 'x'`, else `at /path: <message>` or, at the root, the bare message. All errors are told, in the order of the
 * rules: required members, unknown members, then each member as declared; the same text is told once.
 * Source: spec 2 §1 ("Validation text").
 */
import * as JSONSchema from "effect/JSONSchema"
import * as Schema from "effect/Schema"
import * as Visible from "../Visible.ts"

/** A string of at least one character. */
export const NonEmpty = Schema.String.pipe(Schema.minLength(1))

/** One of these strings, refused with "must be equal to constant" for each. */
export const constants = <const V extends ReadonlyArray<string>>(...values: V) =>
  Schema.Literal<ReadonlyArray<V[number]>>(...values).annotations({
    jsonSchema: { anyOf: values.map((value) => ({ const: value })) }
  })

/** The part of JSON Schema (draft 7) that derived schemas use. */
interface JsonSchema {
  readonly $ref?: string
  readonly $defs?: { readonly [name: string]: JsonSchema }
  readonly type?: string
  readonly const?: unknown
  readonly enum?: ReadonlyArray<unknown>
  readonly anyOf?: ReadonlyArray<JsonSchema>
  readonly required?: ReadonlyArray<string>
  readonly properties?: { readonly [name: string]: JsonSchema }
  readonly additionalProperties?: boolean | JsonSchema
  readonly items?: JsonSchema
  readonly minItems?: number
  readonly maxItems?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
}

/** Where and why; `path` is a JSON pointer, empty at the root. */
export interface Issue {
  readonly path: string
  readonly message: string
}

const isObject = (value: unknown): value is { readonly [key: string]: unknown } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const hasType = (type: string, value: unknown): boolean => {
  switch (type) {
    case "object":
      return isObject(value)
    case "array":
      return Array.isArray(value)
    case "integer":
      return typeof value === "number" && Number.isInteger(value)
    case "number":
      return typeof value === "number" && Number.isFinite(value)
    case "null":
      return value === null
    default:
      return typeof value === type
  }
}

/** Characters (code points) of a string, as JSON Schema counts. */
const lengthOf = (text: string): number => {
  let n = 0
  for (const _ of text) n++
  return n
}

const pointer = (name: string): string => name.replaceAll("~", "~0").replaceAll("/", "~1")

/** Alternatives inside alternatives count as one list. */
const alternatives = (schema: JsonSchema, defs: Defs): ReadonlyArray<JsonSchema> =>
  (schema.anyOf ?? []).flatMap((branch) => {
    const at = resolve(branch, defs)
    return at.anyOf === undefined ? [at] : alternatives(at, defs)
  })

type Defs = { readonly [name: string]: JsonSchema }

const resolve = (schema: JsonSchema, defs: Defs): JsonSchema => {
  if (schema.$ref === undefined) return schema
  const { $ref, ...rest } = schema
  const target = defs[$ref.slice("#/$defs/".length)]
  return target === undefined ? rest : { ...resolve(target, defs), ...rest }
}

const walk = (given: JsonSchema, defs: Defs, value: unknown, path: string, out: Array<Issue>): void => {
  const schema = resolve(given, defs)
  const refuse = (message: string) => out.push({ path, message })
  if (schema.type !== undefined && !hasType(schema.type, value)) {
    refuse(`must be ${schema.type}`)
    return
  }
  if (typeof value === "number") {
    if (schema.maximum !== undefined && value > schema.maximum) refuse(`must be <= ${schema.maximum}`)
    if (schema.minimum !== undefined && value < schema.minimum) refuse(`must be >= ${schema.minimum}`)
  }
  if (typeof value === "string") {
    if (schema.maxLength !== undefined && lengthOf(value) > schema.maxLength) {
      refuse(`must NOT have more than ${schema.maxLength} characters`)
    }
    if (schema.minLength !== undefined && lengthOf(value) < schema.minLength) {
      refuse(`must NOT have fewer than ${schema.minLength} characters`)
    }
    if (schema.pattern !== undefined && !new RegExp(schema.pattern, "u").test(value)) {
      refuse(`must match pattern "${schema.pattern}"`)
    }
  }
  if (Array.isArray(value)) {
    if (schema.maxItems !== undefined && value.length > schema.maxItems) {
      refuse(`must NOT have more than ${schema.maxItems} items`)
    }
    if (schema.minItems !== undefined && value.length < schema.minItems) {
      refuse(`must NOT have fewer than ${schema.minItems} items`)
    }
    const items = schema.items
    if (items !== undefined) {
      for (const [i, item] of value.entries()) walk(items, defs, item, `${path}/${i}`, out)
    }
  }
  if (isObject(value)) {
    for (const name of schema.required ?? []) {
      if (value[name] === undefined) refuse(`must have required property '${name}'`)
    }
    const properties = schema.properties ?? {}
    const rest = schema.additionalProperties
    if (rest !== undefined && rest !== true) {
      for (const name of Object.keys(value)) {
        if (Object.hasOwn(properties, name)) continue
        if (rest === false) refuse(`unexpected property '${name}'`)
        else walk(rest, defs, value[name], `${path}/${pointer(name)}`, out)
      }
    }
    for (const [name, property] of Object.entries(properties)) {
      if (value[name] !== undefined) walk(property, defs, value[name], `${path}/${pointer(name)}`, out)
    }
  }
  if ("const" in schema) {
    if (value !== schema.const) refuse("must be equal to constant")
  } else if (schema.enum !== undefined && !schema.enum.includes(value)) {
    refuse("must be equal to one of the allowed values")
  }
  if (schema.anyOf !== undefined) {
    const refusals: Array<Issue> = []
    for (const branch of alternatives(schema, defs)) {
      const before = refusals.length
      walk(branch, defs, value, path, refusals)
      if (refusals.length === before) return
    }
    out.push(...refusals)
    refuse("must match a schema in anyOf")
  }
}

/** Tells all issues of a value; none means that it fits. */
export type Check = (value: unknown) => ReadonlyArray<Issue>

/** Derives a check from a schema. */
export const check = <A, I>(schema: Schema.Schema<A, I>): Check => {
  // Derived schemas are of the closed set of members above; whatever else they hold only describes.
  const json = JSONSchema.make(schema) as unknown as JsonSchema
  const defs = json.$defs ?? {}
  return (value) => {
    const out: Array<Issue> = []
    walk(json, defs, value, "", out)
    return out
  }
}

/** Issues that a refusal tells, and characters of it: they quote what was sent. */
const TOLD = 50
const TOLD_CHARACTERS = 4000

/** Issues as the text of a refusal. */
export const describe = (issues: ReadonlyArray<Issue>): string => {
  const parts = issues
    .slice(0, TOLD)
    .map(({ message, path }) =>
      path !== ""
        ? `at ${path}: ${message}`
        : message.startsWith("unexpected")
          ? `at root: ${message}`
          : message
    )
  return Visible.clip([...new Set(parts)].join("; "), TOLD_CHARACTERS)
}
