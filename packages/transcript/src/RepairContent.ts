/**
 * Mends one message on its way to a model: parts that no model takes are left out, or said in words. A part that a model
 * takes passes as the very object it came as; thinking with a signature always does.
 */
import * as MessageContent from "@causeway/protocol/MessageContent"
import { array, type JsonObject, object, string } from "./Read.ts"
import { type Repairs, Tally } from "./Repairs.ts"

// --- Parts ---

const text = (value: string): JsonObject => ({ type: "text", text: value })

/** A value without half characters; the value itself where it has none. */
const whole = (value: unknown, tally: Tally): unknown => {
  if (typeof value === "string") {
    const mended = MessageContent.wellFormed(value)
    if (mended !== value) tally.add("half_character")
    return mended
  }
  if (typeof value !== "object" || value === null) return value
  if (Array.isArray(value)) {
    const mended = value.map((each) => whole(each, tally))
    return mended.every((each, at) => each === value[at]) ? value : mended
  }
  const entries = Object.entries(value)
  const mended = entries.map(([name, each]) => [MessageContent.wellFormed(name), whole(each, tally)] as const)
  return mended.every(([name, each], at) => name === entries[at]?.[0] && each === entries[at]?.[1])
    ? value
    : Object.fromEntries(mended)
}

/** A part as text, where a model takes no part of its kind. */
const spoken = (block: JsonObject): JsonObject => {
  const resource = block["type"] === "resource" ? object(block["resource"]) : block
  const uri = string(resource["uri"])
  const words = string(resource["text"])
  if (uri !== null && (block["type"] === "resource" || block["type"] === "resource_link")) {
    return text(words === null || MessageContent.isBlank(words) ? uri : `${uri}:\n${words}`)
  }
  return text(`[A part of type ${(string(block["type"]) ?? "unknown").slice(0, 64)} was left out.]`)
}

/** Parts that a model takes as they are, beside text and files: it, or the agent's program, made them. */
const asTheyAre: ReadonlySet<unknown> = new Set([
  "compaction",
  "container_upload",
  "search_result",
  "tool_reference"
])

/** What people and tools say: text, files. Null: nothing is left of it. */
const said = (block: JsonObject, tally: Tally): JsonObject | null => {
  const { type } = block
  if (asTheyAre.has(type)) return block
  if (type === "text" || type === "image" || type === "document") {
    const problem = MessageContent.blockProblem(block)
    if (problem === undefined) return block
    if (type === "text") {
      tally.add("blank_text")
      return null
    }
    tally.add("unusable_file")
    return text(`[An attachment was left out: ${problem}.]`)
  }
  tally.add("unknown_part")
  return spoken(block)
}

/** What a tool answered. An error says something. */
const toolResult = (block: JsonObject, tally: Tally): JsonObject => {
  const { content } = block
  const failed = block["is_error"] === true
  if (typeof content === "string") {
    if (!failed || content !== "") return block
    tally.add("blank_text")
    return { ...block, content: "[The tool failed and said nothing.]" }
  }
  if (!Array.isArray(content)) {
    if ((content === undefined || content === null) && !failed) {
      if (content === undefined) return block
      const { content: _, ...rest } = block
      return rest
    }
    tally.add("unknown_part")
    return { ...block, content: JSON.stringify(content) ?? "[The tool failed and said nothing.]" }
  }
  const parts = content.flatMap((each) => said(object(each), tally) ?? [])
  if (failed && parts.length === 0) return { ...block, content: "[The tool failed and said nothing.]" }
  return parts.length === content.length && parts.every((each, at) => each === content[at])
    ? block
    : { ...block, content: parts }
}

// --- Names of tool calls ---

