/**
 * Group commit: appends that wait at the same moment are committed as one transaction by one writer fiber, and each is
 * answered after the commit.
 */
import * as GroupCommit from "@causeway/protocol/GroupCommit"
import type { SqlError } from "@effect/sql/SqlError"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Author from "../Author.ts"
import { Bus } from "../Bus.ts"
import { DatabaseHealth } from "../DatabaseHealth.ts"
import { LogBusy, StoreUnavailable } from "../Errors.ts"
import * as Metrics from "../Metrics.ts"
import { Appends, type Applied } from "./Appends.ts"
import type { AppendError, Appended, AppendRequest } from "./Request.ts"

/** Most requests in one transaction. */
const BATCH_REQUESTS = 512
/** Most payload text in one transaction, in UTF-16 units; a single larger request goes alone. */
const BATCH_UNITS = 16 * 1024 * 1024
/** Most requests that wait; further ones are refused with `LogBusy`. */
const WAITING_MAX = 20_000

/** Takes what became of a request; called once. */
export type Answer = (outcome: Either.Either<ReadonlyArray<Appended>, AppendError>) => void

interface Waiting {
  readonly request: AppendRequest
  readonly answer: Answer
}

/** Starts the writer; it ends with the scope, and what waits then fails with `StoreUnavailable`. */
export const make = Effect.gen(function* () {
  const appends = yield* Appends
  const bus = yield* Bus
  const health = yield* DatabaseHealth

  const transact = (requests: ReadonlyArray<AppendRequest>): Effect.Effect<Applied, SqlError> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => appends.commit(requests, now))

  const answerAll = (batch: ReadonlyArray<Waiting>, applied: Applied) =>
    Effect.sync(() => {
      for (const session of applied.sessions) bus.changed(`session:${session}`)
      for (const environment of applied.environments) bus.changed(`environment:${environment}`)
      let refused = 0
      let events = 0
      for (const [index, { answer }] of batch.entries()) {
        const outcome = applied.outcomes[index]
        if (outcome === undefined) throw new Error("an append without an outcome")
        if (Either.isLeft(outcome)) refused++
        else for (const { duplicate } of outcome.right) if (!duplicate) events++
        answer(outcome)
      }
      Metrics.batchRequests.unsafeUpdate(batch.length, [])
      if (refused > 0) Metrics.requestsRefused.unsafeUpdate(refused, [])
      Metrics.eventsStored.unsafeUpdate(events, [])
    })

  const fail = ({ answer, request }: Waiting, cause: Cause.Cause<SqlError>) =>
    Effect.gen(function* () {
      if (Option.isNone(Cause.failureOption(cause))) {
        yield* Effect.logError("an append failed", cause).pipe(
          Effect.annotateLogs({ module: "Log", session: request.session })
        )
      }
      const failure = Cause.squash(cause)
      const detail = yield* health.failed(failure)
      Metrics.commitsFailed.unsafeUpdate(1, [])
      answer(Either.left(new StoreUnavailable({ cause: failure, detail })))
    })

  const stores = ({ outcomes }: Applied) =>
    outcomes.some((outcome) => Either.isRight(outcome) && outcome.right.some((each) => !each.duplicate))

  /** Commits a batch and answers everyone in it; where that fails, each alone, so that none fails for another's sake. */
  const commit = (batch: ReadonlyArray<Waiting>): Effect.Effect<void> =>
    Effect.matchCauseEffect(transact(batch.map(({ request }) => request)), {
      onSuccess: (applied) =>
        Effect.zipRight(stores(applied) ? health.written : Effect.void, answerAll(batch, applied)),
      onFailure: (cause) =>
        batch.length > 1
          ? Effect.forEach(batch, (each) => commit([each]), { discard: true })
          : Effect.forEach(batch, (each) => fail(each, cause), { discard: true })
    })

  const group = yield* GroupCommit.make<Waiting>({
    waitingMax: WAITING_MAX,
    batchMax: BATCH_REQUESTS,
    weightMax: BATCH_UNITS,
    weightOf: ({ request }) => request.payloads.reduce((units, { text }) => units + text.length, 0),
    settle: commit,
    settleRest: (rest) =>
      Effect.sync(() => {
        for (const { answer } of rest) {
          const detail = "the hub is shutting down: try again"
          answer(Either.left(new StoreUnavailable({ cause: new Error("the log is closed"), detail })))
        }
      })
  })

  /** Lets a request wait for the next commit; false where too many wait. */
  const offer = (request: AppendRequest, answer: Answer): boolean => group.offer({ request, answer })

  const append = (request: AppendRequest) =>
    Effect.async<ReadonlyArray<Appended>, AppendError>((resume) => {
      if (!offer(request, resume)) resume(new LogBusy({ waiting: group.size() }))
    })

  /** Whoever acts in the caller's fiber is the author. */
  const authored = (request: AppendRequest) =>
    request.source === "worker"
      ? append(request)
      : Effect.flatMap(Author.column, (author) => append({ ...request, author }))

  return { append: authored, offer }
})
