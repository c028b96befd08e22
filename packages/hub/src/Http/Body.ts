/**
 * Bodies of events, read so that each payload keeps the text that arrived.
 */
import * as Payload from "@causeway/protocol/Payload"
import * as RawJson from "@causeway/protocol/RawJson"
import * as WireError from "@causeway/protocol/WireError"
import * as Effect from "effect/Effect"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"

/** The first issue of a body that does not decode, with its path. */
export const badRequest = (error: ParseResult.ParseError): WireError.BadRequest => {
  const issue = ParseResult.ArrayFormatter.formatErrorSync(error)[0]
  const path = issue?.path.map(String).join(".") ?? ""
  return WireError.BadRequest.of(
    issue === undefined
      ? "the request does not decode"
      : `${path === "" ? "" : `at ${path}: `}${issue.message}`,
    { path }
  )
}

/** The body as JSON. An empty one is `{}`, as some clients send none. */
export const json = (text: string): Effect.Effect<unknown, WireError.BadRequest> => {
  if (text.trim() === "") return Effect.succeed({})
  try {
    return Effect.succeed(JSON.parse(text))
  } catch (cause) {
    return WireError.BadRequest.of(
      `the body is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`
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
): Effect.Effect<Payload.Payload, WireError.BadRequest | WireError.PayloadTooLarge> => {
  // A UTF-16 unit is at most three bytes of UTF-8: most texts need no count.
  if (text.length * 3 > limitBytes && Buffer.byteLength(text) > limitBytes) {
    return WireError.PayloadTooLarge.of(`${path === "" ? "the event" : path} exceeds ${limitBytes} bytes`)
  }
  return Effect.mapError(Payload.fromJson(value, text), (error) =>
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
