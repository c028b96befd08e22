/**
 * Runs that are under way: from a person's message to the agent's result. Source: spec 2 §6 ("Tracked run").
 *
 * What this holds is for the moment (whose run it is, the text so far, numbering); the log tells what happened. A run of
 * a message that came by another API, or from before a restart, is tracked when it is seen, without an owner.
 */
import { BoundedMap } from "@causeway/protocol/BoundedMap"
import type { OrganizationId, SessionBody } from "@causeway/protocol/Ids"
import * as Context from "effect/Context"
import type * as Deferred from "effect/Deferred"
import * as Layer from "effect/Layer"

/** The id of a run is its idempotency key, which its sender chose: it counts within its session alone. */
export interface Run {
  readonly id: string
  readonly organizationId: OrganizationId
  /** Canonical. */
  readonly key: string
  /** Session body. */
  readonly session: SessionBody
  readonly sid: number
  /** Uuid of the message's event. */
  readonly promptUuid: string
  /** Who may stop it besides admins; undefined on both: whoever may write. */
  readonly ownerConnectionId: string | undefined
  readonly ownerDeviceId: string | undefined
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly expiresAt: number
  /** Completes when the sender was answered and told of the change: events of the message come after. */
  readonly answered: Deferred.Deferred<void> | undefined
  /** Completes with whether the message was stored; undefined: it is in the log. */
  readonly stored: Deferred.Deferred<boolean> | undefined
  /** Position of the message, once its event was passed on: what the log holds before it belongs to other runs. */
  promptSeq: number | undefined
  /** Set by the agent's turn. */
  startedAt: number | undefined
  /** The text of the answer so far. */
  text: string
  lastDeltaAt: number
  pendingDelta: boolean
  seq: number
}

const MIN_LIFE_MILLIS = 2 * 60_000
const MAX_LIFE_MILLIS = 24 * 3_600_000
const GRACE_MILLIS = 60_000
/** 48 h, of which a tracked run gets at most 24. */
const DEFAULT_TIMEOUT_MILLIS = 48 * 3_600_000

/** When a run counts as lost: its timeout and a minute, at least 2 min, at most 24 h. */
export const expiry = (nowMillis: number, timeoutMillis: number | undefined): number =>
  nowMillis +
  Math.min(
    MAX_LIFE_MILLIS,
    Math.max(MIN_LIFE_MILLIS, (timeoutMillis || DEFAULT_TIMEOUT_MILLIS) + GRACE_MILLIS)
  )

/** A run of which nothing has been said yet. */
export const newRun = (
  { key, organizationId, session, sid }: Pick<Run, "organizationId" | "key" | "session" | "sid">,
  known: Pick<Run, "id" | "promptUuid" | "createdAt" | "expiresAt"> & Partial<Run>
): Run => ({
  organizationId,
  key,
  session,
  sid,
  ownerConnectionId: undefined,
  ownerDeviceId: undefined,
  answered: undefined,
  stored: undefined,
  promptSeq: undefined,
  startedAt: undefined,
  text: "",
  lastDeltaAt: 0,
  pendingDelta: false,
  seq: 0,
  ...known
})

/** The run of a message that did not come by this gateway, or came before a restart: nobody owns it. */
export const unowned = (
  record: Parameters<typeof newRun>[0],
  prompt: { readonly uuid: string; readonly seq: number; readonly createdAt: number },
  at: { readonly now: number; readonly startedAt: number | undefined }
): Run =>
  newRun(record, {
    id: prompt.uuid,
    promptUuid: prompt.uuid,
    promptSeq: prompt.seq,
    createdAt: prompt.createdAt,
    expiresAt: expiry(at.now, undefined),
    startedAt: at.startedAt
  })

/** Ended runs whose messages are remembered. */
const ENDED_MAX = 10_000

const place = (session: string, id: string): string => `${session}\n${id}`

export class Runs {
  /** By session and id. */
  private readonly all = new Map<string, Run>()
  /** Messages of runs that have ended, of which the log may not tell yet: session and uuid. */
  private readonly ended = new BoundedMap<string, true>(ENDED_MAX)
  private readonly bySessionBody = new Map<string, Array<Run>>()

  add(run: Run): void {
    this.all.set(place(run.session, run.id), run)
    const others = this.bySessionBody.get(run.session)
    if (others === undefined) this.bySessionBody.set(run.session, [run])
    else others.push(run)
  }

  get(session: string, id: string): Run | undefined {
    return this.all.get(place(session, id))
  }

  /** Runs of an organisation that go by an id: one, unless several sessions were sent the same key. */
  named(organizationId: OrganizationId, id: string): ReadonlyArray<Run> {
    return [...this.all.values()].filter((run) => run.id === id && run.organizationId === organizationId)
  }

  /** Oldest first. */
  ofSession(session: string): ReadonlyArray<Run> {
    return this.bySessionBody.get(session) ?? []
  }

  ofPrompt(session: string, uuid: string): Run | undefined {
    return this.ofSession(session).find((run) => run.promptUuid === uuid)
  }

  /** The run whose turn it is: the one that has begun, else the oldest whose message was passed on. */
  current(session: string): Run | undefined {
    const runs = this.ofSession(session).filter((run) => run.promptSeq !== undefined)
    return runs.find((run) => run.startedAt !== undefined) ?? runs[0]
  }

  /** True where this process has told that the run of a message ended. */
  hasEnded(session: string, uuid: string): boolean {
    return this.ended.has(place(session, uuid))
  }

  /** Forgets a run that has ended. */
  end(run: Run): void {
    this.ended.set(place(run.session, run.promptUuid), true)
    this.remove(run)
  }

  hasKey(organizationId: OrganizationId, key: string): boolean {
    for (const run of this.all.values()) {
      if (run.key === key && run.organizationId === organizationId) return true
    }
    return false
  }

  remove(run: Run): void {
    if (this.all.get(place(run.session, run.id)) !== run) return
    this.all.delete(place(run.session, run.id))
    const left = this.ofSession(run.session).filter((each) => each !== run)
    if (left.length === 0) this.bySessionBody.delete(run.session)
    else this.bySessionBody.set(run.session, left)
  }

  expired(nowMillis: number): ReadonlyArray<Run> {
    return [...this.all.values()].filter((run) => nowMillis >= run.expiresAt)
  }

  get size(): number {
    return this.all.size
  }
}

export class GatewayRuns extends Context.Tag("@causeway/hub/GatewayRuns")<GatewayRuns, Runs>() {}

export const layer: Layer.Layer<GatewayRuns> = Layer.sync(GatewayRuns, () => new Runs())
