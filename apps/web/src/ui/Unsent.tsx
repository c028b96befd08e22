/** A message that the hub has not confirmed, and what can be done about it. */
import type { Entry } from "../Outbox.ts"
import * as Text from "../Text.ts"
import { Attachments } from "./Attachments.tsx"
import { useModel } from "./use.ts"

export const Unsent = ({ entry: { attachments, reason, state, text, uuid } }: { readonly entry: Entry }) => {
  const model = useModel()
  const isFailed = state === "failed"
  return (
    <div className="message user">
      <div className="who">
        <span>You</span>
      </div>
      <div className="text plain" dir="auto">
        {Text.clean(text)}
      </div>
      <Attachments blocks={attachments} />
      {!isFailed && reason === null ? (
        <div className="delivery">sending…</div>
      ) : (
        <div className={`delivery ${isFailed ? "bad" : "warn"}`}>
          <span>{isFailed ? `not sent: ${reason ?? "refused"}` : `delivery unknown: ${reason}`}</span>
          <button type="button" className="quiet" onClick={() => model.retry(uuid)}>
            {isFailed ? "Try again" : "Send again"}
          </button>
          <button type="button" className="quiet" onClick={() => model.discard(uuid)}>
            Discard
          </button>
        </div>
      )}
    </div>
  )
}
