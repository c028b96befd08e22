/** Events for tests: builders of the lines that agents and people write, and generators of logs, sane and hostile. */
import * as FastCheck from "effect/FastCheck"
import type { JsonObject, ReadableEvent } from "../src/Read.ts"

/** A payload and who wrote it. */
export interface Written {
  readonly source: "worker" | "client"
  readonly json: JsonObject
}

/** A log of these payloads; the uuid is the payload's, or made from its place. */
export const log = (...entries: Array<Written>): ReadonlyArray<ReadableEvent> =>
  entries.map(({ source, json }, i) => ({
    seq: i + 1,
    uuid: typeof json["uuid"] === "string" ? json["uuid"] : `u${i + 1}`,
    source,
    createdAt: 1_000_000 + i * 1000,
    payload: { type: typeof json["type"] === "string" ? json["type"] : "", json }
  }))

export const worker = (json: JsonObject): Written => ({ source: "worker", json })
export const client = (json: JsonObject): Written => ({ source: "client", json })

export const prompt = (text: string, uuid?: string) =>
  client({ type: "user", ...(uuid === undefined ? {} : { uuid }), message: { role: "user", content: text } })
export const init = (more: JsonObject = {}) =>
  worker({
    type: "system",
    subtype: "init",
    session_id: "agent-1",
    model: "claude-opus",
    permissionMode: "default",
    cwd: "/p",
    ...more
  })
export const assistant = (id: string, block: JsonObject, more: JsonObject = {}, message: JsonObject = {}) =>
  worker({ type: "assistant", message: { id, role: "assistant", content: [block], ...message }, ...more })
export const says = (id: string, text: string, more: JsonObject = {}, message: JsonObject = {}) =>
  assistant(id, { type: "text", text }, more, message)
export const calls = (id: string, toolUseId: string, name: string, input: unknown, more: JsonObject = {}) =>
  assistant(id, { type: "tool_use", id: toolUseId, name, input }, more)
export const toolResult = (toolUseId: string, content: unknown, isError = false, more: JsonObject = {}) =>
  worker({
    type: "user",
    message: {
      role: "user",
      content: [{ type: "tool_result", tool_use_id: toolUseId, content, is_error: isError }]
    },
    ...more
  })
export const result = (more: JsonObject = {}) =>
  worker({
    type: "result",
    subtype: "success",
    is_error: false,
    result: "done",
    num_turns: 1,
    total_cost_usd: 0.5,
    ...more
  })
export const asks = (toolUseId: string, requestId: string, more: JsonObject = {}) =>
  worker({
    type: "control_request",
    request_id: requestId,
    request: {
      subtype: "can_use_tool",
      tool_name: "Bash",
      input: { command: "ls" },
      tool_use_id: toolUseId,
      ...more
    }
  })
export const answerJson = (requestId: string, response: JsonObject): JsonObject => ({
  type: "control_response",
  response: { subtype: "success", request_id: requestId, response }
})
export const answers = (requestId: string, response: JsonObject) => client(answerJson(requestId, response))
export const cancels = (requestId: string) =>
  worker({ type: "control_cancel_request", request_id: requestId })

// --- Generators ---

const few = (prefix: string) => FastCheck.integer({ min: 1, max: 4 }).map((n) => `${prefix}${n}`)
const words = FastCheck.string({ maxLength: 40 })
const parent = FastCheck.option(few("tool"), { freq: 3, nil: null })
const counter = FastCheck.oneof(FastCheck.nat(10_000), FastCheck.constantFrom(-1, -0, 1.5))
const usage = FastCheck.record(
  {
    input_tokens: counter,
    output_tokens: counter,
    cache_read_input_tokens: counter,
    cache_creation_input_tokens: counter
  },
  { requiredKeys: [] }
)

