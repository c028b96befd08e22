/** Options and state of the ingress log's reader and writer. */
import type { EventUuid } from "@causeway/protocol/Ids"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Heads from "../internal/Heads.ts"
import * as Parts from "../internal/Parts.ts"
import * as Request from "../internal/Request.ts"

export interface FetchOptions {
  /** Only what follows the last compaction. Default: the layer's (`CLAUDE_AFTER_LAST_COMPACT` in `layerFromEnv`). */
  readonly afterLastCompact?: boolean
}

export interface Options {
  /** How many idle sessions' heads are kept; the least recently used go first. Default 1,000. */
  readonly idleHeads?: number
  /** Longest wait for the answer to one attempt; default 30 s. */
  readonly attemptTimeout?: Duration.DurationInput
  /** Default of `FetchOptions.afterLastCompact`; default false. */
  readonly afterLastCompact?: boolean
}

export interface State {
  readonly caller: Request.Caller
  readonly logs: Heads.Heads
  readonly parts: Parts.Parts
  readonly attemptTimeout: Duration.DurationInput
  readonly afterLastCompact: boolean
}

export const make = (options: Options) =>
  Effect.map(
    Request.make,
    (caller): State => ({
      caller,
      logs: Heads.make(options.idleHeads ?? 1_000),
      parts: Parts.make(caller),
      attemptTimeout: options.attemptTimeout ?? "30 seconds",
      afterLastCompact: options.afterLastCompact ?? false
    })
  )

/** The uuid of the last entry that has one. */
export const headOf = (
  entries: ReadonlyArray<{ readonly uuid: EventUuid | undefined }>
): EventUuid | undefined => entries.findLast(({ uuid }) => uuid !== undefined)?.uuid
