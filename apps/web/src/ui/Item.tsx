// biome-ignore-all lint/suspicious/noArrayIndexKey: parts of one text or call never move.
/** One item of the conversation. */
import * as Ansi from "@causeway/protocol/Ansi"
import type { Item, ToolCall } from "@causeway/transcript/Conversation"
import * as FileChange from "@causeway/transcript/FileChange"
import * as Preview from "@causeway/transcript/Preview"
import { object, string } from "@causeway/transcript/Read"
import * as Usage from "@causeway/transcript/Usage"
import {
  Bot,
  Brain,
  Check,
  CheckCheck,
  ChevronRight,
  CircleAlert,
  CircleDashed,
  CircleHelp,
  Clock,
  FileDiff,
  FileText,
  FoldVertical,
  Globe,
  Link2,
  ListTodo,
  Search,
  Terminal,
  Wrench
} from "lucide-react"
import { memo, type ReactNode, useState } from "react"
import * as Edit from "../Edit.ts"
import type { Delivery } from "../Frame.ts"
import * as Route from "../Route.ts"
import * as Text from "../Text.ts"
import * as Visible from "../Visible.ts"
import { Code, CopyButton, Long } from "./Code.tsx"
import { Diff } from "./Diff.tsx"
import { Markdown } from "./Markdown.tsx"
import { useModel } from "./use.ts"

const deliveryWords: { readonly [D in Delivery]: string } = {
  accepted: "accepted",
  received: "on the host",
  withdrawn: "withdrawn",
  processing: "taken by the agent",
  processed: "answered"
}

const approvalWords = {
  pending: "asks for permission",
  allowed: "allowed",
  denied: "denied",
  answered: "answered",
  cancelled: "question withdrawn"
} as const

const icons: ReadonlyArray<readonly [RegExp, typeof Wrench]> = [
  [/^(bash|shell|exec|terminal|killshell)/i, Terminal],
  [/^(multi)?edit|^write|^notebookedit|apply_?patch/i, FileDiff],
  [/^read|^view|^ls$/i, FileText],
  [/^grep|^glob|search|find/i, Search],
  [/^web|fetch|browser/i, Globe],
  [/^task|agent/i, Bot],
  [/todo|plan/i, ListTodo],
  [/^ask/i, CircleHelp]
]

export const ToolIcon = ({ name }: { readonly name: string }) => {
  const Icon = icons.find(([pattern]) => pattern.test(name))?.[1] ?? Wrench
  return <Icon size={15} aria-hidden="true" />
}

const toolState = (call: ToolCall): readonly [words: string, kind: string] => {
  if (call.result?.isError === true)
    return call.approval?.state === "denied" ? ["denied", "bad"] : ["failed", "bad"]
  if (call.completed)
    return [call.durationMs === null ? "done" : `done in ${Text.seconds(call.durationMs)}`, "good"]
  if (call.approval !== null && call.approval.state !== "allowed")
    return [approvalWords[call.approval.state], call.approval.state === "pending" ? "warn" : ""]
  if (call.unfinished) return ["not finished", ""]
  return ["running", "busy"]
}

/** What a tool is asked to do: a change as a difference, a command as code, anything else as it is. */
export const Input = ({
  name,
  input,
  before = null
}: {
  readonly name: string
  readonly input: unknown
  /** What stands in the file. */
  readonly before?: FileChange.Before | null
}) => {
  const edits = /^read$/i.test(name) ? [] : Edit.of(input, before)
  if (edits.length > 0) {
    const words = FileChange.words(input, before)
    return (
      <>
        {edits.map((edit, key) => (
          <Diff key={key} edit={edit} />
        ))}
        {words === null ? null : <p className="note file">{words}</p>}
      </>
    )
  }
  const members = object(input)
  const command = string(members["command"])
  const plan = string(members["plan"])
  if (plan !== null) return <Markdown text={plan} />
  if (command !== null) {
    const { command: _, description, ...others } = members
    return (
      <>
        {typeof description === "string" ? <p className="note">{Text.line(description, 400)}</p> : null}
        <Code text={command} language="bash" />
        {Object.keys(others).length === 0 ? null : <Code text={Text.json(others)} language="json" />}
      </>
    )
  }
  return <Code text={Text.json(input)} language="json" />
}

