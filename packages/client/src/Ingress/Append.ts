/**
 * One append to the ingress log: attempts until the entries are stored, each with a proof of the log's head. Source: spec 1 §3.
 *
 * In doubt the same is sent again with the same head: a success, or a conflict that names the last entry, says that it is
 * stored. A batch is stored whole, so its last entry speaks for all.
 */
import { LAST_UUID_HEADER, UPLOAD_HEADER, X_LAST_UUID_HEADER } from "@causeway/protocol/Headers"
import { EventUuid, type SessionId } from "@causeway/protocol/Ids"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Backoff from "../Backoff.ts"
import {
  ConcurrentModification,
  HeadMoved,
  type HubUnreachable,
  type IngressTokenMissing,
  IngressTokenRejected,
  isTransient,
  RetriesExhausted
} from "../ClientError.ts"
import * as Diagnostics from "../Diagnostics.ts"
import type { ChainEntry, Entry } from "../Entry.ts"
import * as Answer from "../internal/Answer.ts"
import * as Heads from "../internal/Heads.ts"
import type * as Parts from "../internal/Parts.ts"
import * as Request from "../internal/Request.ts"
import { askOf, read } from "./Read.ts"
import { headOf, type State } from "./State.ts"

export type AppendError =
  | IngressTokenMissing
  | IngressTokenRejected
  | ConcurrentModification
  | RetriesExhausted

/** An attempt that did not store the entry, or may not have; another may. */
class AttemptFailed extends Data.TaggedError("AttemptFailed")<{
  readonly cause: RetriesExhausted["lastCause"]
  readonly retryAfterMillis?: number | undefined
  readonly immediately?: boolean
  /** Another attempt would be refused as well. */
  readonly final?: boolean
}> {}

/** An append on its way, over several attempts. */
interface Append {
  readonly state: State
  readonly log: Heads.Log
  readonly sessionId: SessionId
  readonly entries: ReadonlyArray<ChainEntry>
  readonly last: EventUuid
  readonly url: string
  /** Entries that are still to be stored: fewer than `entries` where a part of them was sent before as another batch. */
  rest: ReadonlyArray<ChainEntry>
  refreshed: boolean
  adoptedBefore: boolean
  /** An earlier attempt, of this append or of one that was interrupted, may have stored what this one sends. */
  inDoubt: boolean
  load: Parts.Load | undefined
  attempts: number
}

const isUuid = Schema.is(EventUuid)

/** One entry as it is; those of a batch as a list. */
const bodyOf = (entries: ReadonlyArray<ChainEntry>, batch: boolean): string =>
  batch ? `[${entries.map(({ text }) => text).join(",")}]` : (entries[0]?.text ?? "")

const record = (
  { sessionId }: Append,
  name: Diagnostics.Name,
  more: Parameters<typeof Diagnostics.record>[1] = {},
  level?: Parameters<typeof Diagnostics.record>[2]
) => Diagnostics.record(name, { session_id: sessionId, ...more }, level)

// --- What answers mean ---

/** 401: once more with a new token, where there is one. */
const refused = (append: Append, answer: Answer.Answer, rejected: Redacted.Redacted) =>
  Effect.gen(function* () {
    const { sessionId, state } = append
    const next = append.refreshed
      ? Option.none()
      : yield* Effect.mapError(
          state.caller.credentials.refreshIngressToken(sessionId, rejected),
          (cause) => new AttemptFailed({ cause })
        )
    if (Option.isNone(next)) {
      yield* record(append, "session_persist_fail_bad_token")
      return yield* new IngressTokenRejected({ sessionId, ...Answer.detailOf(answer) })
    }
    append.refreshed = true
    return yield* new AttemptFailed({ cause: Answer.failed(answer), immediately: true })
  })

/** Another writer was here: believe in its head and try again, at once unless that happened just before too. */
const adopt = (append: Append, head: EventUuid) =>
  Effect.gen(function* () {
    const immediately = !append.adoptedBefore
    append.adoptedBefore = true
    Heads.learn(append.log, head)
    append.rest = append.rest.slice(append.rest.findIndex(({ uuid }) => uuid === head) + 1)
    yield* record(append, "session_persist_409_adopt_server_uuid", {}, "info")
    return yield* new AttemptFailed({ cause: new HeadMoved({ head }), immediately })
  })

const stored = ({ entries, log }: Append, head: EventUuid) => {
  Heads.learn(log, head)
  for (const { uuid } of entries) log.doubtful.delete(uuid)
}

const recovered = (append: Append, head: EventUuid) =>
  Effect.suspend(() => {
    stored(append, head)
    return record(append, "session_persist_recovered_from_409", {}, "info")
  })

const readLog = (append: Append, bearer: Redacted.Redacted) =>
  Effect.gen(function* () {
    const answer = yield* Effect.mapError(
      Request.send(append.state.caller, askOf("Ingress.append", append.url), bearer),
      (cause) => new AttemptFailed({ cause })
    )
    if (answer.status === 401) return yield* refused(append, answer, bearer)
    return yield* Effect.mapError(read(answer, append.sessionId), (cause) =>
      cause._tag === "SessionExpired"
        ? new AttemptFailed({ cause: Answer.failed(answer) })
        : new AttemptFailed({ cause, retryAfterMillis: answer.retryAfterMillis })
    )
  })

/** Looks for what is to be stored in the log, and drops from it what is there. */
const isStored = (append: Append, log: ReadonlyArray<Entry>): boolean => {
  const uuids = new Set(log.map(({ uuid }) => uuid))
  append.rest = append.rest.filter(({ uuid }) => !uuids.has(uuid))
  return uuids.has(append.last)
}

