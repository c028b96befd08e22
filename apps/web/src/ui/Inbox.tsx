/** All open approvals, across sessions. */
import type { PendingApproval, Session } from "@causeway/protocol/http/Sessions"
import { object, string } from "@causeway/transcript/Read"
import { ShieldCheck } from "lucide-react"
import { useCallback, useEffect, useRef } from "react"
import * as Route from "../Route.ts"
import * as State from "../State.ts"
import * as Text from "../Text.ts"
import { ApprovalCard } from "./Approval.tsx"
import { useFocusAmong } from "./focus.ts"
import { Page } from "./Page.tsx"
import { useModel, useModelState, useRead, useTitle } from "./use.ts"

const Entry = ({ session, approval }: { readonly session: Session; readonly approval: PendingApproval }) => {
  const model = useModel()
  const state = useModelState()
  const { request_id: requestId, sequence_num: seq = 0 } = approval
  const whole = useRead(useCallback(() => model.request(session.id, seq), [model, session.id, seq]))
  const request = whole ?? { input: approval.input, suggestions: [], before: null }
  return (
    <li>
      <h2 className="from">
        <a href={Route.toSession(session.id)}>
          <bdi>{Text.line(session.title ?? "New session", 120)}</bdi>
        </a>
      </h2>
      <ApprovalCard
        approval={{
          requestId,
          toolUseId: approval.tool_use_id,
          toolName: approval.tool_name,
          displayName: null,
          description: string(object(request.input)["description"])
        }}
        request={request}
        cut={whole === null}
        alwaysAsk={State.alwaysAsk(state, session)}
        answering={state.answering.get(requestId)}
        answer={(payload) => model.answer(session.id, requestId, payload)}
      />
    </li>
  )
}

export const Inbox = () => {
  const state = useModelState()
  const all = State.approvals(state)
  const list = useRef<HTMLUListElement>(null)
  const heading = useRef<HTMLHeadingElement>(null)
  useFocusAmong(
    list,
    all.map(({ approval }) => approval.request_id),
    () => heading.current
  )
  const { waiting } = state
  const loaded = waiting !== null
  const unseen = waiting === null ? 0 : waiting.total - waiting.data.length
  // Who comes here wants to answer: the first card has the keys, and no button that Enter would press.
  useEffect(() => {
    if (loaded) (list.current?.querySelector<HTMLElement>("article") ?? heading.current)?.focus()
  }, [loaded])
  useTitle(`${all.length > 0 ? "● " : ""}Approvals`)
  const more = unseen === 0 ? "" : ` · ${unseen} more sessions wait, shown as these are answered`
  return (
    <Page
      name="Approvals"
      heading={heading}
      beside={
        <span className="note">
          {all.length === 0
            ? ""
            : `${all.length} waiting · the first answer counts, here or elsewhere${more}`}
        </span>
      }
    >
      {waiting === null ? (
        <div className="blank">
          <p role="status">
            {state.connection._tag === "connected"
              ? (state.listProblem ?? "Reading…")
              : "Who waits for you is not known while the hub is away."}
          </p>
        </div>
      ) : all.length === 0 ? (
        <div className="blank">
          <ShieldCheck size={36} aria-hidden="true" />
          <p>Nobody waits for you.</p>
        </div>
      ) : (
        <ul className="inboxlist" ref={list}>
          {all.map(({ session, approval }) => (
            <Entry key={`${session.id}/${approval.request_id}`} session={session} approval={approval} />
          ))}
        </ul>
      )}
    </Page>
  )
}