/** What goes with a message or a result beside its text: pictures as pictures, documents by name. */
export const Attachments = ({
  urls,
  names
}: {
  readonly urls: ReadonlyArray<string>
  readonly names: ReadonlyArray<string>
}) => (
  <>
    {urls.length === 0 ? null : (
      <div className="images">
        {urls.map((url, key) => (
          <img
            key={key}
            src={url}
            alt={urls.length === 1 ? "Attached" : `Attached, ${key + 1} of ${urls.length}`}
          />
        ))}
      </div>
    )}
    {names.length === 0 ? null : (
      <ul className="attached" aria-label="Attached">
        {names.map((name, key) => (
          <li key={key}>
            <FileText size={15} aria-hidden="true" />
            <bdi>{Text.exactLine(name, 80)}</bdi>
          </li>
        ))}
      </ul>
    )}
  </>
)

/** Something that is folded until it is asked for; what is inside is not built before. */
const Fold = ({
  className,
  summary,
  open = false,
  children
}: {
  readonly className: string
  readonly summary: ReactNode
  readonly open?: boolean
  readonly children: () => ReactNode
}) => {
  const [isOpen, setOpen] = useState(open)
  return (
    <details className={className} open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <ChevronRight className="chevron" size={14} aria-hidden="true" />
        {summary}
      </summary>
      {isOpen ? <div className="inside">{children()}</div> : null}
    </details>
  )
}

export interface Context {
  readonly session: string
  readonly images: ReadonlyMap<string, ReadonlyArray<string>>
  readonly documents: ReadonlyMap<string, ReadonlyArray<string>>
}

const Tool = ({
  shown,
  call,
  context
}: {
  readonly shown: Visible.Shown
  readonly call: ToolCall
  readonly context: Context
}) => {
  const [words, kind] = toolState(call)
  const images = context.images.get(call.toolUseId)
  const isEdit = Visible.isMarked({ ...shown, children: [] }, "edit")
  return (
    <Fold
      className={`tool ${kind}`}
      // A change that waits for an answer stands on its card.
      open={isEdit && call.approval?.state !== "pending"}
      summary={
        <>
          <ToolIcon name={call.name} />
          <b>{Text.line(call.name, 80)}</b>
          <bdi className="what" translate="no">
            {Text.exactLine(Preview.toolInput(call.input))}
          </bdi>
          <span className={`state ${kind}`}>{words}</span>
        </>
      }
    >
      {() => (
        <>
          <Input name={call.name} input={call.input} before={call.before} />
          {shown.children.length === 0 ? null : (
            <Fold
              className="subagent"
              open={!call.completed}
              summary={`Sub-agent · ${shown.children.length} steps`}
            >
              {() => (
                <div className="children">
                  {shown.children.map((child) => (
                    <ItemView key={child.item.id} shown={child} context={context} />
                  ))}
                </div>
              )}
            </Fold>
          )}
          {images === undefined ? null : <Attachments urls={images} names={[]} />}
          {call.result === null || call.result.text === "" ? null : (
            <div className="outcome">
              <div className="codebar">
                <span>{call.result.isError ? "error" : "output"}</span>
                <CopyButton text={Ansi.plain(call.result.text)} />
              </div>
              <Long
                text={call.result.text}
                className={`code result${call.result.isError ? " bad" : ""}`}
                isOutput
              />
            </div>
          )}
        </>
      )}
    </Fold>
  )
}

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

/** For a message that the agent has not begun with. */
const Withdraw = ({ session, uuid }: { readonly session: string; readonly uuid: string }) => {
  const model = useModel()
  return (
    <button type="button" className="quiet" onClick={() => model.withdraw(session, uuid)}>
      Withdraw
    </button>
  )
}

