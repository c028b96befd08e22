import { EventUuid } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import type { AgentOutput } from "../src/Agent.ts"
import * as Delivery from "../src/Delivery.ts"

const ids = ["a", "b", "c"] as const
const id = FastCheck.constantFrom(...ids)
const payload = (json: Payload.JsonObject & { readonly type: string; readonly uuid?: string }) =>
  Payload.make(json)

const prompt = (name: string) =>
  payload({ type: "user", uuid: `prompt-${name}`, message: { role: "user", content: name } })
const interrupt = (name: string) =>
  payload({
    type: "control_request",
    uuid: `interrupt-${name}`,
    request_id: `r${name}`,
    request: { subtype: "interrupt" }
  })
const withdrawal = (name: string) =>
  payload({
    type: "control_request",
    uuid: `withdrawal-${name}`,
    request_id: `w${name}`,
    request: { subtype: "interrupt", cancel_queued: true }
  })
const recall = (name: string, of: string) =>
  payload({
    type: "control_request",
    uuid: `recall-${name}-${of}`,
    request_id: `c${name}${of}`,
    request: { subtype: "cancel_async_message", message_uuid: `prompt-${of}` }
  })
const answer = (name: string, by: string) =>
  payload({
    type: "control_response",
    uuid: `answer-${name}-${by}`,
    response: { subtype: "success", request_id: `ask ${name}`, response: { behavior: "allow", by } }
  })

type Event =
  | { readonly _tag: "Give"; readonly payload: Payload.Payload }
  | { readonly _tag: "Line"; readonly payload: Payload.Payload }
  | { readonly _tag: "Write" }
  | { readonly _tag: "Crash" | "Silence" | "Abandon" }

const given = FastCheck.oneof(
  id.map(prompt),
  id.map(interrupt),
  id.map(withdrawal),
  FastCheck.tuple(id, id).map(([name, of]) => recall(name, of)),
  FastCheck.tuple(id, id).map(([name, by]) => answer(name, by))
).map((payload): Event => ({ _tag: "Give", payload }))

const line = FastCheck.oneof(
  id.map((name) => payload({ ...prompt(name).json, type: "user", uuid: `prompt-${name}`, isReplay: true })),
  id.map((name) => payload({ type: "assistant", uuid: `says-${name}`, message: { content: [] } })),
  id.map((name) => payload({ type: "system", subtype: "init", uuid: `init-${name}` })),
  FastCheck.constantFrom("running", "idle", "requires_action").map((state) =>
    payload({ type: "system", subtype: "session_state_changed", state })
  ),
  id.map((name) =>
    payload({
      type: "control_request",
      request_id: `ask ${name}`,
      request: { subtype: "can_use_tool", tool_use_id: `tool ${name}` }
    })
  ),
  id.map((name) => payload({ type: "control_cancel_request", request_id: `ask ${name}` })),
  id.map((name) =>
    payload({
      type: "control_response",
      response: { subtype: "success", request_id: `r${name}`, response: {} }
    })
  ),
  id.map((name) =>
    payload({
      type: "user",
      uuid: `result-${name}`,
      message: { content: [{ type: "tool_result", tool_use_id: `tool ${name}` }] }
    })
  ),
  FastCheck.tuple(id, FastCheck.subarray([...ids])).map(([name, cancelled]) =>
    payload({
      type: "control_response",
      response: {
        subtype: "success",
        request_id: `w${name}`,
        response: { still_queued: [], cancelled: cancelled.map((each) => `prompt-${each}`) }
      }
    })
  ),
  FastCheck.tuple(id, id, FastCheck.boolean()).map(([name, of, cancelled]) =>
    payload({
      type: "control_response",
      response: { subtype: "success", request_id: `c${name}${of}`, response: { cancelled } }
    })
  ),
  FastCheck.option(id).map((name) =>
    payload({ type: "result", ...(name === null ? {} : { user_message_uuid: `prompt-${name}` }) })
  ),
  FastCheck.tuple(id, FastCheck.constantFrom("queued", "started", "completed", "cancelled")).map(
    ([name, state]) => payload({ type: "command_lifecycle", command_uuid: `prompt-${name}`, state })
  ),
  FastCheck.constant(payload({ type: "never_heard_of" }))
).map((payload): Event => ({ _tag: "Line", payload }))

const events = FastCheck.array(
  FastCheck.oneof(
    { weight: 3, arbitrary: given },
    { weight: 6, arbitrary: line },
    { weight: 3, arbitrary: FastCheck.constant<Event>({ _tag: "Write" }) },
    {
      weight: 2,
      arbitrary: FastCheck.constantFrom<Event>({ _tag: "Crash" }, { _tag: "Silence" }, { _tag: "Abandon" })
    }
  ),
  { maxLength: 60 }
)

