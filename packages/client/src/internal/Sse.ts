/**
 * Server-sent events over HTTP: bytes to frames, and one connection that is made again for as long as it is wanted.
 * Source: spec 5 §1.
 */
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Mailbox from "effect/Mailbox"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { createParser, type EventSourceMessage } from "eventsource-parser"
import * as Backoff from "../Backoff.ts"
import { CredentialsUnavailable, HubUnreachable, type RequestFailed } from "../ClientError.ts"
import * as Diagnostics from "../Diagnostics.ts"
import * as Call from "./Call.ts"

/** One frame. `event` is `message` where the stream names none. */
export interface Frame {
  readonly id: string | undefined
  readonly event: string
  readonly data: string
}

/** A frame larger than this ends the connection: nothing that is sent is. In characters. */
export const MAX_FRAME = 32 * 1024 * 1024

/** Without a byte for this long a connection is dead. Source: spec 5 §1. */
export const SILENCE: Duration.Duration = Duration.seconds(45)

/** How long the answer's headers may take. */
const CONNECT_TIMEOUT = "30 seconds"

const LINE_END = /[\r\n]/

class FrameTooLarge extends Data.TaggedError("FrameTooLarge") {}

/** Bytes to frames, however the bytes are cut. Comments are life, not frames. */
export const frames = <E, R>(
  bytes: Stream.Stream<Uint8Array, E, R>
): Stream.Stream<Frame, E | FrameTooLarge, R> =>
  Stream.suspend(() => {
    let parsed: Array<Frame> = []
    // Characters since the last frame was complete.
    let pending = 0
    // The parser looks at an unfinished line from its start each time: it gets one only when it is finished.
    let unfinished: Array<string> = []
    const parser = createParser({
      onEvent: ({ data, event, id }: EventSourceMessage) => {
        parsed.push({ id, event: event ?? "message", data })
        pending = 0
      },
      onComment: () => {
        pending = 0
      }
    })
    return Stream.decodeText(bytes).pipe(
      Stream.mapChunksEffect((chunks) =>
        Effect.suspend(() => {
          for (const text of chunks) {
            pending += text.length
            unfinished.push(text)
            if (LINE_END.test(text)) {
              parser.feed(unfinished.join(""))
              unfinished = []
            }
          }
          const out = parsed
          parsed = []
          return pending > MAX_FRAME ? new FrameTooLarge() : Effect.succeed(Chunk.unsafeFromArray(out))
        })
      )
    )
  })

/** The bytes of an answer; silence and a broken connection are the loss of it. */
const body = (operation: string, response: HttpClientResponse.HttpClientResponse) =>
  response.stream.pipe(
    Stream.mapError(
      (error) =>
        new HubUnreachable({ operation, reason: "Transport", detail: `the stream broke (${error.reason})` })
    ),
    Stream.timeoutFail(
      () => new HubUnreachable({ operation, reason: "Timeout", detail: "no byte for 45 s" }),
      SILENCE
    )
  )

/** What a connection does. `delayMillis`: the wait before the next attempt. */
export type Connection =
  | { readonly _tag: "Connected" }
  | { readonly _tag: "Disconnected"; readonly error: string; readonly delayMillis: number }

/** What an attempt to connect brings: a stream that stands, or an answer that is none. */
export type Opened =
  | { readonly status: number; readonly response: HttpClientResponse.HttpClientResponse }
  | (Call.Answer & { readonly response?: undefined })

/** Sends the request and looks at the answer's head. Closing the scope ends the connection. */
export const open =
  (call: Call.Call) =>
  (
    ask: Omit<Call.Ask, "timeout" | "method">,
    bearer: Parameters<Call.Call["send"]>[1],
    headers: { readonly [name: string]: string } = {}
  ): Effect.Effect<Opened, HubUnreachable> => {
    const request = call.request(
      {
        ...ask,
        method: "GET",
        timeout: CONNECT_TIMEOUT,
        headers: { ...ask.headers, accept: "text/event-stream" }
      },
      bearer,
      headers
    )
    return call.execute(request).pipe(
      Effect.mapError(call.unreachable(ask.operation, bearer)),
      Effect.flatMap(call.readStream(ask, bearer)),
      Effect.timeoutFail({
        duration: CONNECT_TIMEOUT,
        onTimeout: call.tooSlow(ask.operation, CONNECT_TIMEOUT)
      })
    )
  }

