/**
 * What was given to an agent and how far it has come; what the agent is doing. Pure bookkeeping: no process, no clock.
 *
 * Invariants: a uuid is taken once; an entry moves only forward (`received`, `processing`, `processed`) and leaves when
 * it is processed; a prompt is processed by the result that names it, by being taken back before its turn, or by being
 * given up in words. One that was taken back is written to no process that has not got it yet. An agent begins turns by
 * itself (a background task has ended): of one that names its prompts, a result without a name answers none.
 */

import type { Report } from "@causeway/protocol/Delivery"
import { EventUuid } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import { uuid5 } from "@causeway/protocol/Uuid5"
import * as Withdrawal from "@causeway/protocol/Withdrawal"
import type { AgentOutput, AgentStatus } from "./Agent.ts"
import * as Tasks from "./Tasks.ts"

/** How many uuids of the past are remembered, each way. */
const REMEMBERED = 10_000

/** A prompt whose turn ended the agent this often is not given to it again. */
export const MAX_ATTEMPTS = 3

type Json = Payload.JsonObject

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const member = (value: unknown, name: string): unknown => (isObject(value) ? value[name] : undefined)

const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined)

/** A set that forgets its oldest members. */
const memory = () => {
  const known = new Set<string>()
  return {
    has: (key: string): boolean => known.has(key),
    add: (key: string): void => {
      known.add(key)
      if (known.size > REMEMBERED) for (const oldest of known.values()) return void known.delete(oldest)
    }
  }
}

/** Whether a turn was begun by something else than a person's prompt. */
const isForeign = (result: Payload.Payload): boolean => {
  const kind = member(result.json["origin"], "kind")
  return kind !== undefined && kind !== "human"
}

interface Entry {
  readonly payload: Payload.Payload
  readonly uuid: EventUuid
  readonly kind: "prompt" | "request" | "answer" | "note"
  state: Report
  /** How many processes have ended while this prompt's turn ran in them. */
  attempts: number
  /** Given to an earlier process already. */
  again: boolean
  /** Prompts: written to the running process. */
  sent: boolean
  /** A person has taken it back; it is with the agent, which has not said yet whether it had begun it. */
  withdrawn: boolean
}

/** What follows from an event: what to tell the reader, and what to write to the agent. */
export interface Step {
  readonly outputs: ReadonlyArray<AgentOutput>
  readonly writes: ReadonlyArray<Payload.Payload>
}

const nothing: Step = { outputs: [], writes: [] }

export interface Delivery {
  /** A client payload; `again` when an earlier process had it. One that was given here before changes nothing. */
  readonly give: (payload: Payload.Payload, again?: boolean) => Step
  /** A process is ready: what it must be given (again), oldest first. */
  readonly connected: () => Step
  /** A payload is about to be written to the process; false where it was taken back meanwhile. */
  readonly writing: (payload: Payload.Payload) => boolean
  /** A payload was written to the process. */
  readonly written: (payload: Payload.Payload) => Step
  /** A line of the process. */
  readonly line: (payload: Payload.Payload) => Step
  /** The process is gone. */
  readonly disconnected: () => Step
  /** Prompts given to this process again of which it shows no sign; empty while it works on anything. */
  readonly silent: () => ReadonlyArray<EventUuid>
  /** Settles prompts without the agent: a result that says `reason` and why. */
  readonly giveUp: (uuids: ReadonlyArray<EventUuid>, reason: string, detail: string) => Step
  /**
   * Settles the turn that an interrupt could not end in order, and the interrupt itself. `before`: `turns` when the
   * interrupt was given; a turn that has ended since is settled, and the prompts that wait are not part of it.
   */
  readonly abandonTurn: (detail: string, before?: number) => Step
  /** Prompts whose turns have ended the process too often. */
  readonly exceededAttempts: () => ReadonlyArray<EventUuid>
  /** Whether a prompt waits or is worked on. */
  readonly isBusy: () => boolean
  /** Whether anything would be lost if the process ended now: {@link isBusy}, or what the agent reports as running. */
  readonly isAtWork: () => boolean
  /** Whether a request is settled that was given under this uuid. */
  readonly isOpen: (uuid: EventUuid) => boolean
  /** Turns ended so far. */
  readonly turns: () => number
  readonly turnRuns: () => boolean
  readonly status: () => Extract<AgentStatus, "idle" | "running" | "requires_action">
}

