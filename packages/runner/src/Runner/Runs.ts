/** Runs: launched, watched, gone on from, interrupted and ended. The engine works on each; its log is here. */
import { randomUUID } from "node:crypto"
import * as Worktree from "@causeway/git/Worktree"
import type { AgentSettings } from "@causeway/protocol/AgentSettings"
import type { SessionId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as Approvals from "@causeway/transcript/Approvals"
import { object } from "@causeway/transcript/Read"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as AgentOptions from "../AgentOptions.ts"
import type { JournalFailed } from "../Journal/Model.ts"
import {
  begin,
  checkPlace,
  find,
  info,
  newRun,
  prompt,
  type Runs,
  realDirectory,
  say,
  start,
  tell,
  update
} from "./Begin.ts"
import * as Changes from "./Changes.ts"
import type * as Live from "./Live.ts"
import type { Stored } from "./Record.ts"
import { AnswerRefused, type ContinueSpec, type Decision, type LaunchSpec, RunNotReady } from "./Request.ts"
import * as Run from "./Run.ts"
import * as Settings from "./Settings.ts"
import * as Status from "./Status.ts"

export { info, type Runs } from "./Begin.ts"

export const launch = Effect.fn("Runner.launch")(function* (runs: Runs, spec: LaunchSpec) {
  const now = yield* Clock.currentTimeMillis
  const directory = yield* realDirectory(spec.directory)
  const run: Run.Run = {
    ...newRun(now, { ...spec, directory }),
    title: spec.title ?? null,
    options: spec.options ?? null,
    spawnMode: spec.spawnMode ?? "same-dir"
  }
  const settings = Settings.change(spec.settings ?? {}, now)
  if (spec.spawnMode !== "worktree") return yield* begin(runs, run, settings)
  const { worktrees } = runs.options
  if (worktrees === undefined) {
    const detail = "no directory for worktrees is configured"
    return yield* new Worktree.WorkspaceUnavailable({ directory, detail })
  }
  const worktree = {
    ...Worktree.placeOf(worktrees, run.id),
    base: yield* Worktree.baseOf(runs.git, directory)
  }
  yield* Worktree.create(runs.git, directory, worktree)
  return yield* begin(runs, { ...run, worktree, workingDirectory: worktree.path }, settings).pipe(
    Effect.tapErrorTag("AtCapacity", () => Worktree.remove(runs.git, directory, worktree))
  )
})

export const ended = (runs: Runs, id: SessionId) =>
  Effect.zipRight(
    Effect.suspend(() => {
      const mine = runs.live.get(id)
      return mine === undefined ? Effect.void : Deferred.await(mine.ended)
    }),
    info(runs, id)
  )

export const interrupt = Effect.fn("Runner.interrupt")(function* (runs: Runs, id: SessionId) {
  const { status } = (yield* find(runs, id)).run
  if (status === "interrupting") return
  const { run } = yield* Changes.moveRun(runs.changes, id, "interrupt")
  if (run.status !== "interrupting") {
    const wanted = "only one that is going on can be interrupted"
    return yield* new RunNotReady({ id, status: run.status, wanted })
  }
  const mine = runs.live.get(id)
  // Not up yet: there is nothing to ask.
  if (mine === undefined || !(yield* Deferred.isDone(mine.up))) return yield* FiberMap.remove(runs.fibers, id)
  const request = {
    type: "control_request",
    uuid: randomUUID(),
    request_id: randomUUID(),
    // With what waits: the run's prompt may not have begun.
    request: { subtype: "interrupt", cancel_queued: true }
  }
  yield* say(runs, id, Payload.make(request))
})

/** A further message of the same conversation; one whose turn has ended is taken up again. */
export const send = Effect.fn("Runner.send")(function* (runs: Runs, id: SessionId, query: string) {
  const { run } = yield* find(runs, id)
  if (Status.isTerminal(run.status)) yield* ended(runs, id)
  yield* Effect.gen(function* () {
    yield* say(runs, id, prompt(query, randomUUID()))
    const { run } = yield* Changes.moveRun(runs.changes, id, "prompted", { error: null, result: null })
    if (run.status !== "starting" || runs.live.has(id)) return undefined
    yield* checkPlace(runs, run)
    return yield* start(runs, run)
  }).pipe(
    runs.launching.withPermits(1),
    Effect.flatMap((up) => (up === undefined ? Effect.void : Deferred.await(up)))
  )
})

const withoutTurns = ({ maxTurns: _, ...options }: AgentOptions.AgentOptions): AgentOptions.AgentOptions =>
  options

/** What was chosen since the start of the old run; the new options go before it. */
const inherited = (chosen: AgentSettings, options: AgentOptions.AgentOptions | undefined, now: number) => {
  const { model, permission_mode: mode, ...others } = Settings.at(chosen, now)
  return {
    ...others,
    ...(model === undefined || options?.model !== undefined ? {} : { model }),
    ...(mode === undefined || options?.permissionMode !== undefined ? {} : { permission_mode: mode })
  }
}

export const goOn = Effect.fn("Runner.continue")(function* (runs: Runs, id: SessionId, spec: ContinueSpec) {
  const { run: before } = yield* find(runs, id)
  if (!Status.isTerminal(before.status)) {
    yield* Effect.catchTag(interrupt(runs, id), "RunNotReady", () => Effect.void)
    yield* ended(runs, id)
  }
  const { row, run: parent } = yield* find(runs, id)
  const now = yield* Clock.currentTimeMillis
  const run: Run.Run = {
    ...newRun(now, { agent: parent.agent, directory: parent.directory, query: spec.query }),
    parentId: parent.id,
    forkOf: parent.agentSessionId,
    // A worktree that was removed with its run had nothing in it that its base does not have.
    workingDirectory: parent.worktree === null ? parent.workingDirectory : parent.directory,
    title: spec.title ?? parent.title,
    spawnMode: parent.spawnMode === "session" ? "session" : "same-dir",
    // How long a turn may be is a matter of that turn.
    options: AgentOptions.merge(withoutTurns(parent.options ?? AgentOptions.none), spec.options ?? {})
  }
  return yield* begin(runs, run, inherited(row.chosen, spec.options, now))
})

export const stopAll = Effect.fn("Runner.stopAll")(function* (runs: Runs, within: Duration.DurationInput) {
  const all = Array.from(runs.live)
  const each = <A>(
    some: typeof all,
    effect: (id: SessionId, mine: Live.Live) => Effect.Effect<A, JournalFailed>
  ) => Effect.forEach(some, ([id, mine]) => effect(id, mine), { concurrency: "unbounded", discard: true })
  yield* each(all, (id) =>
    Effect.catchTags(interrupt(runs, id), {
      RunNotFound: () => Effect.void,
      RunNotReady: () => Effect.void
    })
  )
  yield* Effect.timeoutOption(
    each(all, (_, mine) => Deferred.await(mine.ended)),
    within
  )
  const killed = all.filter(([id, mine]) => runs.live.get(id) === mine)
  // Interrupting its fiber closes the run's scope: its process and group are killed within a bound.
  yield* each(killed, (id) => FiberMap.remove(runs.fibers, id))
  return { killed: killed.map(([id]) => id) }
})

/** The whole input that was asked about; the approval itself may hold a shortened one. */
const askedInput = ({ changes }: Runs, id: SessionId, { seq }: Approvals.Approval) =>
  Effect.map(changes.record.log(id, seq - 1, 1), ([entry]) =>
    object(object(entry?.payload.json["request"])["input"])
  )

export const answer = Effect.fn("Runner.answer")(function* (
  runs: Runs,
  id: SessionId,
  toolUseId: string,
  decision: Decision
) {
  const { pending, settled } = (yield* find(runs, id)).row.approvals
  const open = pending.find((each) => each.toolUseId === toolUseId)
  const requestId = open?.requestId ?? settled.findLast((each) => each.toolUseId === toolUseId)?.requestId
  if (requestId === undefined) return yield* new AnswerRefused({ toolUseId, reason: "NotOpen" })
  const updatedInput =
    decision.behavior === "allow"
      ? (decision.updatedInput ?? (open === undefined ? undefined : yield* askedInput(runs, id, open)))
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
    }
  })
  const accepted = yield* Changes.change(runs.changes, (writer) =>
    Effect.gen(function* () {
      const stored = yield* Changes.require(writer, id)
      const verdict = Approvals.judge(stored.row.approvals, payload.json)?.verdict
      if (verdict === "accept") yield* Changes.append(writer, stored, "client", payload)
      if (verdict === "accept" || verdict === "duplicate") return verdict === "accept"
      const reason = verdict === "conflict" ? "Conflict" : "NotOpen"
      return yield* new AnswerRefused({ toolUseId, reason })
    })
  )
  if (accepted) yield* tell(runs, id, payload)
})

