/**
 * The log's writer over SQLite: plain functions, run from BEGIN to COMMIT without a pause.
 *
 * A batch is applied request by request: each is decided on the draft of its session and written before the next one's turn,
 * so that a request sees all that stands before it. One that is refused writes nothing and disturbs no other. Sessions' rows
 * are written once a batch.
 */
import { EnvironmentId } from "@causeway/protocol/Ids"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Sqlite } from "../Sqlite.ts"
import { Appends, type Applied } from "./Appends.ts"
import { decide, type Lookup, type Stored } from "./Decide.ts"
import { type Draft, draftOf, type Head, isChanged, type Taking } from "./Draft.ts"
import * as Heads from "./Heads.ts"
import type { AppendRequest } from "./Request.ts"
import * as Statements from "./SqliteStatements.ts"

const lookupIn = (statements: Statements.Statements): Lookup => ({
  event: (draft, uuid) => {
    const known = draft.known.get(uuid) ?? statements.event(draft.head.sid, uuid)
    if (known !== undefined) draft.known.set(uuid, known)
    return known
  },
  answers: (draft, id) => statements.answers(draft.head.sid, id)
})

/**
 * Marks the messages that were taken back, so that no worker reads them any more. One that an agent has begun stays as it
 * is; one that it has begun without having said so yet comes back with its next report.
 */
const withdraw = (
  statements: Statements.Statements,
  sid: number,
  { atWork, covered, taken }: Taking,
  now: number
): void => {
  if (covered.length === 0) return
  const open = statements.openMessages(sid)
  const states = new Map(open.map(({ delivery, uuid }) => [uuid, delivery]))
  const isToldAtWork = open.some(({ delivery }) => delivery === "processing")
  for (const uuid of covered) {
    const state = states.get(uuid)
    if ((state !== null && state !== "received") || (uuid === atWork && !isToldAtWork)) continue
    taken.push(uuid)
    statements.withdraw(sid, uuid, now)
  }
}

/** Work that a session's new events need, and work that they end: the environments that are to be woken. */
const changeWork = (
  statements: Statements.Statements,
  { forWorker, head, rested, row }: Draft,
  now: number
): ReadonlyArray<EnvironmentId> => {
  const home = head.environmentId
  const ended = row.archivedAt !== null && head.row.archivedAt === null
  return [
    ...(rested && home !== null ? [EnvironmentId.make(home)] : []),
    ...(forWorker && home !== null ? statements.ensureWork(head.sid, now) : []),
    ...(ended ? statements.stopWork(head.sid, now) : [])
  ]
}

/** Applies a batch inside a transaction; answers with the drafts that have changed, too. */
const applyTo = (
  statements: Statements.Statements,
  headOf: (body: string) => Head | undefined,
  requests: ReadonlyArray<AppendRequest>,
  now: number
) => {
  const lookup = lookupIn(statements)
  const drafts = new Map<string, Draft | undefined>()
  const draftFor = (session: string): Draft | undefined => {
    if (drafts.has(session)) return drafts.get(session)
    const head = headOf(session)
    const draft = head && draftOf(head)
    drafts.set(session, draft)
    return draft
  }
  const outcomes = requests.map((request) => {
    const stored: Array<Stored> = []
    const outcome = decide(request, draftFor(request.session), now, lookup, stored)
    for (const { taking, values } of stored) {
      statements.insert(values)
      if (taking !== undefined) withdraw(statements, values[0], taking, now)
    }
    return outcome
  })
  const changed = [...drafts.values()].filter(
    (draft) => draft !== undefined && isChanged(draft)
  ) as Array<Draft>
  for (const draft of changed) statements.update(draft, now)
  const environments = new Set(changed.flatMap((draft) => changeWork(statements, draft, now)))
  const applied: Applied = {
    outcomes,
    sessions: changed.map(({ head }) => head.body),
    environments: [...environments]
  }
  return { applied, changed }
}

const make = Effect.map(Sqlite, ({ connection, either, exclusive, inside }) => {
  const statements = Statements.make(connection)
  const heads = Heads.make(connection)
  const begin = connection.prepare("BEGIN IMMEDIATE")
  const commit = connection.prepare("COMMIT")
  const rollback = connection.prepare("ROLLBACK")

  const keptHead = (body: string): Head | undefined => {
    const kept = heads.get(body)
    if (kept !== undefined) return kept
    const head = statements.head(body)
    if (head !== undefined) heads.keep(head)
    return head
  }

  const commitBatch = (requests: ReadonlyArray<AppendRequest>, now: number): Applied => {
    begin.run()
    try {
      heads.begin()
      const { applied, changed } = heads.writing(() => applyTo(statements, keptHead, requests, now))
      commit.run()
      heads.settle(changed)
      return applied
    } catch (cause) {
      // SQLite has rolled back already where the disk is full, for example.
      if (connection.inTransaction) rollback.run()
      throw cause
    }
  }

  return Appends.of({
    commit: (requests, now) => exclusive(() => commitBatch(requests, now)),
    // A transaction of the caller's may be rolled back: what it has read and written is not kept.
    apply: (requests, now) => inside(() => applyTo(statements, statements.head, requests, now).applied),
    replay: (sid, through) => either(() => statements.replay(sid, through))
  })
})

export const layer: Layer.Layer<Appends, never, Sqlite> = Layer.effect(Appends, make)
