/** Messages of a session: whole, in short, or cut for a chat. Source: spec 2 §2 (get, preview) and §6 (`chat.history`). */
import * as Params from "@causeway/protocol/Gateway/Params"
import { sessionUuid } from "@causeway/protocol/Ids"
import * as Limits from "@causeway/protocol/Limits"
import { Log, type Page, type StoredEvent } from "@causeway/store/Log"
import { type Session, Sessions } from "@causeway/store/Session"
import { type JsonObject, object, string } from "@causeway/transcript/Read"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { currentConfig } from "../Config.ts"
import * as Keys from "../Keys.ts"
import { type Message, PREVIEW_CHARS_MAX, PREVIEW_ITEMS_MAX, previewItem, toMessage } from "../Messages.ts"
import { answer, method, requireKey } from "../Method.ts"
import * as Rows from "../Rows.ts"
import * as SessionCommands from "../SessionCommands.ts"

/** Keys of one preview; more are not answered. */
const PREVIEW_KEYS_MAX = 64
const PREVIEW_LIMIT = 12
const PREVIEW_CHARS = 240
/** Messages of one `sessions.get` where no limit is given, and at most. */
const GET_LIMIT = 200
const GET_LIMIT_MAX = 10_000

/** Largest message of `chat.history`, and all of them together, in bytes of JSON. */
const HISTORY_MESSAGE_BYTES = 128 * 1024
const HISTORY_TOTAL_BYTES = 6 * 1024 * 1024
const HISTORY_LIMIT = 200
const HISTORY_CHARS = 8000

/** Events that are read at a time, from the end of a log backwards. */
const READ = 500

const PLACEHOLDER = "[message left out: too large]"

/** Texts cut to `maxChars`; a message that is still too large is replaced. */
const forHistory = (message: Message, maxChars: number): Message => {
  const content = Array.isArray(message.content)
    ? message.content.map((block: unknown) => {
        if (typeof block !== "object" || block === null || !("text" in block)) return block
        const { text } = block
        return typeof text === "string" && text.length > maxChars
          ? { ...block, text: `${text.slice(0, maxChars)}\n...(truncated)...` }
          : block
      })
    : message.content
  const shown = { ...message, content }
  return Buffer.byteLength(JSON.stringify(shown)) > HISTORY_MESSAGE_BYTES
    ? { ...message, content: [{ type: "text", text: PLACEHOLDER }] }
    : shown
}

/**
 * The last visible events of a log as `make` shows them, oldest first: at most `limit`, and no further one once these have
 * so many bytes of JSON. Read backwards a page at a time, so that no more than one page is held beside them.
 */
const newest = <A>(sid: number, limit: number, bytes: number, make: (event: StoredEvent, seq: number) => A) =>
  Effect.gen(function* () {
    const log = yield* Log
    const shown: Array<A> = []
    let seq = yield* log.count(sid, { select: "visible" })
    let size = 0
    for (let through: number | undefined = Number.MAX_SAFE_INTEGER; through !== undefined; ) {
      const { events, more }: Page = yield* log.pageOf(sid, {
        select: "visible",
        last: Math.min(READ, limit - shown.length),
        through
      })
      for (const event of events.toReversed()) {
        const one = make(event, seq)
        seq -= 1
        size += Buffer.byteLength(JSON.stringify(one))
        if (size > bytes && shown.length > 0) return { shown: shown.reverse(), truncated: true }
        shown.push(one)
      }
      through = more && shown.length < limit ? (events[0]?.seq ?? 1) - 1 : undefined
    }
    return { shown: shown.reverse(), truncated: false }
  })

const get = method("sessions.get", Params.Anything, function* (given, { organizationId }) {
  const params = object(given)
  const key = yield* requireKey(params["key"] ?? params["sessionKey"])
  const wanted = params["limit"]
  const limit =
    typeof wanted === "number" && Number.isFinite(wanted)
      ? Math.min(GET_LIMIT_MAX, Math.max(1, Math.floor(wanted)))
      : GET_LIMIT
  const record = yield* SessionCommands.find(organizationId, key)
  if (record === undefined) return answer({ messages: [] })
  const { shown, truncated } = yield* newest(record.sid, limit, Limits.PAGE_BYTES, toMessage)
  return answer({ messages: shown, ...(truncated ? { truncated } : {}) })
})

const previewOf = (record: Session | undefined, limit: number, maxChars: number) =>
  Effect.gen(function* () {
    const log = yield* Log
    if (record === undefined) return { status: "missing", items: [] }
    // Some events have nothing to show. No more than a page is read for what is but a few lines.
    const { events } = yield* log.pageOf(record.sid, { select: "visible", last: limit * 4 })
    const items = events
      .flatMap((event, at) => previewItem(toMessage(event, at), maxChars) ?? [])
      .slice(-limit)
    return { status: items.length === 0 ? "empty" : "ok", items }
  })

const preview = method("sessions.preview", Params.SessionsPreview, function* (params, { organizationId }) {
  const sessions = yield* Sessions
  const config = yield* currentConfig
  const ts = yield* Clock.currentTimeMillis
  const keys = params.keys
    .map((key) => key.trim())
    .filter((key) => key !== "")
    .slice(0, PREVIEW_KEYS_MAX)
  const limit = Math.min(params.limit ?? PREVIEW_LIMIT, PREVIEW_ITEMS_MAX)
  const maxChars = Math.min(params.maxChars ?? PREVIEW_CHARS, PREVIEW_CHARS_MAX)
  const records = yield* sessions.list({
    organizationId,
    keys: [...new Set(keys.map((key) => Keys.canonical(key, config)))]
  })
  const byKey = new Map(records.map((record) => [record.key, record]))
  const previews = yield* Effect.forEach(new Set(keys), (key) =>
    Effect.map(
      // One key that fails does not fail the others.
      Effect.catchAll(previewOf(byKey.get(Keys.canonical(key, config)), limit, maxChars), () =>
        Effect.succeed({ status: "error", items: [] })
      ),
      (found) => ({ key, ...found })
    )
  )
  return answer({ ts, previews })
})

const chatHistory = method("chat.history", Params.ChatHistory, function* (params, { organizationId }) {
  const record = yield* SessionCommands.find(organizationId, params.sessionKey)
  const config = yield* currentConfig
  const base = (entry: JsonObject) =>
    Rows.compact({
      thinkingLevel:
        string(entry["thinkingLevel"]) ??
        config.agents.find((agent) => agent.id === record?.agentId)?.thinkingDefault ??
        "off",
      fastMode: entry["fastMode"],
      verboseLevel: entry["verboseLevel"]
    })
  if (record === undefined) {
    return answer({ sessionKey: params.sessionKey, messages: [], ...base({}) })
  }
  const maxChars = params.maxChars ?? HISTORY_CHARS
  const { shown } = yield* newest(
    record.sid,
    params.limit ?? HISTORY_LIMIT,
    HISTORY_TOTAL_BYTES,
    (event, seq) => forHistory(toMessage(event, seq), maxChars)
  )
  return answer({
    sessionKey: params.sessionKey,
    sessionId: sessionUuid(record.session),
    messages: shown,
    ...base(record.entry)
  })
})

export const methods = [get, preview, chatHistory]
