/**
 * Attributes of a session beside its title and its agent's settings: what the gateway names it by and keeps for it, and
 * what it was made with.
 *
 * They are the member `attributes` of `session_update` events of source client. A change that is null takes a member away;
 * `entry` and `context` change member by member, so that two who change different members lose nothing. The log's first
 * event stands at position 0 and holds what the session was made with. Only the hub writes them: doors refuse an event of
 * a caller that has them.
 */
import type { JsonObject } from "./Payload.ts"

export interface Attributes {
  /** By which the gateway names the session; unique among living sessions. */
  readonly key?: string
  readonly agentId?: string
  /** Unique among the living sessions of an agent; always the session's title too. */
  readonly label?: string
  readonly parentKey?: string
  readonly spawnedBy?: string
  /** Who made it, as the maker said. */
  readonly source?: string
  /** The mode that it was made with. */
  readonly permissionMode?: string
  readonly tags?: ReadonlyArray<unknown>
  /** The gateway's entry: what has no place of its own. */
  readonly entry?: JsonObject
  /** `session_context`. */
  readonly context?: JsonObject
}

export type Change = { readonly [K in keyof Attributes]?: Attributes[K] | null | undefined }

export const none: Attributes = {}

const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const isName = (value: unknown): boolean => typeof value === "string"

const valid: { readonly [K in keyof Required<Attributes>]: (value: unknown) => boolean } = {
  key: isName,
  agentId: isName,
  label: isName,
  parentKey: isName,
  spawnedBy: isName,
  source: isName,
  permissionMode: isName,
  tags: Array.isArray,
  entry: isObject,
  context: isObject
}

const names = Object.keys(valid) as ReadonlyArray<keyof Attributes>

/** The change that an event makes; members of another form are left out. */
export const of = (event: JsonObject): Change => {
  const given = event["attributes"]
  if (!isObject(given)) return none
  return Object.fromEntries(
    Object.entries(valid).flatMap(([name, isValid]) =>
      name in given && (given[name] === null || isValid(given[name])) ? [[name, given[name]]] : []
    )
  )
}

/** The event changes attributes and nothing else. */
export const isAlone = (event: JsonObject): boolean =>
  "attributes" in event &&
  Object.keys(event).every((name) => name === "type" || name === "uuid" || name === "attributes")

const withMembers = (before: JsonObject, change: JsonObject): JsonObject =>
  Object.fromEntries(
    Object.entries({ ...before, ...change }).filter(([, value]) => value !== null && value !== undefined)
  )

/** The attributes after a change, always in one order; the same object where it changes nothing. */
export const merge = (before: Attributes, change: Change): Attributes => {
  if (Object.keys(change).length === 0) return before
  const { context, entry } = before
  const after: Change = {
    ...before,
    ...change,
    ...(change.entry && entry ? { entry: withMembers(entry, change.entry) } : {}),
    ...(change.context && context ? { context: withMembers(context, change.context) } : {})
  }
  return withMembers(Object.fromEntries(names.map((name) => [name, after[name]])), {})
}

/** The change that turns the members of one object into those of another. */
export const difference = (before: JsonObject, after: JsonObject): JsonObject =>
  Object.fromEntries(
    [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((name) =>
      JSON.stringify(before[name]) === JSON.stringify(after[name]) ? [] : [[name, after[name] ?? null]]
    )
  )
