/** Requests that wait for a person's answer, and the answer. */
import { randomUUID } from "node:crypto"
import * as Params from "@causeway/protocol/Gateway/Params"
import { compatSessionId, sessionUuid } from "@causeway/protocol/Ids"
import { Audit } from "@causeway/store/Audit"
import { Log } from "@causeway/store/Log"
import { rowOf, type Session, Sessions } from "@causeway/store/Session"
import * as Approvals from "@causeway/transcript/Approvals"
import { object } from "@causeway/transcript/Read"
import { Refused } from "../Failure.ts"
import * as Keys from "../Keys.ts"
import { payloadOf } from "../Messages.ts"
import { answer, method } from "../Method.ts"
import * as SessionCommands from "../SessionCommands.ts"

const approvalsOf = (record: Session) =>
  rowOf(record).approvals.pending.map((approval) => ({
    sessionKey: record.key,
    sessionId: sessionUuid(record.session),
    toolUseId: approval.toolUseId,
    requestId: approval.requestId,
    kind: approval.kind,
    toolName: approval.toolName,
    displayName: approval.displayName,
    description: approval.description,
    input: approval.input,
    inputTruncated: approval.inputTruncated,
    hasSuggestions: approval.hasSuggestions,
    createdAt: approval.createdAt,
    seq: approval.seq
  }))

const approvals = method(
  "causeway.approvals.list",
  Params.ApprovalsList,
  function* (params, { organizationId }) {
    const sessions = yield* Sessions
    const records =
      params.key === undefined
        ? yield* sessions.list({
            organizationId,
            withoutKeys: Keys.unlisted({ global: true, unknown: true }),
            status: "requires_action"
          })
        : [yield* SessionCommands.existing(organizationId, params.key)]
    return answer({
      approvals: records.flatMap(approvalsOf).sort((a, b) => a.createdAt - b.createdAt)
    })
  }
)

const approvalsAnswer = method(
  "causeway.approvals.answer",
  Params.ApprovalsAnswer,
  function* (params, { organizationId }) {
    const log = yield* Log
    const record = yield* SessionCommands.existing(organizationId, params.key)
    const all = rowOf(record).approvals
    const fits = (each: { readonly toolUseId: string; readonly requestId: string }) =>
      (params.toolUseId === undefined || each.toolUseId === params.toolUseId) &&
      (params.requestId === undefined || each.requestId === params.requestId)
    const named = params.toolUseId !== undefined || params.requestId !== undefined
    const pending = all.pending.find(fits)
    const settled = named && pending === undefined ? all.settled.findLast(fits) : undefined
    const approval = pending ?? settled
    if (approval === undefined) {
      return yield* new Refused({
        code: "APPROVAL_NOT_FOUND",
        message: named ? "no such approval" : `no approval is open in ${record.key}`
      })
    }
    if (settled?.outcome === "cancelled") {
      return yield* new Refused({ code: "APPROVAL_NOT_FOUND", message: "this approval was cancelled" })
    }
    // The projection's copy of the input may be cut; the log's is whole.
    const request =
      pending === undefined
        ? undefined
        : (yield* log.events(record.sid, { after: pending.seq - 1, limit: 1 }))[0]
    const input = request === undefined ? undefined : object(object(payloadOf(request)["request"])["input"])
    const response =
      params.decision === "allow"
        ? {
            behavior: "allow",
            updatedInput: params.updatedInput ?? input ?? {},
            ...(params.updatedPermissions === undefined
              ? {}
              : { updatedPermissions: params.updatedPermissions }),
            toolUseID: approval.toolUseId
          }
        : {
            behavior: "deny",
            message: params.message ?? Approvals.DENIED,
            toolUseID: approval.toolUseId
          }
    const appended = yield* SessionCommands.append(record, {
      type: "control_response",
      uuid: randomUUID(),
      response: { subtype: "success", request_id: approval.requestId, response }
    })
    if (!appended.duplicate) {
      yield* (yield* Audit).record({
        organizationId,
        action: "approval.answered",
        subject: compatSessionId(record.session),
        details: { request: approval.requestId, outcome: params.decision }
      })
    }
    return answer({
      ok: true,
      key: record.key,
      toolUseId: approval.toolUseId,
      requestId: approval.requestId,
      decision: params.decision,
      duplicate: appended.duplicate || pending === undefined
    })
  }
)

export const methods = [approvals, approvalsAnswer]
