/** Sessions made, given their environments, and put away. */
import { randomUUID } from "node:crypto"
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import type { OrganizationId } from "@causeway/protocol/Ids"
import * as Environments from "@causeway/store/Environments"
import { type Session, Sessions } from "@causeway/store/Session"
import { type JsonObject, string } from "@causeway/transcript/Read"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as AgentRuntime from "../AgentRuntime.ts"
import { currentConfig, type GatewayConfig } from "../Config.ts"
import * as Keys from "../Keys.ts"
import * as Rows from "../Rows.ts"
import * as Thinking from "../Thinking.ts"
import { append } from "./Append.ts"

export interface NewSession {
  readonly key: string
  readonly label?: string | undefined
  readonly parentKey?: string | undefined
  readonly spawnedBy?: string | undefined
  readonly entry?: JsonObject
  /** Its log is to be a copy of another: `begin` is called once that is there. */
  readonly copied?: boolean
}

/** Requests to a new session's agent from the start: its entry's settings, else its agent's configuration. */
const startingWith = (
  config: GatewayConfig,
  agentId: string | undefined,
  entry: JsonObject
): ReadonlyArray<JsonObject> => {
  const configured = config.agents.find((agent) => agent.id === agentId)?.thinkingDefault
  const level = string(entry["thinkingLevel"]) ?? configured
  const tokens = Thinking.tokensOf(level === undefined ? undefined : Thinking.normalize(level))
  return AgentSettings.requests({
    ...(tokens === undefined ? {} : { max_thinking_tokens: tokens }),
    ...(entry["fastMode"] === true ? { flag_settings: { fastMode: true } } : {})
  })
}

/** Asks the agent of a new session for what its entry and its agent's configuration say. */
export const begin = Effect.fn("SessionCommands.begin")(
  function* (record: Session) {
    const config = yield* currentConfig
    for (const request of startingWith(config, record.agentId, record.entry)) {
      yield* append(record, { type: "control_request", request_id: randomUUID(), request })
    }
  },
  (effect, { session }) =>
    Effect.catchTag(effect, "GatewayRefused", (error) =>
      // It was made a moment ago, and its agent starts all the same.
      Effect.logWarning("a new session's settings were not asked for").pipe(
        Effect.annotateLogs({ module: "Gateway", session, detail: error.message })
      )
    )
)

const contextOf = (config: GatewayConfig, agentId: string | undefined, entry: JsonObject): string =>
  JSON.stringify({
    agent: config.agents.find((each) => each.id === agentId)?.driver,
    model: string(entry["modelOverride"]) ?? Rows.defaultModel(config, agentId).model,
    cwd: entry["spawnedWorkspaceDir"]
  })

/** Makes a session with this key. */
export const create = Effect.fn("SessionCommands.create")(function* (
  organizationId: OrganizationId,
  { copied, entry = {}, ...attributes }: NewSession
) {
  const sessions = yield* Sessions
  const config = yield* currentConfig
  const agentId = Keys.agentOf(attributes.key)
  const record = yield* sessions
    .create({
      organizationId,
      environmentId: undefined,
      source: "gateway",
      context: contextOf(config, agentId, entry),
      permissionMode: config.agents.find((each) => each.id === agentId)?.permissionMode,
      tags: undefined,
      attributes: { ...attributes, agentId, entry },
      payloads: []
    })
    // None was asked for.
    .pipe(Effect.catchTag("EnvironmentUnknown", Effect.die))
  // A copy of another log goes on from that one's end.
  if (copied !== true) yield* begin(record)
  return record
})

/** Where a session of this agent runs: where its configuration says, else on the only environment that is online. */
export const chooseEnvironment = Effect.fn("SessionCommands.chooseEnvironment")(function* (
  organizationId: OrganizationId,
  agentId: string | undefined
) {
  const config = yield* currentConfig
  const now = yield* Clock.currentTimeMillis
  const { environments } = yield* (yield* Environments.Environments)
    .list({ organizationId, limit: 1000, archived: "false" })
    .pipe(Effect.catchTag("CursorInvalid", Effect.die))
  const named = config.agents.find((agent) => agent.id === agentId)?.environment
  if (named !== undefined) return environments.find((each) => each.id === named || each.name === named)?.id
  const online = environments.filter((each) => Environments.isOnline(each, now))
  return online.length === 1 ? online[0]?.id : undefined
})

/**
 * Gives a session that has none an environment, and with it an agent. Settings that were kept until then and do nothing for
 * this agent are dropped; answers with them.
 */
export const settle = Effect.fn("SessionCommands.settle")(function* (record: Session) {
  if (record.environmentId !== undefined) return []
  const sessions = yield* Sessions
  const environment = yield* chooseEnvironment(record.organizationId, record.agentId)
  if (environment === undefined) return []
  yield* sessions.assignEnvironment(record.sid, environment, false)
  const settled = yield* sessions.find({ sessions: [record.session] })
  if (settled === undefined) return []
  const runtime = AgentRuntime.of(yield* currentConfig, settled)
  const dropped = AgentRuntime.unsupportedIn(runtime, settled.entry)
  if (dropped.length > 0) {
    const entry = Object.fromEntries(dropped.map(({ field }) => [field, null]))
    yield* sessions.change(settled, { entry })
  }
  return dropped
})

/** Archives a session's log; its key is free again. Answers with its locator. */
export const archive = Effect.fn("SessionCommands.archive")(function* (
  record: Session,
  archivedBy: "reset" | "deleted" | "bak" | "restored"
) {
  const sessions = yield* Sessions
  const changed = { label: null, entry: { archivedBy, archivedLabel: record.label ?? null } }
  const archivedAt = yield* Effect.map(sessions.archive(record, changed), (row) => row.archivedAt).pipe(
    Effect.catchTags({
      SessionArchived: () => Effect.succeed(record.archivedAt),
      SessionUnknown: () => Effect.succeed(undefined)
    })
  )
  return Rows.locator(record.session, archivedAt ?? (yield* Clock.currentTimeMillis))
})
