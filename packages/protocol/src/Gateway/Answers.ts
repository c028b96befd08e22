/** Answers of our own gateway methods, as they stand on the wire. Times are in milliseconds since the epoch, costs in US dollars. */

import type { EnvironmentCapabilities } from "../EnvironmentCapabilities.ts"
import type { Session } from "../http/Sessions.ts"

/** An environment of `environments.list`. */
export interface Environment {
  readonly id: string
  readonly name: string
  readonly machineName: string
  readonly directory: string
  readonly branch: string | null
  readonly online: boolean
  readonly lastSeenAt: number | null
  readonly offers: EnvironmentCapabilities
}

/** One figure of `hub.metrics`. */
export interface Metric {
  readonly name: string
  readonly labels: { readonly [name: string]: string }
  readonly value: number
}

/** An access token of `tokens.list`; never its secret. */
export interface Token {
  readonly id: string
  readonly name: string
  readonly createdAtMs: number
  readonly expiresAtMs: number | null
  readonly lastUsedAtMs: number | null
}

/** `causeway.sessions.waiting`: the first sessions that wait for a person, and how many there are. */
export interface Waiting {
  readonly total: number
  readonly data: ReadonlyArray<Session>
}

/** `causeway.totals`: figures over all sessions; `open` counts those that are not archived by their status. */
export interface Totals {
  readonly open: { readonly [status: string]: number }
  readonly archived: number
  readonly costUsd: number
  readonly turns: number
  readonly byCost: ReadonlyArray<Session>
  readonly byContext: ReadonlyArray<Session>
}

/** A device that was let in, of `device.pair.list`. */
export interface PairedDevice {
  readonly deviceId: string
  readonly displayName?: string
  readonly clientId: string
  readonly scopes: ReadonlyArray<string>
  readonly approvedAtMs?: number
  readonly lastSeenAtMs?: number
  readonly connected: boolean
}

/** A device that waits for approval, of `device.pair.list`. */
export interface PairingRequest {
  readonly requestId: string
  readonly displayName?: string
  readonly clientId: string
  readonly scopes: ReadonlyArray<string>
  readonly remoteIp?: string
  readonly ts: number
}

/** `device.code.create`: a one-time code; `page`: where others open the page, where the hub was told. */
export interface DeviceCode {
  readonly code: string
  readonly expiresAtMs: number
  readonly page?: string
}

/** A passage of `sessions.search`; its words stand between U+E000 and U+E001. */
export interface Hit {
  readonly sessionId: string
  readonly seq: number
  readonly excerpt: string
}
