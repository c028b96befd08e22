import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { SessionId } from "@causeway/protocol/Ids"
import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Sessions from "../src/AgentSessions.ts"
import * as Drivers from "../src/Drivers.ts"
import type { Gap, RunnerEvent } from "../src/Runner/Event.ts"
import * as Status from "../src/Runner/Status.ts"
import * as Runner from "../src/Runner.ts"
import type { Supervision } from "../src/Supervision.ts"
import * as Scripted from "./support/Scripted.ts"

const scriptedAgentPath = await Scripted.bundle()

/** A machine: its directories, and runners that are started on it one after the other. */
const machine = Effect.gen(function* () {
  const root = yield* Scripted.directory
  const directory = join(root, "code")
  mkdirSync(directory)
  const start = (options: Partial<Runner.RunnerOptions> = {}, supervision: Partial<Supervision> = {}) =>
    Effect.map(
      Layer.build(
        Runner.layer({
          file: join(root, "runner.db"),
          worktrees: join(root, "worktrees"),
          environment: process.env,
          ...options
        }).pipe(
          Layer.provide(
            Sessions.layerWith({
              restartDelay: "10 millis",
              interruptGrace: "300 millis",
              lastWords: "500 millis",
              ...supervision
            })
          ),
          Layer.provide(
            Drivers.layer({
              environment: process.env,
              scriptedAgentPath,
              scriptedDirectory: join(root, "scripted"),
              grace: { endOfInput: "300 millis", terminate: "300 millis" }
            })
          ),
          Layer.fresh
        )
      ),
      Context.get(Runner.Runner)
    )
  return { root, directory, start }
})

type Service = typeof Runner.Runner.Service

/** Waits for an event. Events of the past count. */
const event = <A extends RunnerEvent | Gap>(
  runner: Service,
  matches: (event: RunnerEvent | Gap) => event is A
) => Effect.flatMap(Stream.runHead(Stream.filter(runner.events(), matches)), Effect.orDie)

const isAsked =
  (id: SessionId) =>
  (each: RunnerEvent | Gap): each is Extract<RunnerEvent, { readonly type: "approval_requested" }> =>
    each.type === "approval_requested" && each.runId === id

/** Everything that was told so far. */
const told = (runner: Service) =>
  Effect.gen(function* () {
    const probe = yield* Effect.map(runner.list, ([first]) => first)
    if (probe === undefined) return []
    yield* runner.archive(probe.id, !probe.archived)
    return yield* runner.events().pipe(
      Stream.takeUntil(
        (each) => each.type === "archived" && each.runId === probe.id && each.archived === !probe.archived
      ),
      Stream.runCollect,
      Effect.map(Chunk.toReadonlyArray)
    )
  })

const moves = (events: ReadonlyArray<RunnerEvent | Gap>, id: SessionId) =>
  events.flatMap((each) =>
    each.type === "status_changed" && each.runId === id ? [[each.from, each.to]] : []
  )

const spec = (
  directory: string,
  query: string,
  more: Partial<Runner.LaunchSpec> = {}
): Runner.LaunchSpec => ({
  agent: "scripted",
  directory,
  query,
  ...more
})

