/** The durable log, written with a proof of its head and read whole. Source: spec 1 §3. */

import { LAST_UUID_HEADER, UPLOAD_HEADER, X_LAST_UUID_HEADER } from "@causeway/protocol/Headers"
import { LogLines } from "@causeway/protocol/http/Ingress"
import { EventUuid, type SessionId } from "@causeway/protocol/Ids"
import * as RawJson from "@causeway/protocol/RawJson"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Backoff from "./Backoff.ts"
import type { ClientConfig } from "./ClientConfig.ts"
import * as ClientError from "./ClientError.ts"
import {
  type AccessError,
  type CallError,
  ConcurrentModification,
  HeadMoved,
  type HubUnreachable,
  type IngressTokenMissing,
  IngressTokenRejected,
  RetriesExhausted,
  SessionExpired
} from "./ClientError.ts"
import type { Credentials } from "./Credentials.ts"
import * as Diagnostics from "./Diagnostics.ts"
import type { ChainEntry, Entry } from "./Entry.ts"
import * as Call from "./internal/Call.ts"
import * as Heads from "./internal/Heads.ts"
import * as Parts from "./internal/Parts.ts"

export type AppendError =
  | IngressTokenMissing
  | IngressTokenRejected
  | ConcurrentModification
  | RetriesExhausted

/** Where a session's log is, on a hub at `baseUrl`. */
export const url = (baseUrl: string, sessionId: SessionId): string =>
  `${baseUrl.replace(/\/+$/, "")}/v1/session_ingress/session/${sessionId}`

export interface FetchOptions {
  /** Only what follows the last compaction. Default: the layer's (`CLAUDE_AFTER_LAST_COMPACT` in `layerFromEnv`). */
  readonly afterLastCompact?: boolean
}

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
      options?: FetchOptions
    ) => Effect.Effect<ReadonlyArray<Entry>, CallError | IngressTokenMissing | SessionExpired>
    /** The same with the access token, from the configured hub. */
    readonly fetchWithAccessToken: (
      sessionId: SessionId,
      options?: FetchOptions
    ) => Effect.Effect<ReadonlyArray<Entry>, AccessError | SessionExpired>
    /** Forgets a session's head and queue. Appends that run or wait go on in order. */
    readonly clear: (sessionId: SessionId) => Effect.Effect<void>
    readonly clearAll: Effect.Effect<void>
    /** How many sessions something is kept of. */
    readonly known: Effect.Effect<number>
  }
>() {}

// --- Reading ---

/** The uuid of the last entry that has one. */
const headOf = (entries: ReadonlyArray<Entry>): EventUuid | undefined =>
  entries.findLast((entry) => entry.uuid !== undefined)?.uuid

const isUuid = Schema.is(EventUuid)

/** The entries of a decoded answer, each with the text in which it arrived. */
const entriesOf = (text: string): ReadonlyArray<Entry> =>
  RawJson.elements(RawJson.member(text, "loglines") ?? "[]").map((line) => {
    const json: Entry["json"] = JSON.parse(line)
    return { text: line, json, uuid: isUuid(json["uuid"]) ? json["uuid"] : undefined }
  })

// --- Options ---

export interface Options {
  /** How many idle sessions' heads are kept; the least recently used go first. Default 1,000. */
  readonly idleHeads?: number
  /** Longest wait for the answer to one attempt; default 30 s. */
  readonly attemptTimeout?: Duration.DurationInput
  /** Default of `FetchOptions.afterLastCompact`; default false. */
  readonly afterLastCompact?: boolean
}

// --- Appending ---

/** An attempt that did not store the entry, or may not have; another may. */
class AttemptFailed extends Data.TaggedError("AttemptFailed")<{
  readonly cause: RetriesExhausted["lastCause"]
  readonly retryAfterMillis?: number | undefined
  readonly immediately?: boolean
  /** Another attempt would be refused as well. */
  readonly final?: boolean
}> {}

/** One entry as it is; those of a batch as a list. */
const bodyOf = (entries: ReadonlyArray<ChainEntry>, batch: boolean): string =>
  batch ? `[${entries.map(({ text }) => text).join(",")}]` : (entries[0]?.text ?? "")

const FETCH_TIMEOUT = "20 seconds"

