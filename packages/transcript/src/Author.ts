/**
 * Who wrote the words of a message. What a person sent is a person's, however it begins. What an agent's program puts
 * among the messages is told by where it comes from and by its form: whole elements of names that such programs use
 * (`<ide_selection>…</ide_selection>`), never by the first characters.
 */
import { array, type JsonObject, object } from "./Read.ts"

/** Names of the elements in which programs speak. */
const ofPrograms =
  /^(?:ide_[a-z_]+|system[-_]reminder|command-(?:name|message|args|contents)|local-command-(?:stdout|stderr|caveat)|bash-(?:input|stdout|stderr)|task(?:[-_][a-z_-]+)?|user-prompt-submit-hook)$/

const opening = /<([a-z][a-z0-9_-]{0,63})(?:\s[^<>]{0,1000})?>/g

/** The text without whole elements of programs. */
const withoutElements = (text: string): string => {
  let out = ""
  let from = 0
  // Looked for once: a text may open the same element a thousand times and close it never.
  const unclosed = new Set<string>()
  for (const found of text.matchAll(opening)) {
    const name = found[1] ?? ""
    if (found.index < from || unclosed.has(name) || !ofPrograms.test(name)) continue
    const close = `</${name}>`
    const end = text.indexOf(close, found.index + found[0].length)
    if (end < 0) unclosed.add(name)
    else {
      out += text.slice(from, found.index)
      from = end + close.length
    }
  }
  return from === 0 ? text : out + text.slice(from)
}

const interrupted = /^\s*\[Request interrupted by user(?: for tool use)?\]\s*$/

/** Whether a text is an agent's program saying that a person stopped it. */
export const saysInterrupted = (text: string): boolean => interrupted.test(text)

/** Whether nothing of a text is a person's: programs' elements alone. */
export const isProgram = (text: string): boolean =>
  saysInterrupted(text) || (text.includes("<") && text.trim() !== "" && withoutElements(text).trim() === "")

const textsOf = (content: unknown): ReadonlyArray<string> =>
  typeof content === "string"
    ? [content]
    : array(content).flatMap((block) => {
        const { text, type } = object(block)
        return type === "text" && typeof text === "string" ? [text] : []
      })

/**
 * What a person wrote of a message's content; null where there are no words. Where programs' elements are all there is,
 * their words are a person's only if a person sent them.
 */
export const wordsOf = (content: unknown, source: "worker" | "client"): string | null => {
  const texts = textsOf(content).filter((text) => text !== "")
  const words = texts.map((text) => withoutElements(text).trim()).filter((text) => text !== "")
  if (words.length > 0) return words.some(saysInterrupted) && source === "worker" ? null : words.join("\n")
  if (source === "worker" || texts.length === 0) return null
  return (
    texts
      .join("\n")
      .replace(/<\/?[a-z][^<>]*>/g, " ")
      .trim() || texts.join("\n")
  )
}

/** Whether a line of the log was put there by a program: it says so, or an agent's program speaks in its own elements. */
export const isOfProgram = (json: JsonObject, source: "worker" | "client", text: string): boolean =>
  json["isMeta"] === true || json["isSynthetic"] === true || (source === "worker" && isProgram(text))
