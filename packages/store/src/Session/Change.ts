/** What is changed of a session, as events of its log; each function is to be run inside a transaction. */
import { randomUUID } from "node:crypto"
import type { AgentSettings } from "@causeway/protocol/AgentSettings"
import { EventUuid, type OrganizationId, SessionBody } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import { scrubSources } from "@causeway/protocol/Scrub"
import type * as SessionAttributes from "@causeway/protocol/SessionAttributes"
import * as SessionRow from "@causeway/transcript/SessionRow"
import * as Title from "@causeway/transcript/Title"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Author from "../Author.ts"
import { EnvironmentUnknown, SessionArchived } from "../Errors.ts"
import { Appends } from "../Log/Appends.ts"
import { encode } from "../Log/Replay.ts"
import type { SessionKey } from "../Log/Request.ts"
import * as Work from "../Work.ts"
import type { Session } from "./Record.ts"
import { find } from "./Worker.ts"

export interface CreateSession {
  readonly organizationId: OrganizationId
  readonly environmentId: string | undefined
  readonly source: string | undefined
  /** JSON text of an object. */
  readonly context: string
  readonly permissionMode: string | undefined
  /** JSON text of an array. */
  readonly tags: string | undefined
  /** By what the gateway names it; default: a key of its own. */
  readonly attributes?: SessionAttributes.Change
  /** First events, of source client. */
  readonly payloads: ReadonlyArray<Payload.Payload>
}

/** Members that are left out stay as they are. */
export interface SessionUpdate extends AgentSettings {
  readonly title?: string
  readonly archived?: true
  readonly attributes?: SessionAttributes.Change
}

/** A change that a person makes to a session, as an event of its log. */
export const sessionUpdate = (update: SessionUpdate): Payload.Payload =>
  Payload.make({ type: "session_update", uuid: EventUuid.make(randomUUID()), ...update })

/** `agent:<default agent>:<environment's name>:<short id>`, and with the whole id where that key is taken. */
export const keyFor = (organizationId: OrganizationId, environmentId: string | undefined, session: string) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const short = session.slice(0, 12)
    const [row] = yield* sql<{ readonly agentId: string; readonly prefix: string; readonly taken: number }>`
      SELECT agentId, prefix, EXISTS (SELECT 1 FROM sessions WHERE organization_id = ${organizationId}
        AND session_key = prefix || ${short} AND archived_at IS NULL) AS taken
      FROM (SELECT agentId, 'agent:' || agentId || ':' || coalesce((SELECT
          lower(replace(replace(trim(name), ':', '-'), ' ', '-')) FROM environments
          WHERE id = ${environmentId ?? null} AND trim(name) <> ''), 'session') || ':' AS prefix
        FROM (SELECT coalesce((SELECT value FROM gateway_settings WHERE name = 'default_agent'), 'main') AS agentId))`
    if (row === undefined) return yield* Effect.dieMessage("a query without FROM has one row")
    return { agentId: row.agentId, key: row.prefix + (row.taken === 1 ? session : short) }
  })

/** Refuses an environment that the organisation has not, or not any more. */
export const requireEnvironment = (organizationId: OrganizationId, environmentId: string) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const known = yield* sql`SELECT id FROM environments WHERE id = ${environmentId}
      AND organization_id = ${organizationId} AND archived_at IS NULL`
    if (known.length === 0) return yield* new EnvironmentUnknown({ environmentId })
  })

export const create = (request: CreateSession) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const { apply } = yield* Appends
    const now = yield* Clock.currentTimeMillis
    const { attributes, context, environmentId, organizationId, payloads, permissionMode, source, tags } =
      request
    if (environmentId !== undefined) yield* requireEnvironment(organizationId, environmentId)
    const session = SessionBody.make(randomUUID().replaceAll("-", ""))
    const named = attributes?.key === undefined ? yield* keyFor(organizationId, environmentId, session) : {}
    const opening = sessionUpdate({
      attributes: {
        ...named,
        ...attributes,
        source,
        permissionMode,
        ...(tags === undefined ? {} : { tags: JSON.parse(tags) }),
        context: scrubSources(JSON.parse(context))
      }
    })
    const uuid = opening.uuid ?? session
    const row = SessionRow.step(SessionRow.initial, {
      seq: 0,
      uuid,
      source: "client",
      createdAt: now,
      payload: opening
    })
    const stored = encode(row)
    const [made] = yield* sql<{
      readonly sid: number
    }>`INSERT INTO sessions (body, organization_id, environment_id,
        created_at, updated_at, title, projection, attributes)
      VALUES (${session}, ${organizationId}, ${environmentId ?? null}, ${now}, ${now}, ${row.title},
        ${stored.projection}, ${stored.attributes}) RETURNING sid`
    const sid = made?.sid ?? 0
    const author = yield* Author.column
    yield* sql`INSERT INTO events (sid, seq, uuid, source, type, transcript, compaction, created_at, author, payload)
      VALUES (${sid}, 0, ${uuid}, 'client', ${opening.type}, 0, 0, ${now}, ${author}, ${opening.text})`
    const applied =
      payloads.length === 0
        ? { outcomes: [], environments: [] }
        : yield* apply([{ session, organizationId, source: "client", payloads, author }], now)
    // A log that is empty refuses nothing.
    for (const outcome of applied.outcomes) Either.getOrThrow(outcome)
    const woken = environmentId === undefined ? [] : yield* Work.ensure([sid], now)
    return {
      session: yield* Effect.orDie(find({ session, organizationId })),
      sessions: [session],
      environments: [...applied.environments, ...woken]
    }
  })

/** Answers with the row after the change. */
export const update = ({ session, organizationId }: SessionKey, change: SessionUpdate) =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const key = { session, organizationId }
    const { apply } = yield* Appends
    const author = yield* Author.column
    const applied = yield* apply(
      [{ ...key, source: "client", payloads: [sessionUpdate(change)], author }],
      now
    )
    return { session: yield* find(key), ...applied }
  })

/** The label goes with the title; where another session has that label, it is given up. */
export const rename = (key: SessionKey, title: string) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const { agentId, label, sid } = yield* find(key)
    const wanted = Title.given(title)
    if (label === undefined || wanted === null) return yield* update(key, { title })
    const others =
      yield* sql`SELECT 1 FROM sessions WHERE organization_id = ${key.organizationId} AND sid <> ${sid}
      AND label = ${wanted} AND coalesce(agent_id, '') = ${agentId ?? ""} AND archived_at IS NULL`
    return yield* update(key, { title, attributes: { label: others.length === 0 ? wanted : null } })
  })

export const archive = (key: SessionKey, attributes?: SessionAttributes.Change) =>
  Effect.gen(function* () {
    const before: Session = yield* find(key)
    if (before.archivedAt !== undefined) return yield* new SessionArchived({ session: key.session })
    return yield* update(key, { archived: true, ...(attributes === undefined ? {} : { attributes }) })
  })

export const assignEnvironment = (sid: number, environmentId: string, queue: boolean) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const now = yield* Clock.currentTimeMillis
    yield* sql`UPDATE sessions SET environment_id = ${environmentId} WHERE sid = ${sid} AND environment_id IS NULL`
    return queue ? yield* Work.ensure([sid], now) : []
  })
