/** What a client sends, as the content of a message. Source: spec 2 §2 (`chat.send`). */
import * as MessageContent from "@causeway/protocol/MessageContent"
import { type JsonObject, object, string } from "@causeway/transcript/Read"
import * as Either from "effect/Either"

const isText = (media: string): boolean =>
  /^text\/|^application\/(?:json|xml|yaml|x-yaml|toml|javascript|x-sh)$|\+(?:json|xml)$/.test(media)

const decoder = new TextDecoder("utf-8", { fatal: true })

const textOf = (data: string): string | undefined => {
  try {
    return decoder.decode(Buffer.from(data, "base64"))
  } catch {
    return undefined
  }
}

/** What a file begins like counts, else what is said of it. */
const block = (data: string, given: string, title: string | null): JsonObject | string => {
  if (!MessageContent.isBase64(data)) return "its content is not base64"
  const media = MessageContent.sniff(data)
  const named = title === null ? {} : { title }
  if (media === MessageContent.PDF) {
    return { type: "document", source: { type: "base64", media_type: media, data }, ...named }
  }
  if (media !== undefined) return { type: "image", source: { type: "base64", media_type: media, data } }
  const text = isText(given) ? textOf(data) : undefined
  if (text !== undefined && !MessageContent.isBlank(text)) {
    return { type: "document", source: { type: "text", media_type: "text/plain", data: text }, ...named }
  }
  return `its content (${given}) is neither text, a PDF nor an image (PNG, JPEG, GIF, WebP)`
}

/** Empty ones are left out. */
const blocks = (attachments: ReadonlyArray<unknown>): Either.Either<ReadonlyArray<JsonObject>, string> => {
  const out: Array<JsonObject> = []
  for (const [at, each] of attachments.entries()) {
    const given = object(each)
    const source = object(given["source"])
    const data = string(given["content"]) ?? (source["type"] === "base64" ? string(source["data"]) : null)
    if (data === null || data.trim() === "") continue
    const prefix = /^data:([^;,]*)[^,]*;base64,/.exec(data)
    const media =
      string(given["mimeType"]) ?? string(source["media_type"]) ?? prefix?.[1] ?? "application/octet-stream"
    const made = block(
      data.slice(prefix?.[0].length ?? 0).replace(/\s+/g, ""),
      media.split(";")[0]?.trim().toLowerCase() ?? "",
      string(given["fileName"])
    )
    if (typeof made === "string") return Either.left(`attachments.${at}: ${made}`)
    out.push(made)
  }
  return Either.right(out)
}

export interface Prompt {
  /** What the person wrote, without control characters. */
  readonly text: string
  readonly content: string | ReadonlyArray<JsonObject>
}

/** Control characters other than tab and line ends. */
const controls = /[^\P{Cc}\t\n\r]/gu

/** A message and its attachments; or what is wrong with them, in words for the sender. */
export const of = (message: string, attachments: ReadonlyArray<unknown>): Either.Either<Prompt, string> => {
  const whole = message.normalize("NFC")
  if (whole.includes("\u0000")) return Either.left("message must not contain null bytes")
  if (!MessageContent.isWellFormed(whole)) {
    return Either.left(
      "message holds half of a character (a lone surrogate); it was cut through, send it whole"
    )
  }
  const text = whole.replace(controls, "")
  const blank = MessageContent.isBlank(text)
  return Either.flatMap(blocks(attachments), (files) =>
    blank && files.length === 0
      ? Either.left("message or attachment required")
      : Either.right({
          text,
          content: files.length === 0 ? text : [...(blank ? [] : [{ type: "text", text }]), ...files]
        })
  )
}
