/** Calls to the hub that served this page. */
import { SESSIONS_BETA } from "@causeway/protocol/Headers"
import { array, type JsonObject, name, object, string } from "@causeway/transcript/Read"

/** What a call brought. `status` 0: no answer came. */
export type Result<A> =
  | { readonly ok: true; readonly value: A }
  | { readonly ok: false; readonly status: number; readonly message: string }

/** A session as the list shows it. */
export interface Session {
  readonly id: string
  readonly title: string | null
  readonly status: string
  readonly environmentId: string | null
  readonly lastMessage: string | null
  readonly updatedAt: string
  readonly archived: boolean
  readonly connected: boolean
  readonly pendingApprovals: number
  readonly waitingFor: string | null
}

export interface Environment {
  readonly id: string
  readonly name: string
  readonly machineName: string
  readonly directory: string
  readonly online: boolean
}

export interface Page<A> {
  readonly data: ReadonlyArray<A>
  readonly nextCursor: string | null
}

const session = (value: unknown): ReadonlyArray<Session> => {
  const json = object(value)
  const id = name(json["id"])
  if (id === null) return []
  return [
    {
      id,
      title: string(json["title"]),
      status: string(json["status"]) ?? "idle",
      environmentId: string(json["environment_id"]),
      lastMessage: string(json["last_message"]),
      updatedAt: string(json["updated_at"]) ?? "",
      archived: typeof json["archived_at"] === "string",
      connected: json["connection_status"] === "connected",
      pendingApprovals: array(json["pending_approvals"]).length,
      waitingFor: string(json["waiting_for"])
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
      online: json["online"] === true
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

export interface Api {
  readonly sessions: (cursor: string | null) => Promise<Result<Page<Session>>>
  readonly session: (id: string) => Promise<Result<Session>>
  readonly environments: () => Promise<Result<Page<Environment>>>
  readonly createSession: (environmentId: string) => Promise<Result<Session>>
  /** Appends payloads; answers what they wait for, where no worker is there to take them. */
  readonly send: (id: string, payloads: ReadonlyArray<JsonObject>) => Promise<Result<string | null>>
}

/** `onUnauthenticated` is called whenever the hub refuses the token. */
export const make = (token: string, onUnauthenticated: () => void): Api => {
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
        `/v1/sessions?limit=50${cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`}`,
        page(session)
      ),
    session: async (id) => needed(await call("GET", `/v1/sessions/${encodeURIComponent(id)}`, one)),
    environments: () => call("GET", "/v1/environments?limit=200", page(environment)),
    createSession: async (environmentId) =>
      needed(
        await call("POST", "/v1/sessions", one, {
          events: [],
          session_context: {},
          environment_id: environmentId,
          source: "remote-control"
        })
      ),
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
