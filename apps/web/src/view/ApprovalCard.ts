/** The card of an approval that is open: what the agent wants, and how to answer. */
import * as Approvals from "@causeway/transcript/Approvals"
import { object, string } from "@causeway/transcript/Read"
import type { Request } from "../SessionView.ts"
import { h, longText } from "./dom.ts"

/** An open approval, and how far a person's answer from this page has come. */
export interface Card {
  readonly approval: Approvals.Approval
  readonly request: Request
  readonly sending: boolean
  readonly problem: string | null
}

export interface Actions {
  readonly answer: (requestId: string, payload: { readonly [key: string]: unknown }) => void
  /** Words typed into a card, kept while it is built anew. */
  readonly words: Map<string, string>
}

const inputText = (input: unknown): string => {
  const members = object(input)
  const told = string(members["command"]) ?? string(members["plan"])
  if (told !== null && Object.keys(members).length === 1) return told
  try {
    return JSON.stringify(input, null, 2) ?? ""
  } catch {
    // Nested deeper than the stack: nothing that a person could read.
    return "[too deep to show]"
  }
}

const button = (text: string, kind: string, sending: boolean, click: () => void): HTMLButtonElement =>
  h("button", { class: kind, attrs: { type: "button", disabled: sending }, on: { click } }, text)

/** Fields for the questions of the agent, and what is chosen in them; null while one is not answered. */
const questionFields = (card: Card, questions: ReadonlyArray<Approvals.Question>) => {
  const fields = questions.map((question, n) => {
    const group = `${card.approval.requestId}:${n}`
    const inputs = question.options.map((option) => ({
      label: option.label,
      input: h("input", {
        attrs: { type: question.multiSelect ? "checkbox" : "radio", name: group, disabled: card.sending }
      }),
      description: option.description
    }))
    const other = h("input", {
      attrs: { type: "text", placeholder: "Other", "aria-label": "Another answer", disabled: card.sending }
    })
    const element = h(
      "fieldset",
      {},
      h("legend", {}, question.question),
      ...inputs.map(({ label, input, description }) =>
        h("label", {}, input, h("span", {}, label, description === null ? null : h("small", {}, description)))
      ),
      other
    )
    return {
      element,
      chosen: (): string =>
        [
          ...inputs.filter(({ input }) => input.checked).map(({ label }) => label),
          ...(other.value.trim() === "" ? [] : [other.value.trim()])
        ].join(", ")
    }
  })
  const chosen = (): { readonly [question: string]: string } | null => {
    const answers = questions.map((question, n) => [question.question, fields[n]?.chosen() ?? ""] as const)
    return answers.some(([, answer]) => answer === "") ? null : Object.fromEntries(answers)
  }
  return { elements: fields.map((field) => field.element), chosen }
}

export const build = (card: Card, actions: Actions): HTMLElement => {
  const { approval, request, sending } = card
  const { requestId, toolUseId } = approval
  const questions = approval.toolName === "AskUserQuestion" ? Approvals.questionsOf(request.input) : []
  const note = h("div", { class: "note bad", attrs: { role: "alert" } }, card.problem ?? "")
  note.hidden = card.problem === null
  const words = h("input", {
    attrs: {
      type: "text",
      placeholder: "Words for the agent (with Deny)",
      "aria-label": "Words for the agent when you deny",
      disabled: sending
    },
    on: { input: () => actions.words.set(requestId, words.value) }
  })
  words.value = actions.words.get(requestId) ?? ""
  const allow = (input: unknown, rules: ReadonlyArray<unknown> = []) =>
    actions.answer(requestId, Approvals.allow({ requestId, toolUseId, input, rules }))
  const deny = () =>
    actions.answer(
      requestId,
      Approvals.deny({ requestId, toolUseId, message: words.value.trim() || Approvals.DENIED })
    )
  const fields = questionFields(card, questions)
  const isPlan = approval.toolName === "ExitPlanMode"
  const main =
    questions.length > 0
      ? [
          button("Answer", "primary", sending, () => {
            const answers = fields.chosen()
            if (answers !== null) allow(Approvals.withAnswers(request.input, answers))
            else {
              note.hidden = false
              note.textContent = "Choose an answer to each question."
            }
          })
        ]
      : [
          button(isPlan ? "Approve the plan" : "Allow", "primary", sending, () => allow(request.input)),
          ...(request.suggestions.length === 0
            ? []
            : [button("Always allow", "", sending, () => allow(request.input, request.suggestions))])
        ]
  const title =
    questions.length > 0
      ? "The agent asks"
      : isPlan
        ? "The agent has a plan"
        : `The agent wants to use ${approval.displayName ?? approval.toolName}`
  return h(
    "li",
    { class: "card", attrs: { "aria-label": title } },
    h("h3", {}, title),
    approval.description === null || questions.length > 0 ? null : h("p", {}, approval.description),
    questions.length > 0 ? null : longText(inputText(request.input), "code"),
    ...fields.elements,
    h(
      "div",
      { class: "row" },
      ...main,
      button(isPlan ? "Keep planning" : "Deny", "danger", sending, deny),
      words
    ),
    note,
    sending ? h("div", { class: "note" }, "sending…") : null
  )
}
