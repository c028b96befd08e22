/**
 * Retention: by age, count and size. Source: spec 2 §5 and `sessions.cleanup`.
 *
 * A session that is pruned or capped is archived, its log kept under its locator; archives go for good when their own time
 * is over or room is needed. Groups, channels, threads, the active key and sessions with a run are left alone. It runs by
 * itself only where retention is configured: nobody loses sessions to a default.
 */
import type { OrganizationId } from "@causeway/protocol/Ids"
import type { StoreUnavailable } from "@causeway/store/Errors"
import { Organizations } from "@causeway/store/Organizations"
import { Retention } from "@causeway/store/Retention"
import { type Session, Sessions } from "@causeway/store/Session"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { GatewayConfiguration, type Maintenance as Policy } from "./Config.ts"
import * as Keys from "./Keys.ts"
import { Notifier } from "./Notifier.ts"
import * as Rows from "./Rows.ts"
import * as SessionCommands from "./SessionCommands.ts"

/** Automatic retention: once an hour. */
export const maintenanceSchedule = Schedule.spaced("1 hour")

/** How far beyond `maxEntries` the automatic run lets a store grow. */
export const highWater = (maxEntries: number): number =>
  maxEntries <= 49 ? maxEntries + 1 : maxEntries + Math.max(25, Math.ceil(maxEntries * 0.1))

export interface Candidate {
  readonly sid: number
  readonly key: string
  readonly updatedAt: number
  readonly active: boolean
}

/** Which sessions go for their age, and which for their number: oldest first, protected ones never. */
export const plan = (
  candidates: ReadonlyArray<Candidate>,
  policy: Pick<Policy, "pruneAfter" | "maxEntries">,
  options: { readonly nowMillis: number; readonly activeKey: string | undefined; readonly forceCap: boolean }
): { readonly prune: ReadonlyArray<Candidate>; readonly cap: ReadonlyArray<Candidate> } => {
  const removable = (each: Candidate) =>
    !each.active && each.key !== options.activeKey && !Keys.isProtected(each.key)
  const prune = candidates.filter(
    (each) => removable(each) && each.updatedAt < options.nowMillis - policy.pruneAfter
  )
  const left = candidates.filter((each) => !prune.includes(each))
  const limit = options.forceCap ? policy.maxEntries : highWater(policy.maxEntries)
  if (left.length <= limit) return { prune, cap: [] }
  const cap = left
    .filter(removable)
    .sort((a, b) => a.updatedAt - b.updatedAt)
    .slice(0, left.length - policy.maxEntries)
  return { prune, cap }
}

export interface DiskBudget {
  readonly totalBytesBefore: number
  readonly totalBytesAfter: number
  readonly removedFiles: number
  readonly removedEntries: number
  readonly freedBytes: number
  readonly maxBytes: number
  readonly highWaterBytes: number
  readonly overBudget: boolean
}

export interface Summary {
  readonly agentId: string
  readonly storePath: string
  readonly mode: "warn" | "enforce"
  readonly dryRun: false
  readonly beforeCount: number
  readonly afterCount: number
  readonly missing: number
  readonly pruned: number
  readonly capped: number
  readonly diskBudget: DiskBudget | null
  readonly wouldMutate: boolean
  readonly applied: true
  readonly appliedCount: number
}

export class Maintenance extends Context.Tag("@causeway/hub/GatewayMaintenance")<
  Maintenance,
  {
    readonly clean: (
      organizationId: OrganizationId,
      agentId: string,
      options: {
        readonly enforce: boolean
        readonly activeKey: string | undefined
        readonly forceCap: boolean
      }
    ) => Effect.Effect<Summary, StoreUnavailable>
  }
>() {}

