/** Images in the lines of a log: they are left out of the conversation and found here by whom they belong to. */
import { array, type JsonObject, object, string } from "@causeway/transcript/Read"

/** Kinds that a browser draws and that run nothing. */
const kinds: ReadonlySet<string> = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"])

/** The `data:` address of an image block; none where a browser is not to draw it. */
export const urlOf = (block: unknown): ReadonlyArray<string> => {
  const { type, source, data, mimeType } = object(block)
  if (type !== "image") return []
  const inner = object(source)
  const kind = string(inner["media_type"]) ?? string(mimeType) ?? ""
  const bytes = string(inner["data"]) ?? string(data) ?? ""
  return kinds.has(kind) && /^[A-Za-z0-9+/=\s]+$/.test(bytes.slice(0, 4096))
    ? [`data:${kind};base64,${bytes}`]
    : []
}

/** `data:` addresses by the uuid of the message, or the `tool_use_id` of the result, that holds them. */
export const of = (
  uuid: string,
  json: JsonObject
): ReadonlyArray<readonly [owner: string, urls: ReadonlyArray<string>]> => {
  const found: Array<readonly [string, ReadonlyArray<string>]> = []
  const content = array(object(json["message"])["content"])
  const own = content.flatMap(urlOf)
  if (own.length > 0) found.push([uuid, own])
  for (const block of content) {
    const { type, tool_use_id, content: inner } = object(block)
    const owner = string(tool_use_id)
    if (owner === null || typeof type !== "string" || !type.endsWith("tool_result")) continue
    const urls = array(inner).flatMap(urlOf)
    if (urls.length > 0) found.push([owner, urls])
  }
  return found
}
