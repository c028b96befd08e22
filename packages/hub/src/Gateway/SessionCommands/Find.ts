/** The session that a key names. Source: spec 2 §3 ("Keys"). */
import type { OrganizationId } from "@causeway/protocol/Ids"
import { Sessions } from "@causeway/store/Session"
import * as Effect from "effect/Effect"
import { currentConfig } from "../Config.ts"
import { invalid } from "../Failure.ts"
import * as Keys from "../Keys.ts"
import { requireKey } from "../Method.ts"

export const canonical = Effect.fnUntraced(function* (key: string) {
  return Keys.canonical(key, yield* currentConfig)
})

/** The living session of a key as somebody gave it. */
export const find = Effect.fn("SessionCommands.find")(function* (
  organizationId: OrganizationId,
  key: string
) {
  const sessions = yield* Sessions
  const config = yield* currentConfig
  const at = Keys.canonical(key, config)
  const record = yield* sessions.find({ organizationId, keys: [at] })
  if (record !== undefined) return record
  // A session that stands under an older name gets its present one; of several the freshest.
  const older = yield* sessions.list({ organizationId, keys: Keys.legacy(key, config) })
  const [freshest] = [...older].sort((a, b) => b.updatedAt - a.updatedAt)
  if (freshest === undefined) return undefined
  return yield* sessions.change(freshest, { key: at, agentId: Keys.agentOf(at) ?? null })
})

/** The same, for what cannot go on without it. */
export const existing = Effect.fnUntraced(function* (organizationId: OrganizationId, given: string) {
  const key = yield* requireKey(given)
  return (yield* find(organizationId, key)) ?? (yield* invalid(`session not found: ${key}`))
})

/** Refuses a key whose agent is not configured. */
export const requireAgent = Effect.fnUntraced(function* (key: string) {
  const config = yield* currentConfig
  const agentId = Keys.agentOf(key)
  if (agentId !== undefined && !config.agentIds.includes(agentId)) {
    return yield* invalid(`Agent "${agentId}" no longer exists in configuration`)
  }
})
