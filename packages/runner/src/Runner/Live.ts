/** The channel of a run: its own log stands where a hub's stands otherwise. */

import type { AgentSettings } from "@causeway/protocol/AgentSettings"
import type { SessionId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import type { AgentOutput, AgentUnavailable } from "../Agent.ts"
import type { Channel } from "../Channel.ts"
import type { JournalFailed } from "../Journal/Model.ts"
import type { Snapshot } from "../Snapshot.ts"
import * as Changes from "./Changes.ts"
import type { Partial } from "./Event.ts"
import type { RunNotFound } from "./Request.ts"
import type * as Run from "./Run.ts"
import * as Status from "./Status.ts"

/** A run whose turn is going on. */
export interface Live {
  readonly run: Run.Run
  readonly inbound: Queue.Queue<Payload.Payload>
  readonly changes: Queue.Queue<AgentSettings>
  /** The last entry of its log that the agent wrote. */
  readonly lastEntry: Ref.Ref<number>
  /** The agent is up, or cannot be. */
  readonly up: Deferred.Deferred<void, AgentUnavailable>
  /** The turn has ended: the agent is not needed any more. */
  readonly over: Deferred.Deferred<void>
  /** Nothing of it goes on. */
  readonly ended: Deferred.Deferred<void>
}

export const make = (run: Run.Run): Effect.Effect<Live> =>
  Effect.all({
    run: Effect.succeed(run),
    inbound: Queue.unbounded<Payload.Payload>(),
    changes: Queue.unbounded<AgentSettings>(),
    lastEntry: Ref.make(0),
    up: Deferred.make<void, AgentUnavailable>(),
    over: Deferred.make<void>(),
    ended: Deferred.make<void>()
  })

export interface Options {
  readonly changes: Changes.Changes
  readonly partials: PubSub.PubSub<Partial>
  readonly keep: (id: SessionId, snapshot: Snapshot) => Effect.Effect<void, JournalFailed>
  readonly retryForever: <A>(effect: Effect.Effect<A, JournalFailed>) => Effect.Effect<A>
}

/** Takes what a run's agent said into the run's log; the last of it ends the turn. */
const write = (
  { changes, partials }: Options,
  { lastEntry, over, run }: Live,
  outputs: ReadonlyArray<AgentOutput>
) =>
  Effect.gen(function* () {
    const lines = outputs.flatMap((output) => (output._tag === "Line" ? [output.payload] : []))
    if (lines.every(Payload.isEphemeral) && lines.length === outputs.length) {
      const after = yield* Ref.get(lastEntry)
      return yield* Effect.forEach(
        lines,
        (payload) => PubSub.publish(partials, { runId: run.id, after, payload }),
        { discard: true }
      )
    }
    const { status } = yield* Changes.change(changes, (writer) =>
      Effect.gen(function* () {
        let stored = yield* Changes.require(writer, run.id)
        let entry = yield* Ref.get(lastEntry)
        for (const output of outputs) {
          if (output._tag === "Delivery") {
            if (output.state === "processed") yield* writer.processed(run.id, output.uuid)
          } else if (Payload.isEphemeral(output.payload)) {
            yield* PubSub.publish(partials, { runId: run.id, after: entry, payload: output.payload })
          } else {
            stored = yield* Changes.append(writer, stored, "worker", output.payload)
            entry = stored.row.lastSeq
          }
        }
        yield* Ref.set(lastEntry, entry)
        return stored.run
      })
    )
    if (Status.isTerminal(status)) yield* Deferred.succeed(over, undefined)
  })

export const channel = (options: Options, live: Live): Effect.Effect<Channel> =>
  Effect.gen(function* () {
    const { changes, keep, retryForever } = options
    const { inbound, over, run, up } = live
    /** A run is never removed. */
    const always = <A>(effect: Effect.Effect<A, JournalFailed | RunNotFound>) =>
      retryForever(Effect.catchTag(effect, "RunNotFound", Effect.die))
    const { agent, agentSessionId, forkOf, launched, workingDirectory: cwd } = run
    const launch = { options: run.options ?? undefined, forkOf: forkOf ?? undefined }
    return {
      sessionId: run.id,
      home: true,
      record: { agent, agentSessionId, cwd, launched, launch, model: undefined, permissionMode: undefined },
      write: (outputs) => always(write(options, live, outputs)),
      inbound,
      unanswered: retryForever(changes.record.unanswered(run.id)),
      history: Effect.succeed([]),
      settings: always(Effect.map(Changes.require(changes.record, run.id), ({ row }) => row.chosen)),
      changes: live.changes,
      opened: always(
        Effect.flatMap(Changes.moveRun(changes, run.id, "spawned"), ({ run: { status } }) =>
          Effect.zipRight(
            Deferred.succeed(up, undefined),
            status === "interrupting" || Status.isTerminal(status)
              ? Deferred.succeed(over, undefined)
              : Effect.void
          )
        )
      ),
      launched: always(
        Changes.change(changes, (writer) =>
          Effect.flatMap(Changes.require(writer, run.id), (stored) =>
            writer.put({ ...stored, run: { ...stored.run, launched: true } })
          )
        )
      ),
      failed: (error) =>
        always(Changes.moveRun(changes, run.id, "failed", { error: error.message })).pipe(
          Effect.zipRight(Deferred.fail(up, error)),
          Effect.zipRight(Deferred.succeed(over, undefined))
        ),
      keep: (snapshot) => retryForever(keep(run.id, snapshot)),
      setStatus: () => Effect.void,
      atWork: yield* Ref.make<Effect.Effect<boolean> | undefined>(undefined)
    }
  })
