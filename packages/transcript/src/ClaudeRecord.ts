/**
 * A transcript as the record that the Claude CLI keeps on disk and resumes from: JSON lines under
 * `<config>/projects/<directory>/<session>.jsonl`. Source: spec 4 §1 ("Transcript on disk").
 *
 * The form is Claude's own and internal. Its lines on stdout and the entries of its record share their uuids: a prompt's
 * is the one it was given, an answer's and a tool result's the one they had on stdout. Entries that came from a record are
 * kept as they are but for the session and the directory; lines of the output stream get the fields that the record has
 * and the stream has not. What stands only in the record (attached files, notes) comes by `--session-mirror`.
 */
import type { JsonObject, Payload } from "@causeway/protocol/Payload"
import * as PayloadOf from "@causeway/protocol/Payload"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { array, isSubagent, object } from "./Read.ts"
import * as Repair from "./Repair.ts"
import type { Repairs } from "./Repairs.ts"

// --- Where the record is ---

/** Longest folder name that the CLI makes of a path as it is; longer ones end in something of its own. */
const LONGEST_FOLDER = 200

/**
 * Folder of a working directory: every character that is neither letter nor digit becomes `-`. Where that is too long, the
 * CLI's own folder among `existing`, if it has made one.
 */
export const projectFolder = (directory: string, existing: ReadonlyArray<string> = []): string => {
  const name = directory.replaceAll(/[^A-Za-z0-9]/g, "-")
  if (name.length <= LONGEST_FOLDER) return name
  const start = name.slice(0, LONGEST_FOLDER)
  return existing.find((folder) => folder.startsWith(start)) ?? start
}

const isObject = (value: unknown): value is JsonObject => object(value) === value

// --- What comes by the mirror ---

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

/** Entries of the record that are no links of the conversation and yet worth keeping: what people gave to it. */
const notes: ReadonlySet<unknown> = new Set(["custom-title", "tag"])

/**
 * The entries of a `transcript_mirror` line that are on no other line of stdout. Entries of subagents stay out: their
 * files are not needed to take the conversation up again.
 */
export const mirrored = (mirror: Pick<Payload, "json">): ReadonlyArray<Payload> =>
  array(object(mirror.json)["entries"]).flatMap((each) => {
    const entry = object(each)
    const { attachment, isMeta, type } = entry
    const wanted =
      (type === "attachment" && isObject(attachment) && !remadeAttachments.has(attachment["type"])) ||
      (type === "user" && isMeta === true) ||
      notes.has(type)
    if (!wanted || entry["isSidechain"] === true) return []
    const payload = PayloadOf.fromJson(entry, JSON.stringify(entry))
    return Either.isRight(payload) ? [payload.right] : []
  })

// --- The record of a transcript ---

/** Version that is written where an entry has none: the one whose files were studied. Source: spec 4. */
export const VERSION = "2.1.329"

/** An entry of a transcript; every `Payload` is one. */
export interface Entry {
  readonly json: JsonObject
  /** Default `json.uuid`. */
  readonly uuid?: string | undefined
  /** When it was stored, for an entry that carries no time of its own; ISO 8601. */
  readonly createdAt?: Option.Option<string>
}

export interface Target {
  /** The agent's session id in the record; a uuid. */
  readonly agentSessionId: string
  /** The working directory, as the agent sees it: absolute, links resolved. */
  readonly directory: string
  /** Written where an entry has none. */
  readonly gitBranch?: string | undefined
  /** Written where an entry has none; default {@link VERSION}. */
  readonly version?: string | undefined
  /** Time written where nobody knows an entry's; ISO 8601. */
  readonly now: string
  /** Names a link that has no uuid. */
  readonly uuid: () => string
}

export interface Converted {
  /** One JSON object a line, in order. */
  readonly lines: ReadonlyArray<JsonObject>
  /** How many of them are messages; without one there is nothing to resume. */
  readonly messages: number
  /** Entries of the transcript that the conversation does not need, that came twice, or that no model can be sent. */
  readonly skipped: number
  /** What had to be mended so that a model takes it. */
  readonly repairs: Repairs
}

/** What becomes one line. */
interface Item {
  readonly json: JsonObject
  /** `undefined`: a note that has none. */
  readonly uuid: string | undefined
  /** Whether it is a link of the chain of parents. */
  readonly isLink: boolean
  readonly createdAt: Option.Option<string>
}

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined

const isBoundary = (json: JsonObject): boolean =>
  json["type"] === "system" && json["subtype"] === "compact_boundary"

/** Whether an entry is a link of the main conversation: subagents' lines have files of their own. */
const isLink = (json: JsonObject): boolean => {
  if (isSubagent(json)) return false
  switch (json["type"]) {
    case "user":
    case "assistant":
      return json["isReplay"] !== true && isObject(json["message"])
    case "attachment":
      return isObject(json["attachment"])
    case "system":
      // The stream's reports are no entries; what has a parent comes from a record.
      return isBoundary(json) || ("parentUuid" in json && PayloadOf.isTranscript({ type: "system", json }))
    default:
      return false
  }
}

