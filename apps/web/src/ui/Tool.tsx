// biome-ignore-all lint/suspicious/noArrayIndexKey: parts of one call never move.
/** A tool's call: what it is asked to do, what it answered, and how it stands. */
import * as Ansi from "@causeway/protocol/Ansi"
import { stateWords } from "@causeway/transcript/Approvals"
import type { ToolCall } from "@causeway/transcript/Conversation"
import * as FileChange from "@causeway/transcript/FileChange"
import * as Preview from "@causeway/transcript/Preview"
import { object, string } from "@causeway/transcript/Read"
import { Bot, CircleHelp, FileDiff, FileText, Globe, ListTodo, Search, Terminal, Wrench } from "lucide-react"
import type { ReactNode } from "react"
import * as Edit from "../Edit.ts"
import * as Text from "../Text.ts"
import { Attachments } from "./Attachments.tsx"
import { Code, CopyButton, Long } from "./Code.tsx"
import { Diff } from "./Diff.tsx"
import { Fold } from "./Fold.tsx"
import { Markdown } from "./Markdown.tsx"

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

const ToolIcon = ({ name }: { readonly name: string }) => {
  const Icon = icons.find(([pattern]) => pattern.test(name))?.[1] ?? Wrench
  return <Icon size={15} aria-hidden="true" />
}

const stateOf = (call: ToolCall): readonly [words: string, kind: string] => {
  const { approval, completed, durationMs, result, unfinished } = call
  if (result?.isError === true) return [approval?.state === "denied" ? "denied" : "failed", "bad"]
  if (completed) return [durationMs === null ? "done" : `done in ${Text.seconds(durationMs)}`, "good"]
  if (approval !== null && approval.state !== "allowed") {
    return [stateWords[approval.state], approval.state === "pending" ? "warn" : ""]
  }
  return unfinished ? ["not finished", ""] : ["running", "busy"]
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

export const Tool = ({
  call,
  isEdit,
  steps,
  children
}: {
  readonly call: ToolCall
  readonly isEdit: boolean
  /** How many items the subagent that it started has made. */
  readonly steps: number
  /** Those items. */
  readonly children: () => ReactNode
}) => {
  const [words, kind] = stateOf(call)
  const { result } = call
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
            {Text.line(Preview.toolInput(call.input))}
          </bdi>
          <span className={`state ${kind}`}>{words}</span>
        </>
      }
    >
      {() => (
        <>
          <Input name={call.name} input={call.input} before={call.before} />
          {steps === 0 ? null : (
            <Fold className="subagent" open={!call.completed} summary={`Sub-agent · ${steps} steps`}>
              {() => <div className="children">{children()}</div>}
            </Fold>
          )}
          {result === null ? null : <Attachments blocks={result.attachments} />}
          {result === null || result.text === "" ? null : (
            <div className="outcome">
              <div className="codebar">
                <span>{result.isError ? "error" : "output"}</span>
                <CopyButton text={Ansi.plain(result.text)} />
              </div>
              <Long text={result.text} className={`code result${result.isError ? " bad" : ""}`} isOutput />
            </div>
          )}
        </>
      )}
    </Fold>
  )
}
