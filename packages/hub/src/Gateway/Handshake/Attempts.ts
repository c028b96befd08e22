/** Failed attempts to sign in, by address. Loopback is exempt. */
import { BoundedMap } from "@causeway/protocol/BoundedMap"
import { isLoopback } from "../../Networks.ts"
import type { Origin } from "./Origin.ts"

/** Failures of one address within a minute before it has to wait 5 min. */
const FAILURES_MAX = 10
const FAILURE_WINDOW_MILLIS = 60_000
const LOCKOUT_MILLIS = 300_000
/** Addresses come from outside: what is remembered of them stays bounded. */
const ADDRESSES_MAX = 10_000

export interface Attempts {
  /** Times of recent failures. */
  readonly failures: BoundedMap<string, ReadonlyArray<number>>
  readonly lockedUntil: BoundedMap<string, number>
}

export const make = (): Attempts => ({
  failures: new BoundedMap(ADDRESSES_MAX),
  lockedUntil: new BoundedMap(ADDRESSES_MAX)
})

export const isLocked = ({ lockedUntil }: Attempts, { remoteAddress }: Origin, now: number): boolean =>
  remoteAddress !== undefined && !isLoopback(remoteAddress) && now < (lockedUntil.get(remoteAddress) ?? 0)

export const noteFailure = (
  { failures, lockedUntil }: Attempts,
  { remoteAddress }: Origin,
  now: number
): void => {
  if (remoteAddress === undefined || isLoopback(remoteAddress)) return
  const recent = (failures.get(remoteAddress) ?? []).filter((at) => now - at < FAILURE_WINDOW_MILLIS)
  if (recent.length + 1 < FAILURES_MAX) {
    failures.set(remoteAddress, [...recent, now])
  } else {
    failures.delete(remoteAddress)
    lockedUntil.set(remoteAddress, now + LOCKOUT_MILLIS)
  }
}
