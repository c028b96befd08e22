/**
 * Frames for as long as they are wanted, over connections that are made again after every loss. Source: spec 5 §1.
 *
 * A connection stands when its first byte has come: a proxy that holds a stream back answers 200 and then nothing. While
 * a stream is held back, the same frames are asked for by requests that the hub ends by itself (`block_ms`), which whoever
 * buffers has to let through; the stream is tried all the while, and used again when it delivers as it goes.
 */

import * as Elapsed from "@causeway/protocol/Elapsed"
import { BLOCK_PARAMETER, SESSION_UPDATES_PARAMETER } from "@causeway/protocol/http/CodeSessions"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FiberHandle from "effect/FiberHandle"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as Backoff from "../Backoff.ts"
import { CredentialsUnavailable, HubUnreachable, type RequestFailed } from "../ClientError.ts"
import * as Diagnostics from "../Diagnostics.ts"
import * as Answer from "./Answer.ts"
import type { Opened } from "./Request.ts"
import * as Sse from "./Sse.ts"

/** Without a byte for this long a connection is dead. Source: spec 5 §1. */
export const SILENCE: Duration.Duration = Duration.seconds(45)

/** The first byte of a hub that sends a comment at once; others send one within {@link SILENCE}. */
export const FIRST_BYTE: Duration.Duration = Duration.seconds(10)

/** A byte that comes later than this after the first shows that nobody holds the stream back. */
const PROVEN_MILLIS = 5_000

/** How long the hub may hold a request that it ends by itself. */
export const ASK_BLOCK: Duration.Duration = Duration.seconds(10)

/** Bound of such a request; and two of them that bring nothing start at least this far apart. */
const ASK_BOUND = Duration.seconds(25)
const ASK_EVERY_MILLIS = 1_000

/** Words for people while a stream is held back. */
export const HELD_BACK =
  "somebody between here and the hub holds the stream back (a proxy that buffers); asking again and again instead"

/** State of a connection. `delayMillis`: the wait before the next attempt. */
export type Connection =
  /** `polling`: the stream is held back, and asked for piece by piece. */
  | { readonly _tag: "Connected"; readonly polling: boolean }
  | { readonly _tag: "Disconnected"; readonly error: string; readonly delayMillis: number }

/** How one connection reads: as it comes, or what there is within {@link ASK_BLOCK}. */
export type Manner = "stream" | "ask"

/** Query of a connection: where the reader is, and when the hub is to end the answer. */
export const place = (last: number, manner: Manner) => ({
  from_sequence_num: last === 0 ? undefined : last,
  [BLOCK_PARAMETER]: manner === "ask" ? Duration.toMillis(ASK_BLOCK) : undefined,
  [SESSION_UPDATES_PARAMETER]: "true"
})

/** The loss of a connection, or a failure to make one: made again after a while. */
class Lost extends Data.TaggedError("Lost")<{
  readonly error: string
  readonly heldMillis: number
  readonly retryAfterMillis: number | undefined
  /** Nothing came although it was open: somebody may hold it back. */
  readonly mute: boolean
}> {}

export interface Follow<E, R> {
  readonly operation: string
  readonly sessionId: string
  /** Connects once, from where the reading is. */
  readonly connect: (manner: Manner) => Effect.Effect<Opened, HubUnreachable | CredentialsUnavailable | E, R>
  /** Meaning of an answer that is no stream: an error that ends the following, or nothing, then it is tried again. */
  readonly refused: (answer: Answer.Answer) => Effect.Effect<unknown, E>
  readonly onConnection: ((connection: Connection) => Effect.Effect<void>) | undefined
}

type Failure = HubUnreachable | CredentialsUnavailable | RequestFailed | Sse.FrameTooLarge

const lost = (error: Failure, heldMillis: number, mute = false) =>
  new Lost({
    error: error._tag === "FrameTooLarge" ? "a frame is too large" : error.message,
    heldMillis,
    retryAfterMillis: "retryAfterMillis" in error ? error.retryAfterMillis : undefined,
    mute
  })

