/** The panel in which an approval or a question of the agent is answered. Pure. */
import * as Approvals from "@causeway/transcript/Approvals"
import * as Elicitation from "@causeway/transcript/Elicitation"
import type { JsonObject } from "@causeway/transcript/Read"
import type { Request } from "@causeway/transcript/View/Requests"
import * as Either from "effect/Either"
import * as Composer from "./Composer.ts"
import type { Key } from "./Keys.ts"

/** What a person has said in the panel so far, of one request. */
export interface Panel {
  readonly requestId: string
  /** Words that are being typed: why it is denied, or an answer of one's own. */
  readonly words: { readonly as: "deny" | "answer"; readonly composer: Composer.Composer } | null
  /** Answers to the questions before the one that is shown. */
  readonly answers: ReadonlyArray<Elicitation.Answer>
  /** Options that are chosen for the question that is shown, where several may be. */
  readonly chosen: ReadonlyArray<number>
  /** Rows of what is asked that have been scrolled away. */
  readonly scroll: number
}

export const open = (requestId: string): Panel => ({
  requestId,
  words: null,
  answers: [],
  chosen: [],
  scroll: 0
})

export interface Outcome {
  readonly panel: Panel
  /** The payload to send, where the person has decided. */
  readonly answer: JsonObject | null
  /** What the person is told. */
  readonly hint: string | null
  /** Whether the key meant anything here. */
  readonly taken: boolean
}

export const questionsOf = (approval: Approvals.Approval, request: Request | undefined) =>
  approval.kind === "dialog"
    ? (formOf(approval, request)?.fields.map((field) => field.question) ?? [])
    : approval.toolName === "AskUserQuestion"
      ? Approvals.questionsOf(request?.input ?? approval.input)
      : []

/** The form that the agent's program asks to fill in; null where the approval is of another kind. */
export const formOf = (
  approval: Approvals.Approval,
  request: Request | undefined
): Elicitation.Form | null =>
  approval.kind === "dialog" ? Elicitation.formOf(request?.input ?? approval.input) : null

/** An answer as `AskUserQuestion` takes it. */
const wordsOf = (question: Approvals.Question, answer: Elicitation.Answer | undefined): string =>
  answer === undefined
    ? ""
    : answer._tag === "Words"
      ? answer.text
      : answer.options.flatMap((n) => question.options[n]?.label ?? []).join(", ")

/** The person has decided. Sent or not, the panel begins anew: an answer that does not arrive can be given again. */
const decide = (requestId: string, answer: JsonObject): Outcome => ({
  panel: open(requestId),
  answer,
  hint: null,
  taken: true
})

const stay = (panel: Panel, hint: string | null = null): Outcome => ({
  panel,
  answer: null,
  hint,
  taken: true
})

/** The state after the answer to the question that is shown: the next question, or the whole answer. */
const answered = (
  panel: Panel,
  approval: Approvals.Approval,
  request: Request,
  questions: ReadonlyArray<Approvals.Question>,
  answer: Elicitation.Answer
): Outcome => {
  const form = formOf(approval, request)
  const field = form?.fields[panel.answers.length]
  const wrong = field === undefined ? undefined : Elicitation.valueOf(field, answer)
  if (wrong !== undefined && Either.isLeft(wrong)) return stay(panel, wrong.left)
  const answers = [...panel.answers, answer]
  const next: Panel = { ...panel, answers, chosen: [], words: null, scroll: 0 }
  if (answers.length < questions.length) return stay(next)
  const { requestId, toolUseId } = approval
  if (form !== null) {
    const content = form.fields.flatMap((each, n) => {
      const given = answers[n]
      const value = given === undefined ? Either.right(undefined) : Elicitation.valueOf(each, given)
      return Either.isRight(value) && value.right !== undefined ? [[each.key, value.right] as const] : []
    })
    return decide(requestId, Elicitation.accept(requestId, Object.fromEntries(content)))
  }
  const input = Approvals.withAnswers(
    request.input,
    Object.fromEntries(questions.map((question, n) => [question.question, wordsOf(question, answers[n])]))
  )
  return decide(requestId, Approvals.allow({ requestId, toolUseId, input }))
}

/** The words after a key that edits them. */
export const edit = (composer: Composer.Composer, key: Key): Composer.Composer => {
  if (key._tag !== "Named") return Composer.insert(composer, key.text)
  const change = edits[key.name]
  return change === undefined ? composer : change(composer)
}