/** Runs events through the books, with a process that takes what is written when told to. */
const run = (all: ReadonlyArray<Event>) => {
  const delivery = Delivery.make("conversation", () => "run")
  const outputs: Array<AgentOutput> = []
  const written: Array<Payload.Payload> = []
  let pending: Array<Payload.Payload> = []
  const take = (step: Delivery.Step) => {
    outputs.push(...step.outputs)
    pending.push(...step.writes)
  }
  const write = () => {
    const next = pending.shift()
    if (next === undefined || !delivery.writing(next)) return
    written.push(next)
    take(delivery.written(next))
  }
  const apply = (event: Event) => {
    switch (event._tag) {
      case "Give":
        return take(delivery.give(event.payload))
      case "Line":
        return take(delivery.line(event.payload))
      case "Write":
        return write()
      case "Crash":
        take(delivery.disconnected())
        pending = []
        take(delivery.giveUp(delivery.exceededAttempts(), "agent_crashed", "too often"))
        return take(delivery.connected())
      case "Silence":
        return take(delivery.giveUp(delivery.silent(), "swallowed", "no sign"))
      case "Abandon":
        return take(delivery.abandonTurn("by signal"))
    }
  }
  for (const event of all) apply(event)
  return { delivery, outputs, written, apply, take, pending: () => pending, write }
}

const deliveries = (outputs: ReadonlyArray<AgentOutput>) => {
  const by = new Map<string, Array<string>>()
  for (const each of outputs) {
    if (each._tag === "Delivery") by.set(each.uuid, [...(by.get(each.uuid) ?? []), each.state])
  }
  return by
}

