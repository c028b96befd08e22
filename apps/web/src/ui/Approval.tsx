/** An approval that is open: what the agent wants to do, and how to answer. */
import * as EnvironmentCapabilities from "@causeway/protocol/EnvironmentCapabilities"
import * as Approvals from "@causeway/transcript/Approvals"
import { type JsonObject, object } from "@causeway/transcript/Read"
import type { Request } from "@causeway/transcript/View/Requests"
import { Check, CircleHelp, ListTodo, ShieldCheck, ShieldQuestion, X } from "lucide-react"
import { type KeyboardEvent, useId, useRef, useState } from "react"
import * as Keys from "../Keys.ts"
import * as Rule from "../Rule.ts"
import type { Answering } from "../State.ts"
import * as Text from "../Text.ts"
import { Input } from "./Tool.tsx"

/** Words typed into cards, kept while a card is built anew. */
const typed = new Map<string, string>()

interface Props {
  readonly approval: {
    readonly requestId: string
    readonly toolUseId: string
    readonly toolName: string
    readonly displayName: string | null
    readonly description: string | null
  }
  readonly request: Request
  /** Whether the request is here only in part, so that it can be denied and not allowed. */
  readonly cut?: boolean
  /** Tools that only a person allows, each time. */
  readonly alwaysAsk: ReadonlyArray<string>
  readonly answering: Answering | undefined
  readonly answer: (payload: JsonObject) => void
}

/** Whether a description says no more than the command below it. */
const repeats = (description: string, input: unknown): boolean => {
  const { command, description: own } = object(input)
  return description === command || description === own
}

const Question = ({
  question,
  group,
  disabled,
  onChange
}: {
  readonly question: Approvals.Question
  readonly group: string
  readonly disabled: boolean
  readonly onChange: (answer: string) => void
}) => {
  const [chosen, setChosen] = useState<ReadonlyArray<string>>([])
  const [other, setOther] = useState("")
  const tell = (labels: ReadonlyArray<string>, more: string): void => {
    setChosen(labels)
    setOther(more)
    onChange([...labels, ...(more.trim() === "" ? [] : [more.trim()])].join(", "))
  }
  return (
    <fieldset>
      <legend>{Text.clean(question.question)}</legend>
      {question.options.map((option) => (
        <label key={option.label}>
          <input
            type={question.multiSelect ? "checkbox" : "radio"}
            name={group}
            disabled={disabled}
            checked={chosen.includes(option.label)}
            onChange={(event) =>
              tell(
                question.multiSelect
                  ? event.target.checked
                    ? [...chosen, option.label]
                    : chosen.filter((label) => label !== option.label)
                  : [option.label],
                question.multiSelect ? other : ""
              )
            }
          />
          <span>
            {Text.line(option.label, 400)}
            {option.description === null ? null : <small>{Text.line(option.description, 600)}</small>}
          </span>
        </label>
      ))}
      <input
        type="text"
        placeholder="Other"
        aria-label="Another answer"
        disabled={disabled}
        value={other}
        onChange={(event) => tell(question.multiSelect ? chosen : [], event.target.value)}
      />
    </fieldset>
  )
}