const edits: { readonly [name: string]: (composer: Composer.Composer) => Composer.Composer } = {
  newline: (composer) => Composer.insert(composer, "\n"),
  backspace: Composer.backspace,
  delete: Composer.deleteForward,
  left: Composer.left,
  right: Composer.right,
  home: Composer.home,
  end: Composer.end,
  "word-left": Composer.wordLeft,
  "word-right": Composer.wordRight,
  "delete-word": Composer.deleteWord,
  "ctrl-w": Composer.deleteWord,
  "ctrl-a": Composer.home,
  "ctrl-e": Composer.end,
  "ctrl-b": Composer.left,
  "ctrl-f": Composer.right,
  "ctrl-u": Composer.deleteToStart,
  "ctrl-k": Composer.deleteToEnd,
  up: Composer.up,
  down: Composer.down
}

/** A key in the panel. `request` is unknown until the whole of what was asked has been read. */
export const press = (
  panel: Panel,
  approval: Approvals.Approval,
  request: Request | undefined,
  key: Key
): Outcome => {
  const { requestId, toolUseId } = approval
  const questions = questionsOf(approval, request)
  const question = questions[panel.answers.length]

  if (panel.words !== null) {
    const { as, composer } = panel.words
    if (key._tag === "Named" && key.name === "escape") return stay({ ...panel, words: null })
    if (key._tag !== "Named" || key.name !== "enter") {
      return stay({ ...panel, words: { as, composer: edit(composer, key) } })
    }
    const words = composer.text.trim()
    if (as === "deny") {
      return decide(
        requestId,
        Approvals.deny({ requestId, toolUseId, message: words === "" ? Approvals.DENIED : words })
      )
    }
    const optional = formOf(approval, request)?.fields[panel.answers.length]?.isRequired === false
    if ((words === "" && !optional) || request === undefined) return stay(panel, "type an answer, or Esc")
    return answered(panel, approval, request, questions, { _tag: "Words", text: words })
  }

  const letter = key._tag === "Text" ? key.text : ""
  const name = key._tag === "Named" ? key.name : ""
  if (name === "up") return stay({ ...panel, scroll: Math.max(0, panel.scroll - 1) })
  if (name === "down") return stay({ ...panel, scroll: panel.scroll + 1 })
  const form = formOf(approval, request)
  if (letter === "d" && form !== null) {
    return decide(requestId, Elicitation.decline(requestId))
  }
  if (letter === "d") return stay({ ...panel, words: { as: "deny", composer: Composer.empty } })

  if (question !== undefined) {
    if (request === undefined) return stay(panel, "what is asked has not come yet")
    if (letter === "o") return stay({ ...panel, words: { as: "answer", composer: Composer.empty } })
    const digit = /^[1-9]$/.test(letter) ? Number(letter) - 1 : -1
    const option = question.options[digit]
    if (option !== undefined) {
      if (!question.multiSelect)
        return answered(panel, approval, request, questions, { _tag: "Chosen", options: [digit] })
      const chosen = panel.chosen.includes(digit)
        ? panel.chosen.filter((each) => each !== digit)
        : [...panel.chosen, digit].sort((a, b) => a - b)
      return stay({ ...panel, chosen })
    }
    if (name === "enter" && question.multiSelect) {
      return panel.chosen.length === 0
        ? stay(panel, "choose at least one")
        : answered(panel, approval, request, questions, { _tag: "Chosen", options: panel.chosen })
    }
    return { panel, answer: null, hint: null, taken: false }
  }

  if (letter === "a" || letter === "A") {
    if (approval.kind === "dialog" && form === null) {
      return stay(panel, "this dialog can only be declined here: d")
    }
    if (request === undefined) return stay(panel, "what is asked has not come yet")
    if (letter === "A" && request.suggestions.length === 0) {
      return stay(panel, "the agent suggests no rule to allow this always; a allows it once")
    }
    if (form !== null) {
      return decide(requestId, Elicitation.accept(requestId, {}))
    }
    return decide(
      requestId,
      Approvals.allow({
        requestId,
        toolUseId,
        input: request.input,
        rules: letter === "A" ? request.suggestions : []
      })
    )
  }
  return { panel, answer: null, hint: null, taken: false }
}