/** A conflict that names no head: the log itself knows. */
const consult = (append: Append, conflict: Answer.Answer, bearer: Redacted.Redacted) =>
  Effect.gen(function* () {
    const entries = yield* readLog(append, bearer)
    const head = headOf(entries)
    if (head === undefined) {
      yield* record(append, "session_persist_409_no_head")
      return yield* new ConcurrentModification({
        sessionId: append.sessionId,
        detail: conflict.detail ?? "the log refused the entry and names no head"
      })
    }
    if (isStored(append, entries)) return yield* recovered(append, head)
    return yield* adopt(append, head)
  })

/**
 * A conflict that names another's entry. Where an earlier attempt of this append is in doubt, that entry may
 * stand behind ours: the log is looked at first, so that ours is not stored twice by a server that does not
 * know uuids apart. A log that cannot be read this way is believed to be one that does.
 */
const overtaken = (append: Append, head: EventUuid, bearer: Redacted.Redacted) =>
  Effect.gen(function* () {
    if (!append.inDoubt) return yield* adopt(append, head)
    const entries = yield* readLog(append, bearer).pipe(
      Effect.catchIf(
        (error) => error._tag === "AttemptFailed" && !isTransient(error.cause),
        () => Effect.succeed<ReadonlyArray<Entry>>([])
      )
    )
    if (isStored(append, entries)) return yield* recovered(append, headOf(entries) ?? head)
    append.inDoubt = false
    return yield* adopt(append, head)
  })

/** The hub gave no answer: what was sent may be stored, and may go another way next time. */
const unanswered = (append: Append, load: Parts.Load, cause: HubUnreachable) =>
  Effect.suspend(() => {
    append.inDoubt = true
    append.adoptedBefore = false
    const hope = append.state.parts.unanswered(load, cause)
    const { reason, status } = cause
    return Effect.zipRight(
      record(append, "session_persist_fail_transport", { reason, status, bytes: load.bytes }),
      new AttemptFailed({
        cause,
        immediately: hope === "another way",
        final: hope === "none",
        retryAfterMillis: cause.retryAfterMillis
      })
    )
  })

// --- Attempts ---

/** Sends what is to be stored, whole or in parts, and answers what the hub says of it. */
const sent = (append: Append, load: Parts.Load, token: Redacted.Redacted) =>
  Effect.gen(function* () {
    const { log, state, url } = append
    const timeout = state.attemptTimeout
    const uploaded = load.inParts ? yield* state.parts.upload(load, url, token, timeout) : undefined
    if (uploaded?._tag === "Refused") return uploaded.answer
    const head: Request.Headers = log.head === undefined ? {} : { [LAST_UUID_HEADER]: log.head }
    return yield* Request.send(
      state.caller,
      {
        operation: "Ingress.append",
        method: "PUT",
        url,
        timeout,
        ...(uploaded?._tag === "Uploaded"
          ? { headers: { ...head, [UPLOAD_HEADER]: uploaded.id } }
          : { headers: head, body: load.text })
      },
      token
    )
  }).pipe(
    Effect.catchTags({
      HubUnreachable: (cause) => unanswered(append, load, cause),
      InvalidResponse: (cause) => new AttemptFailed({ cause })
    })
  )

/** The load of an attempt, packed anew where less is left to store. */
const loadOf = (append: Append): Parts.Load => {
  const text = bodyOf(append.rest, append.entries.length > 1)
  const load = append.load?.text === text ? append.load : append.state.parts.load(text)
  append.load = load
  return load
}

const attempt = (append: Append) =>
  Effect.gen(function* () {
    const { last, log, rest, sessionId, state } = append
    append.attempts++
    const token = yield* state.caller.credentials.ingressToken(sessionId)
    for (const { uuid } of rest) log.doubtful.add(uuid)
    const load = loadOf(append)
    const answer = yield* sent(append, load, token)
    if (answer.status === 200 || answer.status === 201) return stored(append, last)
    if (answer.status === 401) return yield* refused(append, answer, token)
    if (answer.status === 409) {
      const head = answer.headers[X_LAST_UUID_HEADER]
      if (head === last) return yield* recovered(append, last)
      return yield* isUuid(head) ? overtaken(append, head, token) : consult(append, answer, token)
    }
    append.adoptedBefore = false
    if (answer.status === 412 && load.inParts) {
      // A hub that was started anew in between does not have the upload any more.
      return yield* new AttemptFailed({ cause: Answer.failed(answer), immediately: true })
    }
    append.inDoubt ||= answer.status >= 500 || answer.status === 408
    yield* record(append, "session_persist_fail_status", { status: answer.status })
    return yield* new AttemptFailed({
      cause: Answer.failed(answer),
      retryAfterMillis: answer.retryAfterMillis
    })
  })

/** Stores entries, the last of which is `last`. To be run while it is this append's turn in the log's line. */
export const store = (
  state: State,
  log: Heads.Log,
  sessionId: SessionId,
  entries: ReadonlyArray<ChainEntry>,
  last: EventUuid,
  url: string
): Effect.Effect<void, AppendError> =>
  Effect.suspend(() => {
    const append: Append = {
      state,
      log,
      sessionId,
      entries,
      last,
      url,
      rest: entries,
      refreshed: false,
      adoptedBefore: false,
      inDoubt: entries.some(({ uuid }) => log.doubtful.has(uuid)),
      load: undefined,
      attempts: 0
    }
    return attempt(append).pipe(
      Effect.retry({
        schedule: Backoff.append,
        while: (error) => error._tag === "AttemptFailed" && error.final !== true
      }),
      Effect.catchTag("AttemptFailed", ({ cause }) =>
        Effect.zipRight(
          record(append, "session_persist_error_retries_exhausted"),
          new RetriesExhausted({ sessionId, attempts: append.attempts, lastCause: cause })
        )
      )
    )
  })
