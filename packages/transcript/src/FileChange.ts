/**
 * Changes of files that tools ask for, and what stands in the file before. An agent's request says what it will write; what
 * it will destroy only the machine knows. So the bridge puts it beside the request, in an event of its own
 * (`{"type":"session_update","file_before":{…}}`) right before it, and the request itself stays as the agent said it.
 */
import * as LineDiff from "./LineDiff.ts"
import { amount, array, type JsonObject, name, object, type ReadableEvent, string } from "./Read.ts"

/** Most bytes of a file that are carried. */
export const BEFORE_MAX = 256 * 1024

/**
 * `text`: it is here. `missing`: there is no such file. The others say why it is not here: no text, more than
 * {@link BEFORE_MAX}, not to be read, not below the session's directory.
 */
export type State = (typeof states)[number]
const states = ["text", "missing", "binary", "too_large", "unreadable", "outside"] as const

/** What stands in a file that a tool wants to change. */
export interface Before {
  readonly toolUseId: string
  readonly path: string
  readonly state: State
  /** Of a notebook's cell, that cell's. Empty where the file is missing; null where it is not here. */
  readonly text: string | null
  readonly bytes: number | null
}

/** Lines that a change adds and removes; null where what stands there is not known. */
export interface Counts {
  readonly added: number
  readonly removed: number
}

/** One replacement in one file; `before` is empty where a file is written anew. */
export interface Change {
  readonly path: string
  readonly before: string
  readonly after: string
  /** Whether `before` is all that stands there; else it is what the agent says it replaces, or not known. */
  readonly isWhole: boolean
}

const pathOf = (input: JsonObject): string | null =>
  string(input["file_path"]) ?? string(input["path"]) ?? string(input["notebook_path"])

const pairOf = (
  value: unknown
): { readonly old: string; readonly new: string; readonly all: boolean } | null => {
  const edit = object(value)
  const old = string(edit["old_string"]) ?? string(edit["old_text"])
  const next = string(edit["new_string"]) ?? string(edit["new_text"])
  // An agent that writes a file anew says so with no old text at all.
  return next === null || (old === null && !("old_text" in edit))
    ? null
    : { old: old ?? "", new: next, all: edit["replace_all"] === true }
}

const pairsOf = (input: JsonObject) => {
  const several = array(input["edits"]).flatMap((each) => pairOf(each) ?? [])
  const single = pairOf(input)
  return several.length > 0 ? several : single === null ? [] : [single]
}

const contentOf = (input: JsonObject): string | null =>
  string(input["content"]) ??
  (input["edit_mode"] === "delete" && string(input["notebook_path"]) !== null
    ? ""
    : string(input["new_source"]))

/** The file that a tool's input changes; null where it changes none that is known here. */
export const fileOf = (toolName: string, input: unknown): string | null => {
  const members = object(input)
  const path = /^(?:read|grep|glob|ls)$/i.test(toolName) ? null : pathOf(members)
  return path !== null && (pairsOf(members).length > 0 || contentOf(members) !== null) ? path : null
}

/** What the file holds after the change; null where the change does not fit what it holds. */
const applied = (input: JsonObject, text: string): string | null => {
  const pairs = pairsOf(input)
  if (pairs.length === 0) return contentOf(input)
  let after = text
  for (const pair of pairs) {
    if (pair.old === "") {
      if (after !== "") return null
      after = pair.new
    } else if (!after.includes(pair.old)) return null
    else after = pair.all ? after.split(pair.old).join(pair.new) : after.replace(pair.old, () => pair.new)
  }
  return after
}

/** What a call's input changes, as a whole where `before` tells what stands there; none where it changes no files. */
export const of = (input: unknown, before: Before | null = null): ReadonlyArray<Change> => {
  const members = object(input)
  const others = array(members["diffs"]).flatMap((each) => {
    const path = string(object(each)["path"])
    const pair = pairOf(each)
    return path === null || pair === null ? [] : [{ path, before: pair.old, after: pair.new, isWhole: true }]
  })
  if (others.length > 0) return others
  const path = pathOf(members)
  if (path === null) return []
  if (before?.text != null) {
    const after = applied(members, before.text)
    if (after !== null) return [{ path, before: before.text, after, isWhole: true }]
  }
  const pairs = pairsOf(members)
  if (pairs.length > 0)
    return pairs.map((pair) => ({ path, before: pair.old, after: pair.new, isWhole: false }))
  const content = contentOf(members)
  return content === null ? [] : [{ path, before: "", after: content, isWhole: false }]
}

/** Lines that a change adds and removes; null where what stands there is not known. */
export const countsOf = (input: unknown, before: Before | null): Counts | null => {
  const changes = of(input, before)
  return changes.length === 0 || !changes.every(({ isWhole }) => isWhole)
    ? null
    : LineDiff.count(changes.flatMap((change) => LineDiff.of(change.before, change.after)))
}

/** What a person is told of the file beside the change; null where the change says it all. */
export const words = (input: unknown, before: Before | null): string | null => {
  const pairs = pairsOf(object(input))
  if (before === null || before.state === "text") {
    return before !== null && pairs.length > 0 && of(input, before).some(({ isWhole }) => !isWhole)
      ? "the file does not hold what is to be replaced"
      : null
  }
  const old = pairs.length > 0 ? "the rest of it" : "what is overwritten"
  switch (before.state) {
    case "missing":
      return "a new file"
    case "binary":
      return `the file holds no text: ${old} cannot be shown`
    case "too_large":
      return `the file is too large (${Math.ceil((before.bytes ?? 0) / 1024)} KiB): ${old} is not shown`
    case "unreadable":
      return `the file cannot be read: ${old} cannot be shown`
    case "outside":
      return `the file is outside of the session's directory: ${old} is not shown`
  }
}

// --- The event ---

/** The payload that tells what stands in the file; without its uuid. */
export const payload = (before: Before, counts: Counts | null) => ({
  type: "session_update",
  file_before: {
    tool_use_id: before.toolUseId,
    path: before.path,
    state: before.state,
    ...(before.text === null ? {} : { text: before.text }),
    ...(before.bytes === null ? {} : { bytes: before.bytes }),
    ...(counts ?? {})
  }
})

export interface Told extends Before {
  readonly counts: Counts | null
}

/** What an event of the agent's side tells; null for all others. */
export const told = (event: Pick<ReadableEvent, "source" | "payload">): Told | null => {
  const json = object(event.payload.json)
  if (event.source !== "worker" || json["type"] !== "session_update") return null
  const said = object(json["file_before"])
  const state = states.find((each) => each === said["state"])
  const toolUseId = name(said["tool_use_id"])
  const path = string(said["path"])
  if (toolUseId === null || path === null || state === undefined) return null
  const added = amount(said["added"])
  const removed = amount(said["removed"])
  return {
    toolUseId,
    path,
    state,
    text: state === "missing" ? "" : state === "text" ? string(said["text"]) : null,
    bytes: amount(said["bytes"]),
    counts: added === null || removed === null ? null : { added, removed }
  }
}