/** The entries that become lines, each uuid once, without those that a later one replaces. */
const itemsOf = (entries: ReadonlyArray<Entry>, target: Target): ReadonlyArray<Item> => {
  const items: Array<Item> = []
  for (const entry of entries) {
    const json = object(entry.json)
    const link = isLink(json)
    if (!link && !notes.has(json["type"])) continue
    const uuid = text(entry.uuid) ?? text(json["uuid"]) ?? (link ? target.uuid() : undefined)
    items.push({ json, uuid, isLink: link, createdAt: entry.createdAt ?? Option.none() })
  }
  return Repair.current(items)
}

// --- Lines ---

/** Deepest level of a boundary's metadata whose names are told; the CLI's has three. */
const METADATA_DEPTH = 8

/** `pre_tokens` of a line is `preTokens` in the record, and so on, at every depth. */
const recordNames = (value: unknown, depth = METADATA_DEPTH): unknown => {
  if (typeof value !== "object" || value === null || depth === 0) return value
  if (Array.isArray(value)) return value.map((each) => recordNames(each, depth - 1))
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [
      name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      recordNames(each, depth - 1)
    ])
  )
}

/** Fields of the output stream that the record has not (`undefined`), or has under another name. */
const streamFields: ReadonlyMap<string, string | undefined> = new Map([
  ["session_id", undefined],
  ["parent_tool_use_id", undefined],
  ["tool_use_result", "toolUseResult"],
  ["request_id", "requestId"],
  ["isSynthetic", "isMeta"],
  ["compact_metadata", "compactMetadata"],
  ["logical_parent_uuid", "logicalParentUuid"]
])

const recordFields = (json: JsonObject): JsonObject =>
  Object.fromEntries(
    Object.entries(json).flatMap(([field, value]): ReadonlyArray<readonly [string, unknown]> => {
      if (!streamFields.has(field)) return [[field, value]]
      const name = streamFields.get(field)
      if (name === undefined || name in json) return []
      return [[name, field === "compact_metadata" ? recordNames(value) : value]]
    })
  )

/** The conversation of a transcript, in the order of its log, as the lines of a record that the Claude CLI resumes. */
export const convert = (entries: ReadonlyArray<Entry>, target: Target): Converted => {
  const places = new Map<string, number>()
  let before: string | null = null
  // The last link whose parent only the log's order tells. What hung on a link before it would cut it off.
  let untold = -1
  let awaitsSummary = false
  let messages = 0

  const linkOf = ({ createdAt, json }: Item, uuid: string): JsonObject => {
    const place = places.size
    const boundary = isBoundary(json)
    const own = text(json["parentUuid"])
    const parentUuid: string | null = boundary
      ? null
      : own !== undefined && (places.get(own) ?? -1) >= Math.max(untold, 0)
        ? own
        : before
    if (!("parentUuid" in json)) untold = place
    // What follows a boundary is the summary that stands for all before it; its line on stdout does not say so.
    const summary = awaitsSummary && json["type"] === "user" && json["isSynthetic"] === true
    awaitsSummary = boundary || (awaitsSummary && json["type"] !== "assistant" && !summary)
    if (json["type"] === "user" || json["type"] === "assistant") messages++
    const fields = recordFields(json)
    const logical = text(fields["logicalParentUuid"])
    const line: JsonObject = {
      userType: "external",
      entrypoint: "cli",
      version: target.version ?? VERSION,
      ...(target.gitBranch === undefined ? {} : { gitBranch: target.gitBranch }),
      ...(boundary
        ? { content: "Conversation compacted", level: "info", isMeta: false, compactMetadata: {} }
        : {}),
      ...fields,
      ...(boundary
        ? { logicalParentUuid: logical !== undefined && places.has(logical) ? logical : before }
        : {}),
      ...(summary ? { isMeta: false, isCompactSummary: true, isVisibleInTranscriptOnly: true } : {}),
      isSidechain: false,
      parentUuid,
      uuid,
      sessionId: target.agentSessionId,
      cwd: target.directory,
      timestamp: text(json["timestamp"]) ?? Option.getOrElse(createdAt, () => target.now)
    }
    places.set(uuid, place)
    before = uuid
    return line
  }

  let added = 0
  const mended = Repair.transcript(itemsOf(entries, target), () => {
    added++
    return target.uuid()
  })
  const lines = mended.lines.map((item) =>
    item.isLink && item.uuid !== undefined
      ? linkOf(item, item.uuid)
      : { ...recordFields(item.json), sessionId: target.agentSessionId }
  )
  return { lines, messages, skipped: entries.length + added - lines.length, repairs: mended.repairs }
}
