/** One run: taken down in its record, started, and settled when its agent has ended. */
import { randomUUID } from "node:crypto"
import { realpath } from "node:fs/promises"
import type * as Git from "@causeway/git/Git"
import * as Worktree from "@causeway/git/Worktree"
import type { AgentSettings } from "@causeway/protocol/AgentSettings"
import { EventUuid, SessionId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as SessionRow from "@causeway/transcript/SessionRow"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberMap from "effect/FiberMap"
import type { Serve } from "../Engine.ts"
import * as Changes from "./Changes.ts"
import * as Live from "./Live.ts"
import type { Stored } from "./Record.ts"
import { AtCapacity, type RunnerOptions } from "./Request.ts"
import * as Run from "./Run.ts"
import * as Status from "./Status.ts"

/** Everything that the operations share. */
export interface Runs extends Live.Options {
  readonly options: RunnerOptions
  readonly git: Git.Git["Type"]
  readonly serve: Serve
  readonly live: Map<SessionId, Live.Live>
  readonly fibers: FiberMap.FiberMap<SessionId>
  readonly launching: Effect.Semaphore
}

export const find = ({ changes }: Runs, id: SessionId) => Changes.require(changes.record, id)

export const info = (runs: Runs, id: SessionId) =>
  Effect.map(find(runs, id), ({ row, run }) => Run.info(run, row))

/** Appends what a person said to a run's log; the agent gets it where it is up. */
export const say = (runs: Runs, id: SessionId, payload: Payload.Payload) =>
  Effect.tap(
    Changes.change(runs.changes, (writer) =>
      Effect.flatMap(Changes.require(writer, id), (stored) =>
        Changes.append(writer, stored, "client", payload)
      )
    ),
    () => tell(runs, id, payload)
  )

export const tell = ({ live }: Runs, id: SessionId, payload: Payload.Payload) =>
  Effect.suspend(() => live.get(id)?.inbound.offer(payload) ?? Effect.void)

// --- One run ---

/** Leaves no run in between: its agent is gone, so it has ended or is taken up again at the next start. */
const settle = (runs: Runs, { id }: Run.Run, exit: Exit.Exit<unknown, unknown>) =>
  Effect.gen(function* () {
    const { run } = yield* find(runs, id)
    const shutDown = Exit.isInterrupted(exit) && run.status !== "interrupting"
    if (shutDown && !Status.isTerminal(run.status)) return
    const error = run.status === "interrupting" ? {} : { error: "the agent ended without a result" }
    yield* Changes.moveRun(runs.changes, id, "ended", error)
    const { directory, worktree } = run
    if (worktree === null) return
    const removal = yield* Worktree.remove(runs.git, directory, worktree)
    if (removal._tag === "Removed") return
    yield* Effect.logInfo("Worktree is kept").pipe(
      Effect.annotateLogs({ path: worktree.path, reason: removal.reason })
    )
  })

/** Starts the agent of a run; answers with what tells that it is up. */
export const start = (runs: Runs, run: Run.Run) =>
  Effect.gen(function* () {
    const mine = yield* Live.make(run)
    runs.live.set(run.id, mine)
    const done = Effect.sync(() => {
      runs.live.delete(run.id)
      Deferred.unsafeDone(mine.ended, Effect.void)
      Deferred.unsafeDone(mine.up, Effect.void)
    })
    yield* Effect.scoped(Effect.flatMap(Live.channel(runs, mine), runs.serve)).pipe(
      Effect.raceFirst(Deferred.await(mine.over)),
      Effect.onExit((exit) =>
        settle(runs, run, exit).pipe(
          Effect.catchAll((error) => Effect.logError("Cannot record the end of a run", error)),
          Effect.ensuring(done)
        )
      ),
      Effect.annotateLogs({ module: "Runner", run: run.id }),
      (effect) => FiberMap.run(runs.fibers, run.id, effect)
    )
    return mine.up
  })

/** Whether one of two runs wants the directory for itself in which the other one works. */
const excludes = (one: Run.Run, other: Run.Run): boolean =>
  one.workingDirectory === other.workingDirectory &&
  (one.spawnMode === "session" || other.spawnMode === "session")

export const prompt = (query: string, uuid: string) =>
  Payload.make({
    type: "user",
    uuid,
    session_id: "",
    parent_tool_use_id: null,
    message: { role: "user", content: query }
  })

export const update = (change: AgentSettings) =>
  Payload.make({ type: "session_update", uuid: randomUUID(), ...change })

/** Refuses a run for which there is no place. */
export const checkPlace = ({ live, options }: Runs, run: Run.Run) =>
  Effect.suspend(() => {
    const capacity = options.capacity ?? 8
    if (live.size >= capacity) return new AtCapacity({ capacity })
    const taken = Array.from(live.values()).some((other) => excludes(other.run, run))
    return taken ? new AtCapacity({ capacity: 1 }) : Effect.void
  })

/** Enters a run with its settings and its prompt, and starts it; returns when its agent is up. */
export const begin = (runs: Runs, run: Run.Run, settings: AgentSettings) =>
  Effect.gen(function* () {
    yield* checkPlace(runs, run)
    yield* Changes.change(runs.changes, (writer) =>
      Effect.gen(function* () {
        let stored: Stored = { run, row: SessionRow.initial }
        yield* writer.put(stored)
        const { error, id: runId, parentId, status } = run
        yield* writer.tell(run.createdAt, {
          type: "status_changed",
          runId,
          from: null,
          to: status,
          parentId,
          error
        })
        if (Object.keys(settings).length > 0) {
          stored = yield* Changes.append(writer, stored, "client", update(settings))
        }
        yield* Changes.append(writer, stored, "client", prompt(run.query, run.promptUuid))
      })
    )
    return yield* start(runs, run)
  }).pipe(
    runs.launching.withPermits(1),
    Effect.flatMap(Deferred.await),
    Effect.zipRight(Effect.catchTag(info(runs, run.id), "RunNotFound", Effect.die))
  )

export const newRun = (now: number, spec: Pick<Run.Run, "agent" | "directory" | "query">): Run.Run => ({
  id: SessionId.make(`session_${randomUUID()}`),
  parentId: null,
  agent: spec.agent,
  agentSessionId: randomUUID(),
  workingDirectory: spec.directory,
  directory: spec.directory,
  worktree: null,
  spawnMode: "same-dir",
  query: spec.query,
  promptUuid: EventUuid.make(randomUUID()),
  forkOf: null,
  launched: false,
  title: null,
  options: null,
  status: "starting",
  archived: false,
  createdAt: now,
  lastActivityAt: now,
  completedAt: null,
  error: null,
  result: null,
  durationMillis: null
})

/** One that is not there is told by the agent's start. */
export const realDirectory = (directory: string) =>
  Effect.promise(() => realpath(directory).catch(() => directory))
