/** What the page asks of the hub about sessions, environments and the hub itself. Source: spec 2 §2, "Methods of our own". */
import { amount, array, type JsonObject, name, object, string } from "@causeway/transcript/Read"
import * as Usage from "@causeway/transcript/Usage"
import * as Gateway from "./Gateway.ts"

export type Result<A> = Gateway.Result<A>

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
  /** Whether it asked for a git worktree of its own. */
  readonly worktree: boolean
}

export interface Environment {
  readonly id: string
  readonly name: string
  readonly machineName: string
  readonly directory: string
  readonly branch: string | null
  readonly online: boolean
  readonly lastSeenAt: string | null
  readonly offers: Offers
}

/** What a new session may ask for there. */
export interface Offers {
  /** Agents by name; the first is the one that a session gets which names none. */
  readonly agents: ReadonlyArray<string>
  /** Whether a session can have a git worktree of its own. */
  readonly worktrees: boolean
  /** Whether sessions are taken beside the machine's own. */
  readonly sessions: boolean
  /** No agent is installed there: a scripted one answers in its place. */
  readonly standIn: boolean
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
      turns: amount(json["num_turns"]) ?? 0,
      worktree: Boolean(object(json["session_context"])["worktree"])
    }
  ]
}

/** Milliseconds since the epoch in ISO 8601. */
const time = (value: unknown): string | null => {
  const millis = amount(value)
  return millis === null || millis > 8.64e15 ? null : new Date(millis).toISOString()
}

const offers = (value: unknown): Offers => {
  const { agents, worktrees, sessions, standIn } = object(value)
  return {
    agents: array(agents).flatMap((agent) => name(agent) ?? []),
    worktrees: worktrees === true,
    sessions: sessions !== false,
    standIn: standIn === true
  }
}

const environment = (value: unknown): ReadonlyArray<Environment> => {
  const json = object(value)
  const id = name(json["id"])
  if (id === null) return []
  return [
    {
      id,
      name: string(json["name"]) ?? id,
      machineName: string(json["machineName"]) ?? "",
      directory: string(json["directory"]) ?? "",
      branch: string(json["branch"]),
      online: json["online"] === true,
      lastSeenAt: time(json["lastSeenAt"]),
      offers: offers(json["offers"])
    }
  ]
}

/** What a new session is begun with; null leaves the choice to the host. */
export interface Beginning {
  readonly environmentId: string
  readonly title: string | null
  readonly model: string | null
  readonly permissionMode: string | null
  /** Name of the agent's driver. */
  readonly agent: string | null
  /** Whether it gets a working copy of its own; left out, the host decides. */
  readonly worktree?: boolean
}

/** One figure of the hub's own. Source: docs/gateway.md, `hub.metrics`. */
export interface Metric {
  readonly name: string
  readonly labels: { readonly [name: string]: string }
  readonly value: number
}

/** An access token as it is told of: never its secret. Times in milliseconds since the epoch. */
export interface Token {
  readonly id: string
  readonly name: string
  readonly createdAt: number
  readonly expiresAt: number | null
  readonly lastUsedAt: number | null
}

const metric = (value: unknown): ReadonlyArray<Metric> => {
  const json = object(value)
  const called = name(json["name"])
  const figure = json["value"]
  if (called === null || typeof figure !== "number") return []
  const labels = Object.fromEntries(
    Object.entries(object(json["labels"])).map(([label, text]) => [label, String(text)])
  )
  return [{ name: called, labels, value: figure }]
}

const token = (value: unknown): ReadonlyArray<Token> => {
  const json = object(value)
  const id = name(json["id"])
  if (id === null) return []
  return [
    {
      id,
      name: string(json["name"]) ?? id,
      createdAt: amount(json["createdAtMs"]) ?? 0,
      expiresAt: amount(json["expiresAtMs"]),
      lastUsedAt: amount(json["lastUsedAtMs"])
    }
  ]
}

/** All sessions that wait for a person, whatever the page has loaded: the first of them, and how many there are. */
export interface Waiting {
  readonly total: number
  readonly sessions: ReadonlyArray<Session>
}

/** Figures over all sessions of the hub. */
export interface Totals {
  /** Sessions that are not archived, by status. */
  readonly open: ReadonlyMap<string, number>
  readonly archived: number
  readonly costUsd: number
  readonly turns: number
  readonly byCost: ReadonlyArray<Session>
  readonly byContext: ReadonlyArray<Session>
}

const totals = (json: JsonObject): Totals | undefined => {
  const costUsd = amount(json["costUsd"])
  return costUsd === null
    ? undefined
    : {
        open: new Map(
          Object.entries(object(json["open"])).map(([status, count]) => [status, amount(count) ?? 0])
        ),
        archived: amount(json["archived"]) ?? 0,
        costUsd,
        turns: amount(json["turns"]) ?? 0,
        byCost: array(json["byCost"]).flatMap(session),
        byContext: array(json["byContext"]).flatMap(session)
      }
}

