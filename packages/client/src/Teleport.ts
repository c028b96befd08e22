/** Reads a session from elsewhere. Source: spec 1 §4. */
import { TeleportPage, teleportEvents } from "@causeway/protocol/http/CodeSessions"
import { EventUuid, type SessionId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as RawJson from "@causeway/protocol/RawJson"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { ClientConfig } from "./ClientConfig.ts"
import { type AccessError, SessionExpired, TranscriptNotFound } from "./ClientError.ts"
import type { Credentials } from "./Credentials.ts"
import * as Diagnostics from "./Diagnostics.ts"
import type { Entry } from "./Entry.ts"
import { Ingress } from "./Ingress.ts"
import * as Answer from "./internal/Answer.ts"
import * as Call from "./internal/Call.ts"
import * as Request from "./internal/Request.ts"

/** One entry of a transcript, with what its page says of it. */
export interface TranscriptEntry extends Entry {
  readonly eventId: Option.Option<string>
  /** ISO 8601. */
  readonly createdAt: Option.Option<string>
  readonly isCompaction: boolean
}

export interface Transcript {
  readonly entries: ReadonlyArray<TranscriptEntry>
  /** How many pages were read. */
  readonly pages: number
  /** The cap of 100 pages or a cursor that does not advance ended it: there may be more. */
  readonly truncated: boolean
}

export interface ReadOptions {
  /** Entries a page, 1 to 1000; default 1000. */
  readonly pageSize?: number
}

export type ReadError = AccessError | SessionExpired | TranscriptNotFound

export class Teleport extends Context.Tag("@causeway/client/Teleport")<
  Teleport,
  {
    /**
     * The entries, page after page as they are taken. Ends early, with a warning, at 100 pages and at a cursor that
     * does not advance; `transcript` says whether it did.
     */
    readonly events: (
      sessionId: SessionId,
      options?: ReadOptions
    ) => Stream.Stream<TranscriptEntry, ReadError>
    readonly transcript: (sessionId: SessionId, options?: ReadOptions) => Effect.Effect<Transcript, ReadError>
    /** Where teleport-events knows no transcript: the ingress log, read with the access token. */
    readonly transcriptWithFallback: (
      sessionId: SessionId,
      options?: ReadOptions
    ) => Effect.Effect<Transcript, Exclude<ReadError, TranscriptNotFound>>
  }
>() {}

// --- Pages ---

/** Pages read of one transcript at most; at the default page size 100,000 entries. */
export const MAX_PAGES = 100
const PAGE_SIZE = 1_000

const isUuid = Schema.is(EventUuid)

/** The part of a page that is read: little, so that any server's will do. */
const Page = Schema.Struct({
  data: Schema.Array(
    Schema.Struct({
      event_id: Schema.optional(Schema.NullOr(Schema.String)),
      event_type: Schema.optional(Schema.NullOr(Schema.String)),
      is_compaction: Schema.optional(Schema.NullOr(Schema.Boolean)),
      payload: TeleportPage.fields.data.value.fields.payload,
      created_at: Schema.optional(Schema.NullOr(Schema.String))
    })
  ),
  next_cursor: TeleportPage.fields.next_cursor
})

/** The entries of a decoded page, each with the text in which it arrived; null payloads are left out. */
const entriesOf = (page: typeof Page.Type, text: string): ReadonlyArray<TranscriptEntry> => {
  const events = RawJson.elements(RawJson.member(text, "data") ?? "[]")
  return page.data.flatMap((event, at): ReadonlyArray<TranscriptEntry> => {
    const payload = RawJson.member(events[at] ?? "{}", "payload")
    if (event.payload === null || payload === undefined) return []
    const json: Payload.JsonObject = event.payload
    return [
      {
        text: payload,
        json,
        uuid: isUuid(json["uuid"]) ? json["uuid"] : undefined,
        eventId: Option.fromNullable(event.event_id),
        createdAt: Option.fromNullable(event.created_at),
        isCompaction: event.is_compaction ?? false
      }
    ]
  })
}

interface PageRead {
  readonly entries: ReadonlyArray<TranscriptEntry>
  /** It ended here although there may be more. */
  readonly truncated: boolean
}

interface Position {
  readonly page: number
  readonly cursor: string | undefined
  /** Cursors that led here: one that comes again leads nowhere new. */
  readonly seen: ReadonlySet<string>
}

const FIRST: Position = { page: 1, cursor: undefined, seen: new Set() }

// --- Reading ---

const readPage = (caller: Request.Caller) =>
  Effect.fn("Teleport.page")(function* (
    sessionId: SessionId,
    { cursor, page, seen }: Position,
    limit: number
  ) {
    yield* Effect.annotateCurrentSpan({ "session.id": sessionId, page })
    const operation = "Teleport.events"
    const id = yield* Call.checkId("session", sessionId)
    const ask = Call.askOf(caller, operation, teleportEvents, {
      path: { id },
      query: { limit, cursor },
      timeout: "20 seconds"
    })
    const answer = yield* Call.accessRaw(caller, ask, "required")
    const annotations = { session_id: sessionId, page, status: answer.status }
    const end = (read: PageRead) => [read, Option.none<Position>()] as const
    if (answer.status === 404) {
      if (page === 1) {
        yield* Diagnostics.record("teleport_events_not_found", annotations, "info")
        return yield* new TranscriptNotFound({ sessionId })
      }
      // Deleted while it was read: what was read is what there is.
      yield* Diagnostics.record("teleport_events_deleted", annotations)
      return end({ entries: [], truncated: false })
    }
    if (answer.status === 401) {
      yield* Diagnostics.record("session_get_fail_bad_token", { session_id: sessionId, operation })
      return yield* new SessionExpired({ sessionId, ...Answer.detailOf(answer) })
    }
    const body = yield* Effect.flatMap(Answer.expect()(answer), Answer.decode(Page))
    const entries = entriesOf(body, answer.text)
    const next = body.next_cursor
    if (next === undefined || next === null) return end({ entries, truncated: false })
    if (seen.has(next)) {
      yield* Diagnostics.record("teleport_events_cursor_stuck", annotations)
      return end({ entries, truncated: true })
    }
    if (page >= MAX_PAGES) {
      yield* Diagnostics.record("teleport_events_page_cap", annotations)
      return end({ entries, truncated: true })
    }
    return [
      { entries, truncated: false },
      Option.some<Position>({ page: page + 1, cursor: next, seen: new Set(seen).add(next) })
    ] as const
  })

const pages =
  (caller: Request.Caller) =>
  (sessionId: SessionId, { pageSize = PAGE_SIZE }: ReadOptions = {}): Stream.Stream<PageRead, ReadError> =>
    Stream.paginateEffect(FIRST, (position) => readPage(caller)(sessionId, position, pageSize))

const transcript = (caller: Request.Caller) =>
  Effect.fn("Teleport.transcript")(function* (sessionId: SessionId, options?: ReadOptions) {
    const read = Chunk.toReadonlyArray(yield* Stream.runCollect(pages(caller)(sessionId, options)))
    const transcript: Transcript = {
      entries: read.flatMap((page) => page.entries),
      pages: read.length,
      truncated: read.some((page) => page.truncated)
    }
    yield* Effect.annotateCurrentSpan({ "session.id": sessionId, "entries.count": transcript.entries.length })
    return transcript
  })

/** The ingress log as a transcript. */
const ofIngress = (ingress: Ingress["Type"], sessionId: SessionId) =>
  Effect.gen(function* () {
    yield* Diagnostics.record("teleport_fallback_ingress", { session_id: sessionId }, "info")
    const entries = yield* ingress.fetchWithAccessToken(sessionId, { afterLastCompact: false })
    const found: Transcript = {
      entries: entries.map((entry) => ({
        ...entry,
        eventId: Option.none(),
        createdAt: Option.none(),
        isCompaction: isCompaction(entry)
      })),
      pages: 1,
      truncated: false
    }
    return found
  })

export const make = Effect.gen(function* () {
  const caller = yield* Request.make
  const ingress = yield* Ingress
  const whole = transcript(caller)
  return Teleport.of({
    events: (sessionId, options) =>
      Stream.mapConcat(pages(caller)(sessionId, options), ({ entries }) => entries),
    transcript: whole,
    transcriptWithFallback: Effect.fn("Teleport.transcriptWithFallback")((sessionId, options) =>
      Effect.catchTag(whole(sessionId, options), "TranscriptNotFound", () => ofIngress(ingress, sessionId))
    )
  })
})

/** An entry of the ingress log, which does not say so itself, is the boundary of a compaction. */
const isCompaction = (entry: Entry): boolean =>
  Either.match(Payload.fromJson(entry.json, entry.text), {
    onLeft: () => false,
    onRight: Payload.isCompaction
  })

export const layer: Layer.Layer<
  Teleport,
  never,
  HttpClient.HttpClient | Credentials | ClientConfig | Ingress
> = Layer.effect(Teleport, make)
