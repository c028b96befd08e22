/** The audit log of the caller's organisation, for owners. */
import * as Params from "@causeway/protocol/Gateway/Params"
import { Audit } from "@causeway/store/Audit"
import { answer, method } from "../Method.ts"

/** Lines of an answer where no limit is given. */
const LINES = 100

const list = method(
  "causeway.audit.list",
  Params.AuditList,
  function* ({ before, limit }, { organizationId }) {
    const lines = yield* (yield* Audit).list({ organizationId, limit: limit ?? LINES, before })
    return answer({
      lines: lines.map(({ at, author, address, subject, ...line }) => ({
        ...line,
        atMs: at,
        author: author ?? null,
        address: address ?? null,
        subject: subject ?? null
      }))
    })
  }
)

export const methods = [list]
