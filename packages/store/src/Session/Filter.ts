/** Which sessions are wanted, as a condition. */
import type { OrganizationId, SessionBody } from "@causeway/protocol/Ids"

export interface Filter {
  /** Default: of all organisations. */
  readonly organizationId?: OrganizationId
  /** Default: living ones alone. */
  readonly archived?: "true" | "false" | "all"
  readonly sessions?: ReadonlyArray<SessionBody>
  readonly keys?: ReadonlyArray<string>
  /** Patterns of `LIKE`. */
  readonly withoutKeys?: ReadonlyArray<string>
  readonly agentId?: string
  readonly label?: string
  /** Sessions whose parent or spawner is one of these keys. */
  readonly linkedTo?: ReadonlyArray<string>
  /** Sessions that none goes on from. */
  readonly leaves?: true
  /** Null: sessions without one. */
  readonly environmentId?: string | null
  /** Sessions in whose log stands more than changes of the session itself. */
  readonly written?: true
  /** Lower case; part of display name, label, title, subject, session id or key. */
  readonly search?: string
  readonly updatedAfter?: number
  /** See `SessionsApi.SessionStatus`. */
  readonly status?: string
  /** The last row of the page before. */
  readonly after?: { readonly updatedAt: number; readonly sid: number }
  /** By their last update; default: `newest` first. */
  readonly order?: "newest" | "oldest"
  /** Default: no limit. */
  readonly limit?: number
}

type Values = Array<string | number>

/** `%` and `_` stand for themselves. */
const likePart = (text: string): string => `%${text.replace(/[\\%_]/g, (c) => `\\${c}`)}%`

const marks = (values: ReadonlyArray<unknown>): string => values.map(() => "?").join(", ")

const SEARCHED = [
  "session_key",
  "lower(label)",
  "lower(title)",
  "lower(json_extract(attributes, '$.entry.displayName'))",
  "lower(json_extract(attributes, '$.entry.subject'))"
]

/** What stands after `WHERE`, without order and limit. */
export const condition = (filter: Filter): { readonly text: string; readonly values: Values } => {
  const conditions = ["1"]
  const values: Values = []
  const add = (text: string, ...more: Values) => {
    conditions.push(text)
    values.push(...more)
  }
  const { archived = "false", search } = filter
  if (filter.organizationId !== undefined) add("organization_id = ?", filter.organizationId)
  if (archived !== "all") add(archived === "true" ? "archived_at IS NOT NULL" : "archived_at IS NULL")
  if (filter.sessions !== undefined) add(`body IN (${marks(filter.sessions)})`, ...filter.sessions)
  if (filter.keys !== undefined) add(`session_key IN (${marks(filter.keys)})`, ...filter.keys)
  for (const pattern of filter.withoutKeys ?? []) add("session_key NOT LIKE ?", pattern)
  if (filter.agentId !== undefined) add("agent_id = ?", filter.agentId)
  if (filter.label !== undefined) add("label = ?", filter.label)
  if (filter.linkedTo !== undefined) {
    const keys = JSON.stringify(filter.linkedTo)
    const listed = "(SELECT value FROM json_each(?))"
    add(`(parent_key IN ${listed} OR spawned_by IN ${listed})`, keys, keys)
  }
  if (filter.leaves === true) {
    add(`NOT EXISTS (SELECT 1 FROM sessions child WHERE child.organization_id = sessions.organization_id
      AND child.parent_key = sessions.session_key)`)
  }
  if (filter.environmentId === null) add("environment_id IS NULL")
  else if (filter.environmentId !== undefined) add("environment_id = ?", filter.environmentId)
  if (filter.written === true) {
    add("EXISTS (SELECT 1 FROM events e WHERE e.sid = sessions.sid AND e.type <> 'session_update')")
  }
  if (filter.status !== undefined) add("status = ?", filter.status)
  if (filter.updatedAfter !== undefined) add("updated_at >= ?", filter.updatedAfter)
  if (filter.after !== undefined) {
    add("(updated_at, sid) < (?, ?)", filter.after.updatedAt, filter.after.sid)
  }
  if (search !== undefined && search !== "") {
    const like = [...SEARCHED, "body"].map((text) => `${text} LIKE ? ESCAPE '\\'`)
    const part = likePart(search)
    add(`(${like.join(" OR ")})`, ...SEARCHED.map(() => part), likePart(search.replaceAll("-", "")))
  }
  return { text: conditions.join(" AND "), values }
}

/** What stands after the condition; its one value is the limit. */
export const order = (filter: Filter): string =>
  `ORDER BY ${filter.order === "oldest" ? "updated_at, sid" : "updated_at DESC, sid DESC"} LIMIT ?`

interface Listed {
  readonly updatedAt: number
  readonly sid: number
}

/** Two lists in the filter's order as one, within its limit. */
export const merge = <A extends Listed>(
  filter: Filter,
  some: ReadonlyArray<A>,
  others: ReadonlyArray<A>
): ReadonlyArray<A> => {
  const direction = filter.order === "oldest" ? 1 : -1
  return [...some, ...others]
    .sort((a, b) => direction * (a.updatedAt - b.updatedAt || a.sid - b.sid))
    .slice(0, filter.limit)
}
