/** Server-sent events over HTTP: bytes to frames, and the request that opens a stream. Source: spec 5 §1. */
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Chunk from "effect/Chunk"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { createParser, type EventSourceMessage } from "eventsource-parser"
import type { HubUnreachable } from "../ClientError.ts"
import type * as Call from "./Call.ts"

/** One frame. `event` is `message` where the stream names none. */
export interface Frame {
  readonly id: string | undefined
  readonly event: string
  readonly data: string
}

/** A frame larger than this ends the connection: nothing that is sent is. In characters. */
export const MAX_FRAME = 32 * 1024 * 1024

/** How long the answer's headers may take. */
const CONNECT_TIMEOUT = "15 seconds"

const LINE_END = /[\r\n]/

export class FrameTooLarge extends Data.TaggedError("FrameTooLarge") {}

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

/** What an attempt to connect brings: a stream that stands, or an answer that is none. */
export type Opened =
  | {
      readonly status: number
      readonly response: HttpClientResponse.HttpClientResponse
      /** Whether it is a stream of a hub that marks its answers, which sends a comment at once. */
      readonly marked: boolean
    }
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