export const make = (options: Options = {}) =>
  Effect.gen(function* () {
    const call = yield* Call.make
    const logs = Heads.make(options.idleHeads ?? 1_000)
    const parts = Parts.make(call)
    const attemptTimeout = options.attemptTimeout ?? "30 seconds"

    // --- Fetch ---

    const read = (answer: Call.Answer, sessionId: SessionId) =>
      Effect.gen(function* () {
        if (answer.status === 404) return []
        if (answer.status === 401) {
          yield* Diagnostics.record("session_get_fail_bad_token", {
            session_id: sessionId,
            operation: answer.operation
          })
          return yield* new SessionExpired({ sessionId, ...Call.detailOf(answer) })
        }
        if (answer.status !== 200) {
          yield* Diagnostics.record("session_get_fail_status", {
            session_id: sessionId,
            operation: answer.operation,
            status: answer.status
          })
          return yield* Call.failed(answer)
        }
        yield* Call.decode(LogLines)(answer)
        return entriesOf(answer.text)
      })

    const readAsk = (operation: string, url: string, fetching: FetchOptions = {}): Call.Ask => ({
      operation,
      method: "GET",
      url:
        (fetching.afterLastCompact ?? options.afterLastCompact ?? false)
          ? `${url}${url.includes("?") ? "&" : "?"}after_last_compact=true`
          : url,
      timeout: FETCH_TIMEOUT
    })

    /** Reads, and takes the head from it unless something newer was learnt meanwhile. */
    const reading = <E>(sessionId: SessionId, entries: Effect.Effect<ReadonlyArray<Entry>, E>) =>
      Effect.suspend(() => {
        const log = logs.of(sessionId)
        const version = log.version
        return Effect.tap(entries, (found) =>
          Effect.sync(() => {
            if (log.version === version && log.line.isIdle()) Heads.learn(log, headOf(found))
          })
        )
      })

    const fetch = Effect.fn("Ingress.fetch")(function* (
      sessionId: SessionId,
      url: string,
      fetching?: FetchOptions
    ) {
      yield* Effect.annotateCurrentSpan("session.id", sessionId)
      return yield* reading(
        sessionId,
        Effect.flatMap(
          call.ingress(sessionId, readAsk("Ingress.fetch", url, fetching), { refresh: "401" }),
          (answer) => read(answer, sessionId)
        )
      )
    })

    const fetchWithAccessToken = Effect.fn("Ingress.fetchWithAccessToken")(function* (
      sessionId: SessionId,
      fetching?: FetchOptions
    ) {
      yield* Effect.annotateCurrentSpan("session.id", sessionId)
      const address = url(call.config.baseUrl, yield* Call.checkId("session", sessionId))
      return yield* reading(
        sessionId,
        Effect.flatMap(
          call.accessRaw(readAsk("Ingress.fetchWithAccessToken", address, fetching), "required"),
          (answer) => read(answer, sessionId)
        )
      )
    })

    // --- Append ---

    /**
     * Stores entries, the last of which is `last`. In doubt the same is sent again with the same head: a success, or a
     * conflict that names `last`, says that it is stored. A batch is stored whole, so its last entry speaks for all.
     */
    const store = (
      log: Heads.Log,
      sessionId: SessionId,
      entries: ReadonlyArray<ChainEntry>,
      last: EventUuid,
      url: string
    ) => {
      // What is still to be stored: less than `entries` where a part of them was sent before as another batch.
      let rest = entries
      let refreshed = false
      let adoptedBefore = false
      // An earlier attempt, of this call or of one that was interrupted, may have stored what this one sends.
      let inDoubt = entries.some(({ uuid }) => log.doubtful.has(uuid))

      const annotate = { session_id: sessionId }

      const refused = (answer: Call.Answer, rejected: Redacted.Redacted) =>
        Effect.gen(function* () {
          const next = refreshed
            ? Option.none()
            : yield* Effect.mapError(
                call.credentials.refreshIngressToken(sessionId, rejected),
                (cause) => new AttemptFailed({ cause })
              )
          if (Option.isNone(next)) {
            yield* Diagnostics.record("session_persist_fail_bad_token", annotate)
            return yield* new IngressTokenRejected({ sessionId, ...Call.detailOf(answer) })
          }
          refreshed = true
          return yield* new AttemptFailed({ cause: Call.failed(answer), immediately: true })
        })

      /** Another writer was here: believe in its head and try again, at once unless that happened just before too. */
      const adopt = (head: EventUuid) =>
        Effect.gen(function* () {
          const immediately = !adoptedBefore
          adoptedBefore = true
          Heads.learn(log, head)
          rest = rest.slice(rest.findIndex(({ uuid }) => uuid === head) + 1)
          yield* Diagnostics.record("session_persist_409_adopt_server_uuid", annotate, "info")
          return yield* new AttemptFailed({ cause: new HeadMoved({ head }), immediately })
        })

      const stored = (head: EventUuid) => {
        Heads.learn(log, head)
        for (const { uuid } of entries) log.doubtful.delete(uuid)
      }

      const recovered = (head: EventUuid) =>
        Effect.suspend(() => {
          stored(head)
          return Diagnostics.record("session_persist_recovered_from_409", annotate, "info")
        })

      const readLog = (bearer: Redacted.Redacted) =>
        Effect.gen(function* () {
          const answer = yield* Effect.mapError(
            call.send({ operation: "Ingress.append", method: "GET", url, timeout: FETCH_TIMEOUT }, bearer),
            (cause) => new AttemptFailed({ cause })
          )
          if (answer.status === 401) return yield* refused(answer, bearer)
          return yield* Effect.mapError(read(answer, sessionId), (cause) =>
            cause._tag === "SessionExpired"
              ? new AttemptFailed({ cause: Call.failed(answer) })
              : new AttemptFailed({ cause, retryAfterMillis: answer.retryAfterMillis })
          )
        })

      /** A conflict that names no head: the log itself knows. */
      const consult = (conflict: Call.Answer, bearer: Redacted.Redacted) =>
        Effect.gen(function* () {
          const entries = yield* readLog(bearer)
          const head = headOf(entries)
          if (head === undefined) {
            yield* Diagnostics.record("session_persist_409_no_head", annotate)
            return yield* new ConcurrentModification({
              sessionId,
              detail: conflict.detail ?? "the log refused the entry and names no head"
            })
          }
          if (isStored(entries)) return yield* recovered(head)
          return yield* adopt(head)
        })

      /** Looks for what is to be stored in the log, and drops from it what is there. */
      const isStored = (log: ReadonlyArray<Entry>): boolean => {
        const uuids = new Set(log.map(({ uuid }) => uuid))
        rest = rest.filter(({ uuid }) => !uuids.has(uuid))
        return uuids.has(last)
      }

      /**
       * A conflict that names another's entry. Where an earlier attempt of this append is in doubt, that entry may
       * stand behind ours: the log is looked at first, so that ours is not stored twice by a server that does not
       * know uuids apart. A log that cannot be read this way is believed to be one that does.
       */
      const overtaken = (head: EventUuid, bearer: Redacted.Redacted) =>
        Effect.gen(function* () {
          if (!inDoubt) return yield* adopt(head)
          const entries = yield* readLog(bearer).pipe(
            Effect.catchIf(
              (error) => error._tag === "AttemptFailed" && !ClientError.isTransient(error.cause),
              () => Effect.succeed<ReadonlyArray<Entry>>([])
            )
          )
          if (isStored(entries)) return yield* recovered(headOf(entries) ?? head)
          inDoubt = false
          return yield* adopt(head)
        })

      let load: Parts.Load | undefined
      let attempts = 0

      /** The hub gave no answer: what was sent may be stored, and may go another way next time. */
      const unanswered = (load: Parts.Load, cause: HubUnreachable) =>
        Effect.suspend(() => {
          inDoubt = true
          adoptedBefore = false
          const hope = parts.unanswered(load, cause)
          return Effect.zipRight(
            Diagnostics.record("session_persist_fail_transport", {
              ...annotate,
              reason: cause.reason,
              status: cause.status,
              bytes: load.bytes
            }),
            new AttemptFailed({
              cause,
              immediately: hope === "another way",
              final: hope === "none",
              retryAfterMillis: cause.retryAfterMillis
            })
          )
        })

      /** Sends what is to be stored, whole or in parts, and answers what the hub says of it. */
      const sent = (load: Parts.Load, token: Redacted.Redacted) =>
        Effect.gen(function* () {
          const uploaded = load.inParts ? yield* parts.upload(load, url, token, attemptTimeout) : undefined
          if (uploaded?._tag === "Refused") return uploaded.answer
          const head: { readonly [name: string]: string } =
            log.head === undefined ? {} : { [LAST_UUID_HEADER]: log.head }
          return yield* call.send(
            {
              operation: "Ingress.append",
              method: "PUT",
              url,
              timeout: attemptTimeout,
              ...(uploaded?._tag === "Uploaded"
                ? { headers: { ...head, [UPLOAD_HEADER]: uploaded.id } }
                : { headers: head, body: load.text })
            },
            token
          )
        }).pipe(
          Effect.catchTags({
            HubUnreachable: (cause) => unanswered(load, cause),
            InvalidResponse: (cause) => new AttemptFailed({ cause })
          })
        )

      const attempt = Effect.gen(function* () {
        attempts++
        const token = yield* call.credentials.ingressToken(sessionId)
        for (const { uuid } of rest) log.doubtful.add(uuid)
        const text = bodyOf(rest, entries.length > 1)
        if (load?.text !== text) load = parts.load(text)
        const answer = yield* sent(load, token)
        if (answer.status === 200 || answer.status === 201) return stored(last)
        if (answer.status === 401) return yield* refused(answer, token)
        if (answer.status === 409) {
          const head = answer.headers[X_LAST_UUID_HEADER]
          if (head === last) return yield* recovered(last)
          return yield* isUuid(head) ? overtaken(head, token) : consult(answer, token)
        }
        adoptedBefore = false
        if (answer.status === 412 && load.inParts) {
          // A hub that was started anew in between does not have the upload any more.
          return yield* new AttemptFailed({ cause: Call.failed(answer), immediately: true })
        }
        inDoubt ||= answer.status >= 500 || answer.status === 408
        yield* Diagnostics.record("session_persist_fail_status", { ...annotate, status: answer.status })
        return yield* new AttemptFailed({
          cause: Call.failed(answer),
          retryAfterMillis: answer.retryAfterMillis
        })
      })

      return attempt.pipe(
        Effect.retry({
          schedule: Backoff.append,
          while: (error) => error._tag === "AttemptFailed" && error.final !== true
        }),
        Effect.catchTag("AttemptFailed", ({ cause }) =>
          Effect.zipRight(
            Diagnostics.record("session_persist_error_retries_exhausted", annotate),
            new RetriesExhausted({ sessionId, attempts, lastCause: cause })
          )
        )
      )
    }

    /** Joins the session's line before anything else happens: the order of calls is the order of entries. */
    const inLine = (sessionId: SessionId, entries: ReadonlyArray<ChainEntry>, last: EventUuid, url: string) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.suspend(() => {
          const log = logs.of(sessionId)
          const storing = Effect.suspend(() => store(log, sessionId, entries, last, url))
          return log.line.serve(log.line.enter(), restore, storing)
        })
      )

    const append = (sessionId: SessionId, entry: ChainEntry, url: string) =>
      inLine(sessionId, [entry], entry.uuid, url).pipe(
        Effect.withSpan("Ingress.append", {
          attributes: { "session.id": sessionId, "entry.uuid": entry.uuid }
        })
      )

    const appendBatch = (sessionId: SessionId, entries: ReadonlyArray<ChainEntry>, url: string) =>
      Effect.suspend(() => {
        const last = entries.at(-1)
        return last === undefined ? Effect.void : inLine(sessionId, entries, last.uuid, url)
      }).pipe(
        Effect.withSpan("Ingress.appendBatch", {
          attributes: { "session.id": sessionId, "entries.count": entries.length }
        })
      )

    return Ingress.of({
      append,
      appendBatch,
      fetch,
      fetchWithAccessToken,
      clear: (sessionId) => Effect.sync(() => logs.clear(sessionId)),
      clearAll: Effect.sync(() => logs.clearAll()),
      known: Effect.sync(() => logs.size())
    })
  })

export const layer = (
  options?: Options
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
  options?: Options
): Layer.Layer<Ingress, ConfigError.ConfigError, HttpClient.HttpClient | Credentials | ClientConfig> =>
  Layer.effect(
    Ingress,
    Effect.flatMap(config, (afterLastCompact) => make({ ...options, afterLastCompact }))
  )
