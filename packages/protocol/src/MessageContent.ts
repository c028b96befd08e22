/**
 * Content of messages as models take it. One block that a model refuses is refused again with every later turn: a
 * conversation that holds it is lost. So a person's message is checked before it is stored ({@link problemOf}), and what an
 * agent's record holds is mended where it is carried to another agent (`Repair` of the transcript).
 *
 * Source: the public reference of the Messages API.
 */
import type { JsonObject, Payload } from "./Payload.ts"

const object = (value: unknown): JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : {}

// --- Text ---

/** White space and control characters: a model is shown nothing by them. */
const blank = /^[\s\p{Cc}]*$/u

/** A model sees nothing in the text. */
export const isBlank = (text: string): boolean => blank.test(text)

const halfCharacter = /\p{Cs}/u
const halfCharacters = /\p{Cs}/gu

/** Every character is whole: no half of a pair of surrogates stands alone. */
export const isWellFormed = (text: string): boolean => !halfCharacter.test(text)

/** The text with half characters replaced by the sign for what cannot be read (`String.toWellFormed`). */
export const wellFormed = (text: string): string =>
  halfCharacter.test(text) ? text.replace(halfCharacters, "\ufffd") : text

/** Where in a value a half character stands, as a path; `undefined` where it stands nowhere. */
const halfIn = (value: unknown, path: string): string | undefined => {
  if (typeof value === "string") return isWellFormed(value) ? undefined : path
  if (typeof value !== "object" || value === null) return undefined
  for (const [name, each] of Object.entries(value)) {
    if (!isWellFormed(name)) return path
    const found = halfIn(each, path === "" ? name : `${path}.${name}`)
    if (found !== undefined) return found
  }
  return undefined
}

// --- Files ---

/** Types of images that models look at. */
export const IMAGE_TYPES: ReadonlyArray<string> = ["image/png", "image/jpeg", "image/gif", "image/webp"]
export const PDF = "application/pdf"

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** The text is base64: the standard alphabet, padded, without line breaks. */
export const isBase64 = (text: string): boolean => base64.test(text)

/** The first bytes of base64, one character each. */
const head = (data: string): string => {
  try {
    return atob(data.slice(0, 64))
  } catch {
    return ""
  }
}

/** The media type that data in base64 begins like; `undefined` where it is none that models take. */
export const sniff = (data: string): string | undefined => {
  const start = head(data)
  if (start.startsWith("\u0089PNG\r\n\u001a\n")) return "image/png"
  if (start.startsWith("\u00ff\u00d8\u00ff")) return "image/jpeg"
  if (start.startsWith("GIF87a") || start.startsWith("GIF89a")) return "image/gif"
  if (start.startsWith("RIFF") && start.slice(8, 12) === "WEBP") return "image/webp"
  if (start.startsWith("%PDF-")) return PDF
  return undefined
}

const names = (types: ReadonlyArray<string>): string => `${types.slice(0, -1).join(", ")} or ${types.at(-1)}`

const dataProblem = (source: JsonObject, types: ReadonlyArray<string>): string | undefined => {
  const { data, media_type: type } = source
  if (typeof data !== "string" || data === "") return "its data is empty"
  if (!isBase64(data)) return "its data is not base64 (the standard alphabet, padded, without line breaks)"
  if (typeof type !== "string" || !types.includes(type)) {
    return `its media_type must be ${types.length === 1 ? types[0] : names(types)}`
  }
  const found = sniff(data)
  if (found === undefined) return `its data is not ${type}`
  return found === type ? undefined : `its data is ${found}, its media_type says ${type}`
}

const urlProblem = (url: unknown): string | undefined =>
  typeof url === "string" && /^https?:\/\/[^\s/]/i.test(url) ? undefined : "its url must begin with https://"

const fileProblem = (id: unknown): string | undefined =>
  typeof id === "string" && id !== "" ? undefined : "its file_id is empty"

const imageProblem = (source: JsonObject): string | undefined => {
  switch (source["type"]) {
    case "base64":
      return dataProblem(source, IMAGE_TYPES)
    case "url":
      return urlProblem(source["url"])
    case "file":
      return fileProblem(source["file_id"])
    default:
      return "its source.type must be base64, url or file"
  }
}

const documentProblem = (source: JsonObject): string | undefined => {
  switch (source["type"]) {
    case "base64":
      return dataProblem(source, [PDF])
    case "text":
      return typeof source["data"] !== "string" || isBlank(source["data"])
        ? "its text is empty"
        : source["media_type"] === "text/plain"
          ? undefined
          : "its media_type must be text/plain"
    case "url":
      return urlProblem(source["url"])
    case "file":
      return fileProblem(source["file_id"])
    case "content":
      return typeof source["content"] === "string"
        ? isBlank(source["content"])
          ? "its text is empty"
          : undefined
        : listProblem(source["content"], (block) => block["type"] === "text" || block["type"] === "image")
    default:
      return "its source.type must be base64, text, url, file or content"
  }
}

// --- Blocks ---

/** Why a model refuses a block that people and tools may send; `undefined` where it takes it. */
export const blockProblem = (block: JsonObject): string | undefined => {
  switch (block["type"]) {
    case "text":
      return typeof block["text"] !== "string" || isBlank(block["text"]) ? "the text is blank" : undefined
    case "image": {
      const problem = imageProblem(object(block["source"]))
      return problem === undefined ? undefined : `the image cannot be shown: ${problem}`
    }
    case "document": {
      const problem = documentProblem(object(block["source"]))
      return problem === undefined ? undefined : `the document cannot be read: ${problem}`
    }
    default:
      return `a part of type ${JSON.stringify(block["type"] ?? null)} is not taken from people; send text, image or document`
  }
}

const listProblem = (
  content: unknown,
  admits: (block: JsonObject) => boolean = () => true
): string | undefined => {
  if (!Array.isArray(content)) return "it has no content"
  if (content.length === 0) return "its content is empty"
  for (const [at, each] of content.entries()) {
    const block = object(each)
    const problem = admits(block) ? blockProblem(block) : "this part does not belong here"
    if (problem !== undefined) return `content.${at}: ${problem}`
  }
  return undefined
}

// --- What people send ---

/**
 * What is wrong with a payload that a person sends, in words for the sender; `undefined` where it may go into the log.
 * Looks at messages, and for half characters everywhere: an agent hands both to its model.
 */
export const problemOf = ({ json, type }: Pick<Payload, "json" | "type">): string | undefined => {
  const half = halfIn(json, "")
  if (half !== undefined) {
    return `at ${half === "" ? "a name" : half}: half of a character (a lone surrogate, \\ud800 to \\udfff); it was cut through, send it whole`
  }
  if (type === "session_update" && "attributes" in json) {
    return "at attributes: only the hub writes them; change them with the gateway's sessions.patch"
  }
  if (type !== "user" && type !== "assistant") return undefined
  const message = json["message"]
  const { content, role } = object(message)
  const problem =
    object(message) !== message
      ? "the message is missing"
      : role !== undefined && role !== type
        ? `role must be ${JSON.stringify(type)}`
        : typeof content === "string"
          ? isBlank(content)
            ? "content: the text is blank"
            : undefined
          : listProblem(content, (block) => type === "user" || block["type"] === "text")
  return problem === undefined ? undefined : `at message: ${problem}`
}
