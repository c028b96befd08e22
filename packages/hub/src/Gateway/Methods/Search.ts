/** Full text over transcripts. */

import * as Params from "@causeway/protocol/Gateway/Params"
import { sessionUuid } from "@causeway/protocol/Ids"
import { Search } from "@causeway/store/Search"
import { answer, method } from "../Method.ts"
import * as SessionCommands from "../SessionCommands.ts"

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
    hits: hits.map(({ session, ...hit }) => ({ ...hit, sessionId: sessionUuid(session) }))
  })
})

export const methods = [search]
