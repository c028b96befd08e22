/**
 * Calls to the hub that served this page, over HTTP: sessions, environments, and appending to a log. What the hub tells of
 * its own accord comes by the event stream (`Watcher`) and the gateway (`Gateway`).
 */
import { SESSIONS_BETA } from "@causeway/protocol/Headers"
import { amount, array, type JsonObject, name, object, string } from "@causeway/transcript/Read"
import * as Usage from "@causeway/transcript/Usage"
import type { Frame } from "./Frame.ts"
import * as FrameReader from "./Frame.ts"
import * as Sse from "./Sse.ts"

/** Longest reading of a part of a log. */
const READ_MILLIS = 60_000

/** What a call brought. `status` 0: no answer came. */
export type Result<A> =
  | { readonly ok: true; readonly value: A }
  | { readonly ok: false; readonly status: number; readonly message: string }

/** An approval as the list of sessions tells it; `input` may be cut, the log has it whole at `seq`. */
export interface Pending {
  readonly toolUseId: string
  readonly requestId: string
  readonly toolName: string
  readonly input: unknown
  readonly seq: number
  readonly createdAt: string
}

/** A session as the list shows it. Cost in US dollars, times in ISO 8601. */
export interface Session {
  readonly id: string
  readonly title: string | null
  readonly status: string
  readonly environmentId: string | null
  readonly lastMessage: string | null
  readonly createdAt: string
  readonly updatedAt: string
  readonly archived: boolean
  readonly connected: boolean
  readonly approvals: ReadonlyArray<Pending>
  readonly waitingFor: string | null
  readonly lastSeq: number
  readonly model: string | null
  readonly permissionMode: string | null
  /** Tokens in the context. */
  readonly contextTokens: number | null
  readonly costUsd: number | null
  readonly turns: number
}

export interface Environment {
  readonly id: string
  readonly name: string
  readonly machineName: string
  readonly directory: string
  readonly branch: string | null
  readonly online: boolean
  readonly lastSeenAt: string | null
}

export interface Page<A> {
  readonly data: ReadonlyArray<A>
  readonly nextCursor: string | null
}

const pending = (value: unknown): ReadonlyArray<Pending> => {
  const json = object(value)
  const requestId = name(json["request_id"])
  if (requestId === null) return []
  return [
    {
      requestId,
      toolUseId: name(json["tool_use_id"]) ?? requestId,
      toolName: string(json["tool_name"]) ?? "unknown",
      input: json["input"],
      seq: amount(json["sequence_num"]) ?? 0,
      createdAt: string(json["created_at"]) ?? ""
    }
  ]
}

const session = (value: unknown): ReadonlyArray<Session> => {
  const json = object(value)
  const id = name(json["id"])
  if (id === null) return []
  const usage = Usage.read(json["usage"])
  return [
    {
      id,
      title: string(json["title"]),
      status: string(json["status"]) ?? "idle",
      environmentId: string(json["environment_id"]),
      lastMessage: string(json["last_message"]),
      createdAt: string(json["created_at"]) ?? "",
      updatedAt: string(json["updated_at"]) ?? "",
      archived: typeof json["archived_at"] === "string",
      connected: json["connection_status"] === "connected",
      approvals: array(json["pending_approvals"]).flatMap(pending),
      waitingFor: string(json["waiting_for"]),
      lastSeq: amount(json["last_sequence_num"]) ?? 0,
      model: string(json["model"]),
      permissionMode: string(json["permission_mode"]),
      contextTokens: usage === null ? null : Usage.contextTokens(usage),
      costUsd: amount(json["total_cost_usd"]),
      turns: amount(json["num_turns"]) ?? 0
    }
  ]
}

const environment = (value: unknown): ReadonlyArray<Environment> => {
  const json = object(value)
  const id = name(json["id"])
  if (id === null) return []
  return [
    {
      id,
      name: string(json["name"]) ?? id,
      machineName: string(json["machine_name"]) ?? "",
      directory: string(json["directory"]) ?? "",
      branch: string(json["branch"]),
      online: json["online"] === true,
      lastSeenAt: string(json["last_seen_at"])
    }
  ]
}

const page =
  <A>(read: (value: unknown) => ReadonlyArray<A>) =>
  (json: JsonObject): Page<A> => ({
    data: array(json["data"]).flatMap(read),
    nextCursor: name(json["next_cursor"], 4096)
  })

/** The hub's words about a refusal. */
const refusal = (status: number, json: JsonObject): string =>
  string(object(json["error"])["message"]) ?? string(json["message"]) ?? `the hub answered ${status}`

/** What a new session is begun with; null leaves the choice to the host. */
export interface Beginning {
  readonly environmentId: string
  readonly title: string | null
  readonly model: string | null
  readonly permissionMode: string | null
  /** Name of the agent's driver. */
  readonly agent: string | null
}

