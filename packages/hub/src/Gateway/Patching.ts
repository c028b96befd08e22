/**
 * The rules by which entries change: `sessions.patch`, and `sessions.create` by the same. Source: spec 2 §2
 * (`sessions.patch`) and §3 ("Entry fields").
 */
import { randomUUID } from "node:crypto"
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import type { SessionsPatch } from "@causeway/protocol/Gateway/Params"
import type { OrganizationId } from "@causeway/protocol/Ids"
import type { Log } from "@causeway/store/Log"
import { rowOf, type Session, Sessions } from "@causeway/store/Session"
import { type JsonObject, object, string } from "@causeway/transcript/Read"
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

/** An entry after a patch, or why it is refused. The label's uniqueness is checked by the sessions. */
export const apply = (
  config: GatewayConfig,
  key: string,
  before: Patched,
  patch: Patch,
  runtime: AgentRuntime.AgentRuntime = AgentRuntime.unassigned
): Either.Either<Patched, Refused> => {
  const refuse = (message: string) => Either.left(invalid(message))
  const entry: Draft = { ...before.entry }
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

  if (patch.label !== undefined) {
    if (patch.label === null) label = undefined
    else {
      const text = patch.label.trim()
      if (text === "") return refuse("invalid label: empty")
      label = text
    }
  }

  for (const [field, values] of words) {
    const value = patch[field]
    if (value === undefined) continue
    if (value === null) delete entry[field]
    else {
      const word = String(value).trim().toLowerCase()
      if (!values.includes(word)) {
        return refuse(`invalid ${field} (use ${values.map((each) => `"${each}"`).join("|")})`)
      }
      entry[field] = word
    }
  }

  for (const [field, value] of Object.entries(patch)) {
    // Whatever goes back to the default is no request to the agent.
    if (value === null || value === undefined || value === "off" || value === false) continue
    const reason = AgentRuntime.unsupported(runtime, field)
    if (reason !== undefined) return refuse(reason)
  }

  for (const field of ["fastMode", "sendPolicy", "groupActivation"] as const) {
    const value = patch[field]
    if (value === undefined) continue
    if (value === null) delete entry[field]
    else entry[field] = value
  }

  if (patch.execNode !== undefined) {
    if (patch.execNode === null) delete entry["execNode"]
    else if (patch.execNode.trim() === "") return refuse("invalid execNode: empty")
    else entry["execNode"] = patch.execNode.trim()
  }

  if (patch.responseUsage !== undefined) {
    if (patch.responseUsage === null || patch.responseUsage === "off") delete entry["responseUsage"]
    else entry["responseUsage"] = patch.responseUsage === "on" ? "tokens" : patch.responseUsage
  }

  const fallback = Rows.defaultModel(config, Keys.agentOf(key) ?? config.defaultAgentId)
  if (patch.model !== undefined) {
    const isDefault = (ref: Rows.ModelRef) =>
      ref.provider === fallback.provider && ref.model === fallback.model
    const ref = patch.model === null ? undefined : Rows.parseModel(patch.model, fallback.provider)
    if (ref !== undefined && (ref.model === undefined || ref.model === "")) {
      return refuse(`invalid model: ${patch.model ?? ""}`)
    }
    const refused = ref === undefined ? undefined : Rows.refuseModel(config, runtime, ref, fallback)
    if (refused !== undefined) return refuse(refused)
    const chosen = ref === undefined || isDefault(ref) ? undefined : ref
    const had = before.entry["modelOverride"]
    delete entry["providerOverride"]
    delete entry["modelOverride"]
    delete entry["modelOverrideSource"]
    if (chosen !== undefined) {
      if (chosen.provider !== undefined) entry["providerOverride"] = chosen.provider
      entry["modelOverride"] = chosen.model
      entry["modelOverrideSource"] = "user"
    }
    if (had !== chosen?.model) entry["liveModelSwitchPending"] = true
  }

  const overridden = string(entry["modelOverride"])
  const model =
    overridden === null
      ? fallback
      : { provider: string(entry["providerOverride"]) ?? fallback.provider, model: overridden }
  const levels = Rows.thinkingLevels(config, model)
  if (patch.thinkingLevel !== undefined) {
    if (patch.thinkingLevel === null) delete entry["thinkingLevel"]
    else {
      const level = Thinking.normalize(patch.thinkingLevel)
      if (level === undefined) return refuse(`invalid thinkingLevel (use ${levels.join("|")})`)
      if (!levels.includes(level)) {
        const name = [model.provider, model.model].filter((part) => part !== undefined).join("/")
        return refuse(
          `thinkingLevel "${level}" is not supported for ${name === "" ? "this model" : name} (use ${levels.join("|")})`
        )
      }
      entry["thinkingLevel"] = level
    }
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

  const labelTaken = (organizationId: OrganizationId, key: string, label: string, sid: number | undefined) =>
    Effect.map(sessions.list({ organizationId, label }), (others) =>
      others.some((other) => other.sid !== sid && (other.agentId ?? "") === (Keys.agentOf(key) ?? ""))
    )

  const upsertUnlocked = (organizationId: OrganizationId, key: string, patch: Patch) =>
    Effect.gen(function* () {
      const config = yield* configuration.current
      const existing = yield* sessions.find({ organizationId, keys: [key] })
      const before: Patched = {
        entry: existing === undefined ? {} : Rows.entryOf(existing),
        label: existing?.label,
        spawnedBy: existing?.spawnedBy
      }
      const runtime = AgentRuntime.of(
        config,
        existing ?? { agentId: Keys.agentOf(key), context: "{}", environmentAgent: undefined }
      )
      const patched = yield* apply(config, key, before, patch, runtime)
      if (patched.label !== undefined && patched.label !== before.label) {
        if (yield* labelTaken(organizationId, key, patched.label, existing?.sid)) {
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
      const changed = yield* sessions.change(existing.sid, {
        label: patched.label,
        spawnedBy: patched.spawnedBy,
        entry: JSON.stringify(patched.entry),
        ...(patch.parentKey === undefined ? {} : { parentKey: patch.parentKey }),
        ...(switched
          ? {
              context: withModel(existing.context, model ?? Rows.defaultModel(config, existing.agentId).model)
            }
          : {})
      })
      if (patched.label !== before.label && patched.label !== undefined) {
        // The title that other doors show is the label.
        yield* Effect.catchTag(
          sessions.rename({ session: existing.session, organizationId }, patched.label),
          "SessionUnknown",
          () => Effect.void
        )
      }
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

  const withModel = (context: string, model: string | undefined): string => {
    const before = ((): JsonObject => {
      try {
        return object(JSON.parse(context))
      } catch {
        return {}
      }
    })()
    return JSON.stringify(Rows.compact({ ...before, model }))
  }

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