export const ApprovalCard = ({ approval, request, cut = false, alwaysAsk, answering, answer }: Props) => {
  const { requestId, toolUseId } = approval
  const title = useId()
  const card = useRef<HTMLElement>(null)
  const denying = useRef<HTMLButtonElement>(null)
  const [words, setWords] = useState(() => typed.get(requestId) ?? "")
  const [problem, setProblem] = useState<string | null>(null)
  const answers = useRef(new Map<string, string>())
  const questions = approval.toolName === "AskUserQuestion" ? Approvals.questionsOf(request.input) : []
  const isPlan = approval.toolName === "ExitPlanMode"
  const sending = answering?.sending === true
  const rules = Rule.words(request.suggestions)
  const isKept = EnvironmentCapabilities.covers(alwaysAsk, approval.toolName)
  const hasRules = rules.length > 0 && questions.length === 0 && !cut && !isKept
  const allow = (input: unknown, rules: ReadonlyArray<unknown> = []) =>
    answer(Approvals.allow({ requestId, toolUseId, input, rules }))
  const deny = () =>
    answer(Approvals.deny({ requestId, toolUseId, message: words.trim() || Approvals.DENIED }))
  const reply = () => {
    const chosen = questions.map(({ question }) => [question, answers.current.get(question) ?? ""] as const)
    if (chosen.some(([, text]) => text === "")) setProblem("Choose an answer to each question.")
    else allow(Approvals.withAnswers(request.input, Object.fromEntries(chosen)))
  }
  const onKeyDown = ({ nativeEvent: event }: KeyboardEvent) => {
    // A key that is held down presses no button that has come under it meanwhile.
    if (event.repeat && !Keys.isTextField(event.target) && /^(?:Enter| )$/.test(event.key))
      event.preventDefault()
    const key = Keys.shortcut(event)
    if (key === null || sending) return
    if (key === "KeyY") questions.length > 0 ? reply() : cut ? undefined : allow(request.input)
    else if (key === "KeyA" && hasRules) allow(request.input, request.suggestions)
    else if (key === "KeyN") deny()
    else return
    event.preventDefault()
  }
  const told = problem ?? answering?.problem ?? null
  const Icon = questions.length > 0 ? CircleHelp : isPlan ? ListTodo : ShieldQuestion
  return (
    <article className="card" ref={card} tabIndex={-1} aria-labelledby={title} onKeyDown={onKeyDown}>
      <h3 id={title}>
        <Icon size={17} aria-hidden="true" />
        <span>
          {questions.length > 0
            ? "The agent asks"
            : isPlan
              ? "The agent has a plan"
              : `The agent wants to use ${Text.line(approval.displayName ?? approval.toolName, 120)}`}
        </span>
      </h3>
      {approval.description === null ||
      questions.length > 0 ||
      repeats(approval.description, request.input) ? null : (
        <p>{Text.line(approval.description, 1000)}</p>
      )}
      {questions.length > 0 ? (
        questions.map((question, n) => (
          <Question
            key={question.question}
            question={question}
            group={`${requestId}:${n}`}
            disabled={sending}
            onChange={(text) => {
              setProblem(null)
              answers.current.set(question.question, text)
            }}
          />
        ))
      ) : (
        <div className="request">
          <Input name={approval.toolName} input={request.input} before={request.before} />
        </div>
      )}
      {cut ? <p className="note">Not all of it is shown here; open the session to see it whole.</p> : null}
      <div className="actions">
        {questions.length > 0 ? (
          <button type="button" className="primary" disabled={sending} onClick={reply}>
            Answer
          </button>
        ) : (
          <>
            <button
              type="button"
              className="primary"
              disabled={sending || cut}
              aria-keyshortcuts="Y"
              onClick={() => allow(request.input)}
            >
              <Check size={15} aria-hidden="true" />
              {isPlan ? "Approve the plan" : "Allow"}
            </button>
            {request.suggestions.length === 0 || isKept ? null : (
              <button
                type="button"
                disabled={sending || cut}
                aria-keyshortcuts="A"
                aria-describedby={`${title}-rules`}
                onClick={() => allow(request.input, request.suggestions)}
              >
                <ShieldCheck size={15} aria-hidden="true" />
                Always allow
              </button>
            )}
          </>
        )}
        <button
          ref={denying}
          type="button"
          className="danger"
          disabled={sending}
          aria-keyshortcuts="N"
          onClick={deny}
        >
          <X size={15} aria-hidden="true" />
          {isPlan ? "Keep planning" : "Deny"}
        </button>
        <input
          type="text"
          placeholder="Words for the agent (with Deny)"
          aria-label="Words for the agent when you deny"
          disabled={sending}
          value={words}
          onChange={(event) => {
            typed.set(requestId, event.target.value)
            setWords(event.target.value)
          }}
          onKeyDown={(event) => {
            // Whoever writes answers nothing; the next Enter presses the button.
            if (Keys.isEnter(event.nativeEvent) && words.trim() !== "") {
              event.preventDefault()
              denying.current?.focus()
            }
          }}
        />
      </div>
      {!isKept ? null : (
        <p className="note">It is asked for each time: a rule is not allowed on this machine.</p>
      )}
      {!hasRules ? null : (
        <p className="note rules" id={`${title}-rules`}>
          Always: {rules.map((rule) => Text.line(rule, 300)).join("; ")}
        </p>
      )}
      <p className="note keys" aria-hidden="true">
        <kbd>Y</kbd> {questions.length > 0 ? "answers" : "allows"}
        {hasRules ? (
          <>
            {" · "}
            <kbd>A</kbd> always
          </>
        ) : null}
        {" · "}
        <kbd>N</kbd> denies
      </p>
      {told === null ? null : (
        <div className="note bad" role="alert">
          {told}
        </div>
      )}
      {sending ? (
        <div className="note" role="status">
          sending…
        </div>
      ) : null}
    </article>
  )
}