export const make = Effect.gen(function* () {
  const sessions = yield* Sessions
  const retention = yield* Retention
  const configuration = yield* GatewayConfiguration
  const notifier = yield* Notifier
  const organizations = yield* Organizations

  const toCandidate = (record: Session): Candidate => ({
    sid: record.sid,
    key: record.key,
    updatedAt: record.updatedAt,
    active: notifier.isActive(record)
  })

  const diskBudget = (
    organizationId: OrganizationId,
    agentId: string,
    policy: Policy,
    mode: "warn" | "enforce",
    activeKey: string | undefined
  ) =>
    Effect.gen(function* () {
      const { maxDiskBytes, highWaterBytes } = policy
      if (maxDiskBytes === undefined || highWaterBytes === undefined) return null
      const living = yield* sessions.list({
        organizationId,
        agentId,
        withoutKeys: Keys.unlisted()
      })
      const sizes = yield* retention.sizes(living.map((record) => record.sid))
      const archives = yield* retention.archived(organizationId, agentId)
      const before =
        [...sizes.values()].reduce((a, b) => a + b, 0) + archives.reduce((a, b) => a + b.bytes, 0)
      let total = before
      let removedFiles = 0
      let removedEntries = 0
      if (mode === "enforce" && before > maxDiskBytes) {
        for (const archive of archives) {
          if (total <= highWaterBytes) break
          yield* retention.remove([archive.sid])
          total -= archive.bytes
          removedFiles += 1
        }
        const oldest = [...living].reverse().map((record) => ({ record, candidate: toCandidate(record) }))
        for (const { record, candidate } of oldest) {
          if (total <= highWaterBytes) break
          if (candidate.active || record.key === activeKey || Keys.isProtected(record.key)) continue
          yield* Effect.provideService(SessionCommands.archive(record, "deleted"), Sessions, sessions)
          yield* retention.remove([record.sid])
          total -= sizes.get(record.sid) ?? 0
          removedEntries += 1
        }
      }
      return {
        totalBytesBefore: before,
        totalBytesAfter: total,
        removedFiles,
        removedEntries,
        freedBytes: before - total,
        maxBytes: maxDiskBytes,
        highWaterBytes,
        overBudget: before > maxDiskBytes
      }
    })

  const clean: Maintenance["Type"]["clean"] = (organizationId, agentId, options) =>
    Effect.gen(function* () {
      const config = yield* configuration.current
      const policy = config.maintenance
      const mode = options.enforce ? "enforce" : policy.mode
      const nowMillis = yield* Clock.currentTimeMillis
      const records = yield* sessions.list({
        organizationId,
        agentId,
        withoutKeys: Keys.unlisted()
      })
      const { prune, cap } = plan(records.map(toCandidate), policy, {
        nowMillis,
        activeKey: options.activeKey,
        forceCap: options.forceCap
      })
      const going = new Set([...prune, ...cap].map((each) => each.sid))
      if (mode === "enforce") {
        for (const record of records)
          if (going.has(record.sid))
            yield* Effect.provideService(SessionCommands.archive(record, "deleted"), Sessions, sessions)
        const kept = policy.resetArchiveRetention
        if (kept !== undefined) {
          const expired = (yield* retention.archived(organizationId, agentId)).filter(
            (each) => each.archivedAt < nowMillis - kept
          )
          yield* retention.remove(expired.map((each) => each.sid))
        }
      }
      const budget = yield* diskBudget(organizationId, agentId, policy, mode, options.activeKey)
      const appliedCount = yield* sessions.count({ organizationId, agentId })
      return {
        agentId,
        storePath: Rows.storeLocator(agentId),
        mode,
        dryRun: false,
        beforeCount: records.length,
        afterCount: mode === "enforce" ? appliedCount : records.length - going.size,
        missing: 0,
        pruned: prune.length,
        capped: cap.length,
        diskBudget: budget,
        wouldMutate: going.size > 0 || (budget?.overBudget ?? false),
        applied: true,
        appliedCount
      } satisfies Summary
    })

  // --- By itself ---

  const sweep = Effect.gen(function* () {
    const config = yield* configuration.current
    if (!config.maintenance.automatic) return
    for (const { id } of yield* organizations.list) {
      for (const agentId of config.agentIds) {
        const summary = yield* clean(id, agentId, { enforce: false, activeKey: undefined, forceCap: false })
        if (!summary.wouldMutate) continue
        yield* Effect.logInfo("retention").pipe(
          Effect.annotateLogs({
            agent: agentId,
            mode: summary.mode,
            pruned: summary.pruned,
            capped: summary.capped,
            sessions: summary.appliedCount
          })
        )
        yield* notifier.changed(id, undefined, { reason: "cleanup" })
      }
    }
  }).pipe(
    Effect.catchAllCause((cause) =>
      Effect.logError("retention failed", cause).pipe(Effect.annotateLogs({ module: "Maintenance" }))
    )
  )
  yield* Effect.forkScoped(Effect.schedule(sweep, maintenanceSchedule))

  return Maintenance.of({ clean })
})

export const layer: Layer.Layer<
  Maintenance,
  never,
  Sessions | Retention | GatewayConfiguration | Notifier | Organizations
> = Layer.scoped(Maintenance, make)
