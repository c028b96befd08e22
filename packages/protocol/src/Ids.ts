/**
 * Identifiers, as they stand on the wire.
 *
 * Every identifier that is placed in a path matches `[A-Za-z0-9_-]{1,128}`, so that no answer of a hostile
 * server and no argument of a hostile caller can name another path. Source: spec 1 §2 and §5.
 */
import * as Schema from "effect/Schema"
import * as Limits from "./Limits.ts"

/** Text that may stand in a path segment. */
export const pathSegment = new RegExp(`^[A-Za-z0-9_-]{1,${Limits.PATH_ID_CHARACTERS}}$`)

const segment = <B extends string>(brand: B) =>
  Schema.String.pipe(
    Schema.pattern(pathSegment, {
      identifier: brand,
      message: () => `${brand} must be 1 to 128 letters, digits, "_" or "-"`
    }),
    Schema.brand(brand)
  )

/**
 * A session, in either of its two spellings: `session_<body>` (compat) or `cse_<body>` (infrastructure).
 * Both name the same session on every route; {@link sessionBody} is what they share.
 */
export const SessionId = segment("SessionId")
export type SessionId = typeof SessionId.Type

/** An environment: one directory on one machine that takes work. `env_<uuid>` where this hub made it. */
export const EnvironmentId = segment("EnvironmentId")
export type EnvironmentId = typeof EnvironmentId.Type

/** A work item, `work_<uuid>` where this hub made it. */
export const WorkId = segment("WorkId")
export type WorkId = typeof WorkId.Type

/** An organisation; a uuid. Sent as `x-organization-uuid`. */
export const OrganizationId = segment("OrganizationId")
export type OrganizationId = typeof OrganizationId.Type

const eventUuid = /^[\x21-\x7e]{1,256}$/

/**
 * An event of a session's log. Foreign writers choose their own: any 1 to 256 printable ASCII characters without
 * spaces, because it travels in headers (`Last-Uuid`, `x-last-uuid`).
 */
export const EventUuid = Schema.String.pipe(
  Schema.pattern(eventUuid, {
    identifier: "EventUuid",
    message: () => "a uuid must be 1 to 256 printable ASCII characters without spaces"
  }),
  Schema.brand("EventUuid")
)
export type EventUuid = typeof EventUuid.Type

export const isEventUuid = (text: string): text is EventUuid => eventUuid.test(text)

/** The part that all spellings of a session share: its id inside a hub. */
export const SessionBody = Schema.String.pipe(Schema.brand("SessionBody"))
export type SessionBody = typeof SessionBody.Type

const COMPAT = "session_"
const INFRA = "cse_"

/** The part that both spellings share; an id with an unknown prefix is its own body. */
export const sessionBody = (id: string): SessionBody =>
  SessionBody.make(
    id.startsWith(COMPAT) ? id.slice(COMPAT.length) : id.startsWith(INFRA) ? id.slice(INFRA.length) : id
  )

const HEX = /^[0-9a-f]{32}$/
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** A body as entries of the gateway show it: with the dashes of a uuid where it is one; others stand as they are. */
export const sessionUuid = (body: SessionBody): string =>
  HEX.test(body) ? body.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5") : body

/** The body that an id names to the gateway: in one of the two spellings, or as {@link sessionUuid} shows it. */
export const anySessionBody = (id: string): SessionBody => {
  const body = sessionBody(id)
  return UUID.test(body) ? SessionBody.make(body.replaceAll("-", "").toLowerCase()) : body
}

/** `session_<body>`. Idempotent; leaves unknown prefixes alone. */
export const toCompat = (id: SessionId): SessionId =>
  id.startsWith(INFRA) ? SessionId.make(COMPAT + id.slice(INFRA.length)) : id

/** `cse_<body>`. Idempotent; leaves unknown prefixes alone. */
export const toInfra = (id: SessionId): SessionId =>
  id.startsWith(COMPAT) ? SessionId.make(INFRA + id.slice(COMPAT.length)) : id

/** Two spellings name one session. */
export const sameSession = (a: SessionId, b: SessionId): boolean => sessionBody(a) === sessionBody(b)

/** The compat spelling of a body, as a hub names the sessions that it makes. */
export const compatSessionId = (body: SessionBody): SessionId => SessionId.make(COMPAT + body)
