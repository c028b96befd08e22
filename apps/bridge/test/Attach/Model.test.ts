import type * as Viewer from "@causeway/client/Viewer"
import * as Delivery from "@causeway/protocol/Delivery"
import * as Api from "@causeway/protocol/http/Sessions"
import * as Ids from "@causeway/protocol/Ids"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Schema from "effect/Schema"
import { ofViewer } from "../../src/Attach/Frames.ts"
import type * as Keys from "../../src/Attach/Keys.ts"
import * as Model from "../../src/Attach/Model.ts"
import * as Row from "../../src/Attach/Row.ts"
import * as Screen from "../../src/Attach/Screen.ts"
import { width } from "../../src/Attach/Text.ts"
import * as Update from "../../src/Attach/Update.ts"

// --- Builders ---

const session = Schema.decodeUnknownSync(Api.Session)({
  id: "session_00000000000000000000000000000001",
  title: "A title",
  status: "idle",
  environment_id: null,
  session_context: {},
  created_at: "2026-01-01T00:00:00Z",
  updated_at: "2026-01-01T00:00:00Z",
  archived_at: null
})

const uuid = (n: number) => Ids.EventUuid.make(`00000000-0000-4000-8000-${String(n).padStart(12, "0")}`)

type Json = { readonly [key: string]: unknown }

const decodeSeq = Schema.decodeUnknownSync(Schema.Int.pipe(Schema.positive(), Schema.brand("SequenceNum")))

const event = (
  seq: number,
  source: "worker" | "client",
  payload: Json,
  id = uuid(100_000 + seq)
): Viewer.Frame => ({
  _tag: "Event",
  event: {
    event_id: id,
    sequence_num: decodeSeq(seq),
    event_type: typeof payload["type"] === "string" ? payload["type"] : "",
    source,
    created_at: "2026-01-01T00:00:00Z",
    payload,
    payloadText: JSON.stringify(payload)
  }
})
const delivery = (id: Ids.EventUuid, status: "RECEIVED" | "PROCESSING" | "PROCESSED"): Viewer.Frame => ({
  _tag: "Delivery",
  update: { event_id: id, status: `DELIVERY_STATUS_${status}`, timestamp: "2026-01-01T00:00:00Z" }
})
const prompt = (text: string): Json => ({ type: "user", message: { role: "user", content: text } })
const asks = (toolUseId: string, request: Json = {}): Json => ({
  type: "control_request",
  request_id: `r-${toolUseId}`,
  request: {
    subtype: "can_use_tool",
    tool_name: "Bash",
    tool_use_id: toolUseId,
    input: { command: "ls" },
    ...request
  }
})
const says = (text: string): Json => ({
  type: "assistant",
  message: { id: `m-${text}`, content: [{ type: "text", text }] }
})
const begins: Json = { type: "system", subtype: "init", model: "claude-opus" }
const ends: Json = { type: "result", subtype: "success", is_error: false, num_turns: 1, total_cost_usd: 0.5 }

const named = (name: Keys.Name): Keys.Key => ({ _tag: "Named", name })
const text = (words: string): Keys.Key => ({ _tag: "Text", text: words })

interface Played {
  readonly model: Model.Model
  readonly commands: ReadonlyArray<Model.Command>
}

const NOW = 1_000_000

const play = (from: Model.Model, ...messages: ReadonlyArray<Model.Message>): Played =>
  messages.reduce<Played>(
    ({ commands, model }, message) => {
      const [next, more] = Update.update(model, message, NOW)
      return { model: next, commands: [...commands, ...more] }
    },
    { model: from, commands: [] }
  )

let keys = 0
const press = (...pressed: ReadonlyArray<Keys.Key>): ReadonlyArray<Model.Message> =>
  pressed.map((key) => ({ _tag: "Pressed", key, uuid: uuid(++keys) }))
const received = (...frames: ReadonlyArray<Viewer.Frame>): Model.Message => ({ _tag: "Received", frames })

