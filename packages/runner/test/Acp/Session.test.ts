/** The session's own rules, against an agent that does anything in any order: a peer that the test plays. */
import * as Payload from "@causeway/protocol/Payload"
import * as Conversation from "@causeway/transcript/Conversation"
import * as Read from "@causeway/transcript/Read"
import * as SessionRow from "@causeway/transcript/SessionRow"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as TestClock from "effect/TestClock"
import type { Peer, Reply, RequestId } from "../../src/Acp/JsonRpc.ts"
import { RpcError } from "../../src/Acp/JsonRpc.ts"
import type { Progress, Record } from "../../src/Acp/Record.ts"
import * as Session from "../../src/Acp/Session.ts"
import * as Settings from "../../src/Acp/Settings.ts"
import { ProcessGone } from "../../src/Process/AgentProcess.ts"

const memoryRecord = (): Record => {
  const prompts = new Map<string, Progress>()
  const set = (prompt: string, progress: Progress) => Effect.sync(() => void prompts.set(prompt, progress))
  return {
    acpSessionId: () => "acp-1",
    setAcpSessionId: () => Effect.void,
    progress: (prompt) => prompts.get(prompt) ?? "unknown",
    given: (prompt) => set(prompt, "given"),
    answered: (prompt) => set(prompt, "answered"),
    open: () => [...prompts].flatMap(([prompt, progress]) => (progress === "given" ? [prompt] : []))
  }
}

/** An open session, and the hands of its agent. */
const harness = Effect.gen(function* () {
  const lines: Array<Payload.Payload> = []
  const log: Array<{ readonly source: "worker" | "client"; readonly payload: Payload.Payload }> = []
  const calls: Array<{
    readonly method: string
    readonly params: Payload.JsonObject
    readonly onReply: (reply: Reply) => Effect.Effect<void>
  }> = []
  const responses: Array<{ readonly id: RequestId; readonly outcome: Either.Either<unknown, RpcError> }> = []
  const notified: Array<string> = []
  let gone = false
  /** Prompts without a reply, oldest first; never more than one. */
  const open: Array<(reply: Reply) => Effect.Effect<void>> = []
  const peer: Peer = {
    call: (method, params, onReply) =>
      Effect.suspend(() => {
        if (gone) return onReply(Either.left(new ProcessGone({ detail: "gone" })))
        calls.push({ method, params: Read.object(params), onReply })
        open.push(onReply)
        expect(open.length).toBe(1)
        return Effect.void
      }),
    request: () => Effect.succeed({}),
    notify: (method) => Effect.sync(() => void notified.push(method)),
    respond: (id, outcome) => Effect.sync(() => void responses.push({ id, outcome })),
    run: () => Effect.void
  }
  const session = yield* Session.make({
    sessionId: "session-1",
    run: "run-1",
    cwd: "/project",
    mcpServers: [],
    peer,
    record: memoryRecord(),
    services: new Map(),
    terminals: {
      create: () => Effect.die("unused"),
      output: () => Effect.die("unused"),
      waitForExit: () => Effect.die("unused"),
      kill: () => Effect.die("unused"),
      release: () => Effect.die("unused"),
      news: () => []
    },
    refuses: () => undefined,
    emit: (more) =>
      Effect.sync(() => {
        lines.push(...more)
        log.push(...more.map((payload) => ({ source: "worker" as const, payload })))
      })
  })
  yield* session.opened({
    acpSessionId: "acp-1",
    agent: { name: "played", version: "1" },
    takes: {},
    settings: Settings.empty
  })
  /** Lets what was forked run: nothing here waits for anything but the clock. */
  const settle = TestClock.adjust("1 second")
  const reply = (outcome: Reply) =>
    Effect.suspend(() => {
      const onReply = open.shift()
      return onReply === undefined ? Effect.void : Effect.zipRight(onReply(outcome), settle)
    })
  return {
    session: {
      ...session,
      send: (payload: Payload.Payload) =>
        Effect.suspend(() => {
          // The hub's log takes each event once.
          if (!log.some((each) => each.payload.uuid === payload.uuid)) log.push({ source: "client", payload })
          return session.send(payload)
        })
    },
    log,
    lines,
    calls,
    responses,
    notified,
    open,
    reply,
    settle,
    leave: Effect.suspend(() => {
      gone = true
      return Effect.zipRight(reply(Either.left(new ProcessGone({ detail: "gone" }))), session.gone)
    })
  }
})