/** `agentSessionId` is the namespace of the uuids that are given to lines without one. */
export const make = (agentSessionId: string, runId: () => string): Delivery => {
  const given = memory()
  const said = memory()
  const open = new Map<EventUuid, Entry>()
  /** Questions of the running process that wait for an answer: their tool use, where they have one. */
  const asks = new Map<string, string | undefined>()
  /** Questions of processes that are gone, by request id: asked again by the next one, or withdrawn. */
  const orphans = new Map<string, string | undefined>()
  /** Requests of agents that were answered: an agent may echo the answer. */
  const replied = memory()
  /** Answers by request id and by tool use, until their effect was seen. */
  const answers = new Map<string, EventUuid>()
  const tasks = Tasks.make()
  /** The agent has named a prompt in a result, or told of one how far it has come: it always does. */
  let names = false
  /** The agent tells when it begins a prompt. */
  let tellsBeginning = false
  /** Requests of our own that take back one prompt each, by request id: their answers are not for the log. */
  const recalls = new Map<string, EventUuid>()
  let turnRuns = false
  let stated: string | undefined
  let turns = 0
  let position = 0

  const deliver = (entry: Entry, state: Report): ReadonlyArray<AgentOutput> => {
    if (entry.state === state || entry.state === "processed") return []
    entry.state = state
    if (state === "processed") open.delete(entry.uuid)
    return [{ _tag: "Delivery", uuid: entry.uuid, state }]
  }

  const finish = (entry: Entry): ReadonlyArray<AgentOutput> => {
    for (const [key, uuid] of answers) if (uuid === entry.uuid) answers.delete(key)
    return deliver(entry, "processed")
  }

  const prompts = (): ReadonlyArray<Entry> =>
    Array.from(open.values()).filter(({ kind }) => kind === "prompt")

  const kindOf = (payload: Payload.Payload): Entry["kind"] => {
    switch (payload.type) {
      case "user":
        return "prompt"
      case "control_request":
        return "request"
      case "control_response":
        return "answer"
      default:
        return "note"
    }
  }

  /** Adds what a line lacks: a durable line has a uuid. */
  const identified = (payload: Payload.Payload): Payload.Payload => {
    if (payload.uuid !== undefined || Payload.isEphemeral(payload)) return payload
    const requestId = text(payload.json["request_id"]) ?? text(member(payload.json["response"], "request_id"))
    const uuid = uuid5(
      agentSessionId,
      requestId === undefined ? `${runId()} ${position++} ${payload.text}` : `${payload.type} ${requestId}`
    )
    return {
      ...payload,
      text: payload.text.replace("{", `{"uuid":${JSON.stringify(uuid)},`),
      json: { uuid, ...payload.json },
      uuid: EventUuid.make(uuid)
    }
  }

  const speak = (payload: Payload.Payload): ReadonlyArray<AgentOutput> => {
    const line = identified(payload)
    if (line.uuid !== undefined && !Payload.isEphemeral(line)) {
      if (said.has(line.uuid)) return []
      said.add(line.uuid)
    }
    return [{ _tag: "Line", payload: line }]
  }

  /** The answer that was given to a question of this request or tool use, for this request. */
  const answerTo = (requestId: string, toolUseId: string | undefined): Payload.Payload | undefined => {
    const uuid = answers.get(requestId) ?? (toolUseId === undefined ? undefined : answers.get(toolUseId))
    const entry = uuid === undefined ? undefined : open.get(uuid)
    if (entry === undefined) return undefined
    const { payload } = entry
    const response = payload.json["response"]
    return member(response, "request_id") === requestId
      ? payload
      : Payload.make({
          ...payload.json,
          type: payload.type,
          uuid: entry.uuid,
          response: { ...(isObject(response) ? response : {}), request_id: requestId }
        })
  }

  const give = (raw: Payload.Payload, again = false): Step => {
    // A payload without a uuid is like no other.
    const payload = identified(raw)
    const { uuid } = payload
    if (uuid === undefined || given.has(uuid)) return nothing
    given.add(uuid)
    const kind = kindOf(payload)
    const withdrawal = kind === "request" ? Withdrawal.of(payload) : undefined
    const outputs = withdrawal === undefined ? [] : takeBack(withdrawal)
    open.set(uuid, {
      payload,
      uuid,
      kind,
      state: "received",
      attempts: 0,
      again,
      sent: false,
      withdrawn: false
    })
    if (kind !== "answer") return { outputs, writes: [payload] }
    // An answer is held until its question is there: after a restart the agent asks again.
    const response = payload.json["response"]
    const requestId = text(member(response, "request_id"))
    const body = member(response, "response")
    const toolUseId =
      (requestId === undefined ? undefined : asks.get(requestId)) ??
      text(member(body, "toolUseID")) ??
      text(member(body, "tool_use_id"))
    for (const key of [requestId, toolUseId]) {
      // The first answer to a question stands.
      if (key !== undefined && answers.has(key)) {
        const entry = open.get(uuid)
        return { outputs: entry === undefined ? [] : deliver(entry, "processed"), writes: [] }
      }
    }
    // The question may have been asked again under another request since the person saw it.
    const asking =
      requestId !== undefined && asks.has(requestId)
        ? requestId
        : toolUseId === undefined
          ? undefined
          : Array.from(asks).find(([, about]) => about === toolUseId)?.[0]
    const entry = open.get(uuid)
    // Nobody asks and nothing runs that could: too late.
    if (asking === undefined && !isBusy())
      return { outputs: entry === undefined ? [] : deliver(entry, "processed"), writes: [] }
    for (const key of [requestId, toolUseId]) if (key !== undefined) answers.set(key, uuid)
    const write = asking === undefined ? undefined : answerTo(asking, toolUseId)
    return { outputs: [], writes: write === undefined ? [] : [write] }
  }

  /** What no process has is done with; of what the agent has, it says itself whether it had begun it. */
  const takeBack = (withdrawal: Withdrawal.Withdrawal): ReadonlyArray<AgentOutput> =>
    prompts()
      .filter(({ state, uuid }) => state === "received" && Withdrawal.covers(withdrawal, uuid))
      .flatMap((entry) => {
        entry.withdrawn = true
        return entry.sent ? [] : finish(entry)
      })

  const writing = (payload: Payload.Payload): boolean => {
    if (payload.type !== "user" || payload.uuid === undefined) return true
    const entry = open.get(payload.uuid)
    if (entry === undefined) return false
    entry.sent = true
    return true
  }

  const written = (payload: Payload.Payload): Step => {
    const entry = payload.uuid === undefined ? undefined : open.get(payload.uuid)
    if (entry === undefined || entry.kind === "prompt") return nothing
    if (entry.kind === "answer") {
      const requestId = text(member(payload.json["response"], "request_id"))
      const toolUseId = requestId === undefined ? undefined : asks.get(requestId)
      if (requestId !== undefined) {
        asks.delete(requestId)
        replied.add(requestId)
      }
      // Of an answer about no tool use there is no effect to wait for.
      if (toolUseId === undefined) return { outputs: finish(entry), writes: [] }
    }
    return { outputs: deliver(entry, entry.kind === "note" ? "processed" : "processing"), writes: [] }
  }

  /** Withdraws questions that were asked by processes before this one and not again. */
  const withdraw = (): ReadonlyArray<AgentOutput> => {
    const requests = Array.from(orphans.keys())
    orphans.clear()
    return requests.flatMap((requestId) =>
      speak(Payload.make({ type: "control_cancel_request", request_id: requestId }))
    )
  }

  const namedBy = (result: Payload.Payload): ReadonlyArray<string> => {
    const many = result.json["user_message_uuids"]
    const one = result.json["user_message_uuid"]
    return [...(Array.isArray(many) ? many : []), one].filter((uuid) => typeof uuid === "string")
  }

  /** The prompts that a result answers. */
  const answeredBy = (result: Payload.Payload): ReadonlyArray<Entry> => {
    const named = namedBy(result)
    const all = prompts()
    if (named.length > 0) names = true
    const matching = all.filter(({ uuid }) => named.some((name) => name === uuid))
    if (matching.length > 0) return matching
    if (isForeign(result)) return []
    const taken = all.filter(({ state }) => state === "processing")
    if (named.length === 0) return names ? [] : taken.slice(0, 1)
    // A resumed agent may go on with an interrupted turn under a prompt of its own; what it acknowledged and did not
    // begin anew is answered by that.
    return named.some((uuid) => given.has(uuid)) ? [] : taken.filter(({ again }) => again)
  }

  const result = (payload: Payload.Payload): ReadonlyArray<AgentOutput> => {
    turnRuns = false
    stated = undefined
    turns++
    asks.clear()
    const answered = answeredBy(payload)
    const named = namedBy(payload)
    const adopted = answered.map(({ uuid }) => uuid).filter((uuid) => !named.includes(uuid))
    const line =
      named.length > 0 && adopted.length > 0
        ? Payload.make({
            ...payload.json,
            type: payload.type,
            ...(payload.uuid === undefined ? {} : { uuid: payload.uuid }),
            user_message_uuids: [...new Set([...named, ...adopted])]
          })
        : payload
    // Answers belong to the turn: what it has not used by its end it will not use.
    const used = Array.from(open.values()).filter(({ kind }) => kind === "answer")
    return [...withdraw(), ...speak(line), ...[...answered, ...used].flatMap(finish)]
  }

  const toolResults = (payload: Payload.Payload): ReadonlyArray<AgentOutput> => {
    const content = member(payload.json["message"], "content")
    if (!Array.isArray(content)) return []
    return content.flatMap((block) => {
      const toolUseId = text(member(block, "tool_use_id"))
      const uuid = toolUseId === undefined ? undefined : answers.get(toolUseId)
      const entry = uuid === undefined ? undefined : open.get(uuid)
      return entry === undefined ? [] : finish(entry)
    })
  }

  const line = (payload: Payload.Payload): Step => {
    const { json } = payload
    switch (payload.type) {
      case "user": {
        if (json["isReplay"] === true) {
          // An echo of what was given: the log has it already.
          const entry = payload.uuid === undefined ? undefined : open.get(payload.uuid)
          if (entry !== undefined) return { outputs: deliver(entry, "processing"), writes: [] }
          if (payload.uuid !== undefined && given.has(payload.uuid)) return nothing
          return { outputs: speak(payload), writes: [] }
        }
        return { outputs: [...speak(payload), ...toolResults(payload)], writes: [] }
      }
      case "assistant": {
        const named = text(json["user_message_uuid"])
        const all = prompts()
        const entry =
          named === undefined
            ? names || all.some(({ state }) => state === "processing")
              ? undefined
              : all[0]
            : all.find(({ uuid }) => uuid === named)
        // A line that names an answered prompt is late: it begins no turn.
        if (named === undefined || entry !== undefined) turnRuns = true
        return {
          outputs: [...(entry === undefined ? [] : deliver(entry, "processing")), ...speak(payload)],
          writes: []
        }
      }
      case "result":
        return { outputs: result(payload), writes: [] }
      case "system": {
        if (json["subtype"] === "init") turnRuns = true
        if (json["subtype"] === "session_state_changed") stated = text(json["state"])
        tasks.line(json)
        return { outputs: speak(payload), writes: [] }
      }
      case "control_request": {
        const requestId = text(json["request_id"])
        if (requestId === undefined) return { outputs: speak(payload), writes: [] }
        const toolUseId = text(member(json["request"], "tool_use_id"))
        asks.set(requestId, toolUseId)
        let known = false
        for (const [orphan, asked] of orphans) {
          if (orphan !== requestId && (toolUseId === undefined || asked !== toolUseId)) continue
          known = true
          orphans.delete(orphan)
        }
        const answer = answerTo(requestId, toolUseId)
        return {
          // A question that is new means that the turn was begun anew: the old ones will not be asked again.
          outputs: [...(known ? [] : withdraw()), ...speak(payload)],
          writes: answer === undefined ? [] : [answer]
        }
      }
      case "control_cancel_request": {
        const requestId = text(json["request_id"])
        if (requestId !== undefined) asks.delete(requestId)
        return { outputs: speak(payload), writes: [] }
      }
      case "command_lifecycle": {
        const entry = prompts().find(({ uuid }) => uuid === json["command_uuid"])
        const state = json["state"]
        names = true
        tellsBeginning = true
        return {
          outputs: [
            ...(entry !== undefined && state === "started" ? deliver(entry, "processing") : []),
            ...speak(payload),
            ...(entry !== undefined && state === "cancelled" ? cancelled([entry.uuid]) : [])
          ],
          writes: []
        }
      }
      case "control_response": {
        const requestId = text(member(json["response"], "request_id"))
        if (requestId !== undefined && replied.has(requestId)) return nothing
        const dropped = member(member(json["response"], "response"), "cancelled")
        const recalled = requestId === undefined ? undefined : recalls.get(requestId)
        if (requestId !== undefined && recalled !== undefined) {
          recalls.delete(requestId)
          return { outputs: decided(recalled, dropped), writes: [] }
        }
        const entry = Array.from(open.values()).find(
          ({ kind, payload }) => kind === "request" && payload.json["request_id"] === requestId
        )
        return {
          outputs: [
            ...speak(payload),
            ...(entry === undefined ? [] : finish(entry)),
            ...(entry === undefined ? [] : settled(entry.payload, dropped))
          ],
          writes: entry === undefined ? [] : recall(entry.payload)
        }
      }
      default:
        return { outputs: speak(payload), writes: [] }
    }
  }

  const disconnected = (): Step => {
    const all = prompts()
    const taken = all.filter(({ state }) => state === "processing")
    const worked = taken.length > 0 || !turnRuns || tellsBeginning ? taken : all.slice(0, 1)
    for (const entry of worked) entry.attempts++
    for (const entry of all) {
      entry.again = true
      entry.sent = false
    }
    for (const [requestId, toolUseId] of asks) orphans.set(requestId, toolUseId)
    asks.clear()
    tasks.clear()
    turnRuns = false
    stated = undefined
    recalls.clear()
    // The process that might have begun them is gone, and no other gets them.
    return {
      outputs: all
        .filter(({ state, withdrawn }) => withdrawn && state === "received")
        .flatMap((entry) => finish(entry)),
      writes: []
    }
  }

  const isBusy = (): boolean => turnRuns || asks.size > 0 || prompts().length > 0

  const giveUp = (uuids: ReadonlyArray<EventUuid>, reason: string, detail: string): Step => ({
    outputs: uuids.flatMap((uuid) => {
      const entry = open.get(uuid)
      if (entry === undefined) return []
      return [
        ...speak(
          Payload.make({
            type: "result",
            subtype: "error_during_execution",
            is_error: true,
            terminal_reason: reason,
            errors: [detail],
            user_message_uuid: uuid,
            user_message_uuids: [uuid],
            session_id: agentSessionId,
            uuid: uuid5(uuid, reason)
          })
        ),
        ...finish(entry)
      ]
    }),
    writes: []
  })

  /** The agent has taken these out of its queue; its own line says so. */
  const cancelled = (uuids: ReadonlyArray<unknown>): ReadonlyArray<AgentOutput> =>
    prompts()
      .filter(({ uuid }) => uuids.includes(uuid))
      .flatMap(finish)

  /** Whether the agent had begun the prompt that it was to give back: then it is on its way to a result. */
  const decided = (uuid: EventUuid, wasCancelled: unknown): ReadonlyArray<AgentOutput> => {
    const entry = open.get(uuid)
    if (entry === undefined) return []
    if (wasCancelled === true) return finish(entry)
    entry.withdrawn = false
    return deliver(entry, "processing")
  }

  /** What the answer to a person's request says of the prompts in the queue. */
  const settled = (request: Payload.Payload, dropped: unknown): ReadonlyArray<AgentOutput> => {
    const withdrawal = Withdrawal.of(request)
    if (withdrawal?._tag === "One") return dropped === undefined ? [] : decided(withdrawal.uuid, dropped)
    return Array.isArray(dropped) ? cancelled(dropped) : []
  }

  /** Asks for each prompt that an interrupt should have taken out of the queue and did not: older agents leave it there. */
  const recall = (request: Payload.Payload): ReadonlyArray<Payload.Payload> =>
    Withdrawal.of(request)?._tag !== "All"
      ? []
      : prompts()
          .filter(({ state, withdrawn }) => withdrawn && state === "received")
          .map(({ uuid }) => {
            const requestId = `recall_${uuid}`
            recalls.set(requestId, uuid)
            return Payload.make({
              ...Withdrawal.one(requestId, uuid),
              uuid: uuid5(agentSessionId, `${runId()} ${requestId}`)
            })
          })

  return {
    give,
    connected: () => ({
      outputs: [],
      writes: Array.from(open.values())
        .filter(({ kind }) => kind !== "answer")
        .map(({ payload }) => payload)
    }),
    writing,
    written,
    line,
    disconnected,
    silent: () =>
      turnRuns || asks.size > 0 || stated === "running" || stated === "requires_action"
        ? []
        : prompts()
            .filter(({ again }) => again)
            .map(({ uuid }) => uuid),
    giveUp,
    abandonTurn: (detail, before = turns) => {
      const isOver = turns > before
      turnRuns = false
      turns++
      const all = prompts()
      const begun = all.filter(({ state }) => state === "processing")
      const taken = isOver ? [] : begun.length > 0 || tellsBeginning ? begun : all.slice(0, 1)
      const requests = Array.from(open.values()).filter(({ kind }) => kind === "request")
      return {
        outputs: [
          ...withdraw(),
          ...requests.flatMap((entry) => [
            ...speak(
              Payload.make({
                type: "control_response",
                response: {
                  subtype: "success",
                  request_id: entry.payload.json["request_id"],
                  response: { forced: true }
                }
              })
            ),
            ...finish(entry)
          ]),
          ...giveUp(
            taken.map(({ uuid }) => uuid),
            "aborted_by_signal",
            detail
          ).outputs
        ],
        writes: []
      }
    },
    exceededAttempts: () =>
      prompts()
        .filter(({ attempts }) => attempts >= MAX_ATTEMPTS)
        .map(({ uuid }) => uuid),
    isBusy,
    isAtWork: () =>
      isBusy() || open.size > 0 || tasks.run() || stated === "running" || stated === "requires_action",
    isOpen: (uuid) => open.has(uuid),
    turns: () => turns,
    turnRuns: () => turnRuns,
    status: () => {
      if (asks.size > 0 || stated === "requires_action") return "requires_action"
      return isBusy() || stated === "running" ? "running" : "idle"
    }
  }
}
