/** Bodies of requests: bytes, text, JSON, and the payloads of events, each with the text that arrived. */
import { isUtf8 } from "node:buffer"
import type { IncomingMessage } from "node:http"
import * as Limits from "@causeway/protocol/Limits"
import * as Payload from "@causeway/protocol/Payload"
import * as RawJson from "@causeway/protocol/RawJson"
import * as Visible from "@causeway/protocol/Visible"
import * as WireError from "@causeway/protocol/WireError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"

/** Bytes as UTF-8 text. */
export const utf8 = (bytes: Buffer): Either.Either<string, WireError.BadRequest> =>
  isUtf8(bytes)
    ? Either.right(bytes.toString("utf8"))
    : Either.left(WireError.BadRequest.of("the body is not UTF-8"))

type Bytes = Either.Either<Buffer, WireError.PayloadTooLarge | WireError.BadRequest>

/**
 * Reads the whole body. What exceeds the limit is not kept: a `Content-Length` above it is refused before
 * reading, and a body without one is refused when it grows past it. `done` is called once, unless it is stopped by what
 * is answered.
 */
export const collect = (
  incoming: IncomingMessage,
  limitBytes: number,
  done: (bytes: Bytes) => void
): (() => void) => {
  const tooLarge = () => Either.left(WireError.PayloadTooLarge.of(`the body exceeds ${limitBytes} bytes`))
  if (Number(incoming.headers["content-length"] ?? 0) > limitBytes) {
    incoming.resume()
    done(tooLarge())
    return () => {}
  }
  const chunks: Array<Buffer> = []
  let size = 0
  const onData = (chunk: Buffer) => {
    size += chunk.length
    if (size > limitBytes) {
      stop()
      incoming.resume()
      done(tooLarge())
    } else {
      chunks.push(chunk)
    }
  }
  const onEnd = () => {
    stop()
    const only = chunks[0]
    done(Either.right(chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, size)))
  }
  const onBroken = () => {
    stop()
    done(Either.left(WireError.BadRequest.of("the body was cut off")))
  }
  const stop = () => {
    incoming.off("data", onData)
    incoming.off("end", onEnd)
    incoming.off("error", onBroken)
    incoming.off("aborted", onBroken)
  }
  incoming.on("data", onData)
  incoming.on("end", onEnd)
  incoming.on("error", onBroken)
  incoming.on("aborted", onBroken)
  return stop
}

/** The same as an effect. */
export const readBody = (
  incoming: IncomingMessage,
  limitBytes: number
): Effect.Effect<Buffer, WireError.PayloadTooLarge | WireError.BadRequest> =>
  Effect.async((resume) => Effect.sync(collect(incoming, limitBytes, resume)))

/** Longest path and longest words of an issue that are told, in UTF-16 units: they quote what was sent. */
const ISSUE_UNITS = 500

/** The first issue of what does not decode, with its path. */
export const issueOf = (
  issue: { readonly path: ReadonlyArray<PropertyKey>; readonly message: string } | undefined
): WireError.BadRequest => {
  if (issue === undefined) return WireError.BadRequest.of("the request does not decode")
  const path = Visible.clip(issue.path.map(String).join("."), ISSUE_UNITS)
  const message = Visible.clip(issue.message, ISSUE_UNITS)
  return WireError.BadRequest.of(`${path === "" ? "" : `at ${path}: `}${message}`, { path })
}

/** The first issue of a body that does not decode. */
export const badRequest = (error: ParseResult.ParseError): WireError.BadRequest =>
  issueOf(ParseResult.ArrayFormatter.formatErrorSync(error)[0])

/** Refuses a JSON text that is deeper than {@link Limits.JSON_DEPTH}. */
export const notTooDeep = (text: string): Effect.Effect<void, WireError.BadRequest> =>
  RawJson.isDeeperThan(text, Limits.JSON_DEPTH)
    ? WireError.BadRequest.of(RawJson.tooDeep(Limits.JSON_DEPTH))
    : Effect.void

/** The body as JSON, no deeper than {@link Limits.JSON_DEPTH}. An empty one is `{}`, as some clients send none. */
export const json = (text: string): Either.Either<unknown, WireError.BadRequest> => {
  if (text.trim() === "") return Either.right({})
  try {
    const value: unknown = JSON.parse(text)
    return RawJson.isDeeperThan(text, Limits.JSON_DEPTH)
      ? Either.left(WireError.BadRequest.of(RawJson.tooDeep(Limits.JSON_DEPTH)))
      : Either.right(value)
  } catch (cause) {
    return Either.left(
      WireError.BadRequest.of(
        `the body is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`
      )
    )
  }
}

/** A reader of bodies of this schema. */
export const decoder = <A, I>(schema: Schema.Schema<A, I>) => {
  const decode = Schema.decodeUnknown(schema)
  return (body: unknown): Effect.Effect<A, WireError.BadRequest> => Effect.mapError(decode(body), badRequest)
}

/** A value and its text as a payload, within the limit of an event. */
export const payload = (
  value: unknown,
  text: string,
  limitBytes: number,
  path: string
): Either.Either<Payload.Payload, WireError.BadRequest | WireError.PayloadTooLarge> => {
  // A UTF-16 unit is at most three bytes of UTF-8: most texts need no count.
  if (text.length * 3 > limitBytes && Buffer.byteLength(text) > limitBytes) {
    return Either.left(
      WireError.PayloadTooLarge.of(`${path === "" ? "the event" : path} exceeds ${limitBytes} bytes`)
    )
  }
  return Either.mapLeft(Payload.fromJson(value, text), (error) =>
    WireError.BadRequest.of(`${path === "" ? "" : `${path}: `}${error.message}`, { path })
  )
}

/**
 * The payloads of a decoded body `{ events: [{ [member]: payload }] }`, each with the text that stands in `text`.
 */
export const payloads = (
  text: string,
  events: ReadonlyArray<unknown>,
  member: "payload" | "data",
  limitBytes: number
): Effect.Effect<ReadonlyArray<Payload.Payload>, WireError.BadRequest | WireError.PayloadTooLarge> => {
  const texts = RawJson.elements(RawJson.member(text, "events") ?? "[]")
  return Effect.forEach(events, (event, index) => {
    const value =
      typeof event === "object" && event !== null ? (event as Payload.JsonObject)[member] : undefined
    const own = RawJson.member(texts[index] ?? "{}", member) ?? "null"
    return payload(value, own, limitBytes, `events.${index}.${member}`)
  })
}
