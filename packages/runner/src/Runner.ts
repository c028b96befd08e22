/**
 * The session manager: launches agents, watches them, answers for people who decided ahead, goes on from finished runs
 * and ends everything it started. Works alone, without a hub.
 *
 * Every change of a run goes through one transaction that reads its old state, checks the move, writes and tells
 * (`RunStore.change`); the processes are owned by one fiber each, and nothing else touches them. Source: spec 3.
 */
import { randomUUID } from "node:crypto"
import { realpath } from "node:fs/promises"
import { EventUuid, SessionId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as Approvals from "@causeway/transcript/Approvals"
import * as Result from "@causeway/transcript/Result"
import * as SessionRow from "@causeway/transcript/SessionRow"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberMap from "effect/FiberMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { type AgentOutput, type AgentSession, AgentSessions, type AgentUnavailable } from "./Agent.ts"
import type { AgentOptions } from "./AgentOptions.ts"
import type { Variables } from "./Environment.ts"
import type { Gap, RunnerEvent } from "./Runner/Event.ts"
import * as Run from "./Runner/Run.ts"
import * as RunStore from "./Runner/RunStore.ts"
import * as Settings from "./Runner/Settings.ts"
import * as Snapshot from "./Runner/Snapshot.ts"
import * as Status from "./Runner/Status.ts"
import * as Workspace from "./Runner/Workspace.ts"

export class RunNotFound extends Schema.TaggedError<RunNotFound>()("RunNotFound", { id: Schema.String }) {
  override get message(): string {
    return `there is no run ${this.id}`
  }
}

/** The run is not in a state in which this can be done. */
export class RunNotReady extends Schema.TaggedError<RunNotReady>()("RunNotReady", {
  id: Schema.String,
  status: Status.Status,
  wanted: Schema.String
}) {
  override get message(): string {
    return `run ${this.id} is ${this.status}; ${this.wanted}`
  }
}

/** As many runs are going on as may. */
export class AtCapacity extends Schema.TaggedError<AtCapacity>()("AtCapacity", { capacity: Schema.Int }) {
  override get message(): string {
    return `${this.capacity} runs are going on already; stop one, or allow more`
  }
}

/** The question was answered otherwise before, or is not open any more. */
export class AnswerRefused extends Schema.TaggedError<AnswerRefused>()("AnswerRefused", {
  toolUseId: Schema.String,
  reason: Schema.Literal("Conflict", "NotOpen")
}) {
  override get message(): string {
    return this.reason === "Conflict"
      ? `${this.toolUseId} was answered otherwise before`
      : `${this.toolUseId} is not waiting for an answer`
  }
}

export interface LaunchSpec {
  readonly agent: string
  readonly directory: string
  /** Given to the agent over its stdin: a leading dash means nothing. */
  readonly query: string
  readonly title?: string | undefined
  readonly model?: string | undefined
  readonly permissionMode?: string | undefined
  readonly options?: AgentOptions | undefined
  readonly spawnMode?: Workspace.SpawnMode | undefined
  readonly settings?: Settings.SettingsPatch | undefined
}

/** What a run that goes on from another may have of its own; all else it inherits. */
export interface ContinueSpec {
  readonly query: string
  readonly title?: string | undefined
  readonly model?: string | undefined
  readonly permissionMode?: string | undefined
  /** Instead of the old run's options, not beside them. */
  readonly options?: AgentOptions | undefined
}

/** A person's answer to a question. The comment of a refusal reaches the agent. */
export type Decision =
  | {
      readonly behavior: "allow"
      readonly updatedInput?: Payload.JsonObject | undefined
      /** Rules to remember, as the agent suggested them. */
      readonly updatedPermissions?: ReadonlyArray<unknown> | undefined
    }
  | { readonly behavior: "deny"; readonly message: string; readonly interrupt?: boolean | undefined }

export interface RunnerOptions {
  /** The record: a SQLite file, or `:memory:`. */
  readonly file: string
  /** Runs at one time. Default 8. */
  readonly capacity?: number | undefined
  /** Where worktrees are made; without it there is no spawn mode `worktree`. */
  readonly worktrees?: string | undefined
  /** The host's environment, for git. */
  readonly environment?: Variables | undefined
  /**
   * What becomes of runs that a crash of the host has left: `resume` (default) takes them up again under their ids,
   * `fail` ends them.
   */
  readonly recovery?: "resume" | "fail" | undefined
}

type Failed = RunStore.RunnerFailed

export class Runner extends Context.Tag("@causeway/runner/Runner")<
  Runner,
  {
    /** Returns when the agent is up. An agent that cannot be started leaves a run that has failed. */
    readonly launch: (
      spec: LaunchSpec
    ) => Effect.Effect<Run.RunInfo, AgentUnavailable | AtCapacity | Workspace.WorkspaceUnavailable | Failed>
    /**
     * Goes on from a run in a new one, by a fork of its conversation: the old run keeps its own. One that is still
     * going on is interrupted first.
     */
    readonly continue: (
      id: SessionId,
      spec: ContinueSpec
    ) => Effect.Effect<Run.RunInfo, RunNotFound | AgentUnavailable | AtCapacity | Failed>
    /** Writes the intent and asks the agent; the run is `interrupted` when its turn has ended. */
    readonly interrupt: (id: SessionId) => Effect.Effect<void, RunNotFound | RunNotReady | Failed>
    /** Interrupts all; what has not ended in time is killed with all of its process group, and told. */
    readonly stopAll: (
      within: Duration.DurationInput
    ) => Effect.Effect<{ readonly killed: ReadonlyArray<SessionId> }, Failed>
    /** The first answer counts; the same one again is accepted, another one refused. */
    readonly answer: (
      id: SessionId,
      toolUseId: string,
      decision: Decision
    ) => Effect.Effect<void, RunNotFound | AnswerRefused | Failed>
    /** Settles what is open by the new settings. */
    readonly settings: (
      id: SessionId,
      patch: Settings.SettingsPatch
    ) => Effect.Effect<Settings.Settings, RunNotFound | Failed>
    readonly archive: (id: SessionId, archived: boolean) => Effect.Effect<void, RunNotFound | Failed>
    readonly info: (id: SessionId) => Effect.Effect<Run.RunInfo, RunNotFound | Failed>
    /** The latest activity first. */
    readonly list: Effect.Effect<ReadonlyArray<Run.RunInfo>, Failed>
    /** Runs that none goes on from. */
    readonly leaves: Effect.Effect<ReadonlyArray<Run.RunInfo>, Failed>
    /** Directories that runs were asked for, the latest used first. */
    readonly recentDirectories: Effect.Effect<ReadonlyArray<string>, Failed>
    /** Waits for the end of a run that is going on. */
    readonly ended: (id: SessionId) => Effect.Effect<Run.RunInfo, RunNotFound | Failed>
    /** The entries of a run's log, oldest first. */
    readonly log: (id: SessionId) => Stream.Stream<RunStore.LogEntry, Failed>
    readonly snapshot: (
      id: SessionId,
      toolUseId: string
    ) => Effect.Effect<Option.Option<Snapshot.Snapshot>, Failed>
    /**
     * Everything that is told after the event of that number (all that is kept by default), without end. What is not
     * kept any more is marked by a gap; a slow reader holds nobody up and loses nothing that is kept.
     */
    readonly events: (after?: number) => Stream.Stream<RunnerEvent | Gap, Failed>
    /** Partial text and progress as they come, never stored; a slow reader misses some. */
    readonly partials: Stream.Stream<{ readonly runId: SessionId; readonly payload: Payload.Payload }>
  }
>() {}

/** Read at once of logs and events. */
const PAGE = 500

/** Reads of files that wait for their result, in one run. */
const READS_MAX = 256

interface Live {
  readonly ended: Deferred.Deferred<void>
  readonly reads: Map<string, string>
  session: AgentSession | undefined
}

const namesPrompt = (json: Payload.JsonObject, promptUuid: string): boolean => {
  const many = json["user_message_uuids"]
  return json["user_message_uuid"] === promptUuid || (Array.isArray(many) && many.includes(promptUuid))
}

const withoutTurns = ({ maxTurns: _, ...options }: AgentOptions): AgentOptions => options

const make = (
  options: RunnerOptions
): Effect.Effect<typeof Runner.Service, RunStore.RunnerFailed, AgentSessions | Scope.Scope> =>
  Effect.gen(function* () {
    const sessions = yield* AgentSessions
    const store = yield* RunStore.open(options.file)
    const workspace = Workspace.make(options.environment ?? {})
    const capacity = options.capacity ?? 8
    const head = yield* SubscriptionRef.make(yield* store.lastSequence)
    const partials = yield* PubSub.sliding<{ readonly runId: SessionId; readonly payload: Payload.Payload }>(
      256
    )
    const live = new Map<SessionId, Live>()
    const launching = yield* Effect.makeSemaphore(1)
    // Closed in reverse: runs end before the timers that belong to them.
    const timers = yield* FiberMap.make<SessionId>()
    const fibers = yield* FiberMap.make<SessionId>()

    // --- Changes ---

    const change = <A, E>(
      effect: (writer: RunStore.Writer) => Effect.Effect<A, E | RunStore.RunnerFailed>
    ): Effect.Effect<A, E | RunStore.RunnerFailed> =>
      store
        .change(effect)
        .pipe(
          Effect.tap(() =>
            Effect.flatMap(store.lastSequence, (last) =>
              SubscriptionRef.update(head, (before) => Math.max(before, last))
            )
          )
        )

    const require = (writer: Pick<RunStore.Writer, "get">, id: SessionId) =>
      Effect.flatMap(
        writer.get(id),
        Option.match({ onNone: () => new RunNotFound({ id }), onSome: Effect.succeed })
      )

    /** The one way from status to status; a move that leads nowhere changes nothing. */
    const move = (
      writer: RunStore.Writer,
      stored: RunStore.Stored,
      what: Status.Move,
      now: number,
      more: Partial<Pick<Run.Run, "error" | "result" | "durationMillis">> = {}
    ): Effect.Effect<RunStore.Stored, RunStore.RunnerFailed> =>
      Option.match(Status.transition(stored.run.status, what), {
        onNone: () => Effect.succeed(stored),
        onSome: (status) => {
          const run: Run.Run = {
            ...stored.run,
            ...more,
            status,
            lastActivityAt: now,
            completedAt: Status.isTerminal(status) ? now : null
          }
          return writer
            .tell(now, {
              type: "status_changed",
              runId: run.id,
              from: stored.run.status,
              to: status,
              parentId: run.parentId,
              error: run.error
            })
            .pipe(Effect.as({ ...stored, run }))
        }
      })

    const moveRun = (id: SessionId, what: Status.Move, more: Parameters<typeof move>[4] = {}) =>
      change((writer) =>
        Effect.gen(function* () {
          const stored = yield* require(writer, id)
          const moved = yield* move(writer, stored, what, yield* Clock.currentTimeMillis, more)
          if (moved !== stored) yield* writer.put(moved)
          return moved
        })
      )

    /** Tells what became of approvals between two rows. */
    const tellApprovals = (
      writer: RunStore.Writer,
      id: SessionId,
      before: Approvals.Approvals,
      after: Approvals.Approvals,
      now: number,
      by: "person" | "skip_permissions" | "auto_accept_edits" | "run"
    ) =>
      Effect.gen(function* () {
        const wasOpen = new Set(before.pending.map(({ requestId }) => requestId))
        const isOpen = new Set(after.pending.map(({ requestId }) => requestId))
        for (const { requestId, toolUseId } of before.pending) {
          if (isOpen.has(requestId)) continue
          const settled = after.settled.findLast((each) => each.requestId === requestId)
          yield* writer.tell(now, {
            type: "approval_settled",
            runId: id,
            toolUseId,
            outcome: settled?.outcome ?? "cancelled",
            by: settled === undefined || settled.outcome === "cancelled" ? "run" : by
          })
        }
        for (const { requestId, toolName, toolUseId } of after.pending) {
          if (wasOpen.has(requestId)) continue
          yield* writer.tell(now, { type: "approval_requested", runId: id, toolUseId, toolName })
        }
      })

    /** Appends an entry to a run's log, with all that follows from it. A uuid that is in the log changes nothing. */
    const append = (
      writer: RunStore.Writer,
      stored: RunStore.Stored,
      source: "worker" | "client",
      payload: Payload.Payload,
      by: "person" | "skip_permissions" | "auto_accept_edits" = "person"
    ): Effect.Effect<RunStore.Stored, RunStore.RunnerFailed> =>
      Effect.gen(function* () {
        const { uuid } = payload
        if (uuid === undefined) return stored
        const now = yield* Clock.currentTimeMillis
        const { id, promptUuid } = stored.run
        const seq = stored.row.lastSeq + 1
        if (!(yield* writer.append(id, { seq, uuid, source, createdAt: now, payload }))) return stored
        const row = SessionRow.step(stored.row, { seq, uuid, source, createdAt: now, payload })
        let next: RunStore.Stored = { run: { ...stored.run, lastActivityAt: now }, row }
        yield* writer.tell(now, { type: "entry", runId: id, entry: seq, source, payload: payload.json })
        yield* tellApprovals(writer, id, stored.row.approvals, row.approvals, now, by)
        if (source === "worker" && payload.type === "result" && namesPrompt(payload.json, promptUuid)) {
          const failed = Result.isFailure(payload.json)
          const { result, duration_ms: duration } = payload.json
          next = yield* move(writer, next, failed ? "failed" : "succeeded", now, {
            error: failed ? Result.errorText(payload.json) : null,
            result: typeof result === "string" ? result : null,
            durationMillis: typeof duration === "number" ? duration : null
          })
        } else {
          next = yield* move(writer, next, row.approvals.pending.length > 0 ? "asked" : "answered", now)
        }
        yield* writer.put(next)
        return next
      })

    // --- Answers ---

    /** The whole input that was asked about; the approval itself may hold a shortened one. */
    const askedInput = (id: SessionId, approval: Approvals.Approval) =>
      Effect.map(store.log(id, approval.seq - 1, 1), ([entry]) => {
        const request = entry?.payload.json["request"]
        const input =
          typeof request === "object" && request !== null && "input" in request ? request.input : {}
        return typeof input === "object" && input !== null && !Array.isArray(input) ? { ...input } : {}
      })

    const answerAs =
      (by: "person" | "skip_permissions" | "auto_accept_edits") =>
      (id: SessionId, toolUseId: string, decision: Decision) =>
        Effect.gen(function* () {
          const current = yield* require(store, id)
          const { pending, settled } = current.row.approvals
          const open = pending.find((each) => each.toolUseId === toolUseId)
          const requestId =
            open?.requestId ?? settled.findLast((each) => each.toolUseId === toolUseId)?.requestId
          if (requestId === undefined) return yield* new AnswerRefused({ toolUseId, reason: "NotOpen" })
          const updatedInput =
            decision.behavior === "allow"
              ? (decision.updatedInput ?? (open === undefined ? undefined : yield* askedInput(id, open)))
              : undefined
          const payload = Payload.make({
            type: "control_response",
            uuid: randomUUID(),
            response: {
              subtype: "success",
              request_id: requestId,
              response: {
                ...decision,
                toolUseID: toolUseId,
                ...(updatedInput === undefined ? {} : { updatedInput })
              }
            },
            decided_by: by
          })
          const accepted = yield* change((writer) =>
            Effect.gen(function* () {
              const stored = yield* require(writer, id)
              const verdict = Approvals.judge(stored.row.approvals, payload.json)
              if (verdict?.verdict === "accept") {
                yield* append(writer, stored, "client", payload, by)
                return true
              }
              if (verdict?.verdict === "duplicate") return false
              return yield* new AnswerRefused({
                toolUseId,
                reason: verdict?.verdict === "conflict" ? "Conflict" : "NotOpen"
              })
            })
          )
          const session = live.get(id)?.session
          if (accepted && session !== undefined) yield* session.input(payload)
        })

    /** Settles by the run's settings what is open; what only a person can answer stays. */
    const settleBySettings = (id: SessionId) =>
      Effect.gen(function* () {
        const { row, run } = yield* require(store, id)
        const now = yield* Clock.currentTimeMillis
        for (const approval of row.approvals.pending) {
          const decision = Settings.decide(approval, run.settings, now)
          if (decision === "ask") continue
          yield* answerAs(decision)(id, approval.toolUseId, { behavior: "allow" }).pipe(
            // A person was faster, or the run has ended.
            Effect.catchTag("AnswerRefused", () => Effect.void)
          )
        }
      })

    /** Ends skipping when its time is over, and tells it. */
    const watchExpiry = (id: SessionId, settings: Settings.Settings) =>
      settings.skipPermissionsUntil === null
        ? FiberMap.remove(timers, id)
        : Effect.flatMap(Clock.currentTimeMillis, (now) =>
            FiberMap.run(
              timers,
              id,
              Effect.sleep(Math.max(0, (settings.skipPermissionsUntil ?? now) - now)).pipe(
                Effect.zipRight(
                  change((writer) =>
                    Effect.gen(function* () {
                      const stored = yield* require(writer, id)
                      const now = yield* Clock.currentTimeMillis
                      if (!Settings.hasExpired(stored.run.settings, now)) return
                      const settings = Settings.at(stored.run.settings, now)
                      yield* writer.put({ ...stored, run: { ...stored.run, settings } })
                      yield* writer.tell(now, {
                        type: "settings_changed",
                        runId: id,
                        settings,
                        reason: "expired"
                      })
                    })
                  )
                ),
                Effect.catchAll((error) => Effect.logError("Cannot end the skipping of permissions", error)),
                Effect.annotateLogs({ module: "Runner", run: id })
              )
            )
          )

    // --- One run ---

    const takeSnapshot = (run: Run.Run, reads: Map<string, string>, json: Payload.JsonObject) =>
      Effect.forEach(
        Snapshot.resultsIn(json),
        (toolUseId) =>
          Effect.gen(function* () {
            const path = reads.get(toolUseId)
            if (path === undefined) return
            reads.delete(toolUseId)
            const snapshot = yield* Snapshot.take(run.workingDirectory, toolUseId, path, json)
            if (Option.isNone(snapshot)) return
            const { content, sha256, truncated } = snapshot.value
            yield* change((writer) =>
              Effect.gen(function* () {
                yield* writer.keep(run.id, snapshot.value)
                yield* writer.tell(yield* Clock.currentTimeMillis, {
                  type: "file_snapshot",
                  runId: run.id,
                  toolUseId,
                  path,
                  sha256,
                  bytes: content.length,
                  truncated
                })
              })
            )
          }),
        { discard: true }
      )

    /** Takes one output of a run's agent; answers whether the run goes on. */
    const take = (run: Run.Run, mine: Live, output: AgentOutput) =>
      Effect.gen(function* () {
        if (output._tag === "Delivery") return true
        const { payload } = output
        if (Payload.isEphemeral(payload)) {
          yield* PubSub.publish(partials, { runId: run.id, payload })
          return true
        }
        const stored = yield* change((writer) =>
          Effect.flatMap(require(writer, run.id), (stored) => append(writer, stored, "worker", payload))
        )
        if (payload.type === "assistant") {
          for (const [toolUseId, path] of Snapshot.readsIn(payload.json)) {
            if (mine.reads.size < READS_MAX) mine.reads.set(toolUseId, path)
          }
        }
        if (payload.type === "user") yield* takeSnapshot(run, mine.reads, payload.json)
        const { autoAcceptEdits, skipPermissions } = stored.run.settings
        if (payload.type === "control_request" && (autoAcceptEdits || skipPermissions)) {
          yield* settleBySettings(run.id)
        }
        return !Status.isTerminal(stored.run.status)
      })

    const prompt = (run: Run.Run) =>
      Payload.make({
        type: "user",
        uuid: run.promptUuid,
        session_id: "",
        parent_tool_use_id: null,
        message: { role: "user", content: run.query }
      })

    const interruption = () =>
      Payload.make({
        type: "control_request",
        uuid: randomUUID(),
        request_id: randomUUID(),
        // With what waits: the run's prompt may not have begun.
        request: { subtype: "interrupt", cancel_queued: true }
      })

    /** What people answered in a run so far. */
    const answersTo = (id: SessionId) =>
      Effect.map(store.log(id, 0, Number.MAX_SAFE_INTEGER), (entries) =>
        entries
          .filter(({ payload, source }) => source === "client" && payload.type === "control_response")
          .map(({ payload }) => payload)
      )

    const supervise = (
      run: Run.Run,
      mine: Live,
      spawned: Deferred.Deferred<void, AgentUnavailable>,
      recovered: { readonly unanswered: ReadonlyArray<Payload.Payload> } | undefined,
      forkOf: string | undefined
    ) =>
      Effect.scoped(
        Effect.gen(function* () {
          const session = yield* sessions.open({
            sessionId: run.id,
            agent: run.agent,
            cwd: run.workingDirectory,
            agentSessionId: run.agentSessionId,
            resume: recovered !== undefined,
            forkOf,
            model: run.model ?? undefined,
            permissionMode: run.permissionMode ?? undefined,
            options: run.options ?? undefined,
            unanswered: recovered?.unanswered
          })
          mine.session = session
          // Answers that were given while it was not there yet; those it knows are known by their uuids.
          yield* Effect.forEach(yield* answersTo(run.id), session.input, { discard: true })
          const stored = yield* moveRun(run.id, "spawned")
          yield* Deferred.succeed(spawned, undefined)
          if (stored.run.status === "interrupting") return
          if (recovered === undefined) {
            yield* change((writer) =>
              Effect.flatMap(require(writer, run.id), (stored) =>
                append(writer, stored, "client", prompt(run))
              )
            )
            yield* session.input(prompt(run))
          }
          yield* Stream.runForEachWhile(session.output, (output) => take(run, mine, output))
        })
      ).pipe(
        Effect.catchTag("AgentUnavailable", (error) =>
          Effect.zipRight(moveRun(run.id, "failed", { error: error.message }), Deferred.fail(spawned, error))
        )
      )

    /** Leaves no run in between: its process is gone, so it has ended or is taken up again at the next start. */
    const settle = (run: Run.Run, exit: Exit.Exit<unknown, unknown>) =>
      Effect.gen(function* () {
        const stored = yield* require(store, run.id)
        const shutDown = Exit.isInterrupted(exit) && stored.run.status !== "interrupting"
        if (shutDown && !Status.isTerminal(stored.run.status)) return
        const { run: last } = yield* moveRun(
          run.id,
          "ended",
          stored.run.status === "interrupting" ? {} : { error: "the agent ended without a result" }
        )
        yield* FiberMap.remove(timers, run.id)
        if (last.worktree === null) return
        const { worktree } = last
        const removal = yield* workspace.remove(last.directory, worktree)
        if (removal._tag === "Kept") {
          yield* Effect.logInfo("Worktree is kept").pipe(
            Effect.annotateLogs({ path: worktree.path, reason: removal.reason })
          )
        }
      })

    const start = (
      run: Run.Run,
      recovered: { readonly unanswered: ReadonlyArray<Payload.Payload> } | undefined,
      forkOf?: string
    ) =>
      Effect.gen(function* () {
        const spawned = yield* Deferred.make<void, AgentUnavailable>()
        const mine: Live = { ended: yield* Deferred.make<void>(), reads: new Map(), session: undefined }
        live.set(run.id, mine)
        yield* FiberMap.run(
          fibers,
          run.id,
          supervise(run, mine, spawned, recovered, forkOf).pipe(
            Effect.onExit((exit) =>
              settle(run, exit).pipe(
                Effect.catchAll((error) => Effect.logError("Cannot record the end of a run", error)),
                Effect.ensuring(
                  Effect.sync(() => {
                    live.delete(run.id)
                    Deferred.unsafeDone(mine.ended, Effect.void)
                    Deferred.unsafeDone(spawned, Effect.void)
                  })
                )
              )
            ),
            Effect.catchAll((error) => Effect.logError("Run failed", error)),
            Effect.annotateLogs({ module: "Runner", run: run.id })
          )
        )
        yield* watchExpiry(run.id, run.settings)
        return spawned
      })

    /** Enters a run and starts it; returns when its agent is up. */
    const begin = (run: Run.Run, forkOf?: string) =>
      Effect.gen(function* () {
        if (live.size >= capacity) return yield* new AtCapacity({ capacity })
        yield* change((writer) =>
          Effect.gen(function* () {
            yield* writer.put({ run, row: SessionRow.initial })
            yield* writer.tell(run.createdAt, {
              type: "status_changed",
              runId: run.id,
              from: null,
              to: run.status,
              parentId: run.parentId,
              error: null
            })
          })
        )
        return yield* start(run, undefined, forkOf)
      }).pipe(
        launching.withPermits(1),
        Effect.flatMap(Deferred.await),
        Effect.zipRight(Effect.orDie(info(run.id)))
      )

    const info = (id: SessionId) => Effect.map(require(store, id), ({ row, run }) => Run.info(run, row))

    const newRun = (now: number, spec: Pick<Run.Run, "agent" | "directory" | "query">) => ({
      id: SessionId.make(`session_${randomUUID()}`),
      parentId: null,
      agent: spec.agent,
      agentSessionId: randomUUID(),
      workingDirectory: spec.directory,
      directory: spec.directory,
      worktree: null,
      query: spec.query,
      promptUuid: EventUuid.make(randomUUID()),
      title: null,
      options: null,
      model: null,
      permissionMode: null,
      status: "starting" as const,
      settings: Settings.none,
      archived: false,
      createdAt: now,
      lastActivityAt: now,
      completedAt: null,
      error: null,
      result: null,
      durationMillis: null
    })

    const realDirectory = (directory: string) =>
      // One that is not there is told by the agent's start.
      Effect.promise(() => realpath(directory).catch(() => directory))

    const launch = Effect.fn("Runner.launch")(function* (spec: LaunchSpec) {
      const now = yield* Clock.currentTimeMillis
      const directory = yield* realDirectory(spec.directory)
      const run: Run.Run = {
        ...newRun(now, { ...spec, directory }),
        title: spec.title ?? null,
        options: spec.options ?? null,
        model: spec.model ?? null,
        permissionMode: spec.permissionMode ?? null,
        settings: Settings.patched(Settings.none, spec.settings ?? {}, now)
      }
      if (spec.spawnMode !== "worktree") return yield* begin(run)
      if (options.worktrees === undefined) {
        return yield* new Workspace.WorkspaceUnavailable({
          directory,
          detail: "no directory for worktrees is configured"
        })
      }
      const worktree = yield* workspace.create(directory, options.worktrees, run.id)
      return yield* begin({ ...run, worktree, workingDirectory: worktree.path }).pipe(
        Effect.tapErrorTag("AtCapacity", () => workspace.remove(directory, worktree))
      )
    })

    const ended = (id: SessionId) =>
      Effect.zipRight(
        Effect.suspend(() => {
          const mine = live.get(id)
          return mine === undefined ? Effect.void : Deferred.await(mine.ended)
        }),
        info(id)
      )

    const interrupt = Effect.fn("Runner.interrupt")(function* (id: SessionId) {
      const { status } = (yield* require(store, id)).run
      if (status === "interrupting") return
      const { run } = yield* moveRun(id, "interrupt")
      if (run.status !== "interrupting") {
        return yield* new RunNotReady({
          id,
          status: run.status,
          wanted: "only one that goes on can be interrupted"
        })
      }
      const session = live.get(id)?.session
      if (session === undefined) {
        // Not up yet: there is nothing to ask.
        return yield* FiberMap.remove(fibers, id)
      }
      const request = interruption()
      yield* change((writer) =>
        Effect.flatMap(require(writer, id), (stored) => append(writer, stored, "client", request))
      )
      yield* session.input(request)
    })

    const goOn = Effect.fn("Runner.continue")(function* (id: SessionId, spec: ContinueSpec) {
      const { run: before } = yield* require(store, id)
      if (!Status.isTerminal(before.status)) {
        yield* Effect.catchTag(interrupt(id), "RunNotReady", () => Effect.void)
        yield* ended(id)
      }
      const { run: parent } = yield* require(store, id)
      const now = yield* Clock.currentTimeMillis
      return yield* begin(
        {
          ...newRun(now, { agent: parent.agent, directory: parent.directory, query: spec.query }),
          parentId: parent.id,
          // A worktree that was removed with its run had nothing in it that its base does not have.
          workingDirectory: parent.worktree === null ? parent.workingDirectory : parent.directory,
          title: spec.title ?? parent.title,
          // How long a turn may be is a matter of that turn.
          options: spec.options ?? (parent.options === null ? null : withoutTurns(parent.options)),
          model: spec.model ?? parent.model,
          permissionMode: spec.permissionMode ?? parent.permissionMode,
          settings: Settings.at(parent.settings, now)
        },
        parent.agentSessionId
      )
    })

    const stopAll = Effect.fn("Runner.stopAll")(function* (within: Duration.DurationInput) {
      const all = Array.from(live)
      yield* Effect.forEach(
        all,
        ([id]) =>
          interrupt(id).pipe(
            Effect.catchTags({ RunNotFound: () => Effect.void, RunNotReady: () => Effect.void })
          ),
        { concurrency: "unbounded", discard: true }
      )
      yield* Effect.forEach(all, ([, { ended }]) => Deferred.await(ended), {
        concurrency: "unbounded",
        discard: true
      }).pipe(Effect.timeoutOption(within))
      const killed = all.filter(([id, mine]) => live.get(id) === mine)
      // Interrupting its fiber closes the run's scope: its process and group are killed within a bound.
      yield* Effect.forEach(killed, ([id]) => FiberMap.remove(fibers, id), {
        concurrency: "unbounded",
        discard: true
      })
      return { killed: killed.map(([id]) => id) }
    })

    const settings = Effect.fn("Runner.settings")(function* (id: SessionId, patch: Settings.SettingsPatch) {
      const settings = yield* change((writer) =>
        Effect.gen(function* () {
          const stored = yield* require(writer, id)
          const now = yield* Clock.currentTimeMillis
          const settings = Settings.patched(Settings.at(stored.run.settings, now), patch, now)
          if (JSON.stringify(settings) === JSON.stringify(stored.run.settings)) return settings
          yield* writer.put({ ...stored, run: { ...stored.run, settings } })
          yield* writer.tell(now, { type: "settings_changed", runId: id, settings, reason: "set" })
          return settings
        })
      )
      yield* watchExpiry(id, settings)
      yield* settleBySettings(id)
      return settings
    })

    const events = (after = 0): Stream.Stream<RunnerEvent | Gap, RunStore.RunnerFailed> =>
      Stream.unwrap(
        Effect.sync(() => {
          let cursor = after
          const page = Effect.gen(function* () {
            // The change of the head is what a reader waits for; what there is to read stands in the record.
            yield* head.changes.pipe(
              Stream.filter((last) => last > cursor),
              Stream.runHead
            )
            const { events, oldest } = yield* store.events(cursor, PAGE)
            const first = events[0]
            const gap: ReadonlyArray<Gap> =
              first !== undefined && first.sequence > cursor + 1 && oldest > 0
                ? [{ type: "gap", from: cursor + 1, to: first.sequence - 1 }]
                : []
            cursor = events.at(-1)?.sequence ?? cursor
            return [...gap, ...events]
          })
          return Stream.repeatEffect(page).pipe(Stream.flattenIterables)
        })
      )

    // --- Recovery ---

    const recover = ({ run }: RunStore.Stored) =>
      Effect.gen(function* () {
        if (Status.isTerminal(run.status)) return
        if (run.status === "interrupting" || options.recovery === "fail") {
          yield* moveRun(run.id, "ended", { error: "the host was restarted while the run was going on" })
          return
        }
        yield* change((writer) =>
          Effect.flatMap(require(writer, run.id), (stored) => append(writer, stored, "client", prompt(run)))
        )
        const answers = yield* answersTo(run.id)
        yield* Effect.asVoid(start(run, { unanswered: [prompt(run), ...answers] }))
      })

    yield* Effect.forEach(
      yield* store.all,
      (stored) => recover(stored).pipe(Effect.catchTag("RunNotFound", () => Effect.void)),
      { discard: true }
    )

    const infos = Effect.map(store.all, (all) => all.map(({ row, run }) => Run.info(run, row)))

    return Runner.of({
      launch,
      continue: goOn,
      interrupt,
      stopAll,
      answer: answerAs("person"),
      settings,
      archive: (id, archived) =>
        change((writer) =>
          Effect.gen(function* () {
            const stored = yield* require(writer, id)
            if (stored.run.archived === archived) return
            yield* writer.put({ ...stored, run: { ...stored.run, archived } })
            yield* writer.tell(yield* Clock.currentTimeMillis, { type: "archived", runId: id, archived })
          })
        ),
      info,
      list: infos,
      leaves: Effect.map(infos, (all) => {
        const parents = new Set(all.map(({ parentId }) => parentId))
        return all.filter(({ id }) => !parents.has(id))
      }),
      recentDirectories: Effect.map(infos, (all) => [...new Set(all.map(({ directory }) => directory))]),
      ended,
      log: (id) =>
        Stream.paginateChunkEffect(0, (after) =>
          Effect.map(store.log(id, after, PAGE), (entries) => {
            const last = entries.at(-1)
            return [
              Chunk.fromIterable(entries),
              last === undefined || entries.length < PAGE ? Option.none() : Option.some(last.seq)
            ] as const
          })
        ),
      snapshot: store.snapshot,
      events,
      partials: Stream.fromPubSub(partials)
    })
  })

export const layer = (options: RunnerOptions): Layer.Layer<Runner, RunStore.RunnerFailed, AgentSessions> =>
  Layer.scoped(Runner, make(options))
