/** Name-based uuids (RFC 9562 §5.5), by which a line written twice is known to be one line. */
import { createHash } from "node:crypto"

/** The version 5 uuid of `name` in the namespace that any text names. The same arguments give the same uuid. */
export const uuid5 = (namespace: string, name: string): string => {
  const digest = createHash("sha1").update(namespace).update("\0").update(name).digest().subarray(0, 16)
  digest.writeUInt8((digest.readUInt8(6) & 0x0f) | 0x50, 6)
  digest.writeUInt8((digest.readUInt8(8) & 0x3f) | 0x80, 8)
  const hex = digest.toString("hex")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
