/** What a hub can be told. */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"

/** The most connections that may be open at a time: streams, long polls and sockets. */
export interface ConnectionLimits {
  /** Of one device. Default 16. */
  readonly device: number
  /** With one credential: an access token, a session's ingress token, an environment's secret. Default 4,096. */
  readonly credential: number
  /** From one address. Default 512. Workers, and callers on this machine with no proxy in between, are not counted. */
  readonly address: number
}

export interface HubConfig {
  /** Interface to listen on. Default `127.0.0.1`: this machine alone. */
  readonly host: string
  /** Default 0: any free port. */
  readonly port: number
  /** Largest event accepted, in bytes of its JSON text. Default 4 MiB. A larger one is refused with 413. */
  readonly eventLimitBytes: number
  /**
   * Largest request body accepted, in bytes; a body of events is a list of several. Default 16 MiB. What exceeds it is
   * not buffered.
   */
  readonly bodyLimitBytes: number
  /**
   * How often a body that is waited for is looked at. Default 10 s: one that brings less than `Limits.BODY_BYTES_PER_SECOND`
   * in it is answered with 408, and its connection is closed.
   */
  readonly bodyWindow: Duration.Duration
  /** Silence after which a stream gets a comment. Default 15 s: the published worker reconnects after 45 s of silence. */
  readonly streamComment: Duration.Duration
  /** What workers are told to wait between two heartbeats. Default 20 s; the published worker's floor is 10 s. */
  readonly workerHeartbeat: Duration.Duration
  /** How long requests under way may take at shutdown; then their connections are closed. Default 1 s. */
  readonly shutdown: Duration.Duration
  readonly connections: ConnectionLimits
  /** Refused credentials of an address, or tries of one credential, that are answered at once. Default 10; see `Attempts`. */
  readonly freeFailures: number
  /**
   * Certificate and key, in PEM: the port speaks TLS, and a second one on loopback, any free, plain HTTP for this machine's own
   * programs. Default: plain HTTP alone.
   */
  readonly tls?: { readonly cert: string; readonly key: string }
}

export const defaults: HubConfig = {
  host: "127.0.0.1",
  port: 0,
  eventLimitBytes: 4 * 1024 * 1024,
  bodyLimitBytes: 16 * 1024 * 1024,
  bodyWindow: Duration.seconds(10),
  streamComment: Duration.seconds(15),
  workerHeartbeat: Duration.seconds(20),
  shutdown: Duration.seconds(1),
  connections: { device: 16, credential: 4096, address: 512 },
  freeFailures: 10
}

export class Config extends Context.Tag("@causeway/hub/Config")<Config, HubConfig>() {}

export const layer = (config: Partial<HubConfig> = {}): Layer.Layer<Config> =>
  Layer.succeed(Config, { ...defaults, ...config })
