/**
 * The rules by which entries change: `sessions.patch`, and `sessions.create` by the same. Source: spec 2 §2
 * (`sessions.patch`) and §3 ("Entry fields").
 */
import { randomUUID } from "node:crypto"
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import type { SessionsPatch } from "@causeway/protocol/Gateway/Params"
import type { OrganizationId } from "@causeway/protocol/Ids"
import { difference } from "@causeway/protocol/SessionAttributes"
import type { Log } from "@causeway/store/Log"
import { rowOf, type Session, Sessions } from "@causeway/store/Session"
import { type JsonObject, string } from "@causeway/transcript/Read"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as AgentRuntime from "./AgentRuntime.ts"
import { type GatewayConfig, GatewayConfiguration } from "./Config.ts"
import { invalid, type Refused } from "./Failure.ts"
import * as Keys from "./Keys.ts"
import type { Failure } from "./Method.ts"
import * as Rows from "./Rows.ts"
import * as SessionCommands from "./SessionCommands.ts"
import * as Thinking from "./Thinking.ts"

/** What a patch may hold, beside what only `create` gives. */
export type Patch = Omit<SessionsPatch, "key"> & { readonly parentKey?: string }

type Draft = { [name: string]: unknown }

/** Fields that take one of some words. */
const words: ReadonlyArray<readonly [field: keyof Patch & string, values: ReadonlyArray<string>]> = [
  ["verboseLevel", ["on", "off", "full"]],
  ["traceLevel", ["on", "off", "raw"]],
  ["reasoningLevel", ["on", "off", "stream"]],
  ["elevatedLevel", ["on", "off", "ask", "full"]],
  ["execHost", ["auto", "sandbox", "gateway", "node"]],
  ["execSecurity", ["deny", "allowlist", "full"]],
  ["execAsk", ["off", "on-miss", "always"]]
]

/** Fields that only subagents have, each set once. */
const lineage = [
  "spawnedBy",
  "spawnedWorkspaceDir",
  "spawnDepth",
  "subagentRole",
  "subagentControlScope"
] as const

export interface Patched {
  readonly entry: JsonObject
  readonly label: string | undefined
  readonly spawnedBy: string | undefined
}

/** An entry after a patch, or why it is refused. Whether the label is free is not looked at. */
export const apply = (
  config: GatewayConfig,
  key: string,
  before: Patched,
  patch: Patch,
  runtime: AgentRuntime.AgentRuntime = AgentRuntime.unassigned
): Either.Either<Patched, Refused> => {
  const refuse = (message: string) => Either.left(invalid(message))
  const entry: Draft = { ...before.entry }
  /** Null takes a field away; undefined leaves it. */
  const put = (field: string, value: unknown): void => {
    if (value === null) delete entry[field]
    else if (value !== undefined) entry[field] = value
  }
  let label = before.label
  let spawnedBy = before.spawnedBy

  for (const field of lineage) {
    if (!(field in patch) || patch[field] === undefined) continue
    const value = patch[field]
    const current = field === "spawnedBy" ? before.spawnedBy : before.entry[field]
    if (value === null) {
      if (current !== undefined) return refuse(`${field} cannot be cleared once set`)
      continue
    }
    if (!Keys.isSubagentOrAcp(key)) {
      return refuse(`${field} is only supported for subagent:* or acp:* sessions`)
    }
    const next = typeof value === "string" ? value.trim() : value
    if (next === "") return refuse(`invalid ${field}: empty`)
    if (current !== undefined && current !== next) return refuse(`${field} cannot be changed once set`)
    if (field === "spawnedBy") spawnedBy = String(next)
    else entry[field] = next
  }

  if (patch.label?.trim() === "") return refuse("invalid label: empty")
  if (patch.label !== undefined) label = patch.label?.trim()

  for (const [field, values] of words) {
    const value = patch[field]
    const word = typeof value === "string" ? value.trim().toLowerCase() : value
    if (word != null && !values.includes(String(word))) {
      return refuse(`invalid ${field} (use ${values.map((each) => `"${each}"`).join("|")})`)
    }
    put(field, word)
  }

  for (const [field, value] of Object.entries(patch)) {
    // Whatever goes back to the default is no request to the agent.
    if (value === null || value === undefined || value === "off" || value === false) continue
    const reason = AgentRuntime.unsupported(runtime, field)
    if (reason !== undefined) return refuse(reason)
  }

  const { execNode, responseUsage } = patch
  for (const field of ["fastMode", "sendPolicy", "groupActivation"] as const) put(field, patch[field])
  if (execNode?.trim() === "") return refuse("invalid execNode: empty")
  put("execNode", execNode?.trim() ?? execNode)
  put("responseUsage", responseUsage === "off" ? null : responseUsage === "on" ? "tokens" : responseUsage)

  const fallback = Rows.defaultModel(config, Keys.agentOf(key) ?? config.defaultAgentId)
  if (patch.model !== undefined) {
    const ref = patch.model === null ? undefined : Rows.parseModel(patch.model, fallback.provider)
    if (ref !== undefined && (ref.model === undefined || ref.model === "")) {
      return refuse(`invalid model: ${patch.model ?? ""}`)
    }
    const refused = ref === undefined ? undefined : Rows.refuseModel(config, runtime, ref, fallback)
    if (refused !== undefined) return refuse(refused)
    const isDefault = ref?.provider === fallback.provider && ref?.model === fallback.model
    const chosen = isDefault ? undefined : ref
    put("providerOverride", chosen?.provider ?? null)
    put("modelOverride", chosen?.model ?? null)
    put("modelOverrideSource", chosen === undefined ? null : "user")
    if (before.entry["modelOverride"] !== chosen?.model) entry["liveModelSwitchPending"] = true
  }

  const overridden = string(entry["modelOverride"])
  const model =
    overridden === null
      ? fallback
      : { provider: string(entry["providerOverride"]) ?? fallback.provider, model: overridden }
  const levels = Rows.thinkingLevels(config, model)
  if (patch.thinkingLevel !== undefined) {
    const level = patch.thinkingLevel === null ? null : Thinking.normalize(patch.thinkingLevel)
    if (level === undefined) return refuse(`invalid thinkingLevel (use ${levels.join("|")})`)
    if (level !== null && !levels.includes(level)) {
      const name = [model.provider, model.model].filter((part) => part !== undefined).join("/")
      return refuse(
        `thinkingLevel "${level}" is not supported for ${name === "" ? "this model" : name} (use ${levels.join("|")})`
      )
    }
    put("thinkingLevel", level)
  } else if (patch.model !== undefined) {
    // Another model may offer less.
    const level = string(entry["thinkingLevel"])
    if (level !== null && !levels.includes(level)) entry["thinkingLevel"] = "high"
  }

  return Either.right({ entry, label, spawnedBy })
}

