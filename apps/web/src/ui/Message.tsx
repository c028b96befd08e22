/** Words of a person or of the agent. */

import { type Stage, words } from "@causeway/protocol/Delivery"
import type { Message as Item } from "@causeway/transcript/Conversation"
import { Check, CheckCheck, Link2 } from "lucide-react"
import * as Route from "../Route.ts"
import * as Text from "../Text.ts"
import { Attachments } from "./Attachments.tsx"
import { Long } from "./Code.tsx"
import { Markdown } from "./Markdown.tsx"
import { useModel } from "./use.ts"

/** How far a message has come; one that the agent has not begun with can be taken back. */
const Delivery = ({
  session,
  uuid,
  stage
}: {
  readonly session: string
  readonly uuid: string
  readonly stage: Stage
}) => {
  const model = useModel()
  const Icon = stage === "processed" ? CheckCheck : Check
  return (
    <div className={`delivery ${stage}`}>
      <Icon size={13} aria-hidden="true" />
      <span>{words[stage]}</span>
      {stage === "accepted" || stage === "received" ? (
        <button type="button" className="quiet" onClick={() => model.withdraw(session, uuid)}>
          Withdraw
        </button>
      ) : null}
    </div>
  )
}

export const Message = ({
  item,
  session,
  stage
}: {
  readonly item: Item
  readonly session: string
  readonly stage: Stage | null
}) => (
  <div className={`message ${item.role}`}>
    <div className="who">
      <span>{item.role === "user" ? "You" : "Agent"}</span>
      <time dateTime={new Date(item.at).toISOString()}>
        {new Date(item.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}
      </time>
      <a className="deep" href={Route.toEvent(session, item.seq)} aria-label="Link to this message">
        <Link2 size={13} aria-hidden="true" />
      </a>
    </div>
    <Attachments blocks={item.attachments} />
    {item.text === "" ? null : item.role === "user" ? (
      <Long text={item.text} className="text plain" scrolls={false} />
    ) : (
      <Markdown text={item.text} />
    )}
    {item.aborted ? <div className="note">stopped here</div> : null}
    {item.error === null ? null : <div className="note bad">{Text.line(item.error, 400)}</div>}
    {stage === null ? null : <Delivery session={session} uuid={item.uuid} stage={stage} />}
  </div>
)
