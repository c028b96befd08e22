import type { OrganizationId, SessionBody } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as Withdrawal from "@causeway/protocol/Withdrawal"
import * as SessionRow from "@causeway/transcript/SessionRow"
import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import BetterSqlite from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import * as Bus from "../src/Bus.ts"
import { selections } from "../src/Log/Event.ts"
import * as Log from "../src/Log.ts"
import * as Sessions from "../src/Session.ts"
import * as fixtures from "./fixtures.ts"

const layer = (filename?: string) =>
  Layer.mergeAll(Log.layer, Sessions.layer).pipe(Layer.provideMerge(fixtures.layer(filename)))

const provide = <A, E>(effect: Effect.Effect<A, E, Log.Log | Sessions.Sessions | fixtures.All>) =>
  Effect.provide(effect, layer())

/** A session without an environment, with these first events. */
const session = (payloads: ReadonlyArray<Payload.Payload> = []) =>
  Effect.gen(function* () {
    const { id: organizationId } = yield* fixtures.organization("first")
    const sessions = yield* Sessions.Sessions
    const { session } = yield* sessions.create({
      organizationId,
      environmentId: undefined,
      source: undefined,
      context: "{}",
      permissionMode: undefined,
      tags: undefined,
      payloads
    })
    return { organizationId, session }
  })

/** The whole log, in pages of this size. */
const whole = (key: Log.SessionKey, select: NonNullable<Log.ReadOptions["select"]> = "all", limit = 1000) =>
  Effect.gen(function* () {
    const log = yield* Log.Log
    const events: Array<Log.StoredEvent> = []
    for (let after = 0; ; ) {
      const page = yield* log.read({ ...key, after, limit, select })
      events.push(...page)
      const last = page.at(-1)
      if (last === undefined || page.length < limit) return events
      after = last.seq
    }
  })

/** The transcript after a position, in pages of so many events and bytes; each ends as soon as it has them, and no sooner. */
const pagesOf = (key: Log.SessionKey, limit: number, bytes: number, after: number) =>
  Effect.gen(function* () {
    const log = yield* Log.Log
    const pages: Array<ReadonlyArray<Log.StoredEvent>> = []
    for (let at = after, more = true; more; ) {
      const page = yield* log.page({ ...key, after: at, limit, bytes, select: "transcript" })
      pages.push(page.events)
      more = page.more
      const size = page.events.reduce((sum, { payload }) => sum + payload.length, 0)
      const last = page.events.at(-1)
      expect(page.events.length).toBeLessThanOrEqual(limit)
      expect(size - (last?.payload.length ?? 0)).toBeLessThan(bytes)
      if (more) expect(size >= bytes || page.events.length === limit).toBe(true)
      at = last?.seq ?? at
    }
    return pages
  })

const assistant = (uuid?: string) =>
  Payload.make({ type: "assistant", ...(uuid === undefined ? {} : { uuid }), message: { content: "x" } })
const result = (uuid: string) => Payload.make({ type: "result", uuid, subtype: "success" })
const user = (uuid: string, text = "hello") =>
  Payload.make({ type: "user", uuid, message: { role: "user", content: text } })

const worker = (
  key: Log.SessionKey,
  lastUuid: string | undefined,
  ...payloads: ReadonlyArray<Payload.Payload>
) => ({
  ...key,
  source: "worker" as const,
  payloads,
  guard: { kind: "lastUuid" as const, lastUuid }
})
const client = (key: Log.SessionKey, ...payloads: ReadonlyArray<Payload.Payload>) => ({
  ...key,
  source: "client" as const,
  payloads
})

// --- A model: the rule of the specification, written down the slow way ---

interface ModelEvent {
  readonly uuid: string
  readonly source: "worker" | "client"
  readonly transcript: boolean
}

type ModelOutcome =
  | {
      readonly _tag: "Stored"
      readonly seqs: ReadonlyArray<number>
      readonly duplicates: ReadonlyArray<boolean>
    }
  | { readonly _tag: "HeadMoved"; readonly head: string | undefined }

