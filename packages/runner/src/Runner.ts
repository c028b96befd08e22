/**
 * The session manager: launches agents, watches them, answers for people who decided ahead, goes on from finished runs
 * and ends everything it started. Works alone, without a hub. Source: spec 3.
 */

import * as Git from "@causeway/git/Git"
import type { WorkspaceUnavailable } from "@causeway/git/Worktree"
import type { SessionId } from "@causeway/protocol/Ids"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import type { AgentSessions, AgentUnavailable } from "./Agent.ts"
import * as Ceiling from "./Ceiling.ts"
import * as Engine from "./Engine.ts"
import * as Database from "./Journal/Database.ts"
import type { JournalFailed, JournalForeign, JournalTooNew } from "./Journal/Model.ts"
import * as Snapshots from "./Journal/Snapshots.ts"
import * as JournalRetry from "./JournalRetry.ts"
import * as Changes from "./Runner/Changes.ts"
import type { Gap, Partial, RunnerEvent } from "./Runner/Event.ts"
import * as Record from "./Runner/Record.ts"
import type {
  AnswerRefused,
  AtCapacity,
  ContinueSpec,
  Decision,
  LaunchSpec,
  RunNotFound,
  RunNotReady,
  RunnerOptions
} from "./Runner/Request.ts"
import type { RunInfo } from "./Runner/Run.ts"
import * as Runs from "./Runner/Runs.ts"
import type { Settings, SettingsPatch } from "./Runner/Settings.ts"
import type { Snapshot } from "./Snapshot.ts"

export * from "./Runner/Request.ts"

export class Runner extends Context.Tag("@causeway/runner/Runner")<
  Runner,
  {
    /** Returns when the agent is up. An agent that cannot be started leaves a run that has failed. */
    readonly launch: (
      spec: LaunchSpec
    ) => Effect.Effect<RunInfo, AgentUnavailable | AtCapacity | WorkspaceUnavailable | JournalFailed>
    /**
     * Goes on from a run in a new one, by a fork of its conversation: the old run keeps its own. One that is still
     * going on is interrupted first.
     */
    readonly continue: (
      id: SessionId,
      spec: ContinueSpec
    ) => Effect.Effect<RunInfo, RunNotFound | AgentUnavailable | AtCapacity | JournalFailed>
    /** A further message: a turn that is going on takes it after what it does, an ended run is taken up again. */
    readonly send: (
      id: SessionId,
      query: string
    ) => Effect.Effect<void, RunNotFound | AgentUnavailable | AtCapacity | JournalFailed>
    /** Writes the intent and asks the agent; the run is `interrupted` when its turn has ended. */
    readonly interrupt: (id: SessionId) => Effect.Effect<void, RunNotFound | RunNotReady | JournalFailed>
    /** Interrupts all; what has not ended in time is killed with all of its process group, and told. */
    readonly stopAll: (
      within: Duration.DurationInput
    ) => Effect.Effect<{ readonly killed: ReadonlyArray<SessionId> }, JournalFailed>
    /** The first answer counts; the same one again is accepted, another one refused. */
    readonly answer: (
      id: SessionId,
      toolUseId: string,
      decision: Decision
    ) => Effect.Effect<void, RunNotFound | AnswerRefused | JournalFailed>
    /** Settles what is open by the new settings. */
    readonly settings: (
      id: SessionId,
      patch: SettingsPatch
    ) => Effect.Effect<Settings, RunNotFound | JournalFailed>
    readonly archive: (id: SessionId, archived: boolean) => Effect.Effect<void, RunNotFound | JournalFailed>
    readonly info: (id: SessionId) => Effect.Effect<RunInfo, RunNotFound | JournalFailed>
    /** The latest activity first. */
    readonly list: Effect.Effect<ReadonlyArray<RunInfo>, JournalFailed>
    /** Runs that none goes on from. */
    readonly leaves: Effect.Effect<ReadonlyArray<RunInfo>, JournalFailed>
    /** Directories that runs were asked for, the latest used first. */
    readonly recentDirectories: Effect.Effect<ReadonlyArray<string>, JournalFailed>
    /** Waits for the end of a run that is going on. */
    readonly ended: (id: SessionId) => Effect.Effect<RunInfo, RunNotFound | JournalFailed>
    /** The entries of a run's log, oldest first. */
    readonly log: (id: SessionId) => Stream.Stream<Record.LogEntry, JournalFailed>
    readonly snapshot: (
      id: SessionId,
      toolUseId: string
    ) => Effect.Effect<Option.Option<Snapshot>, JournalFailed>
    /**
     * Everything that is told after the event of that number (all that is kept by default), without end. What is not
     * kept any more is marked by a gap; a slow reader holds nobody up and loses nothing that is kept.
     */
    readonly events: (after?: number) => Stream.Stream<RunnerEvent | Gap, JournalFailed>
    /** Partial text and progress as they come, never stored; a slow reader misses some. */
    readonly partials: Stream.Stream<Partial>
  }
