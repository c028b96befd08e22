// biome-ignore-all lint/suspicious/noArrayIndexKey: parts of one text or call never move.
/** One item of the conversation. */
import type { Item, Plan } from "@causeway/transcript/Conversation"
import * as Usage from "@causeway/transcript/Usage"
import { Brain, Check, CircleAlert, CircleDashed, Clock, FoldVertical, ListTodo } from "lucide-react"
import { memo, type ReactNode } from "react"
import * as Text from "../Text.ts"
import * as Visible from "../Visible.ts"
import { Code, Long } from "./Code.tsx"
import { Fold } from "./Fold.tsx"
import { Markdown } from "./Markdown.tsx"
import { Message } from "./Message.tsx"
import { Tool } from "./Tool.tsx"

const stepIcons = { completed: Check, in_progress: CircleDashed, pending: Clock } as const

const figures = (item: Extract<Item, { kind: "turn" }>, costUsd: number | null): string =>
  [
    item.durationMs === null ? null : Text.seconds(item.durationMs),
    item.usage === null ? null : `${Text.tokens(Usage.contextTokens(item.usage))} tokens`,
    costUsd === null ? null : Text.dollars(costUsd),
    item.totalCostUsd === null ? null : `${Text.dollars(item.totalCostUsd)} so far`
  ]
    .filter((part) => part !== null)
    .join(" · ")

const PlanView = ({ plan: { steps, text } }: { readonly plan: Plan }) => (
  <div className="plan">
    <div className="who">
      <ListTodo size={14} aria-hidden="true" />
      <span>Plan</span>
      {steps.length === 0 ? null : (
        <span className="note">
          {steps.filter((step) => step.status === "completed").length} of {steps.length}
        </span>
      )}
    </div>
    {text === null ? null : <Markdown text={text} />}
    {steps.length === 0 ? null : (
      <ul>
        {steps.map((step, key) => {
          const Icon = stepIcons[step.status]
          return (
            <li key={key} className={step.status}>
              <Icon size={14} aria-label={step.status.replace("_", " ")} />
              <span>{Text.line(step.text, 400)}</span>
            </li>
          )
        })}
      </ul>
    )}
  </div>
)

/** Something of the agent's that people seldom want to read. */
const Aside = ({
  icon,
  summary,
  children
}: {
  readonly icon?: ReactNode
  readonly summary: string
  readonly children: () => ReactNode
}) => (
  <Fold
    className="thinking"
    summary={
      <>
        {icon}
        {summary}
      </>
    }
  >
    {children}
  </Fold>
)

const body = (shown: Visible.Shown, session: string): ReactNode => {
  const { item, words } = shown
  switch (item.kind) {
    case "message":
      return <Message item={item} session={session} stage={shown.delivery} />
    case "thinking":
      return (
        <Aside icon={<Brain size={14} aria-hidden="true" />} summary="Thinking">
          {() =>
            item.redacted ? <p className="note">[not shown by the model]</p> : <Markdown text={item.text} />
          }
        </Aside>
      )
    case "tool_call":
      return (
        <Tool
          call={item}
          isEdit={Visible.isMarked({ ...shown, children: [] }, "edit")}
          steps={shown.children.length}
        >
          {() =>
            shown.children.map((child) => <ItemView key={child.item.id} shown={child} session={session} />)
          }
        </Tool>
      )
    case "tool_result":
      return (
        <Fold className={`tool${item.outcome.isError ? " bad" : ""}`} summary="Result of an earlier call">
          {() => <Long text={item.outcome.text} className="code" isOutput />}
        </Fold>
      )
    case "plan":
      return <PlanView plan={item} />
    case "compaction":
      return (
        <Aside
          icon={<FoldVertical size={14} aria-hidden="true" />}
          summary="The conversation so far was summarised"
        >
          {() => <Markdown text={item.summary ?? ""} />}
        </Aside>
      )
    case "system":
      return <div className="system">{Text.line(words ?? item.subtype.replaceAll("_", " "), 600)}</div>
    case "error":
      return (
        <div className="system bad">
          <CircleAlert size={14} aria-hidden="true" />
          {Text.line(item.text, 1000)}
        </div>
      )
    case "turn": {
      const told = figures(item, shown.costUsd)
      return item.isError ? (
        <div className={`system${item.stopped ? "" : " bad"}`}>
          <span>{Text.line(words ?? "The turn failed", 1000)}</span>
          {told === "" ? null : <span className="figures">{told}</span>}
        </div>
      ) : (
        <div className="turn">
          <span>{told}</span>
        </div>
      )
    }
    case "unknown":
      return (
        <Aside summary={`Not known to this page: ${item.type === "" ? "a line" : Text.line(item.type, 120)}`}>
          {() => <Code text={Text.json(item.value)} language="json" />}
        </Aside>
      )
  }
}

export const ItemView = memo(
  ({ shown, session }: { readonly shown: Visible.Shown; readonly session: string }) => (
    <div className="item">{body(shown, session)}</div>
  ),
  (a, b) => a.session === b.session && Visible.same(a.shown, b.shown)
)
