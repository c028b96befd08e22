/**
 * Tool calls of ACP as the tool uses and tool results of spec 4 §1.
 *
 * ACP describes a call by kind, title, places and content, and patches the description while the call runs; a line in
 * the log is never changed. So a call is kept here until its input is whole, said once, and answered once.
 */
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Read from "@causeway/transcript/Read"

export interface Diff {
  readonly path: string
  /** Null where the file is new. */
  readonly oldText: string | null
  readonly newText: string
}

export interface Location {
  readonly path: string
  readonly line: number | null
}

/** A call as the patches so far describe it. */
export interface ToolCall {
  /** The agent's id. */
  readonly id: string
  /** The id in the log: the agent's, made unique where the agent uses one again. */
  readonly toolUseId: string
  readonly title: string
  readonly name: string | null
  readonly kind: string
  readonly status: string
  readonly content: ReadonlyArray<JsonObject>
  readonly locations: ReadonlyArray<Location>
  readonly rawInput: unknown
  readonly rawOutput: unknown
  /** The call whose subagent makes this one; null in the main context. */
  readonly parent: string | null
  /** The turn's prompt; null before the first prompt. */
  readonly prompt: string | null
  /** The name under which it was said, and what tells the input that was said from a later one; null until then. */
  readonly said: { readonly name: string; readonly input: string } | null
  /** Uuid of its result's line, and what tells that result from another; null until it has one. */
  readonly closed: {
    readonly uuid: string
    readonly digest: string
    readonly by: "agent" | "turn"
  } | null
}

export const make = (
  id: string,
  toolUseId: string,
  parent: string | null,
  prompt: string | null
): ToolCall => ({
  id,
  toolUseId,
  title: "",
  name: null,
  kind: "other",
  status: "pending",
  content: [],
  locations: [],
  rawInput: undefined,
  rawOutput: undefined,
  parent,
  prompt,
  said: null,
  closed: null
})

// --- Reading ---

const locationsOf = (value: unknown): ReadonlyArray<Location> =>
  Read.array(value).flatMap((each) => {
    const { path, line } = Read.object(each)
    return typeof path === "string" ? [{ path, line: Read.amount(line) }] : []
  })

/** The diffs among the content. */
export const diffs = (call: ToolCall): ReadonlyArray<Diff> =>
  call.content.flatMap((each) => {
    const { type, path, oldText, newText } = each
    return type === "diff" && typeof path === "string" && typeof newText === "string"
      ? [{ path, oldText: typeof oldText === "string" ? oldText : null, newText }]
      : []
  })

const shown = (changes: ReadonlyArray<Diff>) =>
  changes.map(({ path, oldText, newText }) => ({ path, old_text: oldText, new_text: newText }))

/** The tool's own name, where an agent tells it beside the description. */
const nameOf = (json: JsonObject): string | null =>
  Read.name(json["name"]) ?? Read.name(Read.object(Read.object(json["_meta"])["claudeCode"])["toolName"])

/** The call that a subagent's update belongs to. */
export const parentOf = (json: JsonObject): string | null =>
  Read.name(Read.object(Read.object(json["_meta"])["claudeCode"])["parentToolUseId"])

/** The call after a patch: what is absent or null stays as it was. */
export const patch = (call: ToolCall, json: JsonObject): ToolCall => ({
  ...call,
  title: Read.name(json["title"], 4096) ?? call.title,
  name: nameOf(json) ?? call.name,
  kind: Read.name(json["kind"]) ?? call.kind,
  status: Read.name(json["status"]) ?? call.status,
  content: Array.isArray(json["content"]) ? json["content"].map(Read.object) : call.content,
  locations: Array.isArray(json["locations"]) ? locationsOf(json["locations"]) : call.locations,
  rawInput: json["rawInput"] ?? call.rawInput,
  rawOutput: json["rawOutput"] ?? call.rawOutput
})

export const isOver = (call: ToolCall): boolean => call.status === "completed" || call.status === "failed"

/** Enough is known of the call for it to be said before it starts. */
export const hasInput = (call: ToolCall): boolean =>
  Object.keys(Read.object(call.rawInput)).length > 0 || diffs(call).length > 0

// --- The tool use ---

const byKind: { readonly [kind: string]: string } = {
  read: "Read",
  edit: "Edit",
  delete: "Delete",
  move: "Move",
  search: "Search",
  execute: "Bash",
  think: "Think",
  fetch: "WebFetch",
  switch_mode: "SwitchMode"
}

/** A tool's name: its own, or the one that people know for its kind. */
export const toolName = (call: ToolCall): string => {
  if (call.said !== null) return call.said.name
  if (call.name !== null) return call.name
  const [diff, ...others] = diffs(call)
  if (call.kind === "edit" && diff?.oldText === null && others.length === 0) return "Write"
  return byKind[call.kind] ?? "Tool"
}

const withMissing = (input: JsonObject, more: { readonly [key: string]: unknown }): JsonObject => {
  const missing = Object.entries(more).filter(([key, value]) => value !== undefined && !(key in input))
  return missing.length === 0 ? input : { ...input, ...Object.fromEntries(missing) }
}