>() {}

const READ_PAGE = 500

/** Everything that is told after a number; what is not kept any more is marked by a gap. */
const eventsAfter = ({ changes: { head, record } }: Runs.Runs, after: number) =>
  Stream.paginateChunkEffect(after, (cursor) =>
    Effect.gen(function* () {
      // The change of the head is what a reader waits for; what there is to read stands in the record.
      yield* head.changes.pipe(
        Stream.filter((last) => last > cursor),
        Stream.runHead
      )
      const { events, oldest } = yield* record.events(cursor, READ_PAGE)
      const first = events[0]
      const gap: ReadonlyArray<Gap> =
        first !== undefined && first.sequence > cursor + 1 && oldest > 0
          ? [{ type: "gap", from: cursor + 1, to: first.sequence - 1 }]
          : []
      return [
        Chunk.fromIterable<RunnerEvent | Gap>([...gap, ...events]),
        Option.some(events.at(-1)?.sequence ?? cursor)
      ] as const
    })
  )

const logOf = ({ changes: { record } }: Runs.Runs, id: SessionId) =>
  Stream.paginateChunkEffect(0, (after) =>
    Effect.map(record.log(id, after, READ_PAGE), (entries) => {
      const last = entries.at(-1)
      return [
        Chunk.fromIterable(entries),
        last === undefined || entries.length < READ_PAGE ? Option.none() : Option.some(last.seq)
      ] as const
    })
  )

const make = (options: RunnerOptions) =>
  Effect.gen(function* () {
    const database = yield* Database.open(options.file)
    const snapshots = Snapshots.make(database)
    const runs: Runs.Runs = {
      options,
      git: Git.make(options.environment ?? {}),
      serve: yield* Engine.make({ ceiling: options.ceiling ?? Ceiling.unbounded }),
      changes: yield* Changes.make(Record.make(database, options.keptEvents)),
      keep: snapshots.keep,
      retryForever: JournalRetry.make((message) => Effect.logError(message)),
      partials: yield* PubSub.sliding<Partial>(256),
      live: new Map(),
      fibers: yield* FiberMap.make<SessionId>(),
      launching: yield* Effect.makeSemaphore(1)
    }
    yield* Effect.forEach(yield* runs.changes.record.all, (stored) => Runs.recover(runs, stored), {
      discard: true
    })
    const infos = Runs.all(runs)
    return Runner.of({
      launch: (spec) => Runs.launch(runs, spec),
      continue: (id, spec) => Runs.goOn(runs, id, spec),
      send: (id, query) => Runs.send(runs, id, query),
      interrupt: (id) => Runs.interrupt(runs, id),
      stopAll: (within) => Runs.stopAll(runs, within),
      answer: (id, toolUseId, decision) => Runs.answer(runs, id, toolUseId, decision),
      settings: (id, patch) => Runs.settings(runs, id, patch),
      archive: (id, archived) => Runs.archive(runs, id, archived),
      info: (id) => Runs.info(runs, id),
      list: infos,
      leaves: Effect.map(infos, (all) => {
        const parents = new Set(all.map(({ parentId }) => parentId))
        return all.filter(({ id }) => !parents.has(id))
      }),
      recentDirectories: Effect.map(infos, (all) => [...new Set(all.map(({ directory }) => directory))]),
      ended: (id) => Runs.ended(runs, id),
      log: (id) => logOf(runs, id),
      snapshot: snapshots.snapshot,
      events: (after = 0) => eventsAfter(runs, after),
      partials: Stream.fromPubSub(runs.partials)
    })
  })

export const layer = (
  options: RunnerOptions
): Layer.Layer<Runner, JournalFailed | JournalForeign | JournalTooNew, AgentSessions> =>
  Layer.scoped(Runner, make(options))