const blank = Model.initial({ columns: 80, rows: 24, now: NOW, picking: true })
const open = play(blank, { _tag: "Opened", session, after: 0 }, { _tag: "Connected" }).model
const screen = (model: Model.Model) => Screen.rows(model).map(Row.textOf).join("\n")

const only = (commands: ReadonlyArray<Model.Command>): Model.Command => {
  const [command, ...others] = commands
  if (command === undefined || others.length > 0) throw new Error(`one command: ${JSON.stringify(commands)}`)
  return command
}

/** Sends `words` and answers the command that does it. */
const sends = (model: Model.Model, words: string) => {
  const { commands, model: next } = play(model, ...press(text(words), named("enter")))
  const command = only(commands)
  if (command._tag !== "Send") throw new Error(command._tag)
  return { model: next, id: Ids.EventUuid.make(command.uuid), command }
}

describe("sending", () => {
  it("shows how far a message has come, to its answer", () => {
    const { command, id, model } = sends(open, "hello")
    expect(command.text).toBe("hello")
    expect(screen(model)).toContain("> hello\n  sending")
    const accepted = play(model, { _tag: "Accepted", uuid: id, waitingFor: null }).model
    expect(screen(accepted)).toContain("  accepted")
    const logged = play(accepted, received(event(1, "client", prompt("hello"), id))).model
    expect(screen(logged).match(/> hello/g)).toHaveLength(1)
    const stages = (["RECEIVED", "PROCESSING", "PROCESSED"] as const).map((status) =>
      received(delivery(id, status))
    )
    const shown = stages.map((_, n) => screen(play(logged, ...stages.slice(0, n + 1)).model))
    expect(shown[0]).toContain("  on the host")
    expect(shown[1]).toContain("  taken by the agent")
    expect(shown[2]).toContain("  answered")
  })

  it("offers what is unknown again, under the same uuid", () => {
    const { id, model } = sends(open, "hello")
    const unknown = play(model, { _tag: "NotSent", uuid: id, refused: false, reason: "no answer" }).model
    expect(screen(unknown)).toContain("unknown whether the hub has it: Ctrl-R sends it again: no answer")
    const again = play(unknown, ...press(named("ctrl-r")))
    expect(only(again.commands)).toEqual({ _tag: "Send", uuid: id, text: "hello" })
    expect(screen(again.model)).toContain("  sending")
    expect(Model.unconfirmed(again.model)).toHaveLength(1)
    // It was there all the time.
    const found = play(unknown, received(event(1, "client", prompt("hello"), id))).model
    expect(screen(found)).toContain("  accepted")
    expect(Model.unconfirmed(found)).toHaveLength(0)
    expect(play(found, ...press(named("ctrl-r"))).commands).toEqual([])
  })

  it("says what the hub refuses and what a message waits for", () => {
    const { id, model } = sends(open, "hello")
    expect(
      screen(play(model, { _tag: "NotSent", uuid: id, refused: true, reason: "archived" }).model)
    ).toContain("  refused: archived")
    expect(
      screen(
        play(model, { _tag: "Accepted", uuid: id, waitingFor: "The message waits for a machine." }).model
      )
    ).toContain("The message waits for a machine.")
  })

  it("does not show a message again that has left the window", () => {
    const { id, model } = sends(open, "hello")
    const logged = play(model, received(event(1, "client", prompt("hello"), id))).model
    const flood = Array.from({ length: 3000 }, (_, n) => event(n + 2, "worker", says(`line ${n}`)))
    const after = play(logged, ...flood.map((frame) => received(frame))).model
    expect(after.view.window.entries[0]?.seq).toBeGreaterThan(1)
    expect(screen(after)).not.toContain("> hello")
  })

  it("makes lines with Alt-Enter and with a backslash, and sends them as one message", () => {
    const typed = play(
      open,
      ...press(text("a"), named("newline"), text("b\\"), named("enter"), text("c"), named("enter"))
    )
    expect(only(typed.commands)).toMatchObject({ _tag: "Send", text: "a\nb\nc" })
  })

  it("takes what others sent into the history", () => {
    const model = play(open, received(event(1, "client", prompt("from the phone")))).model
    expect(play(model, ...press(named("up"))).model.composer.text).toBe("from the phone")
  })
})