/** Applies a request to the model's log, in place. */
const model = (
  log: Array<ModelEvent>,
  request: ReturnType<typeof worker> | ReturnType<typeof client>
): ModelOutcome => {
  const head = log.findLastIndex((event) => event.source === "worker" && event.transcript)
  if ("guard" in request) {
    const { lastUuid } = request.guard
    const at = lastUuid === undefined ? -1 : log.findIndex((event) => event.uuid === lastUuid)
    const unknown = lastUuid !== undefined && at === -1
    if (unknown || at < head) return { _tag: "HeadMoved", head: log[head]?.uuid }
  }
  const seqs: Array<number> = []
  const duplicates: Array<boolean> = []
  for (const payload of request.payloads) {
    const known = log.findIndex((event) => event.uuid === payload.uuid)
    duplicates.push(known !== -1)
    if (known !== -1) {
      seqs.push(known + 1)
      continue
    }
    log.push({
      uuid: payload.uuid ?? "",
      source: request.source,
      transcript: Payload.isTranscript(payload)
    })
    seqs.push(log.length)
  }
  return { _tag: "Stored", seqs, duplicates }
}

// Few uuids, so that repetitions, stale heads and unknown ones are frequent.
const uuids = Array.from({ length: 24 }, (_, i) => `u${i}`)
const anyUuid = FastCheck.constantFrom(...uuids)
const kinds = ["assistant", "assistant", "result", "user"] as const
const anyWrite = FastCheck.record({
  source: FastCheck.constantFrom("worker", "worker", "worker", "client"),
  // `head`: what a writer that is up to date names; the others are late, wrong or know nothing.
  last: FastCheck.oneof(
    { weight: 5, arbitrary: FastCheck.constant("head") },
    { weight: 1, arbitrary: FastCheck.constant(undefined) },
    { weight: 2, arbitrary: anyUuid }
  ),
  payloads: FastCheck.array(FastCheck.tuple(FastCheck.constantFrom(...kinds), anyUuid), {
    minLength: 1,
    maxLength: 4
  })
})
/** Rounds of writes that are made at the same moment. */
const rounds = FastCheck.array(FastCheck.array(anyWrite, { minLength: 1, maxLength: 6 }), {
  minLength: 1,
  maxLength: 8
})
const make = { assistant, result, user } as const