const prompt = (uuid: string): Payload.Payload =>
  Payload.make({ type: "user", uuid, message: { role: "user", content: `words of ${uuid}` } })
const interrupt = (uuid: string, cancelQueued: boolean): Payload.Payload =>
  Payload.make({
    type: "control_request",
    uuid,
    request_id: uuid,
    request: { subtype: "interrupt", ...(cancelQueued ? { cancel_queued: true } : {}) }
  })
const stopped = (stopReason: string): Reply => Either.right({ stopReason })
const options = [
  { optionId: "y", name: "Yes", kind: "allow_once" },
  { optionId: "n", name: "No", kind: "reject_once" }
]

type Action =
  | { readonly _tag: "Prompt"; readonly id: number }
  | { readonly _tag: "Interrupt"; readonly cancelQueued: boolean }
  | { readonly _tag: "Reply"; readonly stopReason: string }
  | { readonly _tag: "Fail" }
  | { readonly _tag: "Say"; readonly text: string }
  | { readonly _tag: "Call"; readonly id: number; readonly status: string }
  | { readonly _tag: "Ask" }
  | {
      readonly _tag: "Answer"
      readonly which: number
      readonly behavior: string
      readonly interrupt: boolean
    }
  | { readonly _tag: "Withdraw"; readonly which: number }
  | { readonly _tag: "Wait" }

const action: FastCheck.Arbitrary<Action> = FastCheck.oneof(
  {
    weight: 3,
    arbitrary: FastCheck.record({
      _tag: FastCheck.constant("Prompt" as const),
      id: FastCheck.nat({ max: 9 })
    })
  },
  FastCheck.record({ _tag: FastCheck.constant("Interrupt" as const), cancelQueued: FastCheck.boolean() }),
  {
    weight: 2,
    arbitrary: FastCheck.record({
      _tag: FastCheck.constant("Reply" as const),
      stopReason: FastCheck.constantFrom("end_turn", "cancelled", "refusal")
    })
  },
  FastCheck.constant<Action>({ _tag: "Fail" }),
  {
    weight: 2,
    arbitrary: FastCheck.record({
      _tag: FastCheck.constant("Say" as const),
      text: FastCheck.string({ maxLength: 5 })
    })
  },
  FastCheck.record({
    _tag: FastCheck.constant("Call" as const),
    id: FastCheck.nat({ max: 2 }),
    status: FastCheck.constantFrom("pending", "in_progress", "completed", "failed")
  }),
  { weight: 2, arbitrary: FastCheck.constant<Action>({ _tag: "Ask" }) },
  {
    weight: 2,
    arbitrary: FastCheck.record({
      _tag: FastCheck.constant("Answer" as const),
      which: FastCheck.nat({ max: 5 }),
      behavior: FastCheck.constantFrom("allow", "deny"),
      interrupt: FastCheck.boolean()
    })
  },
  FastCheck.record({ _tag: FastCheck.constant("Withdraw" as const), which: FastCheck.nat({ max: 5 }) }),
  FastCheck.constant<Action>({ _tag: "Wait" })
)

type Log = ReadonlyArray<{ readonly source: "worker" | "client"; readonly payload: Payload.Payload }>

const durable = (log: Log) =>
  log
    .filter(({ payload }) => !Payload.isEphemeral(payload) && payload.json["isReplay"] !== true)
    .map(({ payload, source }, at) => ({
      seq: at + 1,
      uuid: payload.uuid ?? `no uuid ${at}`,
      source,
      createdAt: at,
      payload
    }))