/** Gives each name of a tool call one that a model takes, the same each time. */
export class Names {
  private readonly given = new Map<string, string>()
  private readonly taken = new Set<string>()
  of(id: string): string {
    const known = this.given.get(id)
    if (known !== undefined) return known
    const plain = id.replace(/[^a-zA-Z0-9_-]/g, "_") || "tool"
    let name = plain
    for (let n = 2; this.taken.has(name); n++) name = `${plain}_${n}`
    this.given.set(id, name)
    this.taken.add(name)
    return name
  }
}

const isToolName = (name: string): boolean => /^[a-zA-Z0-9_-]{1,128}$/.test(name)
const toolName = (name: string): string => name.replace(/[^a-zA-Z0-9_-]/g, "_").slice(0, 128) || "unknown"

const toolUse = (block: JsonObject, names: Names, tally: Tally): JsonObject | null => {
  const id = string(block["id"])
  if (id === null || id === "") {
    tally.add("unknown_part")
    return null
  }
  const name = string(block["name"]) ?? ""
  const input = block["input"]
  const sound = { id: names.of(id), name: isToolName(name) ? name : toolName(name) }
  const isObject = object(input) === input
  if (sound.id === id && sound.name === name && isObject) return block
  tally.add("renamed_tool")
  return { ...block, ...sound, input: isObject ? input : input == null ? {} : { value: input } }
}

export const isServerUse = (type: unknown): boolean => type === "server_tool_use" || type === "mcp_tool_use"
export const isResult = (type: unknown): boolean => typeof type === "string" && type.endsWith("tool_result")

/** What an agent says. */
const spokenByAgent = (block: JsonObject, names: Names, tally: Tally): JsonObject | null => {
  const { type } = block
  if (type === "thinking" || type === "redacted_thinking") {
    const proof = block[type === "thinking" ? "signature" : "data"]
    if (typeof proof === "string" && proof !== "") return block
    tally.add("unsigned_thinking")
    return null
  }
  if (type === "tool_use") return toolUse(block, names, tally)
  if (isServerUse(type) || (isResult(type) && type !== "tool_result") || asTheyAre.has(type)) return block
  if (type === "text") return said(block, tally)
  tally.add("unknown_part")
  return spoken(block)
}

// --- Messages ---

export const withContent = (json: JsonObject, content: unknown): JsonObject => ({
  ...json,
  message: { ...object(json["message"]), content }
})

/** Whether content is these very parts. */
export const same = (before: unknown, after: ReadonlyArray<unknown>): boolean =>
  Array.isArray(before) && before.length === after.length && after.every((each, at) => each === before[at])

/** A message whose parts a model takes, each for itself; null where nothing is left. */
export const parts = (
  given: JsonObject,
  names: Names,
  tally: Tally,
  results: "with results" | "without results" = "with results"
): JsonObject | null => {
  const message = whole(given["message"], tally)
  const json = message === given["message"] ? given : { ...given, message }
  const { content } = object(message)
  if (typeof content === "string") {
    if (!MessageContent.isBlank(content)) return json
    tally.add("empty_message")
    return null
  }
  const mended = array(content).flatMap((each) => {
    const block = object(each)
    if (json["type"] === "assistant") return spokenByAgent(block, names, tally) ?? []
    if (block["type"] !== "tool_result" || results === "without results") return said(block, tally) ?? []
    const answered = toolResult(block, tally)
    const id = string(answered["tool_use_id"])
    const name = id === null || id === "" ? id : names.of(id)
    return name === id ? answered : { ...answered, tool_use_id: name }
  })
  if (mended.length === 0) {
    tally.add("empty_message")
    return null
  }
  return same(content, mended) ? json : withContent(json, mended)
}

/** A person's message on its way to an agent; one without content says so, as somebody waits for its answer. */
export const message = (json: JsonObject): { readonly json: JsonObject; readonly repairs: Repairs } => {
  const tally = new Tally()
  const mended = parts(json, new Names(), tally, "without results")
  return {
    json: mended ?? { ...json, message: { role: "user", content: "[This message has no content.]" } },
    repairs: tally.counts
  }
}