describe("append", () => {
  it.effect.prop(
    "is what the rule says, under any writers at the same time: dense, each uuid once, heads right",
    [rounds],
    ([all]) =>
      provide(
        Effect.gen(function* () {
          const log = yield* Log.Log
          const key = yield* session()
          const expected: Array<ModelEvent> = []
          for (const round of all) {
            const head = expected.findLast((event) => event.source === "worker" && event.transcript)?.uuid
            const requests = round.map(({ source, last, payloads }) => {
              const made = payloads.map(([type, uuid]) => make[type](uuid))
              return source === "client"
                ? client(key, ...made)
                : worker(key, last === "head" ? head : last, ...made)
            })
            const outcomes = yield* Effect.forEach(
              requests,
              (request) => Effect.either(log.append(request)),
              {
                concurrency: "unbounded"
              }
            )
            const wanted = requests.map((request) => model(expected, request))
            expect(
              outcomes.map((outcome): ModelOutcome | string =>
                Either.match(outcome, {
                  onLeft: (error) =>
                    error._tag === "HeadMoved" ? { _tag: "HeadMoved", head: error.head } : error._tag,
                  onRight: (stored) => ({
                    _tag: "Stored",
                    seqs: stored.map(({ seq }) => seq),
                    duplicates: stored.map(({ duplicate }) => duplicate)
                  })
                })
              )
            ).toEqual(wanted)
          }
          const stored = yield* whole(key)
          expect(stored.map(({ seq }) => seq)).toEqual(expected.map((_, i) => i + 1))
          expect(stored.map(({ uuid, source, transcript }) => ({ uuid, source, transcript }))).toEqual(
            expected
          )

          // The row that was kept up event by event is the one that the log gives.
          const record = yield* (yield* Sessions.Sessions).get(key)
          const replayed = SessionRow.replay(
            stored.map((event) => ({ ...event, payload: Either.getOrThrow(Payload.decode(event.payload)) }))
          )
          expect(SessionRow.fromJson(record.projection)).toEqual(replayed)
          expect(record.lastSeq).toBe(stored.length)
          expect(record.workerHead).toBe(
            expected.findLast((event) => event.source === "worker" && event.transcript)?.uuid
          )
        })
      ),
    { fastCheck: { numRuns: 60 } }
  )

  it.effect.prop(
    "survives lost answers: a writer that sends again until it knows stores each entry once, in order",
    [
      FastCheck.array(FastCheck.tuple(FastCheck.boolean(), FastCheck.nat(2)), { minLength: 1, maxLength: 20 })
    ],
    ([entries]) =>
      provide(
        Effect.gen(function* () {
          const log = yield* Log.Log
          const key = yield* session()
          let head: string | undefined
          for (const [index, [isTranscript, lost]] of entries.entries()) {
            const uuid = `e${index}`
            const request = worker(key, head, isTranscript ? assistant(uuid) : result(uuid))
            // Answers that got lost: the writer knows nothing of them.
            for (let i = 0; i < lost; i++) yield* Effect.either(log.append(request))
            const outcome = yield* Effect.either(log.append(request))
            const isStored = Either.match(outcome, {
              onLeft: (error) => error._tag === "HeadMoved" && error.head === uuid,
              onRight: () => true
            })
            expect(isStored).toBe(true)
            head = uuid
          }
          expect((yield* whole(key)).map(({ uuid }) => uuid)).toEqual(entries.map((_, index) => `e${index}`))
        })
      ),
    { fastCheck: { numRuns: 30 } }
  )

  it.effect("keeps the text that arrived, and gives a uuid to a payload without one", () =>
    provide(
      Effect.gen(function* () {
        const log = yield* Log.Log
        const key = yield* session()
        const text = '{ "type" : "assistant",\n "n": 1.50, "big": 12345678901234567890, "s": "\\u00e9" }'
        const [stored] = yield* log.append(worker(key, undefined, Either.getOrThrow(Payload.decode(text))))
        const [event] = yield* whole(key)
        expect(event?.payload).toBe(text)
        expect(event?.uuid).toBe(stored?.uuid)
        expect(stored?.uuid).toMatch(/^[0-9a-f-]{36}$/)
      })
    )
  )

  it.effect("stores a list whole or not at all", () =>
    provide(
      Effect.gen(function* () {
        const log = yield* Log.Log
        const key = yield* session()
        yield* log.append(worker(key, undefined, assistant("a"), result("b"), assistant("c")))
        const refused = yield* Effect.flip(log.append(worker(key, "a", assistant("d"), assistant("e"))))
        expect(refused).toMatchObject({ _tag: "HeadMoved", head: "c" })
        const [again, more] = yield* log.append(worker(key, "c", result("b"), assistant("d")))
        expect(again).toMatchObject({ uuid: "b", seq: 2, duplicate: true })
        expect(more).toMatchObject({ uuid: "d", seq: 4, duplicate: false })
        expect((yield* whole(key)).map(({ uuid }) => uuid)).toEqual(["a", "b", "c", "d"])
      })
    )
  )

  it.effect("takes a person's message for no conflict", () =>
    provide(
      Effect.gen(function* () {
        const log = yield* Log.Log
        const key = yield* session()
        yield* log.append(worker(key, undefined, assistant("a")))
        yield* log.append(client(key, user("p")))
        yield* log.append(worker(key, "a", assistant("b")))
        // The message itself may be named as the head, too.
        yield* log.append(client(key, user("q")))
        yield* log.append(worker(key, "q", assistant("c")))
        expect((yield* whole(key)).map(({ uuid }) => uuid)).toEqual(["a", "p", "b", "q", "c"])
      })
    )
  )

  it.effect("knows no session of another organisation", () =>
    provide(
      Effect.gen(function* () {
        const log = yield* Log.Log
        const key = yield* session([user("p")])
        const { id: other } = yield* fixtures.organization("other")
        const foreign = { ...key, organizationId: other }
        expect(yield* Effect.flip(log.append(client(foreign, user("x"))))).toMatchObject({
          _tag: "SessionUnknown"
        })
        expect(yield* Effect.flip(log.read({ ...foreign, after: 0, limit: 1 }))).toMatchObject({
          _tag: "SessionUnknown"
        })
        expect((yield* whole(key)).length).toBe(1)
      })
    )
  )

  it.effect("refuses an old worker and an old token, and nothing else for that", () =>
    provide(
      Effect.gen(function* () {
        const log = yield* Log.Log
        const sessions = yield* Sessions.Sessions
        const key = yield* session()
        const first = yield* sessions.nextEpoch(key, { token: true })
        const second = yield* sessions.nextEpoch(key, { token: false })
        expect([first, second]).toEqual([1, 2])
        const post = (workerEpoch: number, tokenEpoch: number) =>
          log.append({
            ...key,
            source: "worker",
            payloads: [assistant()],
            guard: { kind: "epoch", workerEpoch },
            tokenEpoch
          })
        expect(yield* Effect.flip(post(1, 1))).toMatchObject({ _tag: "WorkerSuperseded", current: 2 })
        // Registering again does not replace the token.
        yield* post(2, 1)
        expect(yield* sessions.nextEpoch(key, { token: true })).toBe(3)
        expect(yield* Effect.flip(post(3, 1))).toMatchObject({ _tag: "TokenSuperseded", current: 3 })
        yield* post(3, 3)
        expect((yield* whole(key)).length).toBe(2)
      })
    )
  )

  it.effect("takes no messages of people for an archived session, but the worker's last words", () =>
    provide(
      Effect.gen(function* () {
        const log = yield* Log.Log
        const sessions = yield* Sessions.Sessions
        const key = yield* session([user("p")])
        yield* sessions.archive(key)
        expect(yield* Effect.flip(log.append(client(key, user("q"))))).toMatchObject({
          _tag: "SessionArchived"
        })
        // A repetition of what is stored is no new message.
        expect(yield* log.append(client(key, user("p")))).toMatchObject([{ uuid: "p", duplicate: true }])
        yield* log.append(worker(key, undefined, assistant("a")))
        expect(yield* Effect.flip(sessions.archive(key))).toMatchObject({ _tag: "SessionArchived" })
      })
    )
  )

  it.effect("commits the appends of one moment together", () =>
    provide(
      Effect.gen(function* () {
        const log = yield* Log.Log
        const bus = yield* Bus.Bus
        const key = yield* session()
        const subscription = yield* bus.subscribe(`session:${key.session}`)
        yield* Effect.forEach(
          Array.from({ length: 50 }, (_, i) => client(key, user(`p${i}`))),
          (request) => log.append(request),
          { concurrency: "unbounded" }
        )
        const signal = yield* subscription.take
        expect(signal.changed).toBe(true)
        const events = yield* whole(key)
        expect(events.length).toBe(50)
        // One transaction gives one time of creation, and one row of the session.
        expect(new Set(events.map(({ createdAt }) => createdAt)).size).toBe(1)
      }).pipe(Effect.scoped)
    )
  )

  it.effect("fails everyone of a batch whose commit fails, stores nothing of it, and goes on", () =>
    provide(
      Effect.gen(function* () {
        const log = yield* Log.Log
        const sql = yield* SqlClient.SqlClient
        const key = yield* session()
        // A deferred constraint that the events of one session break: it is found by the commit, not before.
        yield* sql`CREATE TABLE allowed (uuid TEXT PRIMARY KEY)`
        yield* sql`CREATE TABLE tripwire (uuid TEXT REFERENCES allowed (uuid) DEFERRABLE INITIALLY DEFERRED)`
        yield* sql.unsafe(
          `CREATE TRIGGER trip AFTER INSERT ON events WHEN NEW.uuid LIKE 'bad%'
           BEGIN INSERT INTO tripwire VALUES (NEW.uuid); END`
        )
        const outcomes = yield* Effect.forEach(
          [client(key, user("good1")), client(key, user("bad1")), client(key, user("good2"))],
          (request) => Effect.either(log.append(request)),
          { concurrency: "unbounded" }
        )
        // Only the one that breaks it fails in the end: the others were committed on their own.
        expect(outcomes.map((outcome) => (Either.isRight(outcome) ? "stored" : outcome.left._tag))).toEqual([
          "stored",
          "StoreUnavailable",
          "stored"
        ])
        yield* log.append(client(key, user("good3")))
        const events = yield* whole(key)
        expect(events.map(({ uuid, seq }) => [uuid, seq])).toEqual([
          ["good1", 1],
          ["good2", 2],
          ["good3", 3]
        ])
      })
    )
  )
})