/** Lines as agents and people write them, over so few ids that they meet. */
export const line: FastCheck.Arbitrary<Written> = FastCheck.oneof(
  words.map((text) => prompt(text)),
  FastCheck.tuple(few("msg"), words, parent, usage).map(([id, text, parent_tool_use_id, used]) =>
    says(id, text, { parent_tool_use_id }, { usage: used, model: "m" })
  ),
  FastCheck.tuple(
    few("msg"),
    few("tool"),
    parent,
    FastCheck.constantFrom("Bash", "TodoWrite", "ExitPlanMode")
  ).map(([id, tool, parent_tool_use_id, tool_name]) =>
    calls(
      id,
      tool,
      tool_name,
      { todos: [{ content: "x", status: "completed" }], plan: "p" },
      { parent_tool_use_id }
    )
  ),
  FastCheck.tuple(few("msg"), few("u")).map(([id, uuid]) => says(id, "again", { supersedes: [uuid] })),
  FastCheck.tuple(few("tool"), words, FastCheck.boolean()).map(([tool, text, isError]) =>
    toolResult(tool, text, isError)
  ),
  FastCheck.tuple(few("tool"), few("req")).map(([tool, request]) => asks(tool, request)),
  FastCheck.tuple(few("req"), FastCheck.constantFrom("allow", "deny")).map(([request, behavior]) =>
    answers(request, { behavior })
  ),
  few("req").map(cancels),
  FastCheck.constant(init()),
  FastCheck.record({ total_cost_usd: FastCheck.double(), is_error: FastCheck.boolean() }).map(result),
  FastCheck.constantFrom("idle", "running", "requires_action", "bogus").map((state) =>
    worker({ type: "system", subtype: "session_state_changed", state })
  ),
  FastCheck.constantFrom("compact_boundary", "worker_shutting_down", "api_retry", "odd").map((subtype) =>
    worker({ type: "system", subtype })
  ),
  words.map((title) => client({ type: "session_update", title })),
  FastCheck.boolean().map((archived) => client({ type: "session_update", archived })),
  FastCheck.constant(worker({ type: "user", isReplay: true, message: { content: "echo" } })),
  FastCheck.constant(worker({ type: "bridge_error", message: "cut" })),
  FastCheck.constantFrom("queue-operation", "from_the_future", "constructor", "__proto__").map((type) =>
    worker({ type, x: 1 })
  )
)

/** Known types and members with any value in them. */
const torn = FastCheck.tuple(
  FastCheck.constantFrom<"worker" | "client">("worker", "client"),
  FastCheck.constantFrom(
    "user",
    "assistant",
    "system",
    "result",
    "control_request",
    "control_response",
    "control_cancel_request",
    "session_update",
    "stream_event",
    "bridge_error",
    "custom-title",
    "command_lifecycle"
  ),
  FastCheck.dictionary(
    FastCheck.constantFrom(
      "message",
      "subtype",
      "request",
      "request_id",
      "response",
      "result",
      "errors",
      "supersedes",
      "title",
      "parent_tool_use_id",
      "user_message_uuids",
      "total_cost_usd",
      "model",
      "event",
      "compact_metadata",
      "state"
    ),
    FastCheck.oneof(
      FastCheck.jsonValue(),
      FastCheck.record(
        {
          content: FastCheck.oneof(
            FastCheck.jsonValue(),
            FastCheck.array(
              FastCheck.record(
                {
                  type: FastCheck.constantFrom("text", "tool_use", "tool_result", "thinking", "image", ""),
                  text: FastCheck.jsonValue(),
                  id: FastCheck.jsonValue(),
                  tool_use_id: FastCheck.jsonValue(),
                  input: FastCheck.jsonValue(),
                  content: FastCheck.jsonValue()
                },
                { requiredKeys: [] }
              )
            )
          ),
          id: FastCheck.jsonValue(),
          usage: FastCheck.jsonValue(),
          subtype: FastCheck.constantFrom("can_use_tool", "elicitation", "success", "error"),
          request_id: FastCheck.oneof(few("req"), FastCheck.jsonValue()),
          tool_use_id: FastCheck.oneof(few("tool"), FastCheck.jsonValue()),
          response: FastCheck.jsonValue(),
          input: FastCheck.jsonValue()
        },
        { requiredKeys: [] }
      )
    )
  )
).map(([source, type, json]) => ({ source, json: { ...json, type } }))

/** Anything that is JSON at all, objects or not. */
const garbage = FastCheck.tuple(
  FastCheck.constantFrom<"worker" | "client">("worker", "client"),
  FastCheck.jsonValue()
).map(([source, json]) => ({ source, json: json as JsonObject }))

const numbered = (entries: ReadonlyArray<Written>): ReadonlyArray<ReadableEvent> =>
  entries.map(({ source, json }, i) => ({
    seq: i + 1,
    uuid: `u${i + 1}`,
    source,
    createdAt: 1_000_000 + i * 1000,
    payload: { type: "any", json }
  }))

/** Logs of sane lines in any order. */
export const lines = FastCheck.array(line, { maxLength: 40, size: "max" }).map(numbered)

/** Logs of anything, with numbers and clocks that may be wrong. */
export const anything = FastCheck.array(FastCheck.oneof(line, torn, garbage), { maxLength: 30, size: "max" })
  .map(numbered)
  .chain((events) =>
    FastCheck.shuffledSubarray([...events, ...events], { minLength: 0 }).chain((some) =>
      FastCheck.constantFrom(
        some,
        some.map((event) => ({ ...event, seq: Number.NaN, createdAt: Number.POSITIVE_INFINITY }))
      )
    )
  )