describe("a run", () => {
  it.scopedLive("goes from its launch to its result, and each move tells where it came from", () =>
    Effect.gen(function* () {
      const { directory, start } = yield* machine
      const runner = yield* start()
      const { id } = yield* runner.launch(
        spec(directory, "--say hello\nto  all", { options: { model: "claude-opus-5" } })
      )
      const run = yield* runner.ended(id)
      expect(run).toMatchObject({
        status: "completed",
        result: "echo: --say hello\nto  all",
        summary: "--say hello to all",
        modelFamily: "opus",
        modelId: "claude-opus-5",
        numTurns: 1,
        error: null
      })
      expect(run.costUsd).toBeGreaterThan(0)
      const events = yield* told(runner)
      expect(moves(events, id)).toEqual([
        [null, "starting"],
        ["starting", "running"],
        ["running", "completed"]
      ])
      expect(events.map((each) => (each.type === "gap" ? -1 : each.sequence))).toEqual(
        events.map((_, index) => index + 1)
      )
      const log = yield* Stream.runCollect(runner.log(id))
      expect(Chunk.toReadonlyArray(log).map(({ seq }) => seq)).toEqual(
        Array.from(log, (_, index) => index + 1)
      )
      expect(Chunk.unsafeHead(log).source).toBe("client")
    })
  )

  it.scopedLive("whose agent cannot be started has failed, and says why", () =>
    Effect.gen(function* () {
      const { directory, start } = yield* machine
      const runner = yield* start()
      const error = yield* Effect.flip(runner.launch(spec(join(directory, "gone"), "hello")))
      expect(error).toMatchObject({ _tag: "AgentUnavailable", reason: "DirectoryMissing" })
      const [run] = yield* runner.list
      expect(run).toMatchObject({ status: "failed", error: expect.stringContaining("gone") })
      expect(moves(yield* told(runner), run?.id ?? ("" as SessionId))).toEqual([
        [null, "starting"],
        ["starting", "failed"]
      ])
    })
  )

  it.scopedLive("waits for a person, takes the first answer, and refuses another", () =>
    Effect.gen(function* () {
      const { directory, start } = yield* machine
      const runner = yield* start()
      const { id } = yield* runner.launch(spec(directory, "!bash echo out"))
      const { toolUseId } = yield* event(runner, isAsked(id))
      expect((yield* runner.info(id)).status).toBe("waiting_input")
      expect((yield* runner.info(id)).pendingApprovals).toHaveLength(1)
      yield* runner.answer(id, toolUseId, { behavior: "deny", message: "not today" })
      yield* runner.answer(id, toolUseId, { behavior: "deny", message: "not today" })
      expect(yield* Effect.flip(runner.answer(id, toolUseId, { behavior: "allow" }))).toMatchObject({
        reason: "Conflict"
      })
      expect(yield* Effect.flip(runner.answer(id, "never asked", { behavior: "allow" }))).toMatchObject({
        reason: "NotOpen"
      })
      expect(yield* runner.ended(id)).toMatchObject({ status: "completed", result: "denied: not today" })
      expect(moves(yield* told(runner), id).slice(2)).toEqual([
        ["running", "waiting_input"],
        ["waiting_input", "running"],
        ["running", "completed"]
      ])
    })
  )

  it.scopedLive("is interrupted while it works, while it waits for a person, and not twice", () =>
    Effect.gen(function* () {
      const { directory, start } = yield* machine
      const runner = yield* start()
      for (const query of ["!hang", "!bash echo never"]) {
        const { id } = yield* runner.launch(spec(directory, query))
        if (query !== "!hang") yield* event(runner, isAsked(id))
        yield* runner.interrupt(id)
        yield* runner.interrupt(id).pipe(Effect.ignore)
        expect((yield* runner.ended(id)).status).toBe("interrupted")
        expect((yield* runner.info(id)).pendingApprovals).toEqual([])
        expect(yield* Effect.flip(runner.interrupt(id))).toMatchObject({
          _tag: "RunNotReady",
          status: "interrupted"
        })
        expect(moves(yield* told(runner), id).slice(-2)).toEqual([
          [query === "!hang" ? "running" : "waiting_input", "interrupting"],
          ["interrupting", "interrupted"]
        ])
      }
    })
  )

  it.scopedLive(
    "is gone on from in a new one, which leaves the old as it is; also from one that still goes on",
    () =>
      Effect.gen(function* () {
        const { directory, start } = yield* machine
        const runner = yield* start()
        const first = yield* runner.launch(
          spec(directory, "!hang", { title: "named", settings: { autoAcceptEdits: true } })
        )
        const second = yield* runner.continue(first.id, { query: "!say on" })
        expect((yield* runner.info(first.id)).status).toBe("interrupted")
        const ended = yield* runner.ended(second.id)
        expect(ended).toMatchObject({
          status: "completed",
          result: "on",
          parentId: first.id,
          title: "named",
          settings: { autoAcceptEdits: true }
        })
        expect(ended.agentSessionId).not.toBe(first.agentSessionId)
        // The fork carries the running totals of the conversation that it took over.
        const third = yield* runner.ended((yield* runner.continue(second.id, { query: "!say more" })).id)
        expect(third.costUsd).toBeGreaterThan(ended.costUsd ?? 0)
        expect((yield* runner.leaves).map(({ id }) => id)).toEqual([third.id])
        expect(yield* runner.recentDirectories).toHaveLength(1)
      })
  )

  it.scopedLive("is refused above the capacity", () =>
    Effect.gen(function* () {
      const { directory, start } = yield* machine
      const runner = yield* start({ capacity: 1 })
      const { id } = yield* runner.launch(spec(directory, "!hang"))
      expect(yield* Effect.flip(runner.launch(spec(directory, "one more")))).toMatchObject({
        _tag: "AtCapacity"
      })
      yield* runner.interrupt(id)
      yield* runner.ended(id)
      const next = yield* runner.launch(spec(directory, "now"))
      expect((yield* runner.ended(next.id)).status).toBe("completed")
    })
  )

  it.scopedLive("that wants its directory for itself shares it with none, before and after", () =>
    Effect.gen(function* () {
      const { directory, root, start } = yield* machine
      const runner = yield* start()
      const alone = yield* runner.launch(spec(directory, "!hang", { spawnMode: "session" }))
      expect(yield* Effect.flip(runner.launch(spec(directory, "me too")))).toMatchObject({
        _tag: "AtCapacity",
        capacity: 1
      })
      const elsewhere = yield* runner.launch(spec(root, "!hang"))
      expect(yield* Effect.flip(runner.launch(spec(root, "alone", { spawnMode: "session" })))).toMatchObject({
        _tag: "AtCapacity"
      })
      for (const { id } of [alone, elsewhere]) {
        yield* runner.interrupt(id)
        yield* runner.ended(id)
      }
      const next = yield* runner.launch(spec(directory, "now"))
      expect((yield* runner.ended(next.id)).status).toBe("completed")
    })
  )

  it.scopedLive("keeps what its agent read of its own directory, and of no other", () =>
    Effect.gen(function* () {
      const { directory, root, start } = yield* machine
      writeFileSync(join(directory, "in.txt"), "inside\n")
      writeFileSync(join(root, "secret.txt"), "outside\n")
      symlinkSync(join(root, "secret.txt"), join(directory, "link.txt"))
      const runner = yield* start()
      const reading = (path: string) =>
        Effect.gen(function* () {
          const { id } = yield* runner.launch(spec(directory, `!read ${path}`))
          yield* runner.ended(id)
          const taken = (yield* told(runner)).flatMap((each) =>
            each.type === "file_snapshot" && each.runId === id ? [each] : []
          )
          return { id, taken }
        })
      const { id, taken } = yield* reading("in.txt")
      const sha256 = createHash("sha256").update("inside\n").digest("hex")
      expect(taken).toMatchObject([{ path: "in.txt", sha256, bytes: 7, truncated: false }])
      const kept = yield* runner.snapshot(id, taken[0]?.toolUseId ?? "")
      expect(Option.map(kept, ({ content }) => content.toString())).toEqual(Option.some("inside\n"))
      for (const path of ["../secret.txt", join(root, "secret.txt"), "link.txt", "none.txt"]) {
        expect((yield* reading(path)).taken).toEqual([])
      }
    })
  )
})