describe("what the writer keeps of a session", () => {
  // Whoever changes the row: through the repositories, by hand, in a transaction that ends well or not, in another process.
  const changes = ["epoch", "by hand", "rolled back", "elsewhere", "nothing"] as const

  it.scopedLive.prop(
    "is what the database has, whoever changed it in between",
    [FastCheck.array(FastCheck.constantFrom(...changes), { minLength: 1, maxLength: 12 })],
    ([all]) =>
      Effect.gen(function* () {
        const filename = `${yield* fixtures.directory}/hub.db`
        yield* Effect.gen(function* () {
          const log = yield* Log.Log
          const sql = yield* SqlClient.SqlClient
          const sessions = yield* Sessions.Sessions
          const key = yield* session()
          const other = yield* Effect.acquireRelease(
            Effect.sync(() => new BetterSqlite(filename)),
            (connection) => Effect.sync(() => connection.close())
          )
          const bump = sql`UPDATE sessions SET token_epoch = token_epoch + 1, worker_epoch = token_epoch + 1
            WHERE body = ${key.session}`
          let epoch = 0
          for (const [index, change] of all.entries()) {
            if (change === "epoch") epoch = yield* sessions.nextEpoch(key, { token: true })
            if (change === "by hand") yield* bump
            if (change === "rolled back")
              yield* Effect.flip(sql.withTransaction(Effect.zipRight(bump, Effect.fail("no"))))
            if (change === "elsewhere") {
              other
                .prepare(
                  "UPDATE sessions SET token_epoch = token_epoch + 1, worker_epoch = token_epoch + 1 WHERE body = ?"
                )
                .run(key.session)
            }
            if (change === "by hand" || change === "elsewhere") epoch++
            const post = (tokenEpoch: number) =>
              log.append({
                ...key,
                source: "worker",
                payloads: [assistant(`e${index}-${tokenEpoch}`)],
                tokenEpoch
              })
            if (epoch > 0) {
              expect(yield* Effect.flip(post(epoch - 1))).toMatchObject({
                _tag: "TokenSuperseded",
                current: epoch
              })
            }
            yield* post(epoch)
          }
          const record = yield* sessions.get(key)
          expect(record.lastSeq).toBe(all.length)
          yield* sql`DELETE FROM events WHERE sid = ${record.sid}`
          yield* sql`DELETE FROM sessions WHERE sid = ${record.sid}`
          expect(yield* Effect.flip(log.append(client(key, user("gone"))))).toMatchObject({
            _tag: "SessionUnknown"
          })
        }).pipe(Effect.scoped, Effect.provide(layer(filename)))
      }),
    { fastCheck: { numRuns: 12 } }
  )
})

