/** The devices that may use this hub, those that ask to, and the codes that let another one in. Source: spec 2 §1. */
import { amount, array, type JsonObject, name, object, string } from "@causeway/transcript/Read"
import type * as Gateway from "./Gateway.ts"
import * as Hub from "./Hub.ts"

/** A device that was let in. Times in milliseconds since the epoch. */
export interface Paired {
  readonly id: string
  readonly name: string
  readonly scopes: ReadonlyArray<string>
  readonly approvedAt: number | null
  readonly lastSeenAt: number | null
  readonly connected: boolean
  /** This very browser. */
  readonly current: boolean
}

/** A device that waits for approval. */
export interface Request {
  readonly id: string
  readonly name: string
  readonly scopes: ReadonlyArray<string>
  readonly address: string | null
  readonly at: number | null
}

export interface Listing {
  readonly paired: ReadonlyArray<Paired>
  readonly requests: ReadonlyArray<Request>
}

/** A one-time code; the time in milliseconds since the epoch. */
export interface Code {
  readonly code: string
  readonly expiresAt: number
  /** Where others open the page; null where the hub was not told. */
  readonly page: string | null
}

export interface Devices {
  readonly list: () => Promise<Gateway.Result<Listing>>
  readonly approve: (requestId: string) => Promise<Gateway.Result<null>>
  readonly reject: (requestId: string) => Promise<Gateway.Result<null>>
  readonly remove: (deviceId: string) => Promise<Gateway.Result<null>>
  readonly createCode: () => Promise<Gateway.Result<Code>>
}

const texts = (value: unknown): ReadonlyArray<string> =>
  array(value).flatMap((one) => (typeof one === "string" ? [one] : []))

const shared = (json: JsonObject) => ({
  name: name(json["displayName"]) ?? name(json["clientId"]) ?? "A device",
  scopes: texts(json["scopes"])
})

const paired =
  (own: string) =>
  (value: unknown): ReadonlyArray<Paired> => {
    const json = object(value)
    const id = name(json["deviceId"])
    if (id === null) return []
    return [
      {
        id,
        ...shared(json),
        approvedAt: amount(json["approvedAtMs"]),
        lastSeenAt: amount(json["lastSeenAtMs"]),
        connected: json["connected"] === true,
        current: id === own
      }
    ]
  }

const request = (value: unknown): ReadonlyArray<Request> => {
  const json = object(value)
  const id = name(json["requestId"])
  return id === null
    ? []
    : [{ id, ...shared(json), address: string(json["remoteIp"]), at: amount(json["ts"]) }]
}

/** `own`: the id of this device. */
export const make = (gateway: Pick<Gateway.Gateway, "call">, own: () => string): Devices => {
  const call = Hub.calling(gateway.call)
  const done = () => null
  return {
    list: () =>
      call("device.pair.list", {}, (json) => ({
        paired: array(json["paired"])
          .flatMap(paired(own()))
          .sort((a, b) => Number(b.current) - Number(a.current) || (b.lastSeenAt ?? 0) - (a.lastSeenAt ?? 0)),
        requests: array(json["pending"]).flatMap(request)
      })),
    approve: (requestId) => call("device.pair.approve", { requestId }, done),
    reject: (requestId) => call("device.pair.reject", { requestId }, done),
    remove: (deviceId) => call("device.pair.remove", { deviceId }, done),
    createCode: () =>
      call("device.code.create", {}, (json) => {
        const code = name(json["code"])
        const expiresAt = amount(json["expiresAtMs"])
        return code === null || expiresAt === null
          ? undefined
          : { code, expiresAt, page: string(json["page"]) }
      })
  }
}