describe("stopping and leaving", () => {
  it("asks a running agent to stop, and only a running one", () => {
    expect(play(open, ...press(named("escape"))).commands).toEqual([])
    const running = play(open, received(event(1, "worker", begins))).model
    expect(only(play(running, ...press(named("escape"))).commands)._tag).toBe("Interrupt")
  })

  it("detaches with Ctrl-D, or with Ctrl-C twice in a row", () => {
    expect(play(open, ...press(named("ctrl-d"))).model.detached).toBe(true)
    const once = play(open, ...press(text("draft"), named("ctrl-c"))).model
    expect(once.detached).toBe(false)
    expect(screen(once)).toContain("Ctrl-C again detaches; the agent goes on")
    expect(play(once, ...press(named("up"))).model.composer.text).toBe("draft")
    expect(play(once, ...press(named("left"), named("ctrl-c"))).model.detached).toBe(false)
    expect(play(once, ...press(named("ctrl-c"))).model.detached).toBe(true)
    // With text under the cursor it deletes, as everywhere.
    const edited = play(open, ...press(text("ab"), named("home"), named("ctrl-d"))).model
    expect(edited.composer.text).toBe("b")
    expect(edited.detached).toBe(false)
  })
})

describe("approvals", () => {
  const asked = play(open, received(event(1, "worker", begins), event(2, "worker", asks("t1")))).model
  const suggested = play(
    open,
    received(event(1, "worker", asks("t1", { permission_suggestions: [{ type: "addRules", rules: [] }] })))
  ).model

  it("allows once what was asked, whole", () => {
    expect(screen(asked)).toContain("The agent wants to use Bash")
    const answered = play(asked, ...press(text("a")))
    expect(only(answered.commands)).toMatchObject({
      _tag: "Answer",
      requestId: "r-t1",
      payload: {
        type: "control_response",
        response: {
          request_id: "r-t1",
          response: { behavior: "allow", updatedInput: { command: "ls" }, toolUseID: "t1" }
        }
      }
    })
    expect(screen(answered.model)).not.toContain("The agent wants to use Bash")
  })

  it("allows always only where the agent suggests a rule", () => {
    const refused = play(asked, ...press(text("A")))
    expect(refused.commands).toEqual([])
    expect(screen(refused.model)).toContain("suggests no rule")
    expect(only(play(suggested, ...press(text("A"))).commands)).toMatchObject({
      payload: { response: { response: { updatedPermissions: [{ type: "addRules", rules: [] }] } } }
    })
  })

  it("denies with words", () => {
    const denied = play(asked, ...press(text("d"), text("not "), text("now"), named("enter")))
    expect(only(denied.commands)).toMatchObject({
      payload: { response: { response: { behavior: "deny", message: "not now" } } }
    })
    const thoughtBetter = play(asked, ...press(text("d"), text("x"), named("escape"), text("a")))
    expect(only(thoughtBetter.commands)).toMatchObject({
      payload: { response: { response: { behavior: "allow" } } }
    })
  })

  it("never takes the keys of somebody who is typing", () => {
    const typing = play(open, ...press(text("m"))).model
    const interrupted = play(typing, received(event(1, "worker", asks("t1")))).model
    const typed = play(interrupted, ...press(text("a"), text("A"), text("d")))
    expect(typed.commands).toEqual([])
    expect(typed.model.composer.text).toBe("maAd")
    expect(screen(typed.model)).toContain("Tab to answer")
    expect(only(play(typed.model, ...press(named("tab"), text("a"))).commands)._tag).toBe("Answer")
  })

  it("tells of an answer that came first elsewhere", () => {
    const answer: Json = {
      type: "control_response",
      response: { subtype: "success", request_id: "r-t1", response: { behavior: "deny", message: "no" } }
    }
    const settled = play(asked, received(event(3, "client", answer))).model
    expect(screen(settled)).toContain("Bash was denied by someone else")
    expect(screen(settled)).not.toContain("The agent wants")
    const conflict = play(asked, ...press(text("a")), {
      _tag: "NotAnswered",
      requestId: "r-t1",
      conflict: true,
      reason: "409"
    }).model
    expect(screen(conflict)).toContain("someone else answered first")
    expect(Model.currentApproval(conflict)).toBeUndefined()
  })

  it("asks again when the answer did not arrive", () => {
    const failed = play(asked, ...press(text("a")), {
      _tag: "NotAnswered",
      requestId: "r-t1",
      conflict: false,
      reason: "no answer"
    }).model
    expect(screen(failed)).toContain("the answer did not arrive: no answer")
    expect(Model.currentApproval(failed)?.requestId).toBe("r-t1")
  })

  it("answers one after another", () => {
    const two = play(asked, received(event(3, "worker", asks("t2")))).model
    expect(screen(two)).toContain("(1 more)")
    const next = play(two, ...press(text("a"))).model
    expect(Model.currentApproval(next)?.requestId).toBe("r-t2")
    expect(only(play(next, ...press(text("a"))).commands)).toMatchObject({ requestId: "r-t2" })
  })

  it("reads requests that stand before the window whole before they are answered", () => {
    const late = play(
      blank,
      { _tag: "Opened", session, after: 500 },
      { _tag: "Asked", frames: ofViewer(event(7, "worker", asks("t1"))) }
    ).model
    expect(only(play(late, ...press(text("a"))).commands)).toMatchObject({
      payload: { response: { response: { updatedInput: { command: "ls" } } } }
    })
  })

  const question = (multiSelect: boolean) => ({
    question: multiSelect ? "Which ones?" : "Which one?",
    multiSelect,
    options: [{ label: "Red" }, { label: "Blue" }]
  })
  const questioned = play(
    open,
    received(
      event(
        1,
        "worker",
        asks("t1", { tool_name: "AskUserQuestion", input: { questions: [question(false), question(true)] } })
      )
    )
  ).model

  it("answers questions by number, one after another", () => {
    const first = play(questioned, ...press(text("2"))).model
    expect(screen(first)).toContain("The agent asks (2 of 2)")
    expect(play(first, ...press(named("enter"))).commands).toEqual([])
    const answered = play(first, ...press(text("2"), text("1"), named("enter")))
    expect(only(answered.commands)).toMatchObject({
      payload: {
        response: {
          response: {
            behavior: "allow",
            updatedInput: { answers: { "Which one?": "Blue", "Which ones?": "Red, Blue" } }
          }
        }
      }
    })
  })

  it("answers a question in words of one's own", () => {
    const answered = play(
      questioned,
      ...press(text("o"), text("Green"), named("enter"), text("1"), named("enter"))
    )
    expect(only(answered.commands)).toMatchObject({
      payload: {
        response: { response: { updatedInput: { answers: { "Which one?": "Green", "Which ones?": "Red" } } } }
      }
    })
  })

  it("lets a long request be read to its end before it is answered", () => {
    const command = Array.from({ length: 60 }, (_, n) => `step ${n}`).join("\n")
    const long = play(open, received(event(1, "worker", asks("t1", { input: { command } })))).model
    expect(screen(long)).toContain("step 0")
    expect(screen(long)).not.toContain("step 59")
    expect(screen(play(long, ...press(...Array.from({ length: 80 }, () => named("down")))).model)).toContain(
      "step 59"
    )
  })
})

