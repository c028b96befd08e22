/** The scripted agent's side of the control protocol: what it asks its host, and who waits for the answer. */

export type Json = { readonly [key: string]: unknown }

export const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** How a permission request ended. */
export type Answer =
  | { readonly _tag: "Allowed"; readonly input: Json; readonly updates: ReadonlyArray<Json> }
  | { readonly _tag: "Denied"; readonly message: string; readonly interrupt: boolean }
  /** The host answered with an error, or left. The tool fails with this text and the turn goes on. */
  | { readonly _tag: "Failed"; readonly message: string }

export interface Question {
  readonly requestId: string
  readonly request: Json
  readonly answer: (answer: Answer) => void
}

/** What a `control_response` says. */
export const answerOf = (response: Json): Answer => {
  if (response["subtype"] !== "success") {
    return { _tag: "Failed", message: typeof response["error"] === "string" ? response["error"] : "refused" }
  }
  const body = isObject(response["response"]) ? response["response"] : {}
  if (body["behavior"] === "allow") {
    const updates = body["updatedPermissions"]
    return {
      _tag: "Allowed",
      input: isObject(body["updatedInput"]) ? body["updatedInput"] : {},
      updates: Array.isArray(updates) ? updates.filter(isObject) : []
    }
  }
  return {
    _tag: "Denied",
    message: typeof body["message"] === "string" ? body["message"] : "",
    interrupt: body["interrupt"] === true
  }
}
