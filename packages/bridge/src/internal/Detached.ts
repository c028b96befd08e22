/** How an attachment ends. */
import type * as CodeSession from "@causeway/client/CodeSession"
import * as Data from "effect/Data"
import type { DetachReason } from "../BridgeEvent.ts"

/** How an attachment ended. */
export class Detached extends Data.TaggedError("Detached")<{
  readonly reason: DetachReason
  readonly detail: string
}> {
  override get message(): string {
    return this.detail
  }
}

export const detached = (reason: DetachReason, error: { readonly message: string }): Detached =>
  new Detached({ reason, detail: error.message })

/** The end of an attachment that a failed call means; transient failures were retried before. */
export const endOf = (error: CodeSession.WorkerError): Detached => {
  switch (error._tag) {
    case "WorkerSuperseded":
      return detached("superseded", error)
    case "SessionNotFound":
      return detached("session_gone", error)
    case "IngressTokenMissing":
    case "IngressTokenRejected":
      return detached("token_refused", error)
    default:
      return detached("refused", error)
  }
}
