/** Frames of one socket in the order of their arrival, bounded in size until it has signed in. */
import type { IncomingMessage } from "node:http"
import { CloseCode, MAX_PREAUTH_PAYLOAD_BYTES, RequestFrame } from "@causeway/protocol/Gateway/Frames"
import * as Validation from "@causeway/protocol/Gateway/Validation"
import * as Limits from "@causeway/protocol/Limits"
import * as RawJson from "@causeway/protocol/RawJson"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Mailbox from "effect/Mailbox"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { WebSocket } from "ws"

export interface Inbox {
  /** The next frame's text; none once the socket has closed. */
  readonly next: Effect.Effect<Option.Option<string>>
  /** The limits of strangers end. */
  readonly signedIn: () => void
}

const checkFrame = Validation.check(RequestFrame)
export const isRequest = (value: unknown): value is RequestFrame => checkFrame(value).length === 0
export const describeProblem = (frame: unknown): string => Validation.describe(checkFrame(frame))

/** A frame, or why it cannot be read. */
export const parse = (text: string): Either.Either<unknown, string> =>
  RawJson.isDeeperThan(text, Limits.JSON_DEPTH)
    ? Either.left(RawJson.tooDeep(Limits.JSON_DEPTH))
    : Either.try({ try: (): unknown => JSON.parse(text), catch: () => "not JSON" })

export const open = (ws: WebSocket, request: IncomingMessage): Effect.Effect<Inbox, never, Scope.Scope> =>
  Effect.gen(function* () {
    const frames = yield* Mailbox.make<string>()
    let isStranger = true
    let received = 0
    const count = (chunk: Buffer) => {
      received += chunk.length
      // Twice the largest frame covers the upgrade's head and several small frames.
      if (received > 2 * MAX_PREAUTH_PAYLOAD_BYTES) {
        ws.close(CloseCode.tooLarge)
        request.socket.pause()
      }
    }
    request.socket.on("data", count)
    ws.on("message", (data: Buffer, isBinary: boolean) => {
      if (isStranger && data.length > MAX_PREAUTH_PAYLOAD_BYTES) ws.close(CloseCode.tooLarge)
      else if (isStranger && isBinary) ws.close(CloseCode.normal)
      else frames.unsafeOffer(data.toString("utf8"))
    })
    // A frame that is too large ends the socket with 1009 by itself; a reset ends it too. Both arrive as `close`.
    ws.on("error", () => {})
    ws.on("close", () => frames.unsafeDone(Exit.void))
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        request.socket.off("data", count)
        if (ws.readyState === ws.OPEN) ws.close(CloseCode.normal)
        else if (ws.readyState === ws.CONNECTING) ws.terminate()
      })
    )
    return {
      next: Effect.option(frames.take),
      signedIn: () => {
        isStranger = false
        request.socket.off("data", count)
      }
    }
  })