describe("the header", () => {
  const filled = (tokens: number): Json => ({
    type: "assistant",
    message: { id: "m", model: "claude-opus", content: [], usage: { input_tokens: tokens, output_tokens: 0 } }
  })
  it("warns at 60 % and at 90 % of the context", () => {
    const at = (part: number) =>
      screen(play(open, received(event(1, "worker", filled(168_000 * part)))).model)
    expect(at(0.5)).toContain("context 50 %")
    expect(at(0.5)).not.toContain("filling up")
    expect(at(0.6)).toContain("context 60 % (filling up)")
    expect(at(0.9)).toContain("context 90 % (almost full)")
  })

  it("says what is known of the connection, and calls no old status present", () => {
    const running = play(open, received(event(1, "worker", begins))).model
    expect(screen(running)).toMatch(/connected\nrunning/)
    const lost = play(running, { _tag: "Disconnected", error: "refused", delayMillis: 4000 }).model
    expect(screen(lost)).toContain("reconnecting in 4 s")
    expect(screen(lost)).toContain("was running")
    const later = Update.update(lost, { _tag: "Tick" }, NOW + 3000)[0]
    expect(screen(later)).toContain("reconnecting in 1 s")
    expect(screen(Update.update(lost, { _tag: "Tick" }, NOW + 9000)[0])).toContain(
      "reconnecting now (lost 9 s ago)"
    )
    expect(screen(play(lost, { _tag: "Ended", error: "no such session" }).model)).toContain(
      "offline: no such session"
    )
    expect(screen(play(lost, { _tag: "Connected" }).model)).toMatch(/connected\nrunning/)
  })

  it("shows title, model and cost", () => {
    const model = play(open, received(event(1, "worker", begins), event(2, "worker", ends))).model
    expect(screen(model)).toMatch(/^A title {2}session_00000000/)
    expect(screen(model)).toContain("claude-opus  $0.5000")
  })
})

