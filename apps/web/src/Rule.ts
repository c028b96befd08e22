/** Rules that an agent suggests to hold from now on, in words. Source: spec 4 §1 (Permissions). */
import { array, object, string } from "@causeway/transcript/Read"

const places: ReadonlyMap<string, string> = new Map([
  ["session", "in this session"],
  ["localSettings", "in this directory, for you"],
  ["projectSettings", "in this project, for everybody"],
  ["userSettings", "everywhere, for you"]
])

const wordsOf = (suggestion: unknown): string => {
  const { type, behavior, rules, directories, mode, destination } = object(suggestion)
  const where = places.get(string(destination) ?? "")
  const placed = (words: string) => (where === undefined ? words : `${words} ${where}`)
  const named = array(rules).flatMap((rule) => {
    const { toolName, ruleContent } = object(rule)
    const tool = string(toolName)
    const content = string(ruleContent)
    return tool === null ? [] : [content === null ? tool : `${tool}(${content})`]
  })
  const folders = array(directories).flatMap((one) => string(one) ?? [])
  if (named.length > 0) return placed(`${string(behavior) ?? "allow"} ${named.join(", ")}`)
  if (folders.length > 0) return placed(`work in ${folders.join(", ")}`)
  if (typeof mode === "string") return placed(`change permissions to ${mode}`)
  return placed(string(type) ?? "a rule that this page does not know")
}

/** What "always" would mean, one line a rule. */
export const words = (suggestions: ReadonlyArray<unknown>): ReadonlyArray<string> => suggestions.map(wordsOf)
