/** What the Messages API refuses of a conversation, after its public reference. For tests: the model that reads a record. */
import { array, type JsonObject, object } from "../src/Read.ts"

const IMAGES = ["image/png", "image/jpeg", "image/gif", "image/webp"]
const MAGIC: { readonly [media: string]: string } = {
  "image/png": "\u0089PNG",
  "image/jpeg": "\u00ff\u00d8\u00ff",
  "image/gif": "GIF8",
  "image/webp": "RIFF",
  "application/pdf": "%PDF-"
}

const dataOf = (source: JsonObject): string | undefined => {
  const { data, media_type: media } = source
  if (
    typeof data !== "string" ||
    data === "" ||
    !/^[A-Za-z0-9+/]+={0,2}$/.test(data) ||
    data.length % 4 > 0
  ) {
    return "invalid base64"
  }
  const magic = MAGIC[String(media)]
  return magic !== undefined && atob(data).startsWith(magic)
    ? undefined
    : `could not process ${String(media)}`
}

const part = (value: unknown): string | undefined => {
  const block = object(value)
  const source = object(block["source"])
  switch (block["type"]) {
    case "text":
      return typeof block["text"] === "string" && block["text"].trim() !== ""
        ? undefined
        : "text content blocks must contain non-whitespace text"
    case "image":
      return source["type"] === "url" || source["type"] === "file"
        ? undefined
        : IMAGES.includes(String(source["media_type"]))
          ? dataOf(source)
          : "media_type of an image"
    case "document":
      if (source["type"] === "base64")
        return source["media_type"] === "application/pdf" ? dataOf(source) : "media_type of a document"
      if (source["type"] === "text") return source["data"] === "" ? "empty document" : undefined
      return ["url", "file", "content"].includes(String(source["type"])) ? undefined : "source of a document"
    case "search_result":
    case "container_upload":
    case "tool_reference":
      return undefined
    default:
      return `unexpected block ${String(block["type"])}`
  }
}

const resultProblem = (block: JsonObject): string | undefined => {
  const { content, is_error } = block
  if (
    is_error === true &&
    (content === "" || content === undefined || array(content).length === 0) &&
    typeof content !== "string"
  )
    return "content cannot be empty if is_error is true"
  if (is_error === true && content === "") return "content cannot be empty if is_error is true"
  if (content === undefined || typeof content === "string") return undefined
  return Array.isArray(content) ? content.map(part).find((each) => each !== undefined) : "tool_result.content"
}

const saidByAgent = (block: JsonObject): string | undefined => {
  switch (block["type"]) {
    case "text":
      return part(block)
    case "thinking":
      return typeof block["signature"] === "string" && block["signature"] !== ""
        ? undefined
        : "thinking.signature: Field required"
    case "redacted_thinking":
      return typeof block["data"] === "string" && block["data"] !== "" ? undefined : "redacted_thinking.data"
    case "tool_use":
      return /^[a-zA-Z0-9_-]+$/.test(String(block["id"])) &&
        /^[a-zA-Z0-9_-]{1,128}$/.test(String(block["name"])) &&
        object(block["input"]) === block["input"]
        ? undefined
        : "tool_use"
    case "server_tool_use":
    case "mcp_tool_use":
    case "web_search_tool_result":
      return undefined
    default:
      return ["compaction", "container_upload"].includes(String(block["type"]))
        ? undefined
        : `unexpected block ${String(block["type"])}`
  }
}

interface Message {
  readonly role: string
  readonly content: ReadonlyArray<JsonObject>
}

/** Messages of one role that follow each other are one. */
const merged = (
  messages: ReadonlyArray<{ readonly role: string; readonly content: unknown }>
): ReadonlyArray<Message> | string => {
  const out: Array<{ role: string; content: Array<JsonObject> }> = []
  for (const { content, role } of messages) {
    if (role !== "user" && role !== "assistant") return `role ${role}`
    const blocks =
      typeof content === "string" ? [{ type: "text", text: content }] : array(content).map(object)
    if (blocks.length === 0) return "all messages must have non-empty content"
    const last = out.at(-1)
    if (last?.role === role) last.content.push(...blocks)
    else out.push({ role, content: [...blocks] })
  }
  return out
}

/** Why the API would answer 400; `undefined` where it takes the messages. */
export const refusal = (
  given: ReadonlyArray<{ readonly role: string; readonly content: unknown }>
): string | undefined => {
  if (/\\ud[89a-f][0-9a-f]{2}/i.test(JSON.stringify(given))) return "half of a character"
  const messages = merged(given)
  if (typeof messages === "string") return messages
  if (messages[0]?.role === "assistant") return "first message must use the user role"
  const ids = new Set<unknown>()
  for (const [at, { content, role }] of messages.entries()) {
    for (const block of content) {
      const problem =
        role === "assistant"
          ? saidByAgent(block)
          : block["type"] === "tool_result"
            ? resultProblem(block)
            : part(block)
      if (problem !== undefined) return `messages.${at}: ${problem}`
    }
    const used = (messages[at - 1]?.role === "assistant" ? (messages[at - 1]?.content ?? []) : [])
      .filter(({ type }) => type === "tool_use")
      .map(({ id }) => id)
    const answered = content.filter(({ type }) => type === "tool_result").map((block) => block["tool_use_id"])
    if (role === "user") {
      if (used.some((id) => !answered.includes(id))) return `messages.${at}: tool_use without tool_result`
      if (answered.some((id) => !used.includes(id))) return `messages.${at}: unexpected tool_use_id`
      if (new Set(answered).size < answered.length) return `messages.${at}: several results for one tool_use`
      const first = content.findIndex(({ type }) => type !== "tool_result")
      if (first >= 0 && content.slice(first).some(({ type }) => type === "tool_result"))
        return `messages.${at}: tool_result behind other content`
    } else {
      const served = content.filter(({ type }) => type === "server_tool_use" || type === "mcp_tool_use")
      const given = content.filter(({ type }) => type === "web_search_tool_result")
      if (served.some(({ id }) => !given.some((block) => block["tool_use_id"] === id)))
        return `messages.${at}: server_tool_use without a result`
      if (given.some((block) => !served.some(({ id }) => block["tool_use_id"] === id)))
        return `messages.${at}: result of no server_tool_use`
      for (const block of content) {
        if (block["type"] !== "tool_use" && block["type"] !== "server_tool_use") continue
        if (ids.has(block["id"])) return `messages.${at}: tool_use ids must be unique`
        ids.add(block["id"])
      }
    }
  }
  const last = messages.at(-1)
  return last?.role === "assistant" && last.content.some(({ type }) => type === "tool_use")
    ? "tool_use without tool_result"
    : undefined
}

/** The messages of a transcript after its last compaction, as an agent's program sends them. */
export const messagesOf = (
  lines: ReadonlyArray<JsonObject>
): ReadonlyArray<{ readonly role: string; readonly content: unknown }> => {
  const from = lines.findLastIndex((json) => json["subtype"] === "compact_boundary")
  return lines
    .slice(from + 1)
    .filter(({ type }) => type === "user" || type === "assistant")
    .map((json) => ({ role: String(json["type"]), content: object(json["message"])["content"] }))
}
