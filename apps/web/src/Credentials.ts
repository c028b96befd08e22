/**
 * What this browser keeps of getting in: the device's secret key and the device's token. The hub's own access token and
 * one-time codes are never kept: they are held in memory until the hub has let the device in.
 */
import { array, object, string } from "@causeway/transcript/Read"
import * as Device from "./Device.ts"

/** What a person brings to be let in: the hub's access token, or a one-time code. Used for one sign-in. */
export type Ticket =
  | { readonly _tag: "Token"; readonly token: string }
  | { readonly _tag: "Code"; readonly code: string }

/** What the hub gave to this device, and what for. */
export interface Grant {
  readonly deviceToken: string
  readonly scopes: ReadonlyArray<string>
}

/** `localStorage`, or what stands in for it: shared by all tabs of this browser. */
export interface Storage {
  readonly get: (key: string) => string | null
  readonly set: (key: string, value: string) => void
  readonly remove: (key: string) => void
}

export interface Credentials {
  /** This device; its key is made at first use. */
  readonly device: () => Device.Device
  /** Null where this device was not let in, or was signed out. */
  readonly grant: () => Grant | null
  readonly keep: (grant: Grant) => void
  readonly forget: () => void
}

const KEY = "device-key"
/** Where the grant stands; other tabs watch it. */
export const GRANT = "device-grant"
/** Where earlier versions of the page kept the hub's access token. */
const LEGACY = "token"

/** The access token that an earlier version has left behind; it is gone from there afterwards. */
export const takeLegacy = (storage: Storage): Ticket | null => {
  const token = storage.get(LEGACY)
  if (token === null) return null
  storage.remove(LEGACY)
  return token === "" ? null : { _tag: "Token", token }
}

const readGrant = (text: string | null): Grant | null => {
  if (text === null) return null
  try {
    const json = object(JSON.parse(text))
    const deviceToken = string(json["deviceToken"])
    const scopes = array(json["scopes"]).flatMap((scope) => string(scope) ?? [])
    return deviceToken === null || deviceToken === "" ? null : { deviceToken, scopes }
  } catch {
    return null
  }
}

/** `random` answers bytes that nobody can guess. */
export const make = (storage: Storage, random: (bytes: number) => Uint8Array): Credentials => {
  let known: { readonly text: string; readonly device: Device.Device } | undefined
  return {
    device: () => {
      // Read each time: another tab may have made it meanwhile.
      const text = storage.get(KEY)
      if (known !== undefined && known.text === text) return known.device
      const bytes = text === null ? undefined : Device.fromBase64url(text)
      const key = bytes?.length === Device.KEY_BYTES ? bytes : random(Device.KEY_BYTES)
      const kept = Device.toBase64url(key)
      if (kept !== text) storage.set(KEY, kept)
      known = { text: kept, device: Device.of(key) }
      return known.device
    },
    grant: () => readGrant(storage.get(GRANT)),
    keep: ({ deviceToken, scopes }) => storage.set(GRANT, JSON.stringify({ deviceToken, scopes })),
    forget: () => storage.remove(GRANT)
  }
}