describe("what a person decided ahead", () => {
  it.scopedLive("accepts edits, asks for the rest, and settles what is open when it is turned on", () =>
    Effect.gen(function* () {
      const { directory, start } = yield* machine
      const runner = yield* start()
      const edits = yield* runner.launch(
        spec(directory, "!write made.txt by hand", { settings: { autoAcceptEdits: true } })
      )
      expect((yield* runner.ended(edits.id)).status).toBe("completed")
      expect(readFileSync(join(directory, "made.txt"), "utf8")).toBe("by hand")

      const { id } = yield* runner.launch(
        spec(directory, "!bash echo out", { settings: { autoAcceptEdits: true } })
      )
      yield* event(runner, isAsked(id))
      expect((yield* runner.info(id)).status).toBe("waiting_input")
      yield* runner.settings(id, { skipPermissions: true })
      expect(yield* runner.ended(id)).toMatchObject({ status: "completed", result: "done: out" })
      const settled = (yield* told(runner)).flatMap((each) =>
        each.type === "approval_settled" ? [[each.outcome, each.by]] : []
      )
      expect(settled).toEqual([
        ["allowed", "auto_accept_edits"],
        ["allowed", "skip_permissions"]
      ])
    })
  )

  it.scopedLive("does not answer questions, and ends when its time is over, which is told", () =>
    Effect.gen(function* () {
      const { directory, start } = yield* machine
      const runner = yield* start()
      const { id } = yield* runner.launch(
        spec(directory, "!ask Which? | A | B", { settings: { skipPermissions: true, skipForMillis: 100 } })
      )
      const { toolUseId } = yield* event(runner, isAsked(id))
      const expired = yield* event(
        runner,
        (each): each is Extract<RunnerEvent, { readonly type: "settings_changed" }> =>
          each.type === "settings_changed" && each.reason === "expired"
      )
      expect(expired).toMatchObject({
        runId: id,
        settings: { skipPermissions: false, skipPermissionsUntil: null }
      })
      yield* runner.answer(id, toolUseId, { behavior: "allow", updatedInput: { answers: { "Which?": "B" } } })
      expect((yield* runner.ended(id)).result).toBe("chosen: B")
    })
  )
})

