/**
 * Bodies of appends that come in parts, until they are appended: for workers behind a proxy that takes no large body.
 *
 * They are kept in memory, one a session, and bounded in sum and in time: whoever finds its upload gone sends it again. The
 * bytes are a gzip and are named by their hash, so that what is put together is what was meant.
 */
import { createHash } from "node:crypto"
import { gunzip } from "node:zlib"
import type { OrganizationId } from "@causeway/protocol/Ids"
import * as WireError from "@causeway/protocol/WireError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Body from "../Http/Body.ts"

/** All uploads together. The one touched longest ago makes room. */
const MAX_BYTES = 64 * 1024 * 1024
/** An upload that nobody goes on with is forgotten after this. */
const KEPT = Duration.minutes(10)

interface Upload {
  readonly id: string
  readonly parts: Array<Buffer>
  received: number
  touched: number
}

export interface Key {
  readonly organizationId: OrganizationId
  readonly session: string
}

export interface Uploads {
  /** Takes a part where it goes on with what is there; answers how much is there. */
  readonly put: (
    key: Key,
    id: string,
    offset: number,
    part: Buffer
  ) => Effect.Effect<number, WireError.PayloadTooLarge>
  /** The text of an upload that is whole. `PreconditionFailed`: it is not known, or not whole. */
  readonly text: (
    key: Key,
    id: string
  ) => Effect.Effect<string, WireError.PreconditionFailed | WireError.BadRequest | WireError.PayloadTooLarge>
  /** Forgets an upload that was appended. */
  readonly forget: (key: Key, id: string) => Effect.Effect<void>
}

const unpacked = (bytes: Buffer, limitBytes: number) =>
  Effect.async<Buffer, WireError.BadRequest | WireError.PayloadTooLarge>((resume) => {
    gunzip(bytes, { maxOutputLength: limitBytes }, (error, result) => {
      if (error === null) return resume(Effect.succeed(result))
      resume(
        "code" in error && error.code === "ERR_BUFFER_TOO_LARGE"
          ? WireError.PayloadTooLarge.of(`the body exceeds ${limitBytes} bytes`)
          : WireError.BadRequest.of("the upload is no gzip")
      )
    })
  })

export const make = (limitBytes: number): Uploads => {
  // In order of last use.
  const uploads = new Map<string, Upload>()
  let held = 0

  const nameOf = ({ organizationId, session }: Key) => `${organizationId} ${session}`

  const drop = (name: string) => {
    held -= uploads.get(name)?.received ?? 0
    uploads.delete(name)
  }

  const find = (key: Key, id: string, now: number): Upload | undefined => {
    const oldest = now - Duration.toMillis(KEPT)
    for (const [name, { touched }] of uploads) {
      if (touched > oldest) break
      drop(name)
    }
    const found = uploads.get(nameOf(key))
    return found?.id === id ? found : undefined
  }

  const put: Uploads["put"] = (key, id, offset, part) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const name = nameOf(key)
      const known = find(key, id, now)
      const upload = known ?? { id, parts: [], received: 0, touched: now }
      if (known === undefined) drop(name)
      uploads.delete(name)
      uploads.set(name, upload)
      upload.touched = now
      // What is here already was sent again; what leaves a gap is asked for from its beginning.
      const fresh = offset <= upload.received ? part.subarray(upload.received - offset) : undefined
      if (fresh === undefined || fresh.length === 0) return Effect.succeed(upload.received)
      if (upload.received + fresh.length > limitBytes) {
        drop(name)
        return WireError.PayloadTooLarge.of(`the upload exceeds ${limitBytes} bytes`)
      }
      upload.parts.push(fresh)
      upload.received += fresh.length
      held += fresh.length
      for (const other of uploads.keys()) {
        if (held <= MAX_BYTES || other === name) break
        drop(other)
      }
      return Effect.succeed(upload.received)
    })

  const text: Uploads["text"] = (key, id) =>
    Effect.gen(function* () {
      const upload = find(key, id, yield* Clock.currentTimeMillis)
      const bytes = Buffer.concat(upload?.parts ?? [])
      if (upload === undefined || createHash("sha256").update(bytes).digest("hex") !== id) {
        // Were something wrong with what is here, going on would not mend it.
        if (upload !== undefined) drop(nameOf(key))
        return yield* WireError.PreconditionFailed.of(
          "the upload is not known here, or not whole: send its parts again"
        )
      }
      return yield* Effect.flatMap(unpacked(bytes, limitBytes), Body.utf8)
    })

  const forget: Uploads["forget"] = (key, id) =>
    Effect.sync(() => {
      if (uploads.get(nameOf(key))?.id === id) drop(nameOf(key))
    })

  return { put, text, forget }
}