export const settings = Effect.fn("Runner.settings")(function* (
  runs: Runs,
  id: SessionId,
  patch: Settings.SettingsPatch
) {
  const change = Settings.change(patch, yield* Clock.currentTimeMillis)
  const { row } = yield* Changes.change(runs.changes, (writer) =>
    Effect.flatMap(Changes.require(writer, id), (stored) =>
      Changes.append(writer, stored, "client", update(change))
    )
  )
  yield* runs.live.get(id)?.changes.offer(change) ?? Effect.void
  return Settings.of(row.chosen)
})

export const archive = (runs: Runs, id: SessionId, archived: boolean) =>
  Changes.change(runs.changes, (writer) =>
    Effect.gen(function* () {
      const stored = yield* Changes.require(writer, id)
      if (stored.run.archived === archived) return
      yield* writer.put({ ...stored, run: { ...stored.run, archived } })
      yield* writer.tell(yield* Clock.currentTimeMillis, { type: "archived", runId: id, archived })
    })
  )

/** What becomes of a run that a crash or the end of the host has left. */
export const recover = (runs: Runs, { run }: Stored) =>
  Effect.suspend(() => {
    if (Status.isTerminal(run.status)) return Effect.void
    return run.status === "interrupting" || runs.options.recovery === "fail"
      ? Effect.ignore(
          Changes.moveRun(runs.changes, run.id, "ended", {
            error: "the host was restarted while the run was going on"
          })
        )
      : Effect.asVoid(start(runs, run))
  })

export const all = ({ changes }: Runs) =>
  Effect.map(changes.record.all, (all) => all.map(({ row, run }) => Run.info(run, row)))
