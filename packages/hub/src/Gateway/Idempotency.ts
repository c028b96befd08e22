/**
 * What became of runs, by idempotency key: a repeated request is answered from here instead of being done twice.
 * Entries live 5 min; at most 1000, oldest dropped first. Source: spec 2 §1 ("Idempotency").
 *
 * The log itself refuses a uuid that it holds, for ever; this only remembers the answers.
 */
import { BoundedMap } from "@causeway/protocol/BoundedMap"
import type { ErrorShape } from "@causeway/protocol/Gateway/Frames"
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"

export const TTL_MILLIS = 5 * 60_000
export const CAPACITY = 1000

export interface Outcome {
  readonly ok: boolean
  readonly payload: { readonly [key: string]: unknown }
  readonly error?: ErrorShape
}

interface Entry {
  readonly at: number
  readonly outcome: Outcome
}

/** An abort by request has the last word on its run. */
const isFinal = ({ payload }: Outcome): boolean =>
  payload["status"] === "timeout" && payload["stopReason"] === "rpc"

export class Idempotency {
  private readonly entries = new BoundedMap<string, Entry>(CAPACITY)

  get(key: string, nowMillis: number): Outcome | undefined {
    const entry = this.entries.get(key)
    return entry === undefined || nowMillis - entry.at >= TTL_MILLIS ? undefined : entry.outcome
  }

  set(key: string, outcome: Outcome, nowMillis: number): void {
    const before = this.get(key, nowMillis)
    if (before !== undefined && isFinal(before)) return
    this.entries.set(key, { at: nowMillis, outcome })
  }

  /** Drops what has expired. */
  sweep(nowMillis: number): void {
    for (const [key, entry] of this.entries) {
      if (nowMillis - entry.at < TTL_MILLIS) break
      this.entries.delete(key)
    }
  }

  get size(): number {
    return this.entries.size
  }
}

export class GatewayOutcomes extends Context.Tag("@causeway/hub/GatewayOutcomes")<
  GatewayOutcomes,
  Idempotency
>() {}

export const layer: Layer.Layer<GatewayOutcomes> = Layer.sync(GatewayOutcomes, () => new Idempotency())
