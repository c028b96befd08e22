/** Environments and their work as callers see them. Source: spec 1 §5. */
import * as Api from "@causeway/protocol/http/Environments"
import type { EnvironmentId } from "@causeway/protocol/Ids"
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Duration from "effect/Duration"
import type * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

/** A bridge as it registers. */
export interface Registration {
  readonly machineName: string
  readonly directory: string
  readonly branch?: string | undefined
  readonly gitRepoUrl?: string | undefined
  /** How many sessions run at once; default 1. */
  readonly maxSessions?: number
  /** Opaque; sent as `metadata.worker_type`. */
  readonly workerType: string
  /** More metadata, beside `worker_type`. */
  readonly metadata?: JsonObject
  /** Take this environment up again; the hub answers with another one when it is gone. */
  readonly reuseEnvironmentId?: EnvironmentId | undefined
}

export interface Registered {
  readonly environmentId: EnvironmentId
  readonly secret: Redacted.Redacted
  /** The environment asked for by `reuseEnvironmentId` came back. */
  readonly reused: boolean
}

export interface PollOptions {
  /** How long the hub may hold the poll, 1 to 25,000 ms; default 999, the most a published hub allows. */
  readonly blockMs?: number
  /** Offer again what was not acknowledged for this long; default 5,000 ms. */
  readonly reclaimOlderThanMs?: number
  /** The poller puts idle sessions to sleep for what it is offered beyond its places. */
  readonly makeRoom?: boolean
}

export interface BeatOptions {
  /** `last_heartbeat` of the last answer, echoed exactly; `None` before the first. */
  readonly expected: Option.Option<string>
  /** Lease asked for; the hub clamps it to 10–600 s; default 90 s. */
  readonly ttl?: Duration.DurationInput
}

export interface ListOptions {
  readonly limit?: number
  readonly cursor?: string
  readonly archived?: "true" | "false" | "all"
}

/** Lease that is asked for where nothing else is. Source: spec 5 §2. */
export const DEFAULT_TTL: Duration.Duration = Duration.seconds(90)

/** The part of an offered item that is read. Kinds of work unknown here decode too: whoever polls stops them. */
export const PolledItem = Schema.Struct({
  ...Api.WorkItem.fields,
  data: Schema.Struct({ type: Schema.String, id: Schema.String })
})

/** A work item whose secret has been taken out of it. */
export interface Item extends Omit<typeof PolledItem.Type, "secret"> {}

/** Answer to a poll: the item, and its secret still encoded. */
export interface Offered {
  readonly item: Item
  readonly secret: Option.Option<Redacted.Redacted>
}