describe("answers to approvals", () => {
  const ask = (id: string) =>
    Payload.make({
      type: "control_request",
      uuid: `ask-${id}`,
      request_id: id,
      request: {
        subtype: "can_use_tool",
        tool_name: "Bash",
        tool_use_id: `tool-${id}`,
        input: { command: "ls" }
      }
    })
  const say = (id: string, uuid: string, behavior: "allow" | "deny") =>
    Payload.make({
      type: "control_response",
      uuid,
      response: {
        subtype: "success",
        request_id: id,
        response:
          behavior === "allow"
            ? { behavior, updatedInput: { command: "ls" }, toolUseID: `tool-${id}` }
            : { behavior, message: "no", toolUseID: `tool-${id}` }
      }
    })

  it.effect("the first one wins; the same again is stored once; another one is a conflict", () =>
    provide(
      Effect.gen(function* () {
        const log = yield* Log.Log
        const key = yield* session()
        yield* log.append({ ...key, source: "worker", payloads: [ask("r1")] })
        const outcomes = yield* Effect.forEach(
          [say("r1", "a", "allow"), say("r1", "b", "deny"), say("r1", "c", "allow")],
          (payload) => Effect.either(log.append(client(key, payload))),
          { concurrency: "unbounded" }
        )
        expect(outcomes).toMatchObject([
          { _tag: "Right", right: [{ uuid: "a", duplicate: false }] },
          { _tag: "Left", left: { _tag: "AlreadyAnswered", requestId: "r1", answeredBy: "a" } },
          { _tag: "Right", right: [{ uuid: "a", seq: 2, duplicate: true }] }
        ])
        // In another transaction, from the log.
        expect(yield* log.append(client(key, say("r1", "d", "allow")))).toMatchObject([
          { uuid: "a", seq: 2, duplicate: true }
        ])
        expect(yield* Effect.flip(log.append(client(key, say("r1", "e", "deny"))))).toMatchObject({
          _tag: "AlreadyAnswered",
          answeredBy: "a"
        })
        expect((yield* whole(key)).map(({ uuid }) => uuid)).toEqual(["ask-r1", "a"])
      })
    )
  )
})