describe("reading back", () => {
  const lines = Array.from({ length: 40 }, (_, n) => event(501 + n, "worker", says(`line ${n}`)))
  const later = play(blank, { _tag: "Opened", session, after: 500 }, received(...lines)).model

  it("asks for older events at the beginning of the window, once", () => {
    const up = play(later, ...press(...Array.from({ length: 30 }, () => named("page-up"))))
    expect(up.commands).toEqual([{ _tag: "Page", kind: "older", after: 0, upTo: 500 }])
    expect(screen(up.model)).toContain("line 0\n")
    expect(
      play(up.model, { _tag: "NotPaged", reason: "gone" }, ...press(named("page-up"))).commands
    ).toHaveLength(1)
  })

  it("stays where the reader is while more comes, and comes back with Ctrl-End", () => {
    const up = play(later, ...press(named("page-up"))).model
    const more = play(up, received(event(541, "worker", says("news")))).model
    expect(screen(more)).not.toContain("news")
    expect(screen(more)).toContain("scrolled back")
    expect(screen(play(more, ...press(named("bottom"))).model)).toContain("news")
  })
})

describe("the picker", () => {
  const other = {
    ...session,
    id: Ids.SessionId.make("session_00000000000000000000000000000002"),
    title: "Other"
  }
  it("chooses with the arrow keys", () => {
    const listed = play(blank, { _tag: "Listed", sessions: [session, other] }).model
    expect(screen(listed)).toContain("> A title")
    expect(only(play(listed, ...press(named("down"), named("down"), named("enter"))).commands)).toEqual({
      _tag: "Open",
      session: other
    })
    expect(play(listed, ...press(text("q"))).model.detached).toBe(true)
  })

  it("says why there is nothing to choose", () => {
    expect(screen(play(blank, { _tag: "Listed", sessions: [] }).model)).toContain("there are no sessions")
    const failed = play(blank, { _tag: "NotListed", error: "no hub" }).model
    expect(screen(failed)).toContain("no hub")
    expect(only(play(failed, ...press(text("r"))).commands)._tag).toBe("List")
  })
})

// --- Whatever comes ---

