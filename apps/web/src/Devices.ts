/** The devices that may use this hub, those that ask to, and the codes that let another one in. Source: spec 2 §1. */
import type * as Answers from "@causeway/protocol/Gateway/Answers"
import type * as Gateway from "./Gateway.ts"
import * as Hub from "./Hub.ts"

export type Code = Answers.DeviceCode

export interface Listing {
  /** `current`: this very browser. It stands first, then those that were seen last. */
  readonly paired: ReadonlyArray<Answers.PairedDevice & { readonly current: boolean }>
  readonly requests: ReadonlyArray<Answers.PairingRequest>
}

/** What people know a device by. */
export const nameOf = (device: { readonly displayName?: string; readonly clientId?: string }): string =>
  device.displayName || device.clientId || "A device"

/** `own`: the id of this device. */
export const make = (gateway: Pick<Gateway.Gateway, "call">, own: () => string) => {
  const call = Hub.calling(gateway.call)
  const done = () => true
  return {
    list: () =>
      call(
        "device.pair.list",
        {},
        (json): Listing => ({
          paired: Hub.list<Answers.PairedDevice>(json["paired"])
            .map((device) => ({ ...device, current: device.deviceId === own() }))
            .sort(
              (a, b) => Number(b.current) - Number(a.current) || (b.lastSeenAtMs ?? 0) - (a.lastSeenAtMs ?? 0)
            ),
          requests: Hub.list(json["pending"])
        })
      ),
    /** Grants what was shown: a device that asks for something else by now is not approved. */
    approve: ({ requestId, scopes }: Answers.PairingRequest) =>
      call("device.pair.approve", { requestId, scopes }, done),
    reject: (requestId: string) => call("device.pair.reject", { requestId }, done),
    remove: (deviceId: string) => call("device.pair.remove", { deviceId }, done),
    createCode: () =>
      call("causeway.device.code.create", {}, (json) =>
        "code" in json ? (json as unknown as Code) : undefined
      )
  }
}