/**
 * The input of the tool use: the agent's own, with what its description tells beside it under the names that readers of
 * such tools know: the file, the texts before and after, the places.
 */
export const input = (call: ToolCall): JsonObject => {
  const raw = call.rawInput
  const own: JsonObject =
    typeof raw === "object" && raw !== null && !Array.isArray(raw)
      ? Read.object(raw)
      : raw === undefined || raw === null
        ? {}
        : { input: raw }
  const changes = diffs(call)
  const [diff] = changes
  const [place] = call.locations
  const touches = call.kind === "read" || call.kind === "edit" || call.kind === "delete"
  const file =
    Read.string(own["file_path"]) ??
    Read.string(own["filePath"]) ??
    Read.string(own["path"]) ??
    diff?.path ??
    (touches ? place?.path : undefined)
  const bare = Object.keys(own).length === 0
  const single = changes.length === 1 && diff !== undefined
  return withMissing(own, {
    file_path: file,
    ...(single && diff.oldText === null
      ? { content: diff.newText }
      : single
        ? { old_string: diff.oldText, new_string: diff.newText }
        : {}),
    diffs: changes.length > 1 ? shown(changes) : undefined,
    // What the agent's own input says the description need not repeat.
    locations: call.locations.length > 1 || (bare && place?.line != null) ? call.locations : undefined,
    title: bare && call.title !== "" ? call.title : undefined
  })
}

// --- The result ---

/** A content block of ACP as a block of a message. */
export const block = (value: unknown): JsonObject => {
  const json = Read.object(value)
  switch (json["type"]) {
    case "text":
      return { type: "text", text: Read.string(json["text"]) ?? "" }
    case "image":
      return typeof json["data"] === "string"
        ? {
            type: "image",
            source: {
              type: "base64",
              media_type: Read.name(json["mimeType"]) ?? "image/png",
              data: json["data"]
            }
          }
        : { type: "text", text: `[image ${Read.name(json["uri"], 4096) ?? ""}]` }
    case "audio":
      return { type: "text", text: `[sound, ${Read.name(json["mimeType"]) ?? "of unknown type"}]` }
    case "resource_link": {
      const uri = Read.name(json["uri"], 8192) ?? ""
      return { type: "text", text: `[${Read.name(json["title"]) ?? Read.name(json["name"]) ?? uri}](${uri})` }
    }
    case "resource": {
      const resource = Read.object(json["resource"])
      const uri = Read.name(resource["uri"], 8192) ?? ""
      return { type: "text", text: Read.string(resource["text"]) ?? `[resource ${uri}]` }
    }
    default:
      return { type: "text", text: `[${Read.name(json["type"], 64) ?? "unknown"}]` }
  }
}

/** The text of blocks, a line each. */
export const textOf = (blocks: ReadonlyArray<JsonObject>): string =>
  blocks.map((each) => Read.string(each["text"]) ?? "").join("\n")

const rawText = (raw: unknown): string | null => {
  if (raw === undefined || raw === null) return null
  if (typeof raw === "string") return raw
  const { output, content, error, message, stdout } = Read.object(raw)
  for (const each of [output, content, stdout, error, message]) if (typeof each === "string") return each
  return JSON.stringify(raw) ?? null
}

/** Output of the terminals that calls show, by the terminal's id. */
export type Terminals = ReadonlyMap<string, string>

/** The result's content: what the agent shows of it, or its raw output where it shows nothing. */
export const resultContent = (call: ToolCall, terminals: Terminals): ReadonlyArray<JsonObject> => {
  const blocks = call.content.flatMap((each): ReadonlyArray<JsonObject> => {
    switch (each["type"]) {
      case "content":
        return [block(each["content"])]
      case "diff":
        return [{ type: "text", text: `${Read.string(each["path"]) ?? "a file"} changed` }]
      case "terminal":
        return [{ type: "text", text: terminals.get(String(each["terminalId"])) ?? "" }]
      default:
        return [block(each)]
    }
  })
  if (blocks.some((each) => each["type"] !== "text" || each["text"] !== "")) return blocks
  const raw = rawText(call.rawOutput)
  return raw === null ? blocks : [{ type: "text", text: raw }]
}

/**
 * Beyond the content, for programs: kind, places, diffs and the raw output; the input where it has changed
 * since it was said.
 */
export const resultDetail = (call: ToolCall, content: ReadonlyArray<JsonObject>): JsonObject => {
  const changes = diffs(call)
  const raw = call.rawOutput
  const isShown =
    raw === undefined ||
    (typeof raw === "string" && content.some((each) => Read.string(each["text"])?.includes(raw.trimEnd())))
  return {
    kind: call.kind,
    title: call.title,
    status: call.status,
    ...(call.locations.length > 0 ? { locations: call.locations } : {}),
    ...(changes.length > 0 ? { diffs: shown(changes) } : {}),
    ...(call.said === null || call.said.input === Read.digest(input(call)) ? {} : { input: input(call) }),
    ...(isShown ? {} : { raw_output: raw })
  }
}

/** Tells one result of a call from another. */
export const digest = (call: ToolCall): string =>
  Read.digest([call.status, call.content, call.rawOutput ?? null])
