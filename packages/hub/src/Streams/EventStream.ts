/**
 * Server-sent events on a bare response.
 *
 * A write waits until the reader has taken what was written before, so that a slow reader holds one frame and not a queue:
 * whoever writes reads the log by cursor at the reader's pace. A comment goes out at once, so that the reader sees that the
 * stream is open, and after each silence.
 */

import type { ServerResponse } from "node:http"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as HotRoutes from "../HotRoutes.ts"

export interface Writer {
  /** Writes frames; completes when the reader can take more. Never completes on a response that has closed. */
  readonly write: (frames: string) => Effect.Effect<void>
}

export interface Frame {
  /** A plain word; empty where only the position moves, which dispatches nothing. */
  readonly event: string
  /** JSON text. */
  readonly data: string
  /** Where the reader resumes. A frame without one does not move it. */
  readonly id?: number
}

/** The text of a frame. JSON may hold line breaks only between its tokens, where a reader's "\n" does no harm. */
export const frame = ({ event, data, id }: Frame): string =>
  event === ""
    ? `id: ${id}\n\n`
    : `event: ${event}\n${id === undefined ? "" : `id: ${id}\n`}data: ${
        /[\r\n]/.test(data) ? data.replace(/\r\n|\r|\n/g, "\ndata: ") : data
      }\n\n`

const COMMENT = ":\n\n"

/** Frames that come within this after the first are in the same answer. */
const LINGER = Duration.millis(50)

/** Writes text; completes when the reader can take more. Never completes on a response that has closed. */
export const write = (response: ServerResponse, text: string): Effect.Effect<void> =>
  Effect.async((resume) => {
    // The request's fiber is interrupted when its connection closes.
    if (response.destroyed) return
    if (response.write(text)) return resume(Effect.void)
    const onDrain = () => resume(Effect.void)
    response.once("drain", onDrain)
    return Effect.sync(() => {
      response.off("drain", onDrain)
    })
  })

/**
 * Opens the stream, runs `produce` until it ends, `until` completes or the reader leaves, and ends the stream.
 */
export const run = <E>(
  request: HotRoutes.HotRequest,
  options: {
    readonly comment: Duration.Duration
    readonly until: Effect.Effect<void>
    /** Completes with words when the reader's right has ended; they are the stream's last comment. Default: never. */
    readonly ended?: Effect.Effect<string>
    /** The answer is ended a moment after it has brought something, at the latest after this. Default: never. */
    readonly block?: Duration.Duration | undefined
    readonly produce: (writer: Writer) => Effect.Effect<unknown, E>
  }
): Effect.Effect<HotRoutes.Streamed, E> =>
  Effect.gen(function* () {
    const { response } = request
    response.writeHead(200, {
      "content-type": "text/event-stream",
      "cache-control": "no-cache, no-transform",
      "x-accel-buffering": "no"
    })
    response.flushHeaders()
    yield* write(response, COMMENT)
    const brought = yield* Deferred.make<void>()
    const writer: Writer = {
      write: (frames) => Effect.zipLeft(write(response, frames), Deferred.succeed(brought, undefined))
    }
    const until =
      options.block === undefined
        ? options.until
        : Deferred.await(brought).pipe(
            Effect.zipRight(Effect.sleep(LINGER)),
            Effect.raceFirst(Effect.sleep(options.block)),
            Effect.raceFirst(options.until)
          )
    const comments = Effect.suspend(() =>
      response.writableNeedDrain ? Effect.void : write(response, COMMENT)
    ).pipe(Effect.delay(options.comment), Effect.repeat(Schedule.forever))
    // A reader that takes nothing any more is not waited for.
    const farewell = Effect.flatMap(options.ended ?? Effect.never, (words) =>
      Effect.sync(() => response.write(`: ${words}\n\n`))
    )
    yield* Effect.raceFirst(
      Effect.raceFirst(options.produce(writer), until),
      Effect.raceFirst(comments, farewell)
    ).pipe(Effect.ensuring(Effect.sync(() => response.end())))
    return HotRoutes.streamed
  })
