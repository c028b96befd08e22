/** Answers to approvals, as payloads, and the questions that some of them ask. Source: spec 4 §1 (Permissions). */
import { array, type JsonObject, name, object } from "./Read.ts"

/** The payload that answers a control request. */
export const respond = (requestId: string, response: JsonObject): JsonObject & { readonly type: string } => ({
  type: "control_response",
  response: { subtype: "success", request_id: requestId, response }
})

/**
 * The payload that allows a request. `input` is what the tool is to run with: the whole asked input, or a person's
 * change of it. `rules` are those of the agent's suggestions that are to hold from now on.
 */
export const allow = (answer: {
  readonly requestId: string
  readonly toolUseId: string
  readonly input: unknown
  readonly rules?: ReadonlyArray<unknown>
}) =>
  respond(answer.requestId, {
    behavior: "allow",
    updatedInput: answer.input,
    toolUseID: answer.toolUseId,
    ...(answer.rules === undefined || answer.rules.length === 0 ? {} : { updatedPermissions: answer.rules })
  })

/** What a denial without a person's own words says: no more than that there was one. */
export const DENIED = "The user denied this request."

/** The payload that denies a request; the agent gets to read `message`, which is {@link DENIED} where nobody said more. */
export const deny = (answer: {
  readonly requestId: string
  readonly toolUseId: string
  readonly message: string
}) => respond(answer.requestId, { behavior: "deny", message: answer.message, toolUseID: answer.toolUseId })

/** A question that an agent asks through `AskUserQuestion`. */
export interface Question {
  readonly question: string
  readonly header: string | null
  readonly multiSelect: boolean
  readonly options: ReadonlyArray<{ readonly label: string; readonly description: string | null }>
}

/** The questions of an `AskUserQuestion` input; none where it holds none. */
export const questionsOf = (input: unknown): ReadonlyArray<Question> =>
  array(object(input)["questions"]).flatMap((entry) => {
    const { question, header, multiSelect, options } = object(entry)
    if (typeof question !== "string") return []
    return [
      {
        question,
        header: name(header),
        multiSelect: multiSelect === true,
        options: array(options).flatMap((option) => {
          const label = typeof option === "string" ? option : object(option)["label"]
          if (typeof label !== "string") return []
          return [{ label, description: name(object(option)["description"], 1024) }]
        })
      }
    ]
  })

/** The input that answers questions: the asked one with the labels chosen for each question. */
export const withAnswers = (
  input: unknown,
  answers: { readonly [question: string]: string }
): JsonObject => ({
  ...object(input),
  answers
})
