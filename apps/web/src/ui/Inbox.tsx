/** All open approvals, across sessions. */
import * as Read from "@causeway/transcript/Read"
import { ChevronLeft, ShieldCheck } from "lucide-react"
import { useEffect, useState } from "react"
import type * as Hub from "../Hub.ts"
import * as Model from "../Model.ts"
import * as Route from "../Route.ts"
import type { Request } from "../SessionView.ts"
import * as Text from "../Text.ts"
import { ApprovalCard } from "./Approval.tsx"
import { useModel, useModelState } from "./use.ts"

const Entry = ({ session, approval }: { readonly session: Hub.Session; readonly approval: Hub.Pending }) => {
  const model = useModel()
  const state = useModelState()
  const [whole, setWhole] = useState<Request | null>(null)
  useEffect(() => {
    let mounted = true
    void model.request(session.id, approval.seq).then((request) => {
      if (mounted) setWhole(request)
    })
    return () => {
      mounted = false
    }
  }, [model, session.id, approval.seq])
  const request = whole ?? { input: approval.input, suggestions: [] }
  const object = Read.object(request.input)
  return (
    <li>
      <a className="from" href={Route.toSession(session.id)}>
        <bdi>{Text.line(session.title ?? "New session", 120)}</bdi>
      </a>
      <ApprovalCard
        // The card begins anew once the whole request is here.
        key={whole === null ? "cut" : "whole"}
        approval={{
          requestId: approval.requestId,
          toolUseId: approval.toolUseId,
          toolName: approval.toolName,
          displayName: null,
          description: Read.string(object["description"])
        }}
        request={request}
        cut={whole === null}
        answering={state.answering.get(approval.requestId)}
        answer={(payload) => model.answer(session.id, approval.requestId, payload)}
      />
    </li>
  )
}

export const Inbox = () => {
  const state = useModelState()
  const all = Model.approvals(state)
  useEffect(() => {
    document.title = `${all.length > 0 ? "● " : ""}Approvals · Causeway`
  }, [all.length])
  return (
    <section className="page" aria-label="Approvals">
      <header>
        <div className="line">
          <a className="icon back" href={Route.toList} aria-label="Sessions">
            <ChevronLeft size={20} aria-hidden="true" />
          </a>
          <h2>Approvals</h2>
          <span className="note">
            {all.length === 0 ? "" : `${all.length} waiting · Alt+Y allows, Alt+N denies the one in focus`}
          </span>
        </div>
      </header>
      {all.length === 0 ? (
        <div className="blank">
          <ShieldCheck size={36} aria-hidden="true" />
          <p>Nobody waits for you.</p>
        </div>
      ) : (
        <ul className="inboxlist">
          {all.map(({ session, approval }) => (
            <Entry key={`${session.id}/${approval.requestId}`} session={session} approval={approval} />
          ))}
        </ul>
      )}
    </section>
  )
}
