/** Server-sent events: bytes to frames. Source: spec 5 §1. */
import * as Chunk from "effect/Chunk"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { createParser, type EventSourceMessage } from "eventsource-parser"

/** One frame. `event` is `message` where the stream names none. */
export interface Frame {
  readonly id: string | undefined
  readonly event: string
  readonly data: string
}

/** A frame larger than this ends the connection: nothing that is sent is. In characters. */
export const MAX_FRAME = 32 * 1024 * 1024

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