/** The loss of a connection, or a failure to make one: made again after a while. */
class Lost extends Data.TaggedError("Lost")<{
  readonly error: string
  readonly heldMillis: number
  readonly retryAfterMillis: number | undefined
}> {}

export interface Follow<E, R> {
  readonly operation: string
  readonly sessionId: string
  /** Connects once, from where the reading is. */
  readonly connect: Effect.Effect<Opened, HubUnreachable | CredentialsUnavailable | E, R>
  /** What an answer that is no stream means: an error that ends the following, or nothing, then it is tried again. */
  readonly refused: (answer: Call.Answer) => Effect.Effect<void, E>
  readonly onConnection: ((connection: Connection) => Effect.Effect<void>) | undefined
}

/**
 * Frames for ever: connects, reads until the connection is lost, connects again after `Backoff.stream`. This loop is
 * the only one that reconnects. Readers that are slow hold the connection back; one that leaves ends it.
 */
export const follow = <E, R>(options: Follow<E, R>): Stream.Stream<Frame, E, R> => {
  const { operation, sessionId } = options

  const lost = (
    error: HubUnreachable | CredentialsUnavailable | RequestFailed | FrameTooLarge,
    heldMillis: number
  ) =>
    new Lost({
      error: error._tag === "FrameTooLarge" ? "a frame is too large" : error.message,
      heldMillis,
      retryAfterMillis: "retryAfterMillis" in error ? error.retryAfterMillis : undefined
    })

  const isUnanswered = (
    error: HubUnreachable | CredentialsUnavailable | E
  ): error is HubUnreachable | CredentialsUnavailable =>
    error instanceof HubUnreachable || error instanceof CredentialsUnavailable

  /** One connection from beginning to end. Succeeds with what ends the following, fails with what does not. */
  const once = (mailbox: Mailbox.Mailbox<Frame, E>): Effect.Effect<E, Lost, R> =>
    Effect.gen(function* () {
      const connected = yield* options.connect.pipe(
        Effect.withSpan(operation, { attributes: { "session.id": sessionId } }),
        Effect.either
      )
      if (Either.isLeft(connected)) {
        if (isUnanswered(connected.left)) return yield* lost(connected.left, 0)
        return connected.left
      }
      const opened = connected.right
      if (opened.response === undefined) {
        const refused = yield* Effect.either(options.refused(opened))
        return Either.isLeft(refused) ? refused.left : yield* lost(Call.failed(opened), 0)
      }
      const begun = yield* Clock.currentTimeMillis
      yield* Diagnostics.record("worker_stream_connected", { session_id: sessionId, operation }, "debug")
      yield* options.onConnection?.({ _tag: "Connected" }) ?? Effect.void
      const end = yield* frames(body(operation, opened.response)).pipe(
        Stream.runForEachChunk((chunk) => mailbox.offerAll(chunk)),
        Effect.match({
          onFailure: (error) => error,
          onSuccess: () =>
            new HubUnreachable({ operation, reason: "Transport", detail: "the hub ended the stream" })
        })
      )
      return yield* lost(end, (yield* Clock.currentTimeMillis) - begun)
    })

  const loop = (mailbox: Mailbox.Mailbox<Frame, E>): Effect.Effect<void, never, R> =>
    Effect.suspend(() => {
      let last: Lost | undefined
      const told = (delayMillis: number) =>
        Effect.zipRight(
          Diagnostics.record(
            "worker_stream_lost",
            { session_id: sessionId, operation, held_ms: last?.heldMillis, delay_ms: delayMillis },
            "info"
          ),
          options.onConnection?.({ _tag: "Disconnected", error: last?.error ?? "", delayMillis }) ??
            Effect.void
        )
      return once(mailbox).pipe(
        Effect.tapError((loss) =>
          Effect.sync(() => {
            last = loss
          })
        ),
        Effect.retry(Schedule.onDecision(Backoff.stream, told)),
        Effect.catchTag("Lost", () => Effect.dieMessage("Backoff.stream has no end")),
        Effect.matchCauseEffect({
          onFailure: (cause) => mailbox.failCause(cause),
          onSuccess: (error) => mailbox.fail(error)
        })
      )
    })

  return Stream.unwrapScoped(
    Effect.gen(function* () {
      const mailbox = yield* Mailbox.make<Frame, E>({ capacity: 64 })
      yield* Effect.forkScoped(loop(mailbox))
      return Mailbox.toStream(mailbox)
    })
  )
}
