/**
 * The session manager: launches agents, watches them, answers for people who decided ahead, goes on from finished runs
 * and ends everything it started. Works alone, without a hub. Source: spec 3.
 */

import type { WorkspaceUnavailable } from "@causeway/git/Worktree"
import type { SessionId } from "@causeway/protocol/Ids"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import type { AgentSessions, AgentUnavailable } from "./Agent.ts"
import type { Gap, Partial, RunnerEvent } from "./Runner/Event.ts"
import * as Manager from "./Runner/Manager.ts"
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
import type { LogEntry, RunnerFailed } from "./Runner/RunStore.ts"
import type { Settings, SettingsPatch } from "./Runner/Settings.ts"
import type { Snapshot } from "./Runner/Snapshot.ts"

export * from "./Runner/Request.ts"

export class Runner extends Context.Tag("@causeway/runner/Runner")<
  Runner,
  {
    /** Returns when the agent is up. An agent that cannot be started leaves a run that has failed. */
    readonly launch: (
      spec: LaunchSpec
    ) => Effect.Effect<RunInfo, AgentUnavailable | AtCapacity | WorkspaceUnavailable | RunnerFailed>
    /**
     * Goes on from a run in a new one, by a fork of its conversation: the old run keeps its own. One that is still
     * going on is interrupted first.
     */
    readonly continue: (
      id: SessionId,
      spec: ContinueSpec
    ) => Effect.Effect<RunInfo, RunNotFound | AgentUnavailable | AtCapacity | RunnerFailed>
    /** Writes the intent and asks the agent; the run is `interrupted` when its turn has ended. */
    readonly interrupt: (id: SessionId) => Effect.Effect<void, RunNotFound | RunNotReady | RunnerFailed>
    /** Interrupts all; what has not ended in time is killed with all of its process group, and told. */
    readonly stopAll: (
      within: Duration.DurationInput
    ) => Effect.Effect<{ readonly killed: ReadonlyArray<SessionId> }, RunnerFailed>
    /** The first answer counts; the same one again is accepted, another one refused. */
    readonly answer: (
      id: SessionId,
      toolUseId: string,
      decision: Decision
    ) => Effect.Effect<void, RunNotFound | AnswerRefused | RunnerFailed>
    /** Settles what is open by the new settings. */
    readonly settings: (
      id: SessionId,
      patch: SettingsPatch
    ) => Effect.Effect<Settings, RunNotFound | RunnerFailed>
    readonly archive: (id: SessionId, archived: boolean) => Effect.Effect<void, RunNotFound | RunnerFailed>
    readonly info: (id: SessionId) => Effect.Effect<RunInfo, RunNotFound | RunnerFailed>
    /** The latest activity first. */
    readonly list: Effect.Effect<ReadonlyArray<RunInfo>, RunnerFailed>
    /** Runs that none goes on from. */
    readonly leaves: Effect.Effect<ReadonlyArray<RunInfo>, RunnerFailed>
    /** Directories that runs were asked for, the latest used first. */
    readonly recentDirectories: Effect.Effect<ReadonlyArray<string>, RunnerFailed>
    /** Waits for the end of a run that is going on. */
    readonly ended: (id: SessionId) => Effect.Effect<RunInfo, RunNotFound | RunnerFailed>
    /** The entries of a run's log, oldest first. */
    readonly log: (id: SessionId) => Stream.Stream<LogEntry, RunnerFailed>
    readonly snapshot: (
      id: SessionId,
      toolUseId: string
    ) => Effect.Effect<Option.Option<Snapshot>, RunnerFailed>
    /**
     * Everything that is told after the event of that number (all that is kept by default), without end. What is not
     * kept any more is marked by a gap; a slow reader holds nobody up and loses nothing that is kept.
     */
    readonly events: (after?: number) => Stream.Stream<RunnerEvent | Gap, RunnerFailed>
    /** Partial text and progress as they come, never stored; a slow reader misses some. */
    readonly partials: Stream.Stream<Partial>
  }
>() {}

export const layer = (options: RunnerOptions): Layer.Layer<Runner, RunnerFailed, AgentSessions> =>
  Layer.scoped(Runner, Manager.make(options))