/**
 * Connects, reads until the connection is lost, connects again after `Backoff.stream`. This loop is the only one that
 * reconnects. Readers that are slow hold the connection back; one that leaves ends it. Frames may come again.
 */
export const follow = <E, R>(options: Follow<E, R>): Stream.Stream<Sse.Frame, E, R> => {
  const { operation, sessionId } = options
  const annotations = { session_id: sessionId, operation }

  const isUnanswered = (
    error: HubUnreachable | CredentialsUnavailable | E
  ): error is HubUnreachable | CredentialsUnavailable =>
    error instanceof HubUnreachable || error instanceof CredentialsUnavailable

  const silent = (seconds: Duration.Duration) =>
    new HubUnreachable({
      operation,
      reason: "Timeout",
      detail: `no byte for ${Duration.toSeconds(seconds)} s`
    })

  /** The bytes of an answer; silence and a broken connection are the loss of it. */
  const bytes = (response: HttpClientResponse.HttpClientResponse) =>
    response.stream.pipe(
      Stream.mapError(
        (error) =>
          new HubUnreachable({ operation, reason: "Transport", detail: `the stream broke (${error.reason})` })
      ),
      Stream.timeoutFail(() => silent(SILENCE), SILENCE)
    )

  const told = (connection: Connection) => options.onConnection?.(connection) ?? Effect.void

  return Stream.unwrapScoped(
    Effect.gen(function* () {
      const mailbox = yield* Mailbox.make<Sse.Frame, E>({ capacity: 64 })
      const asking = yield* FiberHandle.make<void>()
      /** The stream is not trusted: it was open, and delivered nothing as it went. */
      let held = false
      /** The requests that are made instead are answered. */
      let answered = false

      /** Opens a connection; what ends the following is on the left. */
      const opened = (
        manner: Manner
      ): Effect.Effect<Either.Either<Opened & { response: object }, E>, Lost, R> =>
        Effect.gen(function* () {
          const connected = yield* options
            .connect(manner)
            .pipe(Effect.withSpan(operation, { attributes: { "session.id": sessionId } }), Effect.either)
          if (Either.isLeft(connected)) {
            const error = connected.left
            if (!isUnanswered(error)) return Either.left(error)
            // Some hold the head of an answer back as well.
            return yield* lost(error, 0, error._tag === "HubUnreachable" && error.reason === "Timeout")
          }
          const answer = connected.right
          if (answer.response !== undefined) return Either.right(answer)
          const refused = yield* Effect.either(options.refused(answer))
          return Either.isLeft(refused) ? Either.left(refused.left) : yield* lost(Answer.failed(answer), 0)
        })

      // --- The stream ---

      /** Bytes come as they are sent: nothing needs to be asked for any more. */
      const trusted = Effect.suspend(() => {
        held = false
        answered = false
        return Effect.zipRight(FiberHandle.clear(asking), told({ _tag: "Connected", polling: false }))
      })

      /** One stream from beginning to end. Succeeds with what ends the following, fails with what does not. */
      const streamed: Effect.Effect<E, Lost, R> = Effect.gen(function* () {
        const opening = yield* opened("stream")
        if (Either.isLeft(opening)) return opening.left
        const { marked, response } = opening.right
        const begun = yield* Clock.currentTimeMillis
        const patience = marked ? FIRST_BYTE : SILENCE
        const first = yield* Deferred.make<void>()
        let firstAt: number | undefined
        let proven = false
        const heard = Effect.flatMap(Clock.currentTimeMillis, (now) => {
          if (firstAt === undefined) {
            firstAt = now
            return Deferred.succeed(first, undefined).pipe(
              Effect.zipRight(Diagnostics.record("worker_stream_connected", annotations, "debug")),
              Effect.zipRight(held ? Effect.void : told({ _tag: "Connected", polling: false }))
            )
          }
          if (proven || now - firstAt < PROVEN_MILLIS) return Effect.void
          proven = true
          return held ? trusted : Effect.void
        })
        const end: Failure = yield* Sse.frames(Stream.tap(bytes(response), () => heard)).pipe(
          Stream.runForEachChunk((chunk) => mailbox.offerAll(chunk)),
          Effect.match({
            onFailure: (error) => error,
            onSuccess: () =>
              new HubUnreachable({ operation, reason: "Transport", detail: "the hub ended the stream" })
          }),
          Effect.raceFirst(
            Effect.timeoutTo(Deferred.await(first), {
              duration: patience,
              onTimeout: () => Effect.succeed(silent(patience)),
              onSuccess: () => Effect.never
            }).pipe(Effect.flatten)
          )
        )
        const mute = !proven && end._tag === "HubUnreachable" && end.reason === "Timeout"
        return yield* lost(end, mute ? 0 : (yield* Clock.currentTimeMillis) - begun, mute)
      })

      // --- Asking, while the stream is held back ---

      /** Frames that there are; `None` when the hub has ended the answer. */
      const asked: Effect.Effect<Option.Option<E>, Lost, R> = Effect.gen(function* () {
        const begun = yield* Elapsed.millis
        const opening = yield* opened("ask")
        if (Either.isLeft(opening)) return Option.some(opening.left)
        let came = 0
        yield* Sse.frames(bytes(opening.right.response)).pipe(
          Stream.runForEachChunk((chunk) => {
            came += chunk.length
            return mailbox.offerAll(chunk)
          }),
          Effect.timeoutFail({ duration: ASK_BOUND, onTimeout: () => silent(ASK_BOUND) }),
          Effect.mapError((error) => lost(error, 0))
        )
        if (!answered) {
          answered = true
          yield* Diagnostics.record("worker_stream_held_back", annotations)
          yield* told({ _tag: "Connected", polling: true })
        }
        const wait = ASK_EVERY_MILLIS - ((yield* Elapsed.millis) - begun)
        if (came === 0 && wait > 0) yield* Effect.sleep(Duration.millis(wait))
        return Option.none()
      })

      const ended = (error: E) => mailbox.fail(error)

      const ask: Effect.Effect<void, never, R> = Effect.suspend(() => {
        let last: Lost | undefined
        return asked.pipe(
          Effect.tapError((loss) =>
            Effect.sync(() => {
              last = loss
            })
          ),
          Effect.retry(
            Schedule.onDecision(Backoff.stream, (delayMillis) => {
              const was = answered
              answered = false
              return was ? told({ _tag: "Disconnected", error: last?.error ?? "", delayMillis }) : Effect.void
            })
          ),
          Effect.catchTag("Lost", () => Effect.dieMessage("Backoff.stream has no end")),
          Effect.repeat({ until: Option.isSome }),
          Effect.flatMap(Option.match({ onNone: () => Effect.void, onSome: ended })),
          Effect.asVoid
        )
      })

      const loop: Effect.Effect<void, never, R> = Effect.suspend(() => {
        let last: Lost | undefined
        const decided = (delayMillis: number) =>
          Diagnostics.record(
            "worker_stream_lost",
            { ...annotations, held_ms: last?.heldMillis, delay_ms: delayMillis },
            "info"
          ).pipe(
            Effect.zipRight(
              answered ? Effect.void : told({ _tag: "Disconnected", error: last?.error ?? "", delayMillis })
            ),
            Effect.zipRight(held ? FiberHandle.run(asking, ask, { onlyIfMissing: true }) : Effect.void),
            Effect.asVoid
          )
        return streamed.pipe(
          Effect.tapError((loss) =>
            Effect.sync(() => {
              last = loss
              held ||= loss.mute
            })
          ),
          Effect.retry(Schedule.onDecision(Backoff.stream, decided)),
          Effect.catchTag("Lost", () => Effect.dieMessage("Backoff.stream has no end")),
          Effect.matchCauseEffect({ onFailure: (cause) => mailbox.failCause(cause), onSuccess: ended })
        )
      })

      yield* Effect.forkScoped(loop)
      return Mailbox.toStream(mailbox)
    })
  )
}