const deliveryStatuses = ["received", "processing", "processed"] as const

describe("reading", () => {
  const mixed = FastCheck.array(FastCheck.constantFrom("assistant", "result", "prompt", "boundary"), {
    maxLength: 40
  })

  it.effect.prop(
    "any page size, in events and in bytes, gives the same transcript, forwards and backwards",
    [mixed, FastCheck.integer({ min: 1, max: 12 }), FastCheck.integer({ min: 1, max: 400 })],
    ([kinds, limit, bytes]) =>
      provide(
        Effect.gen(function* () {
          const log = yield* Log.Log
          const key = yield* session()
          for (const [i, kind] of kinds.entries()) {
            const payload =
              kind === "assistant"
                ? assistant(`e${i}`)
                : kind === "result"
                  ? result(`e${i}`)
                  : kind === "prompt"
                    ? user(`e${i}`)
                    : Payload.make({ type: "system", subtype: "compact_boundary", uuid: `e${i}` })
            yield* log.append({
              ...key,
              source: kind === "prompt" ? "client" : "worker",
              payloads: [payload]
            })
          }
          const expected = kinds.flatMap((kind, i) => (kind === "result" ? [] : [`e${i}`]))
          const paged = yield* whole(key, "transcript", limit)
          expect(paged.map(({ uuid }) => uuid)).toEqual(expected)
          const boundary = kinds.lastIndexOf("boundary")
          const pages = yield* pagesOf(key, limit, bytes, yield* log.beforeLastCompaction(key))
          expect(pages.flat().map(({ uuid }) => uuid)).toEqual(
            kinds.flatMap((kind, i) => (kind === "result" || i < boundary ? [] : [`e${i}`]))
          )
          const { sid } = yield* (yield* Sessions.Sessions).get(key)
          const backwards: Array<string> = []
          for (let through = Number.MAX_SAFE_INTEGER, more = true; more; ) {
            const page = yield* log.pageOf(sid, { select: "transcript", last: limit, through })
            backwards.unshift(...page.events.map(({ uuid }) => uuid))
            through = (page.events[0]?.seq ?? 1) - 1
            more = page.more
          }
          expect(backwards).toEqual(expected)
        })
      ),
    { fastCheck: { numRuns: 40 } }
  )

  it.effect.prop(
    "what is visible is counted as it is read, from any position to any other",
    [mixed, FastCheck.nat(20), FastCheck.nat(40)],
    ([kinds, after, through]) =>
      provide(
        Effect.gen(function* () {
          const log = yield* Log.Log
          const key = yield* session()
          for (const [i, kind] of kinds.entries()) {
            const payload =
              kind === "assistant"
                ? assistant(`e${i}`)
                : kind === "prompt"
                  ? user(`e${i}`)
                  : kind === "result"
                    ? result(`e${i}`)
                    : Payload.make({ type: "system", subtype: "compact_boundary", uuid: `e${i}` })
            yield* log.append({
              ...key,
              source: kind === "prompt" ? "client" : "worker",
              payloads: [payload]
            })
          }
          const { sid } = yield* (yield* Sessions.Sessions).get(key)
          const range = { select: "visible", after, through } as const
          const visible = kinds.filter((kind, i) => kind !== "result" && i + 1 > after && i + 1 <= through)
          expect(yield* log.count(sid, range)).toBe(visible.length)
          expect((yield* log.events(sid, range)).length).toBe(visible.length)
        })
      ),
    { fastCheck: { numRuns: 25 } }
  )

  it.effect("counts what is visible without a look at the events", () =>
    provide(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const plan = (where: string) =>
          Effect.map(
            sql.unsafe<{ readonly detail: string }>(
              `EXPLAIN QUERY PLAN SELECT count(*) FROM events WHERE sid = 1 AND seq > 0 AND ${where}`
            ),
            ([step]) => step?.detail ?? ""
          )
        expect(yield* plan(selections.all)).toContain("COVERING INDEX")
        expect(yield* plan(selections.hidden)).toContain("events_hidden")
      })
    )
  )

  it.effect(
    "the worker is sent people's messages and control, and not what it has processed when it asks so",
    () =>
      provide(
        Effect.gen(function* () {
          const log = yield* Log.Log
          const sessions = yield* Sessions.Sessions
          const key = yield* session([user("p1"), user("p2")])
          yield* sessions.rename(key, "a title")
          yield* log.append(worker(key, undefined, assistant("a")))
          yield* log.append(
            client(key, Payload.make({ type: "control_request", uuid: "c", request_id: "i", request: {} }))
          )
          const epoch = yield* sessions.nextEpoch(key, { token: true })
          yield* log.deliver({
            ...key,
            workerEpoch: epoch,
            updates: [
              { uuid: "p1", status: "processed" },
              { uuid: "p2", status: "processing" },
              { uuid: "nobody", status: "processed" },
              { uuid: "a", status: "processed" }
            ]
          })
          expect((yield* whole(key, "worker", 2)).map(({ uuid }) => uuid)).toEqual(["p1", "p2", "c"])
          expect((yield* whole(key, "unprocessed", 1)).map(({ uuid }) => uuid)).toEqual(["p2", "c"])
          expect(yield* log.deliveries({ ...key, after: 0, limit: 10 })).toMatchObject([
            { no: 1, uuid: "p1", delivery: "processed" },
            { no: 2, uuid: "p2", delivery: "processing" }
          ])
        })
      )
  )

  it.effect(
    "a message that was taken back is read by no worker any more, but one that the agent had begun",
    () =>
      provide(
        Effect.gen(function* () {
          const log = yield* Log.Log
          const sessions = yield* Sessions.Sessions
          const key = yield* session([user("begun"), user("waiting"), user("late")])
          const workerEpoch = yield* sessions.nextEpoch(key, { token: true })
          const deliver = (uuid: string, status: (typeof deliveryStatuses)[number]) =>
            log.deliver({ ...key, workerEpoch, updates: [{ uuid, status }] })
          yield* deliver("begun", "processing")
          yield* deliver("late", "received")
          const [stop] = yield* log.append(
            client(key, Payload.make({ ...Withdrawal.all("r"), uuid: "stop" }))
          )
          expect(stop?.withdrawn).toEqual(["waiting", "late"])
          yield* log.append(client(key, user("next")))
          const given = Effect.map(whole(key, "worker", 10), (all) => all.map(({ uuid }) => uuid))
          expect(yield* given).toEqual(["begun", "stop", "next"])
          // A worker that had it already says that it is done with it, or that it was at work on it.
          yield* deliver("waiting", "received")
          yield* deliver("waiting", "processed")
          yield* deliver("late", "processing")
          expect((yield* whole(key, "all", 10)).map(({ uuid, delivery }) => [uuid, delivery])).toEqual([
            ["begun", "processing"],
            ["waiting", "withdrawn"],
            ["late", "processing"],
            ["stop", undefined],
            ["next", undefined]
          ])
          // Whoever goes on from the conversation is not asked what was taken back.
          expect((yield* whole(key, "transcript", 10)).map(({ uuid }) => uuid)).toEqual([
            "begun",
            "late",
            "next"
          ])
          const told = yield* log.deliveries({ ...key, after: 0, limit: 10 })
          expect(told.map(({ uuid, delivery }) => [uuid, delivery])).toEqual([
            ["begun", "processing"],
            ["waiting", "withdrawn"],
            ["late", "processing"]
          ])
        })
      )
  )

  it.effect.prop(
    "a delivery state never goes back, and each change has a number of its own",
    [FastCheck.array(FastCheck.constantFrom(...deliveryStatuses), { maxLength: 12 })],
    ([statuses]) =>
      provide(
        Effect.gen(function* () {
          const log = yield* Log.Log
          const key = yield* session([user("p")])
          const ranks = { received: 1, processing: 2, processed: 3, withdrawn: 0 } as const
          let best = 0
          let changes = 0
          for (const status of statuses) {
            yield* log.deliver({ ...key, workerEpoch: 0, updates: [{ uuid: "p", status }] })
            if (ranks[status] > best) {
              best = ranks[status]
              changes++
            }
          }
          const [event] = yield* log.read({ ...key, after: 0, limit: 1, uuid: "p" })
          expect(event?.delivery === undefined ? 0 : ranks[event.delivery]).toBe(best)
          const told = yield* log.deliveries({ ...key, after: 0, limit: 10 })
          expect(told.map(({ no }) => no)).toEqual(changes === 0 ? [] : [changes])
        })
      ),
    { fastCheck: { numRuns: 30 } }
  )
})