describe("Delivery", () => {
  it.prop("moves an entry only forward, each state once", [events], ([all]) => {
    for (const states of deliveries(run(all).outputs).values()) {
      expect([["processing"], ["processed"], ["processing", "processed"]]).toContainEqual(states)
    }
  })

  it.prop("says each durable line once, and none without a uuid", [events], ([all]) => {
    const uuids = run(all).outputs.flatMap((each) => {
      if (each._tag !== "Line" || Payload.isEphemeral(each.payload)) return []
      expect(each.payload.uuid).toBeDefined()
      expect(Payload.decode(each.payload.text)).toMatchObject({ right: { uuid: each.payload.uuid } })
      return [each.payload.uuid]
    })
    expect(new Set(uuids).size).toBe(uuids.length)
  })

  it.prop(
    "settles every prompt in the end: an agent that answers or a silence leaves nothing open",
    [events],
    ([all]) => {
      const { delivery, outputs, apply } = run(all)
      // The process ends, a new one answers nothing and says nothing; then whatever still waits is reported.
      for (let index = 0; index <= Delivery.MAX_ATTEMPTS; index++) apply({ _tag: "Crash" })
      for (let index = 0; index < 20; index++) apply({ _tag: "Write" })
      apply({ _tag: "Silence" })
      const prompts = all.flatMap((event) =>
        event._tag === "Give" && event.payload.type === "user" ? [event.payload.uuid] : []
      )
      const states = deliveries(outputs)
      for (const uuid of prompts) expect(states.get(String(uuid))?.at(-1)).toBe("processed")
      expect(delivery.status()).toBe("idle")
    }
  )

  it.prop("never gives a settled prompt to an agent again", [events], ([all]) => {
    const { delivery, outputs } = run(all)
    delivery.disconnected()
    const again = delivery.connected().writes.map(({ uuid }) => uuid)
    for (const [uuid, states] of deliveries(outputs)) {
      if (states.includes("processed")) expect(again).not.toContain(uuid)
    }
  })

  it.prop(
    "gives what a person has taken back to no process that has not got it, however often one crashes",
    [events],
    ([all]) => {
      const { apply, delivery, outputs, written } = run([])
      const withdrawn = new Set<string>()
      for (const event of [
        ...all,
        { _tag: "Crash" } as const,
        ...all.map(() => ({ _tag: "Write" }) as const)
      ]) {
        if (event._tag === "Give" && event.payload.type === "control_request") {
          const request = event.payload.json["request"] as Payload.JsonObject
          const begun = (uuid: string) => (deliveries(outputs).get(uuid) ?? []).includes("processing")
          const open = delivery.connected().writes.filter(({ type }) => type === "user")
          for (const { uuid } of open) {
            if (uuid === undefined || begun(uuid)) continue
            if (request["cancel_queued"] === true || request["message_uuid"] === uuid) withdrawn.add(uuid)
          }
        }
        const before = written.length
        apply(event)
        for (const each of written.slice(before)) {
          // One that the agent says it had begun was not taken back.
          const states = deliveries(outputs).get(String(each.uuid)) ?? []
          if (!states.includes("processing")) expect(withdrawn.has(String(each.uuid))).toBe(false)
        }
      }
    }
  )

  it("asks for each prompt that an older agent keeps in its queue after the interrupt", () => {
    const delivery = Delivery.make("conversation", () => "run")
    for (const name of ["a", "b"]) {
      delivery.give(prompt(name))
      delivery.writing(prompt(name))
    }
    delivery.line(payload({ ...prompt("a").json, type: "user", uuid: "prompt-a", isReplay: true }))
    expect(delivery.give(withdrawal("x")).writes).toHaveLength(1)
    const { writes } = delivery.line(
      payload({ type: "control_response", response: { subtype: "success", request_id: "wx", response: {} } })
    )
    expect(writes.map(({ json }) => json["request"])).toEqual([
      { subtype: "cancel_async_message", message_uuid: "prompt-b" }
    ])
    const { outputs } = delivery.line(
      payload({
        type: "control_response",
        response: {
          subtype: "success",
          request_id: String(writes[0]?.json["request_id"]),
          response: { cancelled: true }
        }
      })
    )
    expect(outputs).toEqual([{ _tag: "Delivery", uuid: "prompt-b", state: "processed" }])
  })

  it.prop("writes one answer to each asking of a question, the first that was given", [events], ([all]) => {
    const delivery = run(all)
    const asked = all.filter(
      (event) => event._tag === "Line" && event.payload.type === "control_request"
    ).length
    const answers = delivery.written.filter(({ type }) => type === "control_response")
    expect(answers.length).toBeLessThanOrEqual(asked)
  })

  it("answers a question that is asked again after a crash as it was answered before", () => {
    const delivery = Delivery.make("conversation", () => "run")
    const ask = (requestId: string) =>
      payload({
        type: "control_request",
        request_id: requestId,
        request: { subtype: "can_use_tool", tool_use_id: "tool 1" }
      })
    delivery.give(prompt("a"))
    delivery.line(ask("ask a"))
    const given = delivery.give(answer("a", "ann"))
    expect(given.writes).toHaveLength(1)
    delivery.written(answer("a", "ann"))
    expect(delivery.disconnected().outputs).toEqual([])
    expect(delivery.connected().writes.map(({ type }) => type)).toEqual(["user"])
    const again = delivery.line(ask("ask anew"))
    expect(again.writes.map(({ json }) => json["response"])).toEqual([
      { subtype: "success", request_id: "ask anew", response: { behavior: "allow", by: "ann" } }
    ])
    // Its effect was seen: the answer is delivered.
    const done = delivery.line(
      payload({
        type: "user",
        uuid: "t",
        message: { content: [{ type: "tool_result", tool_use_id: "tool 1" }] }
      })
    )
    expect(done.outputs).toContainEqual({
      _tag: "Delivery",
      uuid: EventUuid.make("answer-a-ann"),
      state: "processed"
    })
  })

  it("takes an answer to a question that was asked again under another request meanwhile", () => {
    const delivery = Delivery.make("conversation", () => "run")
    const ask = (requestId: string) =>
      payload({
        type: "control_request",
        request_id: requestId,
        request: { subtype: "can_use_tool", tool_use_id: "tool 1" }
      })
    delivery.give(prompt("a"))
    delivery.line(ask("ask a"))
    delivery.disconnected()
    delivery.connected()
    delivery.line(ask("ask anew"))
    const late = payload({
      type: "control_response",
      uuid: "late",
      response: {
        subtype: "success",
        request_id: "ask a",
        response: { behavior: "allow", toolUseID: "tool 1" }
      }
    })
    expect(delivery.give(late).writes.map(({ json }) => json["response"])).toMatchObject([
      { request_id: "ask anew" }
    ])
  })

  it("takes a payload without a uuid for one that was never given", () => {
    const delivery = Delivery.make("conversation", () => "run")
    const nameless = payload({ type: "user", message: { role: "user", content: "again" } })
    const uuids = [delivery.give(nameless), delivery.give(nameless)].map(({ writes }) => writes[0]?.uuid)
    expect(new Set(uuids).size).toBe(2)
    expect(uuids).not.toContain(undefined)
  })

  it("withdraws a question that the resumed agent replaces by another", () => {
    const delivery = Delivery.make("conversation", () => "run")
    const ask = (name: string) =>
      payload({
        type: "control_request",
        request_id: `ask ${name}`,
        request: { subtype: "can_use_tool", tool_use_id: `tool ${name}` }
      })
    delivery.give(prompt("a"))
    delivery.line(ask("a"))
    delivery.disconnected()
    delivery.connected()
    const lines = delivery
      .line(ask("b"))
      .outputs.flatMap((each) => (each._tag === "Line" ? [each.payload] : []))
    expect(lines.map(({ type, json }) => [type, json["request_id"]])).toEqual([
      ["control_cancel_request", "ask a"],
      ["control_request", "ask b"]
    ])
  })

  it("names the interrupted prompt in the result of the turn by which an agent goes on with it", () => {
    const delivery = Delivery.make("conversation", () => "run")
    delivery.give(prompt("a"), true)
    delivery.connected()
    delivery.line(payload({ ...prompt("a").json, type: "user", uuid: "prompt-a", isReplay: true }))
    const { outputs } = delivery.line(
      payload({ type: "result", uuid: "r", user_message_uuid: "own", user_message_uuids: ["own"] })
    )
    expect(
      outputs.flatMap((each) => (each._tag === "Line" ? [each.payload.json["user_message_uuids"]] : []))
    ).toEqual([["own", "prompt-a"]])
    expect(deliveries(outputs).get("prompt-a")).toEqual(["processed"])
  })

  const result = (uuid: string, more: Payload.JsonObject) =>
    payload({ ...more, type: "result", uuid, subtype: "success" })
  const own = result("own", { origin: { kind: "task-notification" } })

  it("a turn that the agent began by itself answers nobody's prompt", () => {
    for (const tells of [true, false]) {
      const delivery = Delivery.make("conversation", () => "run")
      delivery.give(prompt("a"))
      delivery.line(payload({ ...prompt("a").json, type: "user", uuid: "prompt-a", isReplay: true }))
      delivery.line(result("r", { user_message_uuid: "prompt-a" }))
      delivery.line(payload({ type: "system", subtype: "init", uuid: "i" }))
      delivery.give(prompt("b"))
      if (tells)
        delivery.line(payload({ type: "command_lifecycle", command_uuid: "prompt-b", state: "queued" }))
      const lines = [
        payload({ type: "assistant", uuid: "says", message: { content: [] } }),
        tells ? own : result("nameless", {})
      ]
      const outputs = lines.flatMap((line) => delivery.line(line).outputs)
      expect(deliveries(outputs).get("prompt-b")).toBeUndefined()
      expect(delivery.isBusy()).toBe(true)
      expect(
        deliveries(delivery.line(result("r2", { user_message_uuids: ["prompt-b"] })).outputs).get("prompt-b")
      ).toEqual(["processed"])
    }
  })

  it("a turn of foreign origin answers none, also of an agent that never named one", () => {
    const delivery = Delivery.make("conversation", () => "run")
    delivery.give(prompt("a"))
    delivery.line(payload({ ...prompt("a").json, type: "user", uuid: "prompt-a", isReplay: true }))
    expect(deliveries(delivery.line(own).outputs).size).toBe(0)
    expect(deliveries(delivery.line(result("r", {})).outputs).get("prompt-a")).toEqual(["processed"])
  })

  it("a crash in the agent's own turn is not counted against the prompt that waits", () => {
    const delivery = Delivery.make("conversation", () => "run")
    delivery.give(prompt("a"))
    for (let crash = 0; crash < 2 * Delivery.MAX_ATTEMPTS; crash++) {
      delivery.connected()
      delivery.line(payload({ type: "command_lifecycle", command_uuid: "prompt-a", state: "queued" }))
      delivery.line(payload({ type: "system", subtype: "init", uuid: `init-${crash}` }))
      delivery.disconnected()
    }
    expect(delivery.exceededAttempts()).toEqual([])
  })

  it("what the agent reports as running in the background is work, its watchers are not", () => {
    const delivery = Delivery.make("conversation", () => "run")
    const system = (subtype: string, more: Payload.JsonObject) =>
      delivery.line(payload({ ...more, type: "system", subtype, uuid: JSON.stringify([subtype, more]) }))
    const tasks = (...all: ReadonlyArray<Payload.JsonObject>) =>
      system("background_tasks_changed", { tasks: all })
    system("task_started", { task_id: "old" })
    expect(delivery.isAtWork()).toBe(true)
    system("task_updated", { task_id: "old", patch: { status: "completed" } })
    expect(delivery.isAtWork()).toBe(false)
    tasks({ task_id: "server" }, { task_id: "watcher", ambient: true })
    // An end whose start was missed: the whole counts.
    system("task_notification", { task_id: "server", status: "completed" })
    expect([delivery.isAtWork(), delivery.isBusy()]).toEqual([true, false])
    tasks({ task_id: "watcher", ambient: true })
    expect(delivery.isAtWork()).toBe(false)
    tasks({ task_id: "server" })
    delivery.disconnected()
    expect(delivery.isAtWork()).toBe(false)
    system("session_state_changed", { state: "running" })
    expect(delivery.isAtWork()).toBe(true)
  })
})
