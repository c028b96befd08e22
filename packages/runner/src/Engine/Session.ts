/**
 * One session that the engine serves: what its agent says is taken with what belongs to it, and what people decided ahead
 * settles what is open, now and whenever it changes.
 */
import { randomUUID } from "node:crypto"
import type * as AgentSettings from "@causeway/protocol/AgentSettings"
import * as Payload from "@causeway/protocol/Payload"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { AgentOutput, AgentSession, AgentSessions } from "../Agent.ts"
import type * as Ceiling from "../Ceiling.ts"
import type { Channel } from "../Channel.ts"
import * as FileBefore from "../FileBefore.ts"
import * as Guarded from "../internal/Guarded.ts"
import * as Policy from "../Policy.ts"
import * as Snapshot from "../Snapshot.ts"

const line = (payload: Payload.Payload): AgentOutput => ({ _tag: "Line", payload })

export const newLine = (json: Payload.JsonObject & { readonly type: string }): AgentOutput =>
  line(Payload.make({ ...json, uuid: randomUUID() }))

/** A channel that is being served. */
export interface Session {
  readonly channel: Channel
  readonly env: { readonly [name: string]: string } | undefined
  readonly ceiling: Ceiling.Ceiling
  readonly agents: AgentSessions["Type"]
  /** Whether the agent's conversation does not exist yet. */
  readonly first: Ref.Ref<boolean>
  readonly settings: SubscriptionRef.SubscriptionRef<AgentSettings.AgentSettings>
  readonly desk: Ref.Ref<Policy.Desk>
  /** Paths of files that the agent is reading, by tool use. */
  readonly reads: Map<string, string>
  /** The agent while one is up. */
  readonly agent: Ref.Ref<Option.Option<AgentSession>>
}

/** Answers open requests by the settings in force; answers with the lines that tell of it. */
const decided = ({ ceiling, channel, desk, settings }: Session) =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const inForce = yield* SubscriptionRef.get(settings)
    return yield* Ref.modify(desk, (before) => {
      const answers = Policy.answers(before, inForce, ceiling, channel.record.agentSessionId, now)
      const after = answers.reduce((at, answer) => Policy.step(at, "worker", answer, now), before)
      return [answers, after]
    })
  })

/** Gives decisions to the agent, once they are durable. */
const give = ({ agent }: Session, answers: ReadonlyArray<Payload.Payload>) =>
  Effect.flatMap(
    Ref.get(agent),
    Option.match({
      onNone: () => Effect.void,
      onSome: ({ input }) => Effect.forEach(answers, input, { discard: true })
    })
  )

const settleOpen = (session: Session) =>
  Effect.gen(function* () {
    const answers = yield* decided(session)
    if (answers.length === 0) return
    yield* session.channel.write(answers.map(line))
    yield* give(session, answers)
  })

/** Reads of files that wait for their result. */
const READS_MAX = 256

/** Keeps files as the agent reads them; answers with the lines that tell of it. */
const snapshots = ({ channel, reads }: Session, { json, type }: Payload.Payload) =>
  Effect.gen(function* () {
    const told: Array<AgentOutput> = []
    if (type === "assistant") {
      for (const [toolUseId, path] of Snapshot.readsIn(json)) {
        if (reads.size < READS_MAX) reads.set(toolUseId, path)
      }
    }
    if (type !== "user" || reads.size === 0) return told
    const { agentSessionId, cwd } = channel.record
    for (const toolUseId of Snapshot.resultsIn(json)) {
      const path = reads.get(toolUseId)
      if (path === undefined) continue
      reads.delete(toolUseId)
      const snapshot = yield* Snapshot.take(cwd, toolUseId, path, json)
      if (Option.isNone(snapshot)) continue
      yield* channel.keep(snapshot.value)
      told.push(line(Snapshot.payload(agentSessionId, snapshot.value)))
    }
    return told
  })

/**
 * Takes what an agent said: with what stands in a file that it asks to change, and with what was decided ahead. Fails where
 * the agent works in a mode that is not allowed here.
 */
export const take = (session: Session, outputs: ReadonlyArray<AgentOutput>) =>
  Effect.gen(function* () {
    const { ceiling, channel, desk, first } = session
    const lines: Array<AgentOutput> = []
    const answers: Array<Payload.Payload> = []
    for (const output of outputs) {
      if (output._tag === "Delivery") {
        lines.push(output)
        continue
      }
      const allowed = yield* Effect.either(Guarded.heard(ceiling, channel, output.payload))
      if (Either.isLeft(allowed)) {
        yield* channel.write(lines)
        return yield* allowed.left
      }
      const before = yield* FileBefore.of(channel.record.cwd, output.payload)
      const told = [
        ...(before === null ? [] : [Payload.make({ ...before, uuid: randomUUID() })]),
        output.payload
      ]
      lines.push(...told.map(line))
      const now = yield* Clock.currentTimeMillis
      for (const each of told) yield* Ref.update(desk, (at) => Policy.step(at, "worker", each, now))
      lines.push(...(yield* snapshots(session, output.payload)))
      if (output.payload.type !== "control_request") continue
      const decisions = yield* decided(session)
      answers.push(...decisions)
      lines.push(...decisions.map(line))
    }
    if ((yield* Ref.get(first)) && outputs.some(({ _tag }) => _tag === "Line")) {
      yield* channel.launched
      yield* Ref.set(first, false)
    }
    yield* channel.write(lines)
    yield* give(session, answers)
  })

/** Settings that people change while the session is served: for the agent that is up, and for what is open. */
export const follow = (session: Session) =>
  Effect.forever(
    Effect.gen(function* () {
      const { agent, ceiling, channel, settings } = session
      const given = yield* Queue.take(channel.changes)
      const change = yield* Guarded.change(ceiling, channel, given, yield* SubscriptionRef.get(settings))
      const running = yield* Ref.get(agent)
      if (Option.isSome(running)) yield* running.value.configure(change)
      yield* SubscriptionRef.set(settings, yield* channel.settings)
      yield* settleOpen(session)
    })
  )

/** Ends the skipping of permissions when its time is over, and tells it in the log. */
export const expire = ({ channel, settings }: Session) =>
  settings.changes.pipe(
    Stream.flatMap(
      ({ skip_permissions: skips, skip_permissions_until: until }) =>
        Effect.gen(function* () {
          if (skips !== true || until == null) return
          yield* Effect.sleep(Math.max(0, until - (yield* Clock.currentTimeMillis)))
          yield* channel.write([line(Policy.expired(channel.record.agentSessionId, until))])
          yield* Effect.flatMap(channel.settings, (now) => SubscriptionRef.set(settings, now))
        }),
      { switch: true }
    ),
    Stream.runDrain
  )
