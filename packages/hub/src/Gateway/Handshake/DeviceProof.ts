/**
 * A device's proof that it holds its key. Source: spec 2 §1 ("Checks", 7).
 */
import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto"
import { type DeviceProof, SIGNATURE_SKEW_MILLIS } from "@causeway/protocol/Gateway/Frames"
import * as Either from "effect/Either"

/** The fields that a device signs. */
export interface Signed {
  readonly clientId: string
  readonly clientMode: string
  readonly role: string
  readonly scopes: ReadonlyArray<string>
  /** Of `auth`: token, else deviceToken, else bootstrapToken, else empty. */
  readonly token: string
  readonly platform: string
  readonly deviceFamily: string
}

export interface Refusal {
  readonly code: string
  readonly reason: string
  readonly message: string
}

const refuse = (code: string, reason: string, message: string) =>
  Either.left<Refusal>({ code: `DEVICE_AUTH_${code}`, reason, message })

const asciiLower = (text: string): string => text.trim().replace(/[A-Z]/g, (c) => c.toLowerCase())

/** The text of a signature: fields joined by `|`. v2 lacks the last two. */
export const payload = (
  version: "v2" | "v3",
  deviceId: string,
  signed: Signed,
  signedAt: number,
  nonce: string
): string =>
  [
    version,
    deviceId,
    signed.clientId,
    signed.clientMode,
    signed.role,
    signed.scopes.join(","),
    String(signedAt),
    signed.token,
    nonce,
    ...(version === "v3" ? [asciiLower(signed.platform), asciiLower(signed.deviceFamily)] : [])
  ].join("|")

/** DER prefix of an Ed25519 public key. */
const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex")

const readKey = (publicKey: string): KeyObject | undefined => {
  try {
    const key = publicKey.includes("BEGIN")
      ? createPublicKey(publicKey)
      : createPublicKey({
          key: Buffer.concat([SPKI_PREFIX, Buffer.from(publicKey, "base64url")]),
          format: "der",
          type: "spki"
        })
    return key.asymmetricKeyType === "ed25519" ? key : undefined
  } catch {
    // Not a key: the caller says so.
    return undefined
  }
}

/** Base64url of the raw 32 bytes. */
const rawKey = (key: KeyObject): Buffer =>
  Buffer.from(key.export({ type: "spki", format: "der" })).subarray(-32)

/** The id of the device with this key: hex SHA-256 of its raw bytes. */
export const deviceIdOf = (publicKey: string): string | undefined => {
  const raw = publicKey.includes("BEGIN")
    ? ((key) => (key === undefined ? undefined : rawKey(key)))(readKey(publicKey))
    : Buffer.from(publicKey, "base64url")
  return raw === undefined || raw.length === 0 ? undefined : createHash("sha256").update(raw).digest("hex")
}

/** Checks a proof. Right is the key in its base64url form. */
export const check = (
  proof: DeviceProof,
  signed: Signed,
  challenge: string,
  nowMillis: number
): Either.Either<string, Refusal> => {
  if (deviceIdOf(proof.publicKey) !== proof.id) {
    return refuse("DEVICE_ID_MISMATCH", "device-id-mismatch", "device identity mismatch")
  }
  if (Math.abs(nowMillis - proof.signedAt) > SIGNATURE_SKEW_MILLIS) {
    return refuse("SIGNATURE_EXPIRED", "device-signature-stale", "device signature expired")
  }
  const nonce = proof.nonce.trim()
  if (nonce === "") return refuse("NONCE_REQUIRED", "device-nonce-missing", "device nonce required")
  if (nonce !== challenge) return refuse("NONCE_MISMATCH", "device-nonce-mismatch", "device nonce mismatch")
  const key = readKey(proof.publicKey)
  if (key === undefined) {
    return refuse("PUBLIC_KEY_INVALID", "device-public-key", "device public key invalid")
  }
  const signature = Buffer.from(proof.signature, "base64url")
  const good = (["v3", "v2"] as const).some((version) =>
    verify(null, Buffer.from(payload(version, proof.id, signed, proof.signedAt, nonce)), key, signature)
  )
  return good
    ? Either.right(rawKey(key).toString("base64url"))
    : refuse("SIGNATURE_INVALID", "device-signature", "device signature invalid")
}
