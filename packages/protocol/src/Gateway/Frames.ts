/**
 * Frames of the gateway's WebSocket, protocol version 3. Source: spec 2 §1.
 *
 * Requests and `connect` are checked with {@link Validation.check}, so that refusals carry the texts clients know.
 */
import * as Schema from "effect/Schema"
import { constants, NonEmpty } from "./Validation.ts"

/** The one version spoken. */
export const PROTOCOL_VERSION = 3

/** Time to finish the handshake, in milliseconds; then a plain close. */
export const HANDSHAKE_TIMEOUT_MILLIS = 15_000
/** Largest frame before the handshake is done, in bytes; a larger one closes 1009. */
export const MAX_PREAUTH_PAYLOAD_BYTES = 64 * 1024
/** Largest frame afterwards, in bytes; a larger one closes 1009. */
export const MAX_PAYLOAD_BYTES = 25 * 1024 * 1024
/** Bytes that may wait in one client's socket before it counts as slow. */
export const MAX_BUFFERED_BYTES = 50 * 1024 * 1024
/** Connections of one address that have not finished the handshake. */
export const MAX_PREAUTH_CONNECTIONS = 32
/** Event `tick` after this long, for everyone. */
export const TICK_INTERVAL_MILLIS = 30_000
/** WebSocket ping after this long. */
export const PING_INTERVAL_MILLIS = 25_000
/** A device's signature is good this long before and after it was made. */
export const SIGNATURE_SKEW_MILLIS = 120_000
/** Longest close reason, in bytes (the WebSocket protocol allows 123). */
export const MAX_CLOSE_REASON_BYTES = 120

/** Close codes that the gateway uses beside 1000 and 1009. */
export const CloseCode = {
  normal: 1000,
  /** No common protocol version. */
  protocol: 1002,
  /** Refused: the handshake, the credentials, the origin, or a client that cannot keep up. */
  policy: 1008,
  tooLarge: 1009,
  /** Starting or stopping: come back. */
  tryAgain: 1013,
  serviceRestart: 1012,
  /** The shared secret was changed. */
  authChanged: 4001
} as const

/**
 * Error codes. Of the published methods nearly every refusal is `INVALID_REQUEST`: there is no "unauthorized" and no
 * "not found". `SESSION_NOT_FOUND` and `CONFLICT` are answers of Causeway's own methods.
 */
export const ErrorCode = Schema.Literal(
  "NOT_LINKED",
  "NOT_PAIRED",
  "AGENT_TIMEOUT",
  "INVALID_REQUEST",
  "APPROVAL_NOT_FOUND",
  "UNAVAILABLE",
  "SESSION_NOT_FOUND",
  "CONFLICT"
)
export type ErrorCode = typeof ErrorCode.Type

export const ErrorShape = Schema.Struct({
  code: ErrorCode,
  message: Schema.String,
  details: Schema.optional(Schema.Unknown),
  retryable: Schema.optional(Schema.Boolean),
  retryAfterMs: Schema.optional(Schema.Number)
})
export type ErrorShape = typeof ErrorShape.Type

const constant = <V extends string>(value: V) =>
  Schema.Literal(value).annotations({ jsonSchema: { const: value } })

export const RequestFrame = Schema.Struct({
  type: constant("req"),
  id: NonEmpty,
  method: NonEmpty,
  params: Schema.optional(Schema.Unknown)
})
export type RequestFrame = typeof RequestFrame.Type

export interface EventFrame {
  readonly type: "event"
  readonly event: string
  readonly payload?: unknown
  /** Counts per connection from 1, over the plain broadcasts which that connection may see. */
  readonly seq?: number
  readonly stateVersion?: { readonly presence: number; readonly health: number }
}

export const ClientId = Schema.Literal(
  "webchat-ui",
  "openclaw-control-ui",
  "openclaw-tui",
  "webchat",
  "cli",
  "gateway-client",
  "openclaw-macos",
  "openclaw-ios",
  "openclaw-android",
  "node-host",
  "test",
  "fingerprint",
  "openclaw-probe"
)
export type ClientId = typeof ClientId.Type

export const ClientMode = Schema.Literal("webchat", "cli", "ui", "backend", "node", "probe", "test")
export type ClientMode = typeof ClientMode.Type

export const ClientInfo = Schema.Struct({
  id: ClientId,
  displayName: Schema.optional(NonEmpty),
  version: NonEmpty,
  platform: NonEmpty,
  deviceFamily: Schema.optional(NonEmpty),
  modelIdentifier: Schema.optional(NonEmpty),
  mode: ClientMode,
  instanceId: Schema.optional(NonEmpty)
})
export type ClientInfo = typeof ClientInfo.Type

/** A device's proof: `id` is the hex SHA-256 of the raw Ed25519 key, `publicKey` base64url (or PEM). */
export const DeviceProof = Schema.Struct({
  id: NonEmpty,
  publicKey: NonEmpty,
  signature: NonEmpty,
  signedAt: Schema.Int.pipe(Schema.greaterThanOrEqualTo(0)),
  nonce: NonEmpty
})
export type DeviceProof = typeof DeviceProof.Type

const version = Schema.Int.pipe(Schema.greaterThanOrEqualTo(1))

/** Parameters of `connect`, the first request on every connection. */
export const ConnectParams = Schema.Struct({
  minProtocol: version,
  maxProtocol: version,
  client: ClientInfo,
  caps: Schema.optional(Schema.Array(NonEmpty)),
  commands: Schema.optional(Schema.Array(NonEmpty)),
  permissions: Schema.optional(Schema.Record({ key: Schema.String, value: Schema.Boolean })),
  pathEnv: Schema.optional(Schema.String),
  role: Schema.optional(NonEmpty),
  scopes: Schema.optional(Schema.Array(NonEmpty)),
  device: Schema.optional(DeviceProof),
  auth: Schema.optional(
    Schema.Struct({
      token: Schema.optional(Schema.String),
      bootstrapToken: Schema.optional(Schema.String),
      deviceToken: Schema.optional(Schema.String),
      password: Schema.optional(Schema.String)
    })
  ),
  locale: Schema.optional(Schema.String),
  userAgent: Schema.optional(Schema.String)
})
export type ConnectParams = typeof ConnectParams.Type

export const Role = constants("operator", "node")
export type Role = "operator" | "node"

/** Answer to `connect`. */
export interface HelloOk {
  readonly type: "hello-ok"
  readonly protocol: typeof PROTOCOL_VERSION
  readonly server: { readonly version: string; readonly connId: string }
  /** Exactly what works. */
  readonly features: { readonly methods: ReadonlyArray<string>; readonly events: ReadonlyArray<string> }
  readonly snapshot: {
    readonly presence: ReadonlyArray<unknown>
    readonly health: unknown
    readonly stateVersion: { readonly presence: number; readonly health: number }
    readonly uptimeMs: number
    readonly sessionDefaults: {
      readonly defaultAgentId: string
      readonly mainKey: string
      readonly mainSessionKey: string
      readonly scope: string
    }
    readonly configPath?: string
    readonly stateDir?: string
    readonly authMode?: string
  }
  readonly auth: {
    readonly role: Role
    readonly scopes: ReadonlyArray<string>
    readonly deviceToken?: string
    readonly issuedAtMs?: number
  }
  readonly policy: {
    readonly maxPayload: number
    readonly maxBufferedBytes: number
    readonly tickIntervalMs: number
  }
}