export interface Hub {
  readonly sessions: (cursor: string | null) => Promise<Result<Page<Session>>>
  readonly session: (id: string) => Promise<Result<Session>>
  readonly environments: () => Promise<Result<Page<Environment>>>
  readonly createSession: (beginning: Beginning) => Promise<Result<Session>>
  readonly rename: (id: string, title: string) => Promise<Result<Session>>
  readonly archive: (id: string) => Promise<Result<Session>>
  /**
   * Reads a session's log from the event after `after` up to event `until`, or as far as it goes: in log order, with what
   * travels beside it.
   */
  readonly events: (id: string, after: number, until: number) => Promise<Result<ReadonlyArray<Frame>>>
  /** Appends payloads; answers what they wait for, where no worker is there to take them. */
  readonly send: (id: string, payloads: ReadonlyArray<JsonObject>) => Promise<Result<string | null>>
}

/** `onUnauthenticated` is called whenever the hub refuses the token. */
export const make = (token: string, onUnauthenticated: () => void): Hub => {
  const call = async <A>(
    method: string,
    path: string,
    read: (json: JsonObject) => A,
    body?: unknown
  ): Promise<Result<A>> => {
    let response: Response
    let text: string
    try {
      response = await fetch(path, {
        method,
        cache: "no-store",
        signal: AbortSignal.timeout(30_000),
        headers: {
          authorization: `Bearer ${token}`,
          "anthropic-beta": SESSIONS_BETA,
          ...(body === undefined ? {} : { "content-type": "application/json" })
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) })
      })
      text = await response.text()
    } catch {
      return { ok: false, status: 0, message: "the hub cannot be reached" }
    }
    let json: JsonObject = {}
    try {
      json = object(JSON.parse(text))
    } catch {
      if (response.ok) return { ok: false, status: 0, message: "the hub's answer cannot be read" }
    }
    if (response.status === 401) onUnauthenticated()
    return response.ok
      ? { ok: true, value: read(json) }
      : { ok: false, status: response.status, message: refusal(response.status, json) }
  }

  const one = (json: JsonObject): Session | undefined => session(json)[0]
  const needed = (result: Result<Session | undefined>): Result<Session> =>
    !result.ok
      ? result
      : result.value === undefined
        ? { ok: false, status: 0, message: "the hub's answer cannot be read" }
        : { ok: true, value: result.value }

  return {
    sessions: (cursor) =>
      call(
        "GET",
        `/v1/sessions?limit=100${cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`}`,
        page(session)
      ),
    session: async (id) => needed(await call("GET", `/v1/sessions/${encodeURIComponent(id)}`, one)),
    environments: () => call("GET", "/v1/environments?limit=200", page(environment)),
    createSession: async ({ environmentId, title, model, permissionMode, agent }) =>
      needed(
        await call("POST", "/v1/sessions", one, {
          ...(title === null ? {} : { title }),
          events: [],
          session_context: {
            ...(model === null ? {} : { model }),
            ...(agent === null ? {} : { agent })
          },
          environment_id: environmentId,
          ...(permissionMode === null ? {} : { permission_mode: permissionMode }),
          source: "remote-control"
        })
      ),
    rename: async (id, title) =>
      needed(await call("PATCH", `/v1/sessions/${encodeURIComponent(id)}`, one, { title })),
    archive: async (id) =>
      needed(await call("POST", `/v1/sessions/${encodeURIComponent(id)}/archive`, one, {})),
    events: async (id, after, until) => {
      const abort = new AbortController()
      const give = setTimeout(() => abort.abort(), READ_MILLIS)
      try {
        const response = await fetch(`/v1/code/sessions/${encodeURIComponent(id)}/events/stream`, {
          cache: "no-store",
          signal: abort.signal,
          headers: {
            accept: "text/event-stream",
            authorization: `Bearer ${token}`,
            "last-event-id": String(after)
          }
        })
        if (response.status === 401) onUnauthenticated()
        if (!response.ok || response.body === null) {
          return { ok: false, status: response.status, message: `the hub answered ${response.status}` }
        }
        const reader = response.body.getReader()
        const decoder = new TextDecoder()
        const parse = Sse.parser()
        const frames: Array<Frame> = []
        for (;;) {
          const { done, value } = await reader.read()
          if (done) return { ok: true, value: frames }
          for (const message of parse(decoder.decode(value, { stream: true }))) {
            const frame = FrameReader.read(message)
            if (frame === undefined || frame._tag === "Ephemeral") continue
            if (frame._tag === "Event" && frame.event.seq > until) return { ok: true, value: frames }
            frames.push(frame)
            if (frame._tag === "Event" && frame.event.seq === until) return { ok: true, value: frames }
          }
        }
      } catch {
        return { ok: false, status: 0, message: "the hub cannot be reached" }
      } finally {
        clearTimeout(give)
        abort.abort()
      }
    },
    send: (id, payloads) =>
      call("POST", `/v1/sessions/${encodeURIComponent(id)}/events`, (json) => string(json["waiting_for"]), {
        events: payloads.map((data) => ({ type: "event", data }))
      })
  }
}

/** A version 4 uuid; `randomUUID` is only there on https and on this machine's own addresses. */
export const uuid = (): string => {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID()
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  const hex = [...bytes].map((byte, i) =>
    (i === 6 ? (byte & 0x0f) | 0x40 : i === 8 ? (byte & 0x3f) | 0x80 : byte).toString(16).padStart(2, "0")
  )
  return [hex.slice(0, 4), hex.slice(4, 6), hex.slice(6, 8), hex.slice(8, 10), hex.slice(10)]
    .map((part) => part.join(""))
    .join("-")
}
