/** One line about something longer: a tool's input, a message. */
import { array, object, preview, string } from "./Read.ts"

/** Members of a tool's input that say most about a call, the first one that is there. */
const telling = [
  "command",
  "file_path",
  "filePath",
  "notebook_path",
  "path",
  "pattern",
  "query",
  "url",
  "description",
  "prompt",
  "title"
]

/** What a tool is called with, on one line of at most `max` characters; empty where nothing tells. */
export const toolInput = (input: unknown, max = 120): string => {
  if (typeof input === "string") return preview(input, max)
  const members = object(input)
  for (const key of telling) {
    const value = string(members[key])
    if (value !== null && value.length > 0) return preview(value, max)
  }
  const question = string(object(array(members["questions"])[0])["question"])
  if (question !== null) return preview(question, max)
  for (const key of Object.keys(members).slice(0, 16)) {
    const value = string(members[key])
    if (value !== null && value.length > 0) return preview(`${key}: ${value}`, max)
  }
  return ""
}

/** JSON for people; a value nested deeper than the stack is nothing that a person could read. */
export const json = (value: unknown, indent = 2): string => {
  try {
    return JSON.stringify(value, null, indent) ?? ""
  } catch {
    return "[too deep to show]"
  }
}
