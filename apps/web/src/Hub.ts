/** Calls of the gateway about sessions, environments and the hub itself. Source: spec 2 §2, docs/gateway.md. */
import type * as Answers from "@causeway/protocol/Gateway/Answers"
import type { FileSnapshot, SettingsChange } from "@causeway/protocol/http/SessionManager"
import type { Session } from "@causeway/protocol/http/Sessions"
import { array, type JsonObject, name, object, string } from "@causeway/transcript/Read"
import * as Gateway from "./Gateway.ts"

export type Result<A> = Gateway.Result<A>

export interface Page<A> {
  readonly data: ReadonlyArray<A>
  readonly nextCursor: string | null
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

/** What a session is gone on from with; what is empty is inherited. */
export interface GoingOn {
  readonly message: string
  readonly title: string
  readonly model: string
  readonly permissionMode: string
  readonly appendSystemPrompt: string
}

/** Sessions that are looked for: by a part of their title, or by name. */
export type Wanted =
  | { readonly query: string; readonly archived: boolean }
  | { readonly sessionIds: ReadonlyArray<string> }

/** The members of an answer's list; the hub that serves this page answers in the shape of the protocol. */
export const list = <A>(value: unknown): ReadonlyArray<A> => array(value) as ReadonlyArray<A>

/** Calls a method and reads its answer; an answer without what was asked for is a failure. */
export const calling =
  (call: Gateway.Gateway["call"]) =>
  async <A>(
    method: string,
    params: JsonObject,
    read: (json: JsonObject) => A | null | undefined
  ): Promise<Result<A>> => {
    const result = await call(method, params)
    if (!result.ok) return result
    const value = read(result.value)
    return value === undefined || value === null
      ? Gateway.unreachable("the hub's answer cannot be read")
      : { ok: true, value }
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

/** Without the members that are null. */
const known = (json: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(json).filter(([, value]) => value !== null))

/** Without the members that are empty. */
const given = (json: { readonly [name: string]: string }): JsonObject =>
  Object.fromEntries(Object.entries(json).filter(([, value]) => value !== ""))

/** Lines of a transcript that one call brings. */
const EXPORT_LINES = 5000

export const make = ({ call: ask }: Pick<Gateway.Gateway, "call">) => {
  const call = calling(ask)
  const one = ({ session }: JsonObject) => session as Session | undefined
  return {
    waiting: () =>
      call("causeway.sessions.waiting", {}, (json) =>
        "total" in json ? (json as unknown as Answers.Waiting) : undefined
      ),
    totals: () =>
      call("causeway.totals", {}, (json) =>
        "costUsd" in json ? (json as unknown as Answers.Totals) : undefined
      ),
    find: (wanted: Wanted) =>
      call("causeway.sessions.find", { ...wanted }, ({ data }) => list<Session>(data)),
    sessions: (cursor: string | null, archived: boolean) =>
      call(
        "causeway.sessions.page",
        known({ limit: 100, archived: String(archived), cursor }),
        ({ data, next_cursor }): Page<Session> => ({
          data: list<Session>(data),
          nextCursor: string(next_cursor)
        })
      ),
    session: (id: string) => call("causeway.sessions.show", { sessionId: id }, one),
    environments: () =>
      call("causeway.environments.list", {}, ({ environments }) => list<Answers.Environment>(environments)),
    /** Files of its directory, as far as its machine told them. */
    files: (environmentId: string) =>
      call("causeway.environments.files", { environmentId }, ({ files }) => list<string>(files)),
    createSession: ({ environmentId, title, permissionMode, model, agent, worktree }: Beginning) =>
      call(
        "causeway.sessions.begin",
        known({
          environmentId,
          title,
          permissionMode,
          context: known({ model, agent, worktree: worktree ?? null })
        }),
        one
      ),
    rename: (id: string, title: string) => call("causeway.sessions.rename", { sessionId: id, title }, one),
    archive: (id: string) => call("causeway.sessions.archive", { sessionId: id }, one),
    settings: (id: string, settings: SettingsChange) =>
      call("causeway.sessions.settings", { sessionId: id, settings }, one),
    goOn: (id: string, { appendSystemPrompt, message, model, permissionMode, title }: GoingOn) =>
      call(
        "causeway.sessions.continue",
        {
          sessionId: id,
          message,
          ...given({ title, permissionMode }),
          context: {
            ...given({ model }),
            ...(appendSystemPrompt === "" ? {} : { options: { append_system_prompt: appendSystemPrompt } })
          }
        },
        one
      ),
    /** How many turns were stopped, and how many had not ended in time. */
    stopAll: () =>
      call("causeway.sessions.stopAll", {}, ({ running, stopped }) => ({
        running: array(running).length,
        stopped: array(stopped).length
      })),
    snapshots: (id: string) =>
      call("causeway.sessions.snapshots", { sessionId: id }, ({ data }) => list<FileSnapshot>(data)),
    /** Appends payloads; answers what they wait for, where no worker is there to take them. */
    send: (id: string, payloads: ReadonlyArray<JsonObject>) =>
      call("causeway.sessions.append", { sessionId: id, events: payloads }, ({ waiting_for }) => ({
        waitingFor: string(waiting_for)
      })),
    search: (query: string) =>
      call("causeway.search", { query, limit: 30 }, ({ hits }) =>
        list<Answers.Hit>(hits).map((hit) => ({ ...hit, sessionId: toSessionId(hit.sessionId) }))
      ),
    models: () =>
      call("models.list", {}, ({ models }) => [
        ...new Set(array(models).flatMap((one) => string(object(one)["id"]) ?? []))
      ]),
    metrics: () => call("causeway.metrics", {}, ({ metrics }) => list<Answers.Metric>(metrics)),
    tokens: () => call("causeway.tokens.list", {}, ({ tokens }) => list<Answers.Token>(tokens)),
    /** The whole transcript as JSON lines; null where not all of it can be read. */
    exportLog: async (id: string): Promise<string | null> => {
      const key = await call("sessions.resolve", { sessionId: fromSessionId(id) }, (json) =>
        name(json["key"])
      )
      if (!key.ok) return null
      const lines: Array<string> = []
      let afterSeq: unknown = 0
      while (typeof afterSeq === "number") {
        const page = await ask("causeway.export", { key: key.value, afterSeq, limit: EXPORT_LINES })
        if (!page.ok) return null
        lines.push(...list<string>(page.value["lines"]))
        afterSeq = page.value["nextAfterSeq"]
      }
      return `${lines.join("\n")}\n`
    }
  }
}

export type Hub = ReturnType<typeof make>

/** A version 4 uuid; `randomUUID` is only there on https and on this machine's own addresses. */
export const uuid = (): string => {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID()
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  const hex = [...bytes].map((byte, i) =>
    (i === 6 ? (byte & 0x0f) | 0x40 : i === 8 ? (byte & 0x3f) | 0x80 : byte).toString(16).padStart(2, "0")
  )
  return hex.join("").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-")
}
