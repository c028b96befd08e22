/**
 * Checkpoints of compactions: read from the boundaries that the agent leaves in the log. Source: spec 2 §2
 * (`sessions.compaction.*`) and §4 ("Checkpoint").
 *
 * A checkpoint is not stored: it is what a boundary says. Those of logs that a session had before a reset or a restore are
 * carried in its entry. `preCompaction.sessionFile` locates the log up to the boundary, from where it can be forked.
 */
import { anySessionBody, type SessionBody, sessionUuid } from "@causeway/protocol/Ids"
import { uuidOfText } from "@causeway/protocol/Uuid5"
import type { StoreUnavailable } from "@causeway/store/Errors"
import type { Log, StoredEvent } from "@causeway/store/Log"
import { rowOf, type Session } from "@causeway/store/Session"
import { array, type JsonObject, object, string } from "@causeway/transcript/Read"
import * as Effect from "effect/Effect"
import { payloadOf } from "./Messages.ts"
import * as Rows from "./Rows.ts"

/** Kept per session; the oldest go first. */
export const MAX_CHECKPOINTS = 25

type Reader = Pick<Log["Type"], "events">

export const isUuid = (text: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)

/** The text itself where it is a uuid, else the one that is always the same for it. */
export const uuidOf = (text: string): string => (isUuid(text) ? text.toLowerCase() : uuidOfText(text))

const reasonOf = (metadata: JsonObject): string => {
  switch (string(metadata["trigger"])) {
    case "manual":
      return "manual"
    case "overflow":
    case "overflow-retry":
      return "overflow-retry"
    case "timeout":
    case "timeout-retry":
      return "timeout-retry"
    default:
      return "auto-threshold"
  }
}

const count = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isFinite(value) ? value : undefined

const toCheckpoint = (
  record: Session,
  boundary: StoredEvent,
  around: { readonly before: StoredEvent | undefined; readonly after: StoredEvent | undefined }
): JsonObject => {
  const json = payloadOf(boundary)
  const metadata = object(json["compact_metadata"] ?? json["compactMetadata"])
  const after = around.after === undefined ? {} : payloadOf(around.after)
  const summary = string(json["summary"]) ?? (after["isCompactSummary"] === true ? summaryText(after) : null)
  const sessionId = sessionUuid(record.session)
  return Rows.compact({
    checkpointId: uuidOf(boundary.uuid),
    sessionKey: record.key,
    sessionId,
    createdAt: boundary.createdAt,
    reason: reasonOf(metadata),
    tokensBefore: count(metadata["pre_tokens"] ?? metadata["preTokens"]),
    tokensAfter: count(metadata["post_tokens"] ?? metadata["postTokens"]),
    summary: summary ?? undefined,
    firstKeptEntryId: around.after?.uuid,
    preCompaction: {
      sessionId,
      sessionFile: `${Rows.locator(record.session)}?before=${boundary.seq}`,
      leafId: around.before?.uuid ?? boundary.uuid
    },
    postCompaction: {
      sessionId,
      sessionFile: Rows.locator(record.session),
      entryId: boundary.uuid
    }
  })
}

const summaryText = (json: JsonObject): string | null => {
  const content = object(json["message"])["content"]
  if (typeof content === "string") return content
  const text = array(content)
    .map(object)
    .flatMap((block) => (typeof block["text"] === "string" ? [block["text"]] : []))
    .join("\n")
  return text === "" ? null : text
}

/** Carried from logs that the session had before. */
const carried = (record: Session): ReadonlyArray<JsonObject> =>
  array(record.entry["compactionCheckpoints"]).map(object)

/** The transcript entries beside a position. */
const around = (log: Reader, sid: number, seq: number) =>
  Effect.map(
    Effect.all([
      log.events(sid, { select: "entries", through: seq - 1, last: 1 }),
      log.events(sid, { select: "entries", after: seq, limit: 1 })
    ]),
    ([[before], [after]]) => ({ before, after })
  )

/** Checkpoints of a session, newest first, at most 25. */
export const list = (
  log: Reader,
  record: Session
): Effect.Effect<ReadonlyArray<JsonObject>, StoreUnavailable> =>
  Effect.gen(function* () {
    const boundaries =
      rowOf(record).counts.compactions === 0
        ? []
        : yield* log.events(record.sid, { select: "compactions", last: MAX_CHECKPOINTS })
    const own = yield* Effect.forEach(boundaries.toReversed(), (boundary) =>
      Effect.map(around(log, record.sid, boundary.seq), (around) => toCheckpoint(record, boundary, around))
    )
    return [...own, ...carried(record)].slice(0, MAX_CHECKPOINTS)
  })

/** What rows say of checkpoints. */
export const summary = (
  log: Reader,
  record: Session
): Effect.Effect<{ readonly count: number; readonly latest: JsonObject | undefined }, StoreUnavailable> =>
  Effect.gen(function* () {
    const inLog = rowOf(record).counts.compactions
    const before = carried(record)
    const total = Math.min(MAX_CHECKPOINTS, inLog + before.length)
    if (inLog === 0) {
      const last = before[0]
      return {
        count: total,
        latest:
          last === undefined
            ? undefined
            : { checkpointId: last["checkpointId"], createdAt: last["createdAt"], reason: last["reason"] }
      }
    }
    const [boundary] = yield* log.events(record.sid, { select: "compactions", last: 1 })
    if (boundary === undefined) return { count: total, latest: undefined }
    const json = payloadOf(boundary)
    return {
      count: total,
      latest: {
        checkpointId: uuidOf(boundary.uuid),
        createdAt: boundary.createdAt,
        reason: reasonOf(object(json["compact_metadata"] ?? json["compactMetadata"]))
      }
    }
  })

/** Where a checkpoint's log can be forked: its session and the boundary's position. */
export const forkPoint = (
  checkpoint: JsonObject
): { readonly body: SessionBody; readonly beforeSeq: number } | undefined => {
  const file = string(object(checkpoint["preCompaction"])["sessionFile"])
  const match = file === null ? null : /^causeway:log\/([^?]+)\?before=(\d+)$/.exec(file)
  return match === null || match[1] === undefined
    ? undefined
    : { body: anySessionBody(match[1]), beforeSeq: Number(match[2]) }
}