/** What is looked for: a part of a title, or sessions by name. */
export type Wanted =
  | { readonly query: string; readonly archived: boolean }
  | { readonly sessionIds: ReadonlyArray<string> }

export interface Hub {
  /** Files of its directory, as far as its machine told them. */
  readonly files: (environmentId: string) => Promise<Result<ReadonlyArray<string>>>
  readonly waiting: () => Promise<Result<Waiting>>
  readonly totals: () => Promise<Result<Totals>>
  readonly find: (wanted: Wanted) => Promise<Result<ReadonlyArray<Session>>>
  readonly sessions: (cursor: string | null, archived: boolean) => Promise<Result<Page<Session>>>
  readonly session: (id: string) => Promise<Result<Session>>
  readonly environments: () => Promise<Result<ReadonlyArray<Environment>>>
  readonly createSession: (beginning: Beginning) => Promise<Result<Session>>
  readonly rename: (id: string, title: string) => Promise<Result<Session>>
  readonly archive: (id: string) => Promise<Result<Session>>
  /** Appends payloads; answers what they wait for, where no worker is there to take them. */
  readonly send: (id: string, payloads: ReadonlyArray<JsonObject>) => Promise<Result<string | null>>
  readonly metrics: () => Promise<Result<ReadonlyArray<Metric>>>
  readonly tokens: () => Promise<Result<ReadonlyArray<Token>>>
}

/** Calls a method and reads its answer; an answer without what was asked for is a failure. */
export const calling =
  (call: Gateway.Gateway["call"]) =>
  async <A>(
    method: string,
    params: JsonObject,
    read: (json: JsonObject) => A | undefined
  ): Promise<Result<A>> => {
    const result = await call(method, params)
    if (!result.ok) return result
    const value = read(result.value)
    return value === undefined ? Gateway.unreachable("the hub's answer cannot be read") : { ok: true, value }
  }

/** A session's id as the gateway's own methods spell it, and as the page's addresses do. */
export const toSessionId = (id: string): string =>
  /^(session|cse)_/.test(id)
    ? id
    : `session_${/^[0-9a-f-]{36}$/i.test(id) ? id.replaceAll("-", "").toLowerCase() : id}`

/** A session's id as the gateway's published methods show and look for it. */
export const fromSessionId = (id: string): string => {
  const body = id.replace(/^(session|cse)_/, "")
  return /^[0-9a-f]{32}$/.test(body) ? body.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-") : body
}

export const make = (gateway: Pick<Gateway.Gateway, "call">): Hub => {
  const call = calling(gateway.call)
  const one = (json: JsonObject): Session | undefined => session(json["session"])[0]
  return {
    waiting: () =>
      call("causeway.sessions.waiting", {}, (json) => {
        const total = amount(json["total"])
        return total === null ? undefined : { total, sessions: array(json["data"]).flatMap(session) }
      }),
    totals: () => call("causeway.totals", {}, totals),
    find: (wanted) =>
      call("causeway.sessions.find", { ...wanted }, (json) => array(json["data"]).flatMap(session)),
    sessions: (cursor, archived) =>
      call(
        "sessions.page",
        { limit: 100, archived: String(archived), ...(cursor === null ? {} : { cursor }) },
        (json) => ({
          data: array(json["data"]).flatMap(session),
          nextCursor: name(json["next_cursor"], 4096)
        })
      ),
    session: (id) => call("sessions.show", { sessionId: id }, one),
    environments: () =>
      call("environments.list", {}, (json) => array(json["environments"]).flatMap(environment)),
    files: (environmentId) =>
      call("causeway.environments.files", { environmentId }, (json) =>
        array(json["files"]).flatMap((file) => (typeof file === "string" ? [file] : []))
      ),
    createSession: ({ environmentId, title, model, permissionMode, agent, ...rest }) =>
      call(
        "sessions.begin",
        {
          environmentId,
          ...(title === null ? {} : { title }),
          ...(permissionMode === null ? {} : { permissionMode }),
          context: {
            ...(model === null ? {} : { model }),
            ...(agent === null ? {} : { agent }),
            ...(rest.worktree === undefined ? {} : { worktree: rest.worktree })
          }
        },
        one
      ),
    rename: (id, title) => call("sessions.rename", { sessionId: id, title }, one),
    archive: (id) => call("sessions.archive", { sessionId: id }, one),
    send: (id, payloads) =>
      call("sessions.append", { sessionId: id, events: payloads }, (json) => string(json["waiting_for"])),
    metrics: () => call("hub.metrics", {}, (json) => array(json["metrics"]).flatMap(metric)),
    tokens: () => call("tokens.list", {}, (json) => array(json["tokens"]).flatMap(token))
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
