/**
 * Between Causeway's transcript and the record that the Claude CLI keeps on disk (spec 4 §1, "Transcript on disk").
 *
 * The CLI's lines and the entries of its record share their uuids: a prompt's is the one it was given, an answer's and a
 * tool result's the one they had on stdout. What stands only in the record (attached files, notes for the model) comes
 * by `--session-mirror`. The order of the log is the order of the conversation, so the chain of parents can be made anew.
 */
import type { JsonObject, Payload } from "@causeway/protocol/Payload"
import * as PayloadOf from "@causeway/protocol/Payload"
import * as Either from "effect/Either"

const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/**
 * Attachments that a resumed CLI makes anew from where it runs. The largest (a snapshot of the whole prompt, 63 KB) is
 * written again with every change.
 */
const remadeAttachments: ReadonlySet<unknown> = new Set([
  "agent_listing_delta",
  "date",
  "deferred_tools_delta",
  "environment",
  "model",
  "prompt_snapshot",
  "remote_session_change",
  "session_context",
  "skill_listing"
])

/** Entries of the record without a uuid that are worth keeping: what people gave the conversation. */
const keptNotes: ReadonlySet<unknown> = new Set(["custom-title", "tag"])

/**
 * The entries of a `transcript_mirror` line that are on no other line of stdout. Entries of subagents stay out: their
 * files are not needed to take the conversation up again.
 */
export const mirrored = (mirror: Payload): ReadonlyArray<Payload> => {
  const entries = mirror.json["entries"]
  if (!Array.isArray(entries)) return []
  return entries.flatMap((entry) => {
    if (!isObject(entry) || entry["isSidechain"] === true) return []
    const { type, attachment } = entry
    const wanted =
      (type === "attachment" && isObject(attachment) && !remadeAttachments.has(attachment["type"])) ||
      (type === "user" && entry["isMeta"] === true) ||
      keptNotes.has(type)
    if (!wanted) return []
    const payload = PayloadOf.fromJson(entry, JSON.stringify(entry))
    return Either.isRight(payload) ? [payload.right] : []
  })
}

const blocksOf = (payload: Payload): ReadonlyArray<JsonObject> => {
  const message = payload.json["message"]
  const content: unknown = isObject(message) ? message["content"] : undefined
  return Array.isArray(content) ? content.filter(isObject) : []
}

const blockIds = (payload: Payload, type: string, member: string): ReadonlyArray<string> =>
  blocksOf(payload).flatMap((block) => {
    const id = block[member]
    return block["type"] === type && typeof id === "string" ? [id] : []
  })

/**
 * Puts prompts that arrived between a tool use and its result behind the result, where the model met them; a tool use
 * must be followed by its result.
 */
const settle = (entries: ReadonlyArray<Payload>): ReadonlyArray<Payload> => {
  const out: Array<Payload> = []
  const held: Array<Payload> = []
  const unanswered = new Set<string>()
  for (const entry of entries) {
    for (const id of blockIds(entry, "tool_use", "id")) unanswered.add(id)
    const results = blockIds(entry, "tool_result", "tool_use_id")
    for (const id of results) unanswered.delete(id)
    if (entry.type === "user" && results.length === 0 && unanswered.size > 0) {
      held.push(entry)
      continue
    }
    out.push(entry)
    if (unanswered.size === 0) out.push(...held.splice(0))
  }
  return [...out, ...held]
}

/**
 * Leaves out tool uses that have no result after them (an interrupted process left them) and results that have no use
 * before them: neither can be sent to a model.
 */
const paired = (entries: ReadonlyArray<Payload>): ReadonlyArray<Payload> => {
  const answered = new Set<string>()
  const resolved = entries.toReversed().filter((entry) => {
    for (const id of blockIds(entry, "tool_result", "tool_use_id")) answered.add(id)
    return blockIds(entry, "tool_use", "id").every((id) => answered.has(id))
  })
  const used = new Set<string>()
  return resolved.toReversed().filter((entry) => {
    for (const id of blockIds(entry, "tool_use", "id")) used.add(id)
    return blockIds(entry, "tool_result", "tool_use_id").every((id) => used.has(id))
  })
}

/** What the record says of each entry. */
export interface RecordOf {
  readonly sessionId: string
  readonly cwd: string
  /** For entries that carry no time of their own; ISO 8601. */
  readonly now: string
}

/** `pre_tokens` of a line is `preTokens` in the record, and so on, at every depth. */
const recordNames = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(recordNames)
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [
      name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      recordNames(each)
    ])
  )
}

const entryOf = (entry: Payload, parentUuid: string | null, record: RecordOf): JsonObject => {
  const { json } = entry
  const common = {
    parentUuid,
    isSidechain: false,
    userType: "external",
    cwd: record.cwd,
    sessionId: record.sessionId,
    version: "0.0.0",
    gitBranch: "",
    ...json,
    timestamp: typeof json["timestamp"] === "string" ? json["timestamp"] : record.now
  }
  const own = { ...common, parentUuid, sessionId: record.sessionId, cwd: record.cwd }
  if (json["tool_use_result"] !== undefined) return { ...own, toolUseResult: json["tool_use_result"] }
  if (json["subtype"] === "compact_boundary") {
    return {
      ...own,
      parentUuid: null,
      logicalParentUuid: parentUuid,
      content: "Conversation compacted",
      isMeta: false,
      level: "info",
      compactMetadata: json["compactMetadata"] ?? recordNames(json["compact_metadata"] ?? {})
    }
  }
  return own
}

const chained: ReadonlySet<string> = new Set(["user", "assistant", "attachment", "system"])

/** The record of a conversation, line by line, from its transcript in order. */
export const fromTranscript = (
  transcript: ReadonlyArray<Payload>,
  record: RecordOf
): ReadonlyArray<string> => {
  const main = transcript.filter(
    ({ uuid, type, json }) =>
      (uuid !== undefined && chained.has(type) && (json["parent_tool_use_id"] ?? null) === null) ||
      keptNotes.has(type)
  )
  let parent: string | null = null
  let boundary = false
  return settle(paired(main)).map((entry) => {
    if (!chained.has(entry.type)) return JSON.stringify({ ...entry.json, sessionId: record.sessionId })
    const made = entryOf(entry, parent, record)
    // What follows a boundary is the summary that stands for all before it; its line on stdout does not say so.
    const summary = boundary && entry.type === "user" && entry.json["isSynthetic"] === true
    boundary = entry.json["subtype"] === "compact_boundary" || (boundary && entry.type !== "user")
    parent = entry.uuid ?? parent
    return JSON.stringify(
      summary ? { ...made, isCompactSummary: true, isVisibleInTranscriptOnly: true } : made
    )
  })
}
