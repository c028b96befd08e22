/** What a `result` line, the end of a turn, says of itself. Source: spec 3 §7.7, spec 4 §1 (Result and usage). */
import { array, type JsonObject, name, object, preview, string } from "./Read.ts"

/** Longest error text that is kept, in UTF-16 units. */
export const ERROR_MAX = 480

/** A failed result's own words: its text, its errors, or at least its kind. */
export const errorText = (json: JsonObject): string => {
  const result = string(json["result"])
  if (result !== null && result.length > 0) return preview(result, ERROR_MAX)
  const errors = array(json["errors"])
    .slice(0, 8)
    .flatMap((error) => string(error) ?? string(object(error)["message"]) ?? [])
  if (errors.length > 0) return preview(errors.join("; "), ERROR_MAX)
  return name(json["error"], ERROR_MAX) ?? name(json["subtype"]) ?? "failed"
}

/** Whether the turn failed, or was stopped. */
export const isFailure = (json: JsonObject): boolean => {
  const subtype = json["subtype"]
  return json["is_error"] === true || (typeof subtype === "string" && subtype.startsWith("error"))
}

/** Whether a person stopped the turn; that is no failure of it. */
export const wasStopped = (json: JsonObject): boolean => {
  const reason = json["terminal_reason"]
  return typeof reason === "string" && reason.startsWith("aborted")
}
