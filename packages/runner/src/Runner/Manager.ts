/**
 * The session manager itself: one fiber a run owns its agent's session; what happens to a run is a change
 * (`Changes`), what is asked of a person is an answer (`Answers`).
 */
import { randomUUID } from "node:crypto"
import { realpath } from "node:fs/promises"
import * as Git from "@causeway/git/Git"
import * as Worktree from "@causeway/git/Worktree"
import { EventUuid, SessionId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as SessionRow from "@causeway/transcript/SessionRow"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberMap from "effect/FiberMap"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type AgentOutput, type AgentSession, AgentSessions, type AgentUnavailable } from "../Agent.ts"
import type { AgentOptions } from "../AgentOptions.ts"
import type { Runner } from "../Runner.ts"
import * as Answers from "./Answers.ts"
import * as Changes from "./Changes.ts"
import type { Gap, Partial, RunnerEvent } from "./Event.ts"
import { AtCapacity, type ContinueSpec, type LaunchSpec, RunNotReady, type RunnerOptions } from "./Request.ts"
import * as Run from "./Run.ts"
import * as RunStore from "./RunStore.ts"
import * as Settings from "./Settings.ts"
import * as Snapshot from "./Snapshot.ts"
import * as Status from "./Status.ts"

type Service = Context.Tag.Service<Runner>

/** Read at once of logs and events. */
const PAGE = 500

/** Reads of files that wait for their result, in one run. */
const READS_MAX = 256

interface Live {
  readonly run: Run.Run
  readonly ended: Deferred.Deferred<void>
  readonly reads: Map<string, string>
  /** The last entry of its log that the agent wrote. */
  lastEntry: number
  session: AgentSession | undefined
}

const withoutTurns = ({ maxTurns: _, ...options }: AgentOptions): AgentOptions => options

/** Whether one of two runs wants the directory for itself in which the other one works. */
const excludes = (one: Run.Run, other: Run.Run): boolean =>
  one.workingDirectory === other.workingDirectory &&
  (one.spawnMode === "session" || other.spawnMode === "session")

export const make = (
  options: RunnerOptions
): Effect.Effect<Service, RunStore.RunnerFailed, AgentSessions | Scope.Scope> =>
  Effect.gen(function* () {
    const sessions = yield* AgentSessions
    const store = yield* RunStore.open(options.file, options.keptEvents)
    const git = Git.make(options.environment ?? {})
    const capacity = options.capacity ?? 8
    const { append, change, head, move, moveRun, require } = yield* Changes.make(store)
    const partials = yield* PubSub.sliding<Partial>(256)
    const live = new Map<SessionId, Live>()
    const launching = yield* Effect.makeSemaphore(1)
    // Closed in reverse: runs end before the timers that belong to them.
    const { answer, forget, settleBySettings, watchExpiry } = yield* Answers.make(
      store,
      { append, change, head, move, moveRun, require },
      (id) => live.get(id)?.session
    )
    const fibers = yield* FiberMap.make<SessionId>()

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
          yield* PubSub.publish(partials, { runId: run.id, after: mine.lastEntry, payload })
          return true
        }
        const stored = yield* change((writer) =>
          Effect.flatMap(require(writer, run.id), (stored) => append(writer, stored, "worker", payload))
        )
        mine.lastEntry = stored.row.lastSeq
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
            options: {
              ...run.options,
              model: run.model ?? undefined,
              permissionMode: run.permissionMode ?? undefined
            },
            settings: (yield* require(store, run.id)).row.chosen,
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
        yield* forget(run.id)
        if (last.worktree === null) return
        const { worktree } = last
        const removal = yield* Worktree.remove(git, last.directory, worktree)
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
        const mine: Live = {
          run,
          ended: yield* Deferred.make<void>(),
          reads: new Map(),
          lastEntry: 0,
          session: undefined
        }
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
        if (Array.from(live.values()).some((other) => excludes(other.run, run))) {
          return yield* new AtCapacity({ capacity: 1 })
        }
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
      spawnMode: "same-dir" as const,
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
        spawnMode: spec.spawnMode ?? "same-dir",
        model: spec.model ?? null,
        permissionMode: spec.permissionMode ?? null,
        settings: Settings.patched(Settings.none, spec.settings ?? {}, now)
      }
      if (spec.spawnMode !== "worktree") return yield* begin(run)
      if (options.worktrees === undefined) {
        return yield* new Worktree.WorkspaceUnavailable({
          directory,
          detail: "no directory for worktrees is configured"
        })
      }
      const worktree = {
        ...Worktree.placeOf(options.worktrees, run.id),
        base: yield* Worktree.baseOf(git, directory)
      }
      yield* Worktree.create(git, directory, worktree)
      return yield* begin({ ...run, worktree, workingDirectory: worktree.path }).pipe(
        Effect.tapErrorTag("AtCapacity", () => Worktree.remove(git, directory, worktree))
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
          spawnMode: parent.spawnMode === "session" ? "session" : "same-dir",
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

    return {
      launch,
      continue: goOn,
      interrupt,
      stopAll,
      answer,
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
    }
  })