const play = (actions: ReadonlyArray<Action>) =>
  Effect.gen(function* () {
    const world = yield* harness
    const { lines, reply, session, settle } = world
    const given = new Set<string>()
    let asks = 0
    const update = (json: Payload.JsonObject) =>
      session.handlers.onNotification("session/update", { sessionId: "acp-1", update: json })
    for (const [at, each] of actions.entries()) {
      switch (each._tag) {
        case "Prompt":
          given.add(`p${each.id}`)
          yield* session.send(prompt(`p${each.id}`))
          break
        case "Interrupt":
          yield* session.send(interrupt(`i${at}`, each.cancelQueued))
          break
        case "Reply":
          yield* reply(stopped(each.stopReason))
          break
        case "Fail":
          yield* reply(Either.left(new RpcError({ code: -32603, message: "failed" })))
          break
        case "Say":
          yield* update({ sessionUpdate: "agent_message_chunk", content: { type: "text", text: each.text } })
          break
        case "Call":
          yield* update({
            sessionUpdate: "tool_call",
            toolCallId: `call-${each.id}`,
            title: "t",
            status: each.status
          })
          break
        case "Ask":
          yield* session.handlers.onRequest(asks, "session/request_permission", {
            sessionId: "acp-1",
            toolCall: { toolCallId: `asked-${asks++}`, title: "t", rawInput: { a: 1 } },
            options
          })
          break
        case "Answer": {
          const asked = lines.filter(({ type }) => type === "control_request")[each.which]
          yield* session.send(
            Payload.make({
              type: "control_response",
              uuid: `a${at}`,
              response: {
                subtype: "success",
                request_id: asked?.json["request_id"] ?? "unknown",
                response: { behavior: each.behavior, message: "words", interrupt: each.interrupt }
              }
            })
          )
          break
        }
        case "Withdraw":
          yield* session.handlers.onNotification("$/cancel_request", { requestId: each.which })
          break
        case "Wait":
          yield* settle
      }
    }
    return { ...world, given, asks: () => asks }
  })

const results = (lines: ReadonlyArray<Payload.Payload>) =>
  lines.filter(({ type }) => type === "result").map(({ json }) => String(json["user_message_uuid"]))
const dropped = (lines: ReadonlyArray<Payload.Payload>) =>
  lines.flatMap(({ json }) =>
    Read.array(Read.object(Read.object(json["response"])["response"])["cancelled"]).map(String)
  )

describe("whatever agent and people do, in whatever order", () => {
  it.effect.prop(
    "each prompt is given once, one at a time, and has one result or was dropped; each question has one answer",
    [FastCheck.array(action, { maxLength: 40 })],
    ([actions]) =>
      Effect.scoped(
        Effect.gen(function* () {
          const { asks, calls, given, lines, log, open, reply, responses, settle } = yield* play(actions)
          yield* settle
          while (open.length > 0) yield* reply(stopped("end_turn"))
          const answered = results(lines)
          const persons = answered.filter((uuid) => given.has(uuid))
          expect(new Set(answered).size).toBe(answered.length)
          expect([...persons, ...dropped(lines)].sort()).toEqual([...given].sort())
          expect(calls.every(({ method }) => method === "session/prompt")).toBe(true)
          expect(calls.length).toBe(answered.length)
          // Questions that came between turns wait for an answer still; all others have exactly one.
          const ids = responses.map(({ id }) => id)
          expect(new Set(ids).size).toBe(ids.length)
          const row = SessionRow.replay(durable(log))
          expect(ids.length + row.approvals.pending.length).toBe(asks())
          expect(row.activity === "running").toBe(false)
          const uuids = durable(log).flatMap(({ source, uuid }) => (source === "worker" ? [uuid] : []))
          expect(new Set(uuids).size).toBe(uuids.length)
        })
      ),
    { fastCheck: { numRuns: 100 } }
  )

  it.effect.prop(
    "an agent that is gone leaves no call and no question open, and ends no prompt that it did not begin",
    [FastCheck.array(action, { maxLength: 30 })],
    ([actions]) =>
      Effect.scoped(
        Effect.gen(function* () {
          const { leave, lines, log, settle } = yield* play(actions)
          yield* settle
          yield* leave
          yield* settle
          const row = SessionRow.replay(durable(log))
          expect(row.approvals.pending).toEqual([])
          for (const item of Conversation.fold(durable(log)).items) {
            if (item.kind === "tool_call") expect(item.completed).toBe(true)
          }
          const ended = results(lines)
          expect(new Set(ended).size).toBe(ended.length)
          const begun = new Set(
            lines.flatMap(({ json, uuid }) => (json["isReplay"] === true ? [String(uuid)] : []))
          )
          expect(ended.filter((uuid) => !begun.has(uuid))).toEqual([])
        })
      ),
    { fastCheck: { numRuns: 100 } }
  )
})