describe("a worktree of a run", () => {
  const checkout = (directory: string) => {
    const git = (...args: ReadonlyArray<string>) =>
      execFileSync("git", ["-c", "user.email=t@example.com", "-c", "user.name=t", ...args], {
        cwd: directory,
        stdio: "pipe"
      })
    git("init", "-q")
    writeFileSync(join(directory, "a.txt"), "a\n")
    git("add", "a.txt")
    git("commit", "-q", "-m", "a")
    return git
  }

  it.scopedLive("goes with the run, unless it holds work", () =>
    Effect.gen(function* () {
      const { directory, start } = yield* machine
      const git = checkout(directory)
      const runner = yield* start()
      const clean = yield* runner.launch(spec(directory, "!read a.txt", { spawnMode: "worktree" }))
      expect(clean.workingDirectory).not.toBe(directory)
      expect((yield* runner.ended(clean.id)).result).toBe("done: a")
      expect(existsSync(clean.workingDirectory)).toBe(false)

      const worked = yield* runner.launch(
        spec(directory, "!write new.txt unsaved", {
          spawnMode: "worktree",
          settings: { autoAcceptEdits: true }
        })
      )
      yield* runner.ended(worked.id)
      expect(readFileSync(join(worked.workingDirectory, "new.txt"), "utf8")).toBe("unsaved")
      expect(existsSync(join(directory, "new.txt"))).toBe(false)

      const committed = yield* runner.launch(
        spec(
          directory,
          "!bash echo c > c.txt && git add . && git -c user.email=t@e -c user.name=t commit -qm c",
          {
            spawnMode: "worktree",
            settings: { skipPermissions: true }
          }
        )
      )
      yield* runner.ended(committed.id)
      expect(existsSync(join(committed.workingDirectory, "c.txt"))).toBe(true)
      expect(
        String(git("branch", "--list", "causeway/*"))
          .trim()
          .split("\n")
      ).toHaveLength(2)
    })
  )

  it.scopedLive("cannot be had where there is no repository", () =>
    Effect.gen(function* () {
      const { directory, start } = yield* machine
      const runner = yield* start()
      expect(
        yield* Effect.flip(runner.launch(spec(directory, "x", { spawnMode: "worktree" })))
      ).toMatchObject({
        _tag: "WorkspaceUnavailable"
      })
      expect(yield* runner.list).toEqual([])
    })
  )
})

