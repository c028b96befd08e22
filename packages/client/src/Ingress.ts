/** The durable log, written with a proof of its head and read whole. Source: spec 1 §3. */
import { logUrl } from "@causeway/protocol/http/Ingress"
import type { EventUuid, SessionId } from "@causeway/protocol/Ids"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { ClientConfig } from "./ClientConfig.ts"
import type { AccessError, CallError, IngressTokenMissing, SessionExpired } from "./ClientError.ts"
import type { Credentials } from "./Credentials.ts"
import type { ChainEntry, Entry } from "./Entry.ts"
import { type AppendError, store } from "./Ingress/Append.ts"
import * as Read from "./Ingress/Read.ts"
import * as State from "./Ingress/State.ts"

export type { AppendError } from "./Ingress/Append.ts"
/** @public */
export type { FetchOptions, Options } from "./Ingress/State.ts"

/** Where a session's log is, on a hub at `baseUrl`. */
export const url: (baseUrl: string, sessionId: SessionId) => string = logUrl

/**
 * Appends of one session run one after another in the order they were called; those of different sessions run
 * concurrently. What is kept a session (its head, its queue) goes with `clear`, and the heads of sessions that nobody
 * writes to are bounded in number.
 */
export class Ingress extends Context.Tag("@causeway/client/Ingress")<
  Ingress,
  {
    /**
     * Stores one entry, exactly once however often it is called with it: succeeds when it is stored. Up to 10
     * attempts; see `Backoff.append`.
     */
    readonly append: (
      sessionId: SessionId,
      entry: ChainEntry,
      url: string
    ) => Effect.Effect<void, AppendError>
    /** Stores several entries whole or not at all, as one request. An empty batch is success without a request. */
    readonly appendBatch: (
      sessionId: SessionId,
      entries: ReadonlyArray<ChainEntry>,
      url: string
    ) => Effect.Effect<void, AppendError>
    /** The log with the ingress token; empty where it does not exist yet. The head becomes the last entry's uuid. */
    readonly fetch: (
      sessionId: SessionId,
      url: string,
      options?: State.FetchOptions
    ) => Effect.Effect<ReadonlyArray<Entry>, CallError | IngressTokenMissing | SessionExpired>
    /** The same with the access token, from the configured hub. */
    readonly fetchWithAccessToken: (
      sessionId: SessionId,
      options?: State.FetchOptions
    ) => Effect.Effect<ReadonlyArray<Entry>, AccessError | SessionExpired>
    /** Forgets a session's head and queue. Appends that run or wait go on in order. */
    readonly clear: (sessionId: SessionId) => Effect.Effect<void>
    readonly clearAll: Effect.Effect<void>
    /** How many sessions something is kept of. */
    readonly known: Effect.Effect<number>
  }
>() {}

/** Joins the session's line before anything else happens: the order of calls is the order of entries. */
const inLine = (
  state: State.State,
  sessionId: SessionId,
  entries: ReadonlyArray<ChainEntry>,
  last: EventUuid,
  url: string
) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() => {
      const log = state.logs.of(sessionId)
      const storing = store(state, log, sessionId, entries, last, url)
      return log.line.serve(log.line.enter(), restore, storing)
    })
  )

export const make = (options: State.Options = {}) =>
  Effect.map(State.make(options), (state) =>
    Ingress.of({
      append: (sessionId, entry, url) =>
        inLine(state, sessionId, [entry], entry.uuid, url).pipe(
          Effect.withSpan("Ingress.append", {
            attributes: { "session.id": sessionId, "entry.uuid": entry.uuid }
          })
        ),
      appendBatch: (sessionId, entries, url) =>
        Effect.suspend(() => {
          const last = entries.at(-1)
          return last === undefined ? Effect.void : inLine(state, sessionId, entries, last.uuid, url)
        }).pipe(
          Effect.withSpan("Ingress.appendBatch", {
            attributes: { "session.id": sessionId, "entries.count": entries.length }
          })
        ),
      fetch: Read.fetch(state),
      fetchWithAccessToken: Read.fetchWithAccessToken(state),
      clear: (sessionId) => Effect.sync(() => state.logs.clear(sessionId)),
      clearAll: Effect.sync(() => state.logs.clearAll()),
      known: Effect.sync(() => state.logs.size())
    })
  )

export const layer = (
  options?: State.Options
): Layer.Layer<Ingress, never, HttpClient.HttpClient | Credentials | ClientConfig> =>
  Layer.effect(Ingress, make(options))

/** `CLAUDE_AFTER_LAST_COMPACT`: `1`, `true`, `yes` or `on` reads only what follows the last compaction. */
export const config = Config.string("CLAUDE_AFTER_LAST_COMPACT").pipe(
  Config.withDescription("fetch only what follows the last compaction"),
  Config.withDefault(""),
  Config.map((text) => ["1", "true", "yes", "on"].includes(text.trim().toLowerCase()))
)

/**
 * The same, with `CLAUDE_AFTER_LAST_COMPACT` from the configuration.
 *
 * @public
 */
export const layerFromEnv = (
  options?: State.Options
): Layer.Layer<Ingress, ConfigError.ConfigError, HttpClient.HttpClient | Credentials | ClientConfig> =>
  Layer.effect(
    Ingress,
    Effect.flatMap(config, (afterLastCompact) => make({ ...options, afterLastCompact }))
  )
