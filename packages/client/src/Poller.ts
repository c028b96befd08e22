/** Work from the hub, as a stream. Source: spec 1 §5. */
import type { EnvironmentId } from "@causeway/protocol/Ids"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import type { EnvironmentError, WorkConflict } from "./ClientError.ts"
import { Environments } from "./Environments.ts"
import * as Lease from "./Poller/Lease.ts"
import type { HoldError, LeaseOptions, Options, Stopping, Work, WorkError } from "./Poller/Model.ts"
import * as Poll from "./Poller/Poll.ts"

export * from "./Poller/Model.ts"

export class Poller extends Context.Tag("@causeway/client/Poller")<
  Poller,
  {
    /**
     * Sessions offered to an environment, for ever; fails when polling cannot go on. Failures follow
     * `Backoff.poll`; one success resets it. Health checks are acknowledged and stopped here.
     */
    readonly work: (environmentId: EnvironmentId, options?: Options) => Stream.Stream<Work, WorkError>
    /**
     * Keeps an acknowledged item's lease until the hub asks for the end of the work, or the lease is lost. Beats at
     * once and then every min(ttl/2, 30 s); a failed beat is tried again after 1 s, doubling. Without one success for a
     * whole ttl the lease counts as lost (`Silent`).
     */
    readonly hold: (
      work: Pick<Work, "environmentId" | "workId">,
      options?: LeaseOptions
    ) => Effect.Effect<Stopping, HoldError>
    /**
     * Acknowledges, runs `use` while the lease holds, and stops the item at the end, whatever ended it. Where the hub
     * asks for the end, `use` is interrupted and the answer is `None`. A lost lease interrupts `use` and never calls
     * stop.
     */
    readonly run: <A, E, R>(
      work: Pick<Work, "environmentId" | "workId">,
      use: Effect.Effect<A, E, R>,
      options?: LeaseOptions
    ) => Effect.Effect<Option.Option<A>, E | HoldError | EnvironmentError | WorkConflict, R>
  }
>() {}

export const make = Effect.map(Environments, (calls) =>
  Poller.of({
    work: (environmentId, options) => Poll.work(calls, environmentId, options),
    hold: Lease.hold(calls),
    run: Lease.run(calls)
  })
)

export const layer: Layer.Layer<Poller, never, Environments> = Layer.effect(Poller, make)
