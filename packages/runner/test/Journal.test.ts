import { EnvironmentId, EventUuid, SessionId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as Withdrawal from "@causeway/protocol/Withdrawal"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { describe, expect, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as Journal from "../src/Journal.ts"

const session = SessionId.make("session_a")
const line = (uuid: string, text = uuid): Journal.Outgoing => {
  const payload = Payload.make({ type: "assistant", uuid, text })
  return { _tag: "Line", payload: { ...payload, uuid: EventUuid.make(uuid) } }
}
const incoming = (sequenceNum: number, uuid: string, eventId = uuid): Journal.Incoming => ({
  eventId: EventUuid.make(eventId),
  sequenceNum,
  payload: Payload.make({ type: "user", uuid })
})
const newSession = (sessionId = session): Journal.NewSession => ({
  sessionId,
  environmentId: EnvironmentId.make("env_1"),
  directory: "/project",
  home: true,
  agentSessionId: "7c4d2b1e-0000-4000-8000-000000000000",
  agent: "scripted",
  cwd: "/project"
})

const withJournal = <A, E>(
  stateDirectory: string,
  use: (journal: Journal.Journal["Type"]) => Effect.Effect<A, E>
) => Effect.flatMap(Journal.Journal, use).pipe(Effect.provide(Journal.layer({ stateDirectory })))

const temporary = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())

const uuids = (payloads: ReadonlyArray<Payload.Payload>) => payloads.map((payload) => payload.uuid)

describe("Journal", () => {
  it.scopedLive("keeps lines in order over a restart until they are confirmed", () =>
    Effect.gen(function* () {
      const directory = yield* temporary
      yield* withJournal(directory, (journal) =>
        Effect.gen(function* () {
          yield* journal.enter(newSession())
          yield* journal.record(session, [line("a"), line("b"), line("a")])
          yield* Effect.all(
            Array.from({ length: 300 }, (_, i) => journal.record(session, [line(`n${i}`)])),
            { concurrency: "unbounded" }
          )
        })
      )
      yield* withJournal(directory, (journal) =>
        Effect.gen(function* () {
          const all = yield* journal.pending(session, { count: 1000, bytes: 1e9 })
          expect(all.map((entry) => entry.payload.uuid)).toEqual([
            "a",
            "b",
            ...Array.from({ length: 300 }, (_, i) => `n${i}`)
          ])
          const two = yield* journal.pending(session, { count: 2, bytes: 1e9 })
          expect(two).toHaveLength(2)
          const one = yield* journal.pending(session, { count: 100, bytes: 1 })
          expect(one).toHaveLength(1)
          yield* journal.confirm(session, two[1]?.position ?? 0, EventUuid.make("b"))
          expect(yield* journal.unconfirmed(session)).toBe(300)
          const record = Option.getOrThrow(yield* journal.session(SessionId.make("cse_a")))
          expect(record.head).toBe("b")
        })
      )
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("both spellings of a session's id name one session", () =>
    Effect.gen(function* () {
      yield* withJournal(yield* temporary, (journal) =>
        Effect.gen(function* () {
          yield* journal.enter(newSession())
          yield* journal.record(SessionId.make("cse_a"), [line("a")])
          expect(yield* journal.unconfirmed(session)).toBe(1)
        })
      )
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("a client event is fresh once, whatever comes again, and is reported as far as it came", () =>
    Effect.gen(function* () {
      yield* withJournal(yield* temporary, (journal) =>
        Effect.gen(function* () {
          yield* journal.enter(newSession())
          expect(uuids(yield* journal.receive(session, [incoming(2, "p"), incoming(5, "q")]))).toEqual([
            "p",
            "q"
          ])
          expect(yield* journal.receive(session, [incoming(2, "p"), incoming(5, "q")])).toEqual([])
          // The same message under another event: acknowledged, not given to the agent.
          expect(yield* journal.receive(session, [incoming(7, "p", "p-again")])).toEqual([])
          yield* journal.record(session, [
            { _tag: "Delivery", uuid: EventUuid.make("p"), state: "processed" },
            { _tag: "Delivery", uuid: EventUuid.make("p"), state: "processing" }
          ])
          expect(uuids(yield* journal.unanswered(session))).toEqual(["q"])
          const reports = yield* journal.reports(session, 100)
          expect(reports).toEqual([
            // It was begun and answered before the hub heard of either.
            { eventId: "p", status: "processing" },
            { eventId: "p", status: "processed" },
            { eventId: "q", status: "received" },
            { eventId: "p-again", status: "processed" }
          ])
          yield* journal.reported(session, reports)
          expect(yield* journal.reports(session, 100)).toEqual([])
          yield* journal.record(session, [
            { _tag: "Delivery", uuid: EventUuid.make("q"), state: "processing" }
          ])
          expect(yield* journal.reports(session, 100)).toEqual([{ eventId: "q", status: "processing" }])
        })
      )
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive(
    "what was taken back comes back after no restart; what the agent had begun was not taken back",
    () =>
      Effect.gen(function* () {
        const directory = yield* temporary
        const stop: Journal.Incoming = {
          eventId: EventUuid.make("stop"),
          sequenceNum: 4,
          payload: Payload.make({ ...Withdrawal.all("r"), uuid: "stop" })
        }
        yield* withJournal(directory, (journal) =>
          Effect.gen(function* () {
            yield* journal.enter(newSession())
            yield* journal.receive(session, [incoming(1, "begun"), incoming(2, "late")])
            yield* journal.record(session, [
              { _tag: "Delivery", uuid: EventUuid.make("begun"), state: "processing" }
            ])
            // One that comes together with its withdrawal is not even handed on.
            expect(
              uuids(yield* journal.receive(session, [incoming(3, "waiting"), stop, incoming(5, "next")]))
            ).toEqual(["stop", "next"])
            expect(uuids(yield* journal.unanswered(session))).toEqual(["begun", "stop", "next"])
            // The agent had taken it a moment before.
            yield* journal.record(session, [
              { _tag: "Delivery", uuid: EventUuid.make("late"), state: "processing" },
              { _tag: "Delivery", uuid: EventUuid.make("waiting"), state: "processed" }
            ])
          })
        )
        yield* withJournal(directory, (journal) =>
          Effect.gen(function* () {
            expect(uuids(yield* journal.unanswered(session))).toEqual(["begun", "late", "stop", "next"])
            const reports = yield* journal.reports(session, 10)
            expect(reports.map(({ eventId, status }) => [eventId, status])).toEqual([
              ["begun", "processing"],
              ["late", "processing"],
              ["waiting", "withdrawn"],
              ["stop", "received"],
              ["next", "received"]
            ])
            // The agent says that it had begun one while the hub is told that it was taken back.
            yield* journal.record(session, [
              { _tag: "Delivery", uuid: EventUuid.make("waiting"), state: "processing" }
            ])
            yield* journal.reported(session, reports)
            expect(yield* journal.reports(session, 10)).toEqual([
              { eventId: "waiting", status: "processing" }
            ])
          })
        )
      }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("a message that is too deep for SQLite's JSON is delivered and reported all the same", () =>
    Effect.gen(function* () {
      const deep = JSON.parse(`${"[".repeat(2000)}${"]".repeat(2000)}`)
      const event: Journal.Incoming = {
        eventId: EventUuid.make("deep"),
        sequenceNum: 1,
        payload: Payload.make({ type: "user", uuid: "deep", message: deep })
      }
      const stop: Journal.Incoming = {
        eventId: EventUuid.make("stop"),
        sequenceNum: 2,
        payload: Payload.make({ ...Withdrawal.all("r"), uuid: "stop" })
      }
      yield* withJournal(yield* temporary, (journal) =>
        Effect.gen(function* () {
          yield* journal.enter(newSession())
          yield* journal.receive(session, [event])
          yield* journal.receive(session, [stop])
          yield* journal.record(session, [
            { _tag: "Delivery", uuid: EventUuid.make("deep"), state: "processed" }
          ])
          expect(yield* journal.reports(session, 10)).toContainEqual({ eventId: "deep", status: "processed" })
        })
      )
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("a payload without a uuid gets its event's", () =>
    Effect.gen(function* () {
      yield* withJournal(yield* temporary, (journal) =>
        Effect.gen(function* () {
          yield* journal.enter(newSession())
          const [fresh] = yield* journal.receive(session, [
            {
              eventId: EventUuid.make("event-1"),
              sequenceNum: 1,
              payload: Payload.make({ type: "user", message: { role: "user", content: "hi" } })
            }
          ])
          expect(fresh?.uuid).toBe("event-1")
          expect(JSON.parse(fresh?.text ?? "")).toMatchObject({ uuid: "event-1", type: "user" })
        })
      )
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("processed events are pruned to a bounded number of uuids", () =>
    Effect.gen(function* () {
      const directory = yield* temporary
      const total = Journal.REMEMBERED_EVENTS + 500
      yield* withJournal(directory, (journal) =>
        Effect.gen(function* () {
          yield* journal.enter(newSession())
          const events = Array.from({ length: total }, (_, i) => incoming(i + 1, `u${i}`))
          yield* journal.receive(session, events)
          yield* journal.record(
            session,
            events.map((event) => ({ _tag: "Delivery", uuid: event.eventId, state: "processed" as const }))
          )
          yield* journal.reported(session, yield* journal.reports(session, total))
        })
      )
      const db = new Sqlite(`${directory}/${Journal.JOURNAL_FILE}`, { readonly: true })
      expect(db.prepare("SELECT count(*) AS n, sum(length(payload)) AS bytes FROM inbox").get()).toEqual({
        n: Journal.REMEMBERED_EVENTS,
        bytes: 0
      })
      db.close()
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("entering a known session keeps its agent and its cursor; an ended one leaves the list", () =>
    Effect.gen(function* () {
      yield* withJournal(yield* temporary, (journal) =>
        Effect.gen(function* () {
          yield* journal.enter(newSession())
          yield* journal.launched(session)
          yield* journal.receive(session, [incoming(3, "p")])
          yield* journal.park(session)
          expect((yield* journal.sessions("/project")).map((_) => _.state)).toEqual(["parked"])
          const again = yield* journal.enter({
            ...newSession(),
            agentSessionId: "another",
            environmentId: EnvironmentId.make("env_2")
          })
          expect(again).toMatchObject({
            state: "live",
            launched: true,
            cursor: 3,
            environmentId: "env_2",
            agentSessionId: newSession().agentSessionId
          })
          yield* journal.record(session, [line("x")])
          expect(yield* journal.end(session)).toBe(1)
          expect((yield* journal.kept(session)).map(({ payload }) => payload.uuid)).toEqual(["x"])
          expect(yield* journal.sessions("/project")).toEqual([])
          expect(yield* journal.sessions("/elsewhere")).toEqual([])
        })
      )
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("is readable by its owner alone", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = `${yield* temporary}/state`
      yield* withJournal(directory, (journal) =>
        Effect.gen(function* () {
          yield* journal.enter(newSession())
          for (const name of yield* fs.readDirectory(directory)) {
            const info = yield* fs.stat(`${directory}/${name}`)
            expect(`${name} ${(info.mode & 0o777).toString(8)}`).toBe(`${name} 600`)
          }
          expect(((yield* fs.stat(directory)).mode & 0o777).toString(8)).toBe("700")
        })
      )
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("refuses a journal of a newer version and leaves it alone", () =>
    Effect.gen(function* () {
      const directory = yield* temporary
      const db = new Sqlite(`${directory}/${Journal.JOURNAL_FILE}`)
      db.pragma(`user_version = ${Journal.JOURNAL_VERSION + 1}`)
      db.close()
      const error = yield* Effect.flip(withJournal(directory, () => Effect.void))
      expect(error).toMatchObject({
        _tag: "JournalTooNew",
        found: Journal.JOURNAL_VERSION + 1,
        known: Journal.JOURNAL_VERSION
      })
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive(
    "keeps what was set of a session's agent, and knows it in a journal of the first version",
    () =>
      Effect.gen(function* () {
        const directory = yield* temporary
        yield* withJournal(directory, (journal) => journal.enter(newSession()))
        const db = new Sqlite(`${directory}/${Journal.JOURNAL_FILE}`)
        db.exec("ALTER TABLE sessions DROP COLUMN settings")
        db.exec("ALTER TABLE sessions DROP COLUMN launch")
        db.pragma("user_version = 1")
        db.close()
        const set = (payload: Payload.JsonObject) =>
          Payload.make({ type: "session_update", uuid: crypto.randomUUID(), ...payload })
        const own = set({ permission_mode: "plan", max_thinking_tokens: 0 })
        yield* withJournal(directory, (journal) =>
          Effect.gen(function* () {
            yield* journal.record(session, [
              { _tag: "Line", payload: { ...own, uuid: EventUuid.make(own.uuid ?? "") } }
            ])
            yield* journal.receive(session, [
              { eventId: EventUuid.make("e"), sequenceNum: 1, payload: set({ model: "opus" }) }
            ])
            // Its own word is on its way: the log does not know it yet.
            yield* journal.chosen(session, { permission_mode: "default" })
          })
        )
        const record = yield* withJournal(directory, (journal) => journal.session(session))
        expect(Option.map(record, ({ settings }) => settings)).toEqual(
          Option.some({ permission_mode: "plan", max_thinking_tokens: 0, model: "opus" })
        )
      }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("a file that is no database is a typed error", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* temporary
      yield* fs.writeFileString(`${directory}/${Journal.JOURNAL_FILE}`, "not a database, ".repeat(1000))
      const error = yield* Effect.flip(withJournal(directory, () => Effect.void))
      expect(error._tag).toBe("JournalFailed")
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("one process a directory; the claim of a dead process is taken over", () =>
    Effect.gen(function* () {
      const directory = yield* temporary
      yield* withJournal(directory, (journal) =>
        Effect.gen(function* () {
          yield* Effect.scoped(
            Effect.gen(function* () {
              yield* journal.claim("/project")
              const error = yield* Effect.flip(Effect.scoped(journal.claim("/project")))
              expect(error).toMatchObject({ _tag: "DirectoryInUse", pid: process.pid })
              yield* Effect.scoped(journal.claim("/another"))
            })
          )
          yield* Effect.scoped(journal.claim("/project"))
        })
      )
      const db = new Sqlite(`${directory}/${Journal.JOURNAL_FILE}`)
      // This pid is alive, but it was another process that held the claim.
      db.prepare("INSERT INTO claims (directory, pid, started) VALUES ('/project', ?, 'long ago')").run(
        process.pid
      )
      db.close()
      yield* withJournal(directory, (journal) => Effect.scoped(journal.claim("/project")))
    }).pipe(Effect.provide(NodeContext.layer))
  )
})

/** What a journal must do, as plain data. */
const commands = FastCheck.array(
  FastCheck.oneof(
    FastCheck.record({
      _tag: FastCheck.constant("Record" as const),
      uuids: FastCheck.array(FastCheck.nat(15), { maxLength: 4 })
    }),
    FastCheck.record({
      _tag: FastCheck.constant("Confirm" as const),
      count: FastCheck.integer({ min: 1, max: 5 })
    }),
    FastCheck.record({
      _tag: FastCheck.constant("Receive" as const),
      from: FastCheck.nat(20),
      count: FastCheck.integer({ min: 1, max: 5 })
    }),
    FastCheck.record({ _tag: FastCheck.constant("Deliver" as const), uuid: FastCheck.nat(20) }),
    FastCheck.record({
      _tag: FastCheck.constant("Report" as const),
      limit: FastCheck.integer({ min: 1, max: 4 })
    }),
    FastCheck.constant({ _tag: "Reopen" as const })
  ),
  { maxLength: 25 }
)

describe("Journal, against a model", () => {
  it.scopedLive(
    "any order of writes, confirmations, repeated deliveries and restarts agrees with the model",
    () =>
      Effect.gen(function* () {
        const samples = FastCheck.sample(commands, { numRuns: 25, seed: 7 })
        for (const sample of samples) yield* againstModel(sample)
      }).pipe(Effect.provide(NodeContext.layer)),
    60_000
  )
})

type Command = typeof commands extends FastCheck.Arbitrary<ReadonlyArray<infer C>> ? C : never

const againstModel = (sample: ReadonlyArray<Command>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const directory = yield* temporary
      let outbox: Array<string> = []
      const inbox = new Map<string, { state: string; reported: string }>()
      let cursor = 0
      yield* withJournal(directory, (journal) => journal.enter(newSession()))
      let rest = sample
      while (true) {
        const until = rest.findIndex((command) => command._tag === "Reopen")
        const part = until === -1 ? rest : rest.slice(0, until)
        yield* withJournal(directory, (journal) =>
          Effect.gen(function* () {
            for (const command of part) {
              switch (command._tag) {
                case "Record": {
                  yield* journal.record(
                    session,
                    command.uuids.map((uuid) => line(`l${uuid}`))
                  )
                  for (const uuid of command.uuids) {
                    if (!outbox.includes(`l${uuid}`)) outbox.push(`l${uuid}`)
                  }
                  break
                }
                case "Confirm": {
                  const pending = yield* journal.pending(session, { count: command.count, bytes: 1e9 })
                  expect(uuids(pending.map((_) => _.payload))).toEqual(outbox.slice(0, command.count))
                  const last = pending.at(-1)
                  if (last?.payload.uuid === undefined) break
                  yield* journal.confirm(session, last.position, last.payload.uuid)
                  outbox = outbox.slice(command.count)
                  break
                }
                case "Receive": {
                  const events = Array.from({ length: command.count }, (_, i) =>
                    incoming(command.from + i + 1, `p${command.from + i}`)
                  )
                  const fresh = yield* journal.receive(session, events)
                  const expected = events.filter((event) => event.sequenceNum > cursor)
                  expect(uuids(fresh)).toEqual(expected.map((event) => event.eventId))
                  for (const event of expected) inbox.set(event.eventId, { state: "received", reported: "" })
                  cursor = Math.max(cursor, command.from + command.count)
                  break
                }
                case "Deliver": {
                  const uuid = `p${command.uuid}`
                  yield* journal.record(session, [
                    { _tag: "Delivery", uuid: EventUuid.make(uuid), state: "processed" }
                  ])
                  const row = inbox.get(uuid)
                  if (row !== undefined) row.state = "processed"
                  break
                }
                case "Report": {
                  const reports = yield* journal.reports(session, command.limit)
                  const expected = [...inbox]
                    .filter(([, row]) => row.reported !== row.state)
                    .slice(0, command.limit)
                    .flatMap(([eventId, row]) =>
                      (row.state === "processed" ? ["processing", "processed"] : [row.state]).map(
                        (status) => ({
                          eventId,
                          status
                        })
                      )
                    )
                  expect(reports).toEqual(expected)
                  yield* journal.reported(session, reports)
                  for (const { eventId, status } of reports) {
                    const row = inbox.get(eventId)
                    if (row !== undefined) row.reported = status
                  }
                  break
                }
              }
            }
            expect(yield* journal.unconfirmed(session)).toBe(outbox.length)
            expect(uuids(yield* journal.unanswered(session))).toEqual(
              [...inbox].filter(([, row]) => row.state === "received").map(([uuid]) => uuid)
            )
          })
        )
        if (until === -1) break
        rest = rest.slice(until + 1)
      }
    })
  )
