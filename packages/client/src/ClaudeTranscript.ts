/**
 * A session's transcript in the form in which Claude Code keeps and resumes it: JSON lines under
 * `<config>/projects/<directory>/<session>.jsonl`. Source: spec 4 §1 ("Transcript on disk").
 *
 * The form is Claude's own and internal: entries that came from its file are kept as they are but for the session and the
 * directory; those that came from its output stream get the fields that the file has and the stream has not.
 */
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Option from "effect/Option"
import type { TranscriptEntry } from "./Teleport.ts"

/** Longest folder name that the agent makes of a path as it is; longer ones end in something of its own. */
const LONGEST_FOLDER = 200

/**
 * Folder of a working directory: every character that is neither letter nor digit becomes `-`. Where that is too long, the
 * agent's own folder among `existing`, if it has made one.
 */
export const projectFolder = (directory: string, existing: ReadonlyArray<string> = []): string => {
  const name = directory.replace(/[^A-Za-z0-9]/g, "-")
  if (name.length <= LONGEST_FOLDER) return name
  const start = name.slice(0, LONGEST_FOLDER)
  return existing.find((folder) => folder.startsWith(start)) ?? start
}

export interface Target {
  /** The agent's session id in the new file; a uuid. */
  readonly agentSessionId: string
  /** The working directory, as the agent sees it: absolute, links resolved. */
  readonly directory: string
  readonly gitBranch?: string | undefined
  /** Version written where an entry has none. */
  readonly version: string
  /** Time written where nobody knows an entry's; ISO 8601. */
  readonly now: string
  /** Names an entry that has no uuid. */
  readonly uuid: () => string
}

export interface Converted {
  /** One JSON object a line, in order. */
  readonly lines: ReadonlyArray<JsonObject>
  /** Entries of the transcript that the agent's conversation does not need, or that came twice. */
  readonly skipped: number
}

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined

const isCompactBoundary = (json: JsonObject): boolean =>
  json["type"] === "system" && json["subtype"] === "compact_boundary"

/** Whether an entry is a link of the main conversation: subagents' lines have files of their own. */
const isLink = (json: JsonObject): boolean => {
  if (json["isSidechain"] === true || json["isReplay"] === true) return false
  if (typeof json["parent_tool_use_id"] === "string") return false
  switch (json["type"]) {
    case "user":
    case "assistant":
      return typeof json["message"] === "object" && json["message"] !== null
    case "attachment":
      return true
    default:
      return isCompactBoundary(json)
  }
}

/** Fields of the output stream that the file has not, or has under another name. */
const streamFields: { readonly [field: string]: string | undefined } = {
  session_id: undefined,
  parent_tool_use_id: undefined,
  tool_use_result: "toolUseResult",
  request_id: "requestId",
  isSynthetic: "isMeta",
  compact_metadata: "compactMetadata"
}

const metadataFields: { readonly [field: string]: string } = {
  pre_tokens: "preTokens",
  preserved_messages: "preservedMessages",
  all_uuids: "uuids",
  anchor_uuid: "anchorUuid"
}

const renamed = (value: unknown): unknown =>
  typeof value !== "object" || value === null || Array.isArray(value)
    ? value
    : Object.fromEntries(
        Object.entries(value).map(([field, inner]) => [metadataFields[field] ?? field, renamed(inner)])
      )

const diskFields = (json: JsonObject): { [field: string]: unknown } => {
  const out: { [field: string]: unknown } = {}
  for (const [field, value] of Object.entries(json)) {
    if (!(field in streamFields)) out[field] = value
    else {
      const name = streamFields[field]
      if (name !== undefined && !(name in json))
        out[name] = field === "compact_metadata" ? renamed(value) : value
    }
  }
  return out
}

/** The conversation of a transcript as the lines of a file that Claude Code resumes. */
export const convert = (entries: ReadonlyArray<TranscriptEntry>, target: Target): Converted => {
  const lines: Array<JsonObject> = []
  const seen = new Set<string>()
  let before: string | null = null

  for (const entry of entries) {
    const { json } = entry
    const uuid = entry.uuid ?? text(json["uuid"]) ?? target.uuid()
    if (!isLink(json) || seen.has(uuid)) continue
    seen.add(uuid)
    const boundary = isCompactBoundary(json)
    // A file's own links are kept where they lead to what is here; all others are one after another.
    const own: unknown = json["parentUuid"]
    const parentUuid: string | null = boundary
      ? null
      : typeof own === "string" && seen.has(own) && own !== uuid
        ? own
        : before
    lines.push({
      userType: "external",
      entrypoint: "cli",
      isSidechain: false,
      version: target.version,
      ...(target.gitBranch === undefined ? {} : { gitBranch: target.gitBranch }),
      ...(boundary ? { content: "Conversation compacted", level: "info", isMeta: false } : {}),
      ...diskFields(json),
      ...(boundary ? { logicalParentUuid: before } : {}),
      parentUuid,
      uuid,
      sessionId: target.agentSessionId,
      cwd: target.directory,
      timestamp: text(json["timestamp"]) ?? Option.getOrElse(entry.createdAt, () => target.now)
    })
    before = uuid
  }
  return { lines, skipped: entries.length - lines.length }
}
