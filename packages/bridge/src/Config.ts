/** What a bridge is told: everything, so that it reads nothing global. Source: spec 1 §6. */
import type * as Environments from "@causeway/client/Environments"
import type * as Payload from "@causeway/protocol/Payload"
import type { Ceiling } from "@causeway/runner/Ceiling"
import type { Serve } from "@causeway/runner/Engine"
import type { SpawnMode } from "@causeway/runner/Runner/SpawnMode"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { BridgeEvent } from "./BridgeEvent.ts"
import type { Link } from "./Link.ts"

export interface Config {
  /** The directory to work in; absolute. One bridge a directory. */
  readonly dir: string
  readonly machineName: string
  readonly branch?: string | undefined
  readonly gitRepoUrl?: string | undefined
  /** Title of a session that is created here. */
  readonly title?: string | undefined
  /** The title to give a session that replaces another one; default `title`. */
  readonly currentTitle?: Effect.Effect<string | undefined>
  /** The hub, by the address at which this bridge reaches it: all calls go there, whatever the hub calls itself. */
  readonly baseUrl: string
  /** Base of the ingress logs; default `baseUrl`. */
  readonly sessionIngressUrl?: string | undefined
  /** Opaque; sent as `metadata.worker_type`. */
  readonly workerType: string
  /** Sessions held at once, the home session among them; work beyond that is not acknowledged. At least 1. */
  readonly maxSessions: number
  /**
   * Where the sessions work; default `same-dir`: all in `dir`, but for those that ask for a worktree of their own
   * (`session_context.worktree`). `worktree`: the home session in `dir`, every other one in
   * a git worktree of its own, made when it is taken for the first time and removed when it has ended for good, unless
   * work would be lost (a `Warning` says where it stays); where none can be made, `WorkRefused` says why, and the
   * session's people are told with each prompt. `session`: the home session alone; other work is not acknowledged, and
   * `maxSessions` counts as 1. A session that comes back stays where it has worked, whatever the mode is by then.
   */
  readonly spawnMode?: SpawnMode
  /** SDK messages that a session created here starts with. */
  readonly initialEvents?: ReadonlyArray<Payload.JsonObject>
  /** Keep environment, session and pointer at an orderly shutdown, and take them up again at the next start. */
  readonly perpetual: boolean
  /** `blockMs`: how long the hub may hold a poll; default 25,000, which a Causeway hub allows. */
  readonly poll?: Environments.PollOptions
  /**
   * Lease of a session's work, renewed at half of it (at least every 30 s); default 90 s, at least 10 s. A shorter one
   * notices sooner that a session was archived, and costs more calls.
   */
  readonly lease?: Duration.DurationInput
  /** What the sessions' agents are started with, unless the session says otherwise. */
  readonly agent: string
  /** The agent stands in for one that is not installed: people are told. */
  readonly standsIn?: boolean
  /** Files of `dir`, relative to it, that people are offered when they name one; default none. */
  readonly files?: ReadonlyArray<string>
  /**
   * Further agents that a session may ask for (`session_context.agent`) beside `agent`; default none. One that asks for
   * another is not served, and its people are told with each prompt.
   */
  readonly agents?: ReadonlyArray<string>
  readonly model?: string | undefined
  readonly permissionMode?: string | undefined
  /**
   * The most that people may have agents do here: a start beyond it fails, and people are told what it leaves out. Sessions
   * are held to it by whoever serves them, who is given the same one. Default {@link Ceiling.standard}.
   */
  readonly ceiling?: Ceiling | undefined
  /** Run for every session that is held, the home session included. Without it the handle's streams bring what comes. */
  readonly serve?: Serve<Link>
  readonly onEvent?: (event: BridgeEvent) => Effect.Effect<void>
  /** Bound of the whole orderly shutdown; default 15 s. */
  readonly shutdownTimeout?: Duration.DurationInput
}
