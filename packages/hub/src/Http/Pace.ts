/**
 * A body must arrive: while the hub waits for one, at least {@link Limits.BODY_BYTES_PER_SECOND} of it come in every window.
 * What is slower holds a connection and what was read of it for nothing. A body that the hub does not read yet is not slow.
 */
import type { IncomingMessage } from "node:http"
import * as Limits from "@causeway/protocol/Limits"

/** Calls `onSlow` once where the request's body comes too slowly. `windowMillis`: how often it is looked at. */
export const watch = (incoming: IncomingMessage, windowMillis: number, onSlow: () => void): void => {
  if (incoming.headers["content-length"] === undefined && incoming.headers["transfer-encoding"] === undefined)
    return
  const { socket } = incoming
  const needed = (Limits.BODY_BYTES_PER_SECOND * windowMillis) / 1000
  let before = socket.bytesRead
  let waited = false
  const timer = setInterval(() => {
    const came = socket.bytesRead - before
    before = socket.bytesRead
    if (incoming.complete || incoming.destroyed) return stop()
    const waits = incoming.readableFlowing === true
    // A window in which the hub began to wait only later says nothing.
    if (waits && waited && came < needed) {
      stop()
      onSlow()
    }
    waited = waits
  }, windowMillis)
  timer.unref()
  const stop = () => clearInterval(timer)
  incoming.once("close", stop)
  incoming.once("end", stop)
}
