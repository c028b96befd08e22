/** Files that go with a message, as the content blocks that agents take. */
import { array, type JsonObject, object, string } from "@causeway/transcript/Read"
import * as Text from "./Text.ts"

export interface Attachment {
  readonly name: string
  readonly bytes: number
  readonly block: JsonObject
}

/** Of all attachments of a message together: what the hub takes in one event, with room for the rest. */
export const BYTES_MAX = 3_000_000

/** Kinds that agents look at, and that a browser draws and that run nothing. */
const images: ReadonlySet<string> = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"])

const base64 = (file: File): Promise<string> =>
  new Promise((resolve, reject) => {
    const reader = new FileReader()
    reader.onload = () => resolve(String(reader.result).replace(/^[^,]*,/, ""))
    reader.onerror = () => reject(new Error(`${Text.line(file.name, 80)} cannot be read`))
    reader.readAsDataURL(file)
  })

/** Reads a file; fails with words for a person. */
export const read = async (file: File): Promise<Attachment> => {
  const { name, size: bytes, type } = file
  const shown = Text.line(name, 80)
  if (bytes > BYTES_MAX)
    throw new Error(`${shown} has ${Text.bytes(bytes)}; a message takes at most ${Text.bytes(BYTES_MAX)}.`)
  if (images.has(type)) {
    return {
      name,
      bytes,
      block: { type: "image", source: { type: "base64", media_type: type, data: await base64(file) } }
    }
  }
  if (type === "application/pdf") {
    const source = { type: "base64", media_type: type, data: await base64(file) }
    return { name, bytes, block: { type: "document", source, title: name } }
  }
  const data = await file.text()
  if (data.includes("\0")) throw new Error(`${shown} is neither text, PDF nor an image that agents can read.`)
  return {
    name,
    bytes,
    block: { type: "document", source: { type: "text", media_type: "text/plain", data }, title: name }
  }
}

/** What keeps the attachments from being sent together, or null. */
export const problem = (all: ReadonlyArray<Attachment>): string | null => {
  const sum = all.reduce((bytes, one) => bytes + one.bytes, 0)
  return sum <= BYTES_MAX
    ? null
    : `Together they have ${Text.bytes(sum)}; a message takes at most ${Text.bytes(BYTES_MAX)}.`
}

/** Titles of the documents among content blocks, by which people know them again. */
export const titles = (content: unknown): ReadonlyArray<string> =>
  array(content).flatMap((block) => {
    const { type, title } = object(block)
    const name = string(title)
    return type === "document" && name !== null ? [name] : []
  })

/** The `data:` address of an image block; none where a browser is not to draw it. */
export const urlOf = (block: unknown): ReadonlyArray<string> => {
  const { type, source, data, mimeType } = object(block)
  if (type !== "image") return []
  const inner = object(source)
  const kind = string(inner["media_type"]) ?? string(mimeType) ?? ""
  const bytes = string(inner["data"]) ?? string(data) ?? ""
  return images.has(kind) && /^[A-Za-z0-9+/=\s]+$/.test(bytes.slice(0, 4096))
    ? [`data:${kind};base64,${bytes}`]
    : []
}
