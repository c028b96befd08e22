/** Full text over transcripts. */

import * as Params from "@causeway/protocol/Gateway/Params"
import { sessionUuid } from "@causeway/protocol/Ids"
import * as Visible from "@causeway/protocol/Visible"
import { Search } from "@causeway/store/Search"
import { answer, method } from "../Method.ts"
import * as SessionCommands from "../SessionCommands.ts"

/** Longest excerpt, in UTF-16 units: a word of it may be as long as an event. */
const EXCERPT_UNITS = 2000

const search = method("causeway.search", Params.TranscriptSearch, function* (params, { organizationId }) {
  const transcripts = yield* Search
  const record =
    params.key === undefined ? undefined : yield* SessionCommands.existing(organizationId, params.key)
  const hits = yield* transcripts.search({
    organizationId,
    query: params.query,
    ...(record === undefined ? {} : { sid: record.sid }),
    limit: params.limit ?? 20
  })
  return answer({
    hits: hits.map(({ excerpt, session, ...hit }) => ({
      ...hit,
      excerpt: Visible.clip(excerpt, EXCERPT_UNITS),
      sessionId: sessionUuid(session)
    }))
  })
})

export const methods = [search]