const keyNames: ReadonlyArray<Keys.Name> = [
  "enter",
  "newline",
  "backspace",
  "delete",
  "left",
  "right",
  "up",
  "down",
  "home",
  "end",
  "page-up",
  "page-down",
  "word-left",
  "word-right",
  "delete-word",
  "line-up",
  "line-down",
  "top",
  "bottom",
  "tab",
  "escape",
  "ctrl-a",
  "ctrl-e",
  "ctrl-k",
  "ctrl-l",
  "ctrl-o",
  "ctrl-r",
  "ctrl-t",
  "ctrl-u",
  "ctrl-w",
  "ctrl-x"
]
const words = FastCheck.oneof(
  FastCheck.constantFrom("a", "A", "d", "o", "1", "2", "日本語", "👨‍👩‍👧", "\\", "line\nline"),
  FastCheck.fullUnicodeString({ maxLength: 12 })
)
const key: FastCheck.Arbitrary<Keys.Key> = FastCheck.oneof(
  { weight: 3, arbitrary: FastCheck.constantFrom(...keyNames).map(named) },
  { weight: 2, arbitrary: words.map(text) },
  { weight: 1, arbitrary: words.map((pasted): Keys.Key => ({ _tag: "Paste", text: pasted })) }
)
const anyJson = FastCheck.oneof(
  FastCheck.constantFrom<Json>(
    begins,
    ends,
    says("words"),
    says("\u001b[2J\u202e"),
    asks("t1"),
    asks("t2", {
      tool_name: "AskUserQuestion",
      input: { questions: [{ question: "Q", options: ["x", "y"] }] }
    }),
    asks("t3", { input: null, tool_name: null }),
    { type: "control_request", request_id: "d1", request: { subtype: "elicitation", message: "\u0007" } },
    { type: "control_cancel_request", request_id: "r-t1" },
    {
      type: "assistant",
      message: { content: [{ type: "tool_use", id: "t1", name: "Bash", input: { command: 1 } }] }
    },
    {
      type: "user",
      message: { content: [{ type: "tool_result", tool_use_id: "t1", content: [{ text: "out" }] }] }
    },
    { type: "assistant", message: { content: [{ type: "thinking", thinking: "hm" }] } },
    { type: "system", subtype: "plan", entries: [{ content: "step", status: "odd" }] },
    { type: "bridge_error", reason: "agent_unavailable" }
  ),
  FastCheck.dictionary(
    FastCheck.constantFrom("type", "message", "request", "response", "subtype"),
    FastCheck.jsonValue()
  )
)
const small = FastCheck.integer({ min: 1, max: 12 })
const frame: FastCheck.Arbitrary<Viewer.Frame> = FastCheck.oneof(
  FastCheck.record({
    seq: FastCheck.integer({ min: 1, max: 60 }),
    worker: FastCheck.boolean(),
    json: anyJson
  }).map(({ json, seq, worker }) => event(seq, worker ? "worker" : "client", json)),
  small.map((n): Viewer.Frame => event(n + 20, "client", prompt("hello"), uuid(900_000 + n))),
  FastCheck.tuple(
    small,
    FastCheck.constantFrom("RECEIVED" as const, "PROCESSING" as const, "PROCESSED" as const)
  ).map(([n, status]) => delivery(uuid(900_000 + n), status)),
  anyJson.map((payload): Viewer.Frame => ({ _tag: "Ephemeral", eventType: "stream_event", payload })),
  FastCheck.constant<Viewer.Frame>({ _tag: "CatchUpTruncated" }),
  FastCheck.constant<Viewer.Frame>({ _tag: "Unknown", name: "x", data: "y" })
)
const requestId = FastCheck.constantFrom("r-t1", "r-t2", "r-t3", "d1", "other")
const sentId = small.map((n) => uuid(900_000 + n))
const message: FastCheck.Arbitrary<Model.Message> = FastCheck.oneof(
  {
    weight: 6,
    arbitrary: FastCheck.record({ _tag: FastCheck.constant("Pressed" as const), key, uuid: sentId })
  },
  {
    weight: 4,
    arbitrary: FastCheck.array(frame, { maxLength: 6 }).map(
      (frames): Model.Message => ({ _tag: "Received", frames })
    )
  },
  {
    weight: 3,
    arbitrary: FastCheck.oneof(
      FastCheck.constantFrom<Model.Message>(
        { _tag: "Tick" },
        { _tag: "Connected" },
        { _tag: "Ended", error: "gone" },
        { _tag: "Opened", session, after: 0 },
        { _tag: "Told", session: { ...session, connection_status: "disconnected" } },
        { _tag: "Listed", sessions: [session] },
        { _tag: "NotListed", error: "no" },
        { _tag: "Stopping" },
        { _tag: "NotStopped", reason: "no" },
        { _tag: "NotPaged", reason: "no" },
        { _tag: "Disconnected", error: "lost", delayMillis: 2000 }
      ),
      FastCheck.record({
        _tag: FastCheck.constant("Resized" as const),
        columns: FastCheck.integer({ min: 1, max: 120 }),
        rows: FastCheck.integer({ min: 1, max: 50 })
      }),
      sentId.map((id): Model.Message => ({ _tag: "Accepted", uuid: id, waitingFor: null })),
      FastCheck.record({
        _tag: FastCheck.constant("NotSent" as const),
        uuid: sentId,
        refused: FastCheck.boolean(),
        reason: FastCheck.string()
      }),
      requestId.map((id): Model.Message => ({ _tag: "Answered", requestId: id })),
      FastCheck.record({
        _tag: FastCheck.constant("NotAnswered" as const),
        requestId,
        conflict: FastCheck.boolean(),
        reason: FastCheck.string()
      }),
      FastCheck.record({
        _tag: FastCheck.constant("Paged" as const),
        kind: FastCheck.constantFrom("older" as const, "newer" as const, "top" as const, "end" as const),
        after: FastCheck.nat(40),
        frames: FastCheck.constant([])
      })
    )
  }
)