describe("lists of sessions", () => {
  it.effect.prop(
    "any page size gives every session once, living and archived ones, most recently updated first",
    [
      FastCheck.integer({ min: 1, max: 7 }),
      FastCheck.array(FastCheck.tuple(FastCheck.nat(9), FastCheck.constantFrom("rename", "archive")), {
        maxLength: 12
      })
    ],
    ([limit, touches]) =>
      provide(
        Effect.gen(function* () {
          const sessions = yield* Sessions.Sessions
          const { id: organizationId } = yield* fixtures.organization("first")
          const keys: Array<{ session: SessionBody; organizationId: OrganizationId }> = []
          for (let i = 0; i < 10; i++) {
            const { session } = yield* sessions.create({
              organizationId,
              environmentId: undefined,
              source: undefined,
              context: "{}",
              permissionMode: undefined,
              tags: undefined,
              payloads: []
            })
            keys.push({ session, organizationId })
          }
          for (const [touch, change] of touches) {
            const key = keys[touch]
            yield* TestClock.adjust(1)
            if (key === undefined) continue
            yield* change === "rename"
              ? sessions.rename(key, `t${touch}`)
              : Effect.ignore(sessions.archive(key))
          }
          const seen: Array<Sessions.Session> = []
          for (;;) {
            const last = seen.at(-1)
            const page = yield* sessions.list({
              organizationId,
              limit,
              archived: "all",
              ...(last === undefined ? {} : { after: last })
            })
            seen.push(...page)
            if (page.length < limit) break
          }
          expect(new Set(seen.map(({ session }) => session)).size).toBe(10)
          expect(seen.length).toBe(10)
          const times = seen.map(({ updatedAt }) => updatedAt)
          expect(times).toEqual([...times].sort((a, b) => b - a))
        })
      ),
    { fastCheck: { numRuns: 15 } }
  )
})
