/** Name-based uuids (RFC 9562 §5.5), by which what is made twice is known to be one. For Node alone. */
import { createHash } from "node:crypto"

/** The version 5 uuid of a text. */
export const uuidOfText = (text: string): string => {
  const digest = createHash("sha1").update(text).digest().subarray(0, 16)
  digest.writeUInt8((digest.readUInt8(6) & 0x0f) | 0x50, 6)
  digest.writeUInt8((digest.readUInt8(8) & 0x3f) | 0x80, 8)
  const hex = digest.toString("hex")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** The version 5 uuid of `name` in the namespace that any text names. */
export const uuid5 = (namespace: string, name: string): string => uuidOfText(`${namespace}\0${name}`)