describe("whatever happens in whatever order", () => {
  it.prop(
    "nothing throws, and every screen fits the terminal and is harmless",
    { start: FastCheck.constantFrom(blank, open), messages: FastCheck.array(message, { maxLength: 40 }) },
    ({ messages, start }) => {
      let model = start
      for (const each of messages) {
        ;[model] = Update.update(model, each, model.now + 250)
        const rows = Screen.rows(model).map(Row.textOf)
        expect(rows.length).toBeLessThanOrEqual(Math.max(1, model.size.rows - 1))
        for (const row of rows) {
          expect(width(row)).toBeLessThanOrEqual(model.size.columns)
          expect(row).not.toMatch(/\p{Cc}|[\u200e\u200f\u202a-\u202e\u2066-\u2069]/u)
        }
      }
    }
  )

  it.prop(
    "a message never goes back",
    { messages: FastCheck.array(message, { maxLength: 60 }) },
    ({ messages }) => {
      let model = open
      for (const each of messages) {
        const before = each._tag === "Opened" ? [] : model.sent
        ;[model] = Update.update(model, each, model.now + 250)
        for (const sent of before) {
          const after = model.sent.find((one) => one.uuid === sent.uuid)
          if (after !== undefined) expect(Delivery.isForward(sent.stage, after.stage)).toBe(true)
        }
      }
    }
  )

  it.prop(
    "a typed message is sent as it was typed",
    { typed: FastCheck.array(words, { minLength: 1, maxLength: 6 }) },
    ({ typed }) => {
      const whole = typed.join("")
      FastCheck.pre(whole.trim() !== "" && !whole.endsWith("\\"))
      const { commands } = play(
        open,
        ...press(...typed.map((pasted): Keys.Key => ({ _tag: "Paste", text: pasted })), named("enter"))
      )
      expect(only(commands)).toMatchObject({ _tag: "Send", text: whole.trimEnd() })
    }
  )
})