describe("the end of a host", () => {
  it.scopedLive("in order leaves runs that the next start takes up under their ids", () =>
    Effect.gen(function* () {
      const { directory, start } = yield* machine
      const scope = yield* Scope.make()
      const runner = yield* start().pipe(Scope.extend(scope))
      const slow = yield* runner.launch(spec(directory, "!slow 30 20"))
      const asking = yield* runner.launch(spec(directory, "!bash echo asked"))
      const { toolUseId } = yield* event(runner, isAsked(asking.id))
      const done = yield* runner.ended((yield* runner.launch(spec(directory, "done before"))).id)
      yield* Scope.close(scope, Exit.void)

      const next = yield* start()
      yield* event(next, isAsked(asking.id))
      yield* next.answer(asking.id, toolUseId, { behavior: "allow" })
      expect((yield* next.ended(asking.id)).result).toBe("done: asked")
      expect((yield* next.ended(slow.id)).status).toBe("completed")
      expect(yield* next.info(done.id)).toEqual(done)
      for (const { id } of [slow, asking]) {
        const log = Chunk.toReadonlyArray(yield* Stream.runCollect(next.log(id)))
        expect(log.filter(({ payload }) => payload.type === "result")).toHaveLength(1)
        expect(new Set(log.map(({ payload }) => payload.uuid)).size).toBe(log.length)
      }
    })
  )

  it.scopedLive("fails them instead where that is wanted, and an interrupted one stays interrupted", () =>
    Effect.gen(function* () {
      const { directory, root, start } = yield* machine
      const scope = yield* Scope.make()
      const runner = yield* start().pipe(Scope.extend(scope))
      const { id } = yield* runner.launch(spec(directory, "!hang"))
      yield* Scope.close(scope, Exit.void)
      const next = yield* start({ recovery: "fail" })
      expect(yield* next.info(id)).toMatchObject({
        status: "failed",
        error: expect.stringContaining("restarted")
      })
      expect(existsSync(join(root, "runner.db"))).toBe(true)
    })
  )

  it.scopedLive("stops all within a bound, and kills what does not follow", () =>
    Effect.gen(function* () {
      const { directory, root, start } = yield* machine
      const runner = yield* start({}, { interruptGrace: "1 hour" })
      const willing = yield* runner.launch(spec(directory, "!hang"))
      // Takes no notice of an interrupt: its tool is in a program that does not look.
      const program = join(root, "deaf.mjs")
      writeFileSync(
        program,
        `process.on("SIGTERM", () => {}); setInterval(() => {}, 1000)
         let text = ""
         process.stdin.on("data", (data) => {
           text += data
           for (let at = text.indexOf("\\n"); at >= 0; at = text.indexOf("\\n")) {
             const line = JSON.parse(text.slice(0, at)); text = text.slice(at + 1)
             if (line.request?.subtype === "initialize") process.stdout.write(JSON.stringify(
               { type: "control_response", response: { subtype: "success", request_id: line.request_id } }) + "\\n")
           }
         })`
      )
      const deafRunner = yield* Effect.map(
        Layer.build(
          Runner.layer({ file: ":memory:" }).pipe(
            Layer.provide(Sessions.layerWith({ interruptGrace: "1 hour", lastWords: "50 millis" })),
            Layer.provide(
              Drivers.layer({
                environment: process.env,
                scriptedAgentPath: program,
                scriptedDirectory: root,
                grace: { endOfInput: "50 millis", terminate: "50 millis" }
              })
            )
          )
        ),
        Context.get(Runner.Runner)
      )
      const deaf = yield* deafRunner.launch(spec(directory, "work"))
      expect(yield* runner.stopAll("10 seconds")).toEqual({ killed: [] })
      expect((yield* runner.info(willing.id)).status).toBe("interrupted")
      expect(yield* deafRunner.stopAll("100 millis")).toEqual({ killed: [deaf.id] })
      expect((yield* deafRunner.info(deaf.id)).status).toBe("interrupted")
      expect(yield* deafRunner.stopAll("100 millis")).toEqual({ killed: [] })
      rmSync(program)
    })
  )
})

describe("statuses", () => {
  const all: ReadonlyArray<Status.Move> = [
    "spawned",
    "asked",
    "answered",
    "interrupt",
    "succeeded",
    "failed",
    "ended"
  ]

  it.prop(
    "no order of what happens leaves a terminal state, and the end of the agent always leads to one",
    [FastCheck.array(FastCheck.constantFrom(...all))],
    ([happened]) => {
      let status: Status.Status = "starting"
      for (const what of happened) {
        const next: Status.Status = Option.getOrElse(Status.transition(status, what), () => status)
        if (Status.isTerminal(status)) expect(next).toBe(status)
        if (status === "interrupting" && next !== status) expect(next).toBe("interrupted")
        status = next
      }
      status = Option.getOrElse(Status.transition(status, "ended"), () => status)
      expect(Status.isTerminal(status)).toBe(true)
    }
  )
})