const body = (shown: Visible.Shown, context: Context): ReactNode => {
  const { item, delivery, words } = shown
  switch (item.kind) {
    case "message": {
      const images = context.images.get(item.uuid) ?? []
      const names = context.documents.get(item.uuid) ?? []
      const others = item.attachments.filter((kind) =>
        kind === "image" ? images.length === 0 : kind !== "document" || names.length === 0
      )
      return (
        <div className={`message ${item.role}`}>
          <div className="who">
            <span>{item.role === "user" ? "You" : "Agent"}</span>
            <time dateTime={new Date(item.at).toISOString()}>
              {new Date(item.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}
            </time>
            <a
              className="deep"
              href={Route.toEvent(context.session, item.seq)}
              aria-label="Link to this message"
            >
              <Link2 size={13} aria-hidden="true" />
            </a>
          </div>
          <Attachments urls={images} names={names} />
          {item.text === "" ? null : item.role === "user" ? (
            <Long text={item.text} className="text plain" scrolls={false} />
          ) : (
            <Markdown text={item.text} />
          )}
          {others.length === 0 ? null : <div className="note">[{Text.line(others.join(", "))}]</div>}
          {item.aborted ? <div className="note">stopped here</div> : null}
          {item.error === null ? null : <div className="note bad">{Text.line(item.error, 400)}</div>}
          {delivery === null ? null : (
            <div className={`delivery ${delivery}`}>
              {delivery === "processed" ? (
                <CheckCheck size={13} aria-hidden="true" />
              ) : (
                <Check size={13} aria-hidden="true" />
              )}
              <span>{deliveryWords[delivery]}</span>
              {delivery === "accepted" || delivery === "received" ? (
                <Withdraw session={context.session} uuid={item.uuid} />
              ) : null}
            </div>
          )}
        </div>
      )
    }
    case "thinking":
      return (
        <Fold
          className="thinking"
          summary={
            <>
              <Brain size={14} aria-hidden="true" />
              Thinking
            </>
          }
        >
          {() =>
            item.redacted ? <p className="note">[not shown by the model]</p> : <Markdown text={item.text} />
          }
        </Fold>
      )
    case "tool_call":
      return <Tool shown={shown} call={item} context={context} />
    case "tool_result":
      return (
        <Fold className={`tool${item.outcome.isError ? " bad" : ""}`} summary="Result of an earlier call">
          {() => <Long text={item.outcome.text} className="code" isOutput />}
        </Fold>
      )
    case "plan":
      return (
        <div className="plan">
          <div className="who">
            <ListTodo size={14} aria-hidden="true" />
            <span>Plan</span>
            {item.steps.length === 0 ? null : (
              <span className="note">
                {item.steps.filter((step) => step.status === "completed").length} of {item.steps.length}
              </span>
            )}
          </div>
          {item.text === null ? null : <Markdown text={item.text} />}
          {item.steps.length === 0 ? null : (
            <ul>
              {item.steps.map((step, key) => {
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
    case "compaction":
      return (
        <Fold
          className="thinking"
          summary={
            <>
              <FoldVertical size={14} aria-hidden="true" />
              The conversation so far was summarised
            </>
          }
        >
          {() => <Markdown text={item.summary ?? ""} />}
        </Fold>
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
    case "turn":
      return item.isError ? (
        <div className={`system${item.stopped ? "" : " bad"}`}>
          <span>{Text.line(words ?? "The turn failed", 1000)}</span>
          {figures(item, shown.costUsd) === "" ? null : (
            <span className="figures">{figures(item, shown.costUsd)}</span>
          )}
        </div>
      ) : (
        <div className="turn">
          <span>{figures(item, shown.costUsd)}</span>
        </div>
      )
    case "unknown":
      return (
        <Fold
          className="thinking"
          summary={`Not known to this page: ${item.type === "" ? "a line" : Text.line(item.type, 120)}`}
        >
          {() => <Code text={Text.json(item.value)} language="json" />}
        </Fold>
      )
  }
}

export const ItemView = memo(
  ({ shown, context }: { readonly shown: Visible.Shown; readonly context: Context }) => (
    <div className="item">{body(shown, context)}</div>
  ),
  (a, b) => a.context === b.context && Visible.same(a.shown, b.shown)
)
