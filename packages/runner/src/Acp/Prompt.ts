/** A person's message as the content blocks of `session/prompt`. Source: spec 4 §1 (`user`) and §2. */
import type { ContentBlock, PromptCapabilities } from "@agentclientprotocol/sdk"
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Read from "@causeway/transcript/Read"

/** `omitted`: parts that the agent does not take, in words for a person. */
export interface Prompt {
  readonly blocks: ReadonlyArray<ContentBlock>
  readonly omitted: ReadonlyArray<string>
}

const text = (value: string): ContentBlock => ({ type: "text", text: value })
const str = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined

/** One block; a string says why it cannot be given. */
const block = (value: unknown, takes: PromptCapabilities): ContentBlock | string => {
  const json = Read.object(value)
  const source = Read.object(json["source"])
  const data = str(source["data"]) ?? str(json["data"])
  const mimeType = str(source["media_type"]) ?? str(json["mimeType"])
  const url = str(source["url"])
  switch (json["type"]) {
    case "text":
      return text(typeof json["text"] === "string" ? json["text"] : "")
    case "image":
      if (url !== undefined) return { type: "resource_link", name: "image", uri: url }
      if (data === undefined) return "an image without data"
      return takes.image === true
        ? { type: "image", data, mimeType: mimeType ?? "image/png" }
        : "an image: this agent takes none"
    case "audio":
      if (data === undefined) return "audio without data"
      return takes.audio === true
        ? { type: "audio", data, mimeType: mimeType ?? "audio/wav" }
        : "audio: this agent takes none"
    case "document": {
      const title = str(json["title"]) ?? "document"
      if (url !== undefined) return { type: "resource_link", name: title, uri: url }
      if (data === undefined) return `the document ${title}: it has no data`
      const uri = `attachment:${encodeURIComponent(title)}`
      if (source["type"] === "text") {
        return takes.embeddedContext === true
          ? { type: "resource", resource: { uri, text: data, mimeType: mimeType ?? "text/plain" } }
          : text(`${title}:\n${data}`)
      }
      return takes.embeddedContext === true
        ? { type: "resource", resource: { uri, blob: data, mimeType: mimeType ?? "application/pdf" } }
        : `the document ${title}: this agent takes none`
    }
    case "resource_link": {
      const uri = str(json["uri"])
      return uri === undefined
        ? "a link without an address"
        : { type: "resource_link", uri, name: str(json["name"]) ?? uri }
    }
    case "resource": {
      const resource = Read.object(json["resource"])
      const uri = str(resource["uri"]) ?? "attachment:resource"
      const body = resource["text"]
      if (typeof body === "string") {
        return takes.embeddedContext === true
          ? { type: "resource", resource: { uri, text: body, mimeType: str(resource["mimeType"]) ?? null } }
          : text(`${uri}:\n${body}`)
      }
      const blob = str(resource["blob"])
      return blob !== undefined && takes.embeddedContext === true
        ? { type: "resource", resource: { uri, blob, mimeType: str(resource["mimeType"]) ?? null } }
        : `${uri}: this agent takes no attachments`
    }
    default:
      return `a part of type ${Read.name(json["type"], 64) ?? "unknown"}`
  }
}

/**
 * The blocks of a `user` payload. What the agent does not take is left out, named in `omitted`, and the agent is told
 * that something was: it must not believe that it has seen everything.
 */
export const fromUser = (payload: JsonObject, takes: PromptCapabilities): Prompt => {
  const content = Read.object(payload["message"])["content"]
  if (typeof content === "string") return { blocks: [text(content)], omitted: [] }
  const blocks: Array<ContentBlock> = []
  const omitted: Array<string> = []
  for (const each of Read.array(content)) {
    const made = block(each, takes)
    if (typeof made !== "string") blocks.push(made)
    else {
      omitted.push(made)
      blocks.push(text(`[left out: ${made}]`))
    }
  }
  return { blocks: blocks.length === 0 ? [text("")] : blocks, omitted }
}

/** The words of blocks, by which a prompt is known again in an agent's history. */
export const words = (blocks: ReadonlyArray<unknown>): string =>
  blocks.map((each) => Read.string(Read.object(each)["text"]) ?? "").join("")
