/** Where the hub is and how this client presents itself. */
import * as Headers from "@causeway/protocol/Headers"
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"

export interface Options {
  /** Base URL of the hub, with or without a trailing slash: `http://127.0.0.1:8787`. */
  readonly baseUrl: string
  /** `anthropic-beta` of environment and work calls; default `environments-2025-11-01`. */
  readonly environmentsBeta?: string
  /** `anthropic-beta` of the Sessions API; default `ccr-byoc-2025-07-29`. */
  readonly sessionsBeta?: string
  /** `user-agent`; default `causeway/0.1`. */
  readonly userAgent?: string
  /** Prefix of the branch that a created session works on; default `claude/`. */
  readonly branchPrefix?: string
  /**
   * Tells this worker from others of its environment (`Anthropic-Worker-ID`): the hub refuses one what it has offered to
   * another. Visible ASCII; default random, the same for as long as the configuration lives.
   */
  readonly workerId?: string
}

/** The resolved options; `baseUrl` without trailing slashes. */
export class ClientConfig extends Context.Tag("@causeway/client/ClientConfig")<
  ClientConfig,
  Required<Options>
>() {}

export const make = (options: Options): Required<Options> => ({
  baseUrl: options.baseUrl.replace(/\/+$/, ""),
  environmentsBeta: options.environmentsBeta ?? Headers.ENVIRONMENTS_BETA,
  sessionsBeta: options.sessionsBeta ?? Headers.SESSIONS_BETA,
  userAgent: options.userAgent ?? "causeway/0.1",
  branchPrefix: options.branchPrefix ?? "claude/",
  workerId: options.workerId ?? crypto.randomUUID()
})

export const layer = (options: Options): Layer.Layer<ClientConfig> =>
  Layer.sync(ClientConfig, () => make(options))
