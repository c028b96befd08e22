/** All open approvals, across sessions. */
import * as Read from "@causeway/transcript/Read"
import { ChevronLeft, ShieldCheck } from "lucide-react"
import { useEffect, useRef, useState } from "react"
import type * as Hub from "../Hub.ts"
import * as Model from "../Model.ts"
import * as Route from "../Route.ts"
import type { Request } from "../SessionView.ts"
import * as Text from "../Text.ts"
import { ApprovalCard } from "./Approval.tsx"
import { useFocusAmong } from "./focus.ts"
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
      <h2 className="from">
        <a href={Route.toSession(session.id)}>
          <bdi>{Text.line(session.title ?? "New session", 120)}</bdi>
        </a>
      </h2>
      <ApprovalCard
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
  const list = useRef<HTMLUListElement>(null)
  const heading = useRef<HTMLHeadingElement>(null)
  useFocusAmong(
    list,
    all.map(({ approval }) => approval.requestId),
    () => heading.current
  )
  const { waiting } = state
  const loaded = waiting !== null
  const unseen = waiting === null ? 0 : waiting.total - waiting.sessions.length
  // Who comes here wants to answer: the first card has the keys, and no button that Enter would press.
  useEffect(() => {
    if (loaded) (list.current?.querySelector<HTMLElement>("article") ?? heading.current)?.focus()
  }, [loaded])
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
          <h1 className="title" ref={heading} tabIndex={-1}>
            Approvals
          </h1>
          <span className="note">
            {all.length === 0
              ? ""
              : `${all.length} waiting · the first answer counts, here or elsewhere${unseen === 0 ? "" : ` · ${unseen} more sessions wait, shown as these are answered`}`}
          </span>
        </div>
      </header>
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
            <Entry key={`${session.id}/${approval.requestId}`} session={session} approval={approval} />
          ))}
        </ul>
      )}
    </section>
  )
}
