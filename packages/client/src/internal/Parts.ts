/**
 * The way of a large body to the hub: whole where it goes through, else in parts.
 *
 * A proxy takes bodies up to a size of its own (1 MB by default in nginx) and refuses others before the hub sees them, and
 * a filter may dislike what stands in them. In parts a body is a gzip in pieces as small as they have to be. Whether the
 * hub takes parts, and how large they may be, is learnt by trying, and kept for as long as the service lives.
 */
import { createHash } from "node:crypto"
import { gzip } from "node:zlib"
import { partUrl, UploadedPart } from "@causeway/protocol/http/Ingress"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import { type HubUnreachable, InvalidResponse } from "../ClientError.ts"
import * as Answer from "./Answer.ts"
import * as Request from "./Request.ts"

/** Size of the first part that is tried, and the smallest: below it is not the size that is refused. In bytes. */
const PART_BYTES = 256 * 1024
const PART_MIN_BYTES = 4 * 1024

/** A body up to this size is not the reason why a connection breaks. */
const SMALL_BYTES = 64 * 1024

/** A body on its way, over several attempts. */
export interface Load {
  readonly text: string
  readonly bytes: number
  /** It is sent in parts. */
  inParts: boolean
  packed: { readonly id: string; readonly bytes: Buffer } | undefined
}

/** `another way`: there is nothing to wait for. `none`: the same body will be refused again by whoever refused it. */
export type Hope = "later" | "another way" | "none"

/** Outcome of an upload. */
export type Outcome =
  | { readonly _tag: "Uploaded"; readonly id: string }
  | { readonly _tag: "Refused"; readonly answer: Answer.Answer }
  | { readonly _tag: "Unsupported" }

/** Parts in a row after which the hub had no more than before. */
const STALLED_MAX = 3

const pack = (text: string) =>
  Effect.async<{ readonly id: string; readonly bytes: Buffer }>((resume) => {
    gzip(text, (error, bytes) => {
      resume(
        error === null
          ? Effect.succeed({ id: createHash("sha256").update(bytes).digest("hex"), bytes })
          : Effect.die(error)
      )
    })
  })

const isForeign = (error: HubUnreachable, status: number) =>
  error.reason === "Intermediary" && error.status === status

export const make = (caller: Request.Caller) => {
  /** The hub takes parts, as far as is known. */
  let supported = true
  let partBytes = PART_BYTES
  /** The smallest body that somebody in between refused for its size. */
  let refusedBytes = Number.POSITIVE_INFINITY

  const load = (text: string): Load => {
    const bytes = Buffer.byteLength(text)
    return { text, bytes, inParts: supported && bytes >= refusedBytes, packed: undefined }
  }

  /** Learns from an attempt that the hub did not answer, and answers what the next one may hope for. */
  const unanswered = (load: Load, error: HubUnreachable): Hope => {
    const tooLarge = isForeign(error, 413)
    if (load.inParts) {
      if (!tooLarge) {
        // A line too slow for the part.
        if (error.reason === "Timeout") partBytes = Math.max(partBytes / 2, PART_MIN_BYTES)
        return "later"
      }
      if (partBytes <= PART_MIN_BYTES) return "none"
      partBytes = Math.max(partBytes / 2, PART_MIN_BYTES)
      return "another way"
    }
    if (tooLarge) refusedBytes = Math.min(refusedBytes, load.bytes)
    if (!supported) return tooLarge ? "none" : "later"
    load.inParts = error.reason === "Intermediary" || load.bytes > SMALL_BYTES
    return error.reason === "Intermediary" ? "another way" : "later"
  }

  /** Uploads all parts, from where the hub has them. */
  const upload = (
    load: Load,
    url: string,
    bearer: Redacted.Redacted,
    timeout: Request.Ask["timeout"]
  ): Effect.Effect<Outcome, HubUnreachable | InvalidResponse> =>
    Effect.gen(function* () {
      load.packed ??= yield* pack(load.text)
      const { bytes, id } = load.packed
      let at = 0
      let stalled = 0
      while (at < bytes.length) {
        const answer = yield* Request.send(
          caller,
          {
            operation: "Ingress.upload",
            method: "PUT",
            url: partUrl(url, id, at),
            body: bytes.subarray(at, at + partBytes),
            timeout
          },
          bearer
        )
        const taken = Answer.is2xx(answer) ? Answer.decode(UploadedPart)(answer) : undefined
        if (answer.status === 404 || answer.status === 405 || taken?._tag === "Left") {
          // The address means nothing there: a hub of another make, or an older one.
          supported = false
          load.inParts = false
          return { _tag: "Unsupported" }
        }
        if (taken === undefined) return { _tag: "Refused", answer }
        const { received } = taken.right
        // Back to where the hub is: it may have been started anew, or have taken more than was known.
        stalled = received > at ? 0 : stalled + 1
        if (stalled > STALLED_MAX) {
          return yield* new InvalidResponse({
            operation: answer.operation,
            status: answer.status,
            path: "received",
            issue: "the upload does not grow"
          })
        }
        at = Math.min(received, bytes.length)
      }
      return { _tag: "Uploaded", id }
    })

  return { load, unanswered, upload }
}

export type Parts = ReturnType<typeof make>
