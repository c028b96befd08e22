/** A transcript as JSON lines. */

import * as Params from "@causeway/protocol/Gateway/Params"
import { anySessionBody, sessionUuid } from "@causeway/protocol/Ids"
import { Log } from "@causeway/store/Log"
import { rowOf, Sessions } from "@causeway/store/Session"
import { invalid } from "../Failure.ts"
import { payloadOf } from "../Messages.ts"
import { answer, method } from "../Method.ts"
import * as Rows from "../Rows.ts"
import * as SessionCommands from "../SessionCommands.ts"

const EXPORT_LIMIT = 1000

const exported = method("causeway.export", Params.SessionsExport, function* (params, { organizationId }) {
  const sessions = yield* Sessions
  const log = yield* Log
  const named = params.locator === undefined ? null : /^causeway:log\/([^?]+)/.exec(params.locator)
  const record =
    params.locator === undefined
      ? yield* SessionCommands.existing(organizationId, params.key)
      : yield* sessions.find({
          organizationId,
          sessions: [anySessionBody(named?.[1] ?? "")],
          archived: "all"
        })
  if (record === undefined) return yield* invalid(`log not found: ${params.locator ?? params.key}`)
  const limit = params.limit ?? EXPORT_LIMIT
  const after = params.afterSeq ?? 0
  const { events, more } = yield* log.pageOf(record.sid, { after, limit, select: "transcript" })
  const header = JSON.stringify({
    type: "session",
    version: 3,
    id: sessionUuid(record.session),
    timestamp: new Date(record.createdAt).toISOString(),
    cwd: rowOf(record).workingDirectory ?? record.context["cwd"] ?? ""
  })
  const lines: Array<string> = after === 0 ? [header] : []
  let parentId =
    after === 0
      ? null
      : ((yield* log.events(record.sid, { select: "entries", through: after, last: 1 }))[0]?.uuid ?? null)
  for (const event of events) {
    const json = payloadOf(event)
    const timestamp = new Date(event.createdAt).toISOString()
    const author = event.author === undefined ? {} : { author: JSON.parse(event.author) }
    const common = { id: event.uuid, parentId, timestamp, ...author }
    const line =
      json["message"] !== undefined
        ? { type: "message", ...common, message: json["message"] }
        : event.compaction
          ? { type: "compaction", ...common, summary: json["summary"] ?? "", details: json }
          : { type: "custom", ...common, customType: event.type, data: json }
    lines.push(JSON.stringify(line))
    parentId = event.uuid
  }
  const last = events.at(-1)?.seq ?? after
  return answer({
    key: record.key,
    sessionId: sessionUuid(record.session),
    locator: Rows.locator(record.session, record.archivedAt),
    lines,
    nextAfterSeq: more ? last : null
  })
})

export const methods = [exported]