/** What a change of an entry sets of the agent. */
const askedOf = (before: JsonObject, after: JsonObject): AgentSettings.AgentSettings => ({
  ...(before["thinkingLevel"] === after["thinkingLevel"]
    ? {}
    : { max_thinking_tokens: Thinking.tokensOf(string(after["thinkingLevel"])) ?? null }),
  ...(before["fastMode"] === after["fastMode"]
    ? {}
    : { flag_settings: { fastMode: after["fastMode"] === true } })
})

export class Patching extends Context.Tag("@causeway/hub/GatewayPatching")<
  Patching,
  {
    /** Changes a session's entry, and makes the session where there is none. Takes canonical keys. */
    readonly upsert: (
      organizationId: OrganizationId,
      key: string,
      patch: Patch
    ) => Effect.Effect<Session, Failure>
    /** Runs an effect while nobody else changes entries. */
    readonly exclusively: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  }
>() {}

export const make = Effect.gen(function* () {
  const sessions = yield* Sessions
  const configuration = yield* GatewayConfiguration
  const context = yield* Effect.context<Sessions | GatewayConfiguration | Log>()
  // One writer of entries, so that a key is made once; the store's unique indexes hold it across processes.
  const lock = yield* Effect.makeSemaphore(1)

  // A key between two sessions would be lost: what was begun is finished.
  const exclusively = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.uninterruptible(lock.withPermits(1)(effect))

  const labelTaken = (organizationId: OrganizationId, key: string, label: string) =>
    Effect.map(sessions.list({ organizationId, label }), (others) =>
      others.some((other) => other.key !== key && other.agentId === Keys.agentOf(key))
    )

  const upsertUnlocked = (organizationId: OrganizationId, key: string, patch: Patch) =>
    Effect.gen(function* () {
      const config = yield* configuration.current
      const existing = yield* sessions.find({ organizationId, keys: [key] })
      const before: Patched = {
        entry: existing?.entry ?? {},
        label: existing?.label,
        spawnedBy: existing?.spawnedBy
      }
      const runtime = AgentRuntime.of(
        config,
        existing ?? { agentId: Keys.agentOf(key), context: {}, environmentAgent: undefined }
      )
      const patched = yield* apply(config, key, before, patch, runtime)
      if (patched.label !== undefined && patched.label !== before.label) {
        if (yield* labelTaken(organizationId, key, patched.label)) {
          return yield* invalid(`label already in use: ${patched.label}`)
        }
      }
      if (existing === undefined) {
        return yield* SessionCommands.create(organizationId, {
          key,
          label: patched.label,
          parentKey: patch.parentKey,
          spawnedBy: patched.spawnedBy,
          entry: patched.entry
        })
      }
      const model = string(patched.entry["modelOverride"])
      const switched = model !== string(before.entry["modelOverride"])
      const changed = yield* sessions.change(existing, {
        ...(patched.label === before.label ? {} : { label: patched.label ?? null }),
        ...(patched.spawnedBy === before.spawnedBy ? {} : { spawnedBy: patched.spawnedBy }),
        ...(patch.parentKey === undefined ? {} : { parentKey: patch.parentKey }),
        ...(switched
          ? { context: { model: model ?? Rows.defaultModel(config, existing.agentId).model ?? null } }
          : {}),
        entry: difference(before.entry, patched.entry)
      })
      const asked = AgentSettings.requests({
        // Before its first turn the agent starts with the model of the context.
        ...(switched && rowOf(existing).numTurns > 0 ? { model } : {}),
        ...askedOf(before.entry, patched.entry)
      })
      for (const request of asked) {
        yield* SessionCommands.append(existing, {
          type: "control_request",
          request_id: randomUUID(),
          request
        })
      }
      return changed ?? existing
    })

  return Patching.of({
    exclusively,
    upsert: (organizationId, key, patch) =>
      exclusively(Effect.provide(upsertUnlocked(organizationId, key, patch), context))
  })
})

export const layer: Layer.Layer<Patching, never, Sessions | GatewayConfiguration | Log> = Layer.effect(
  Patching,
  make
)
