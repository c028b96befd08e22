/** One item of the conversation. */
import type { ToolCall } from "@causeway/transcript/Conversation"
import * as Preview from "@causeway/transcript/Preview"
import type { Delivery } from "../Frame.ts"
import type { Shown } from "../Visible.ts"
import { h, longText } from "./dom.ts"

const deliveryWords: { readonly [D in Delivery]: string } = {
  accepted: "accepted",
  received: "on the host",
  processing: "taken by the agent",
  processed: "answered"
}

const json = (value: unknown): string => {
  try {
    return JSON.stringify(value, null, 2) ?? ""
  } catch {
    // Nested deeper than the stack: nothing that a person could read.
    return "[too deep to show]"
  }
}

const seconds = (millis: number): string =>
  millis < 1000 ? `${Math.round(millis)} ms` : `${(millis / 1000).toFixed(1)} s`

const approvalWords = {
  pending: "asks for permission",
  allowed: "allowed",
  denied: "denied",
  answered: "answered",
  cancelled: "question withdrawn"
} as const

const toolState = (call: ToolCall): string => {
  if (call.result?.isError === true) return call.approval?.state === "denied" ? "denied" : "failed"
  if (call.completed) return call.durationMs === null ? "done" : `done in ${seconds(call.durationMs)}`
  if (call.approval !== null && call.approval.state !== "allowed") return approvalWords[call.approval.state]
  return "running"
}

const tool = (call: ToolCall): HTMLElement =>
  h(
    "details",
    { class: `tool${call.result?.isError === true ? " bad" : ""}` },
    h(
      "summary",
      {},
      h("b", {}, call.name),
      " ",
      h("span", { class: "what" }, Preview.toolInput(call.input)),
      " ",
      h("span", { class: "state" }, toolState(call))
    ),
    longText(json(call.input), "code"),
    call.result === null ? null : longText(call.result.text, "code result")
  )

const body = ({ item, delivery, words }: Shown): HTMLElement => {
  switch (item.kind) {
    case "message":
      return h(
        "div",
        { class: `message ${item.role}` },
        h("span", { class: "who" }, item.role === "user" ? "You" : "Agent"),
        longText(item.text, "text"),
        item.attachments.length === 0
          ? null
          : h("div", { class: "note" }, `[${item.attachments.join(", ")}]`),
        item.aborted ? h("div", { class: "note" }, "stopped here") : null,
        item.error === null ? null : h("div", { class: "note bad" }, item.error),
        delivery === null ? null : h("div", { class: "delivery" }, deliveryWords[delivery])
      )
    case "thinking":
      return h(
        "details",
        { class: "thinking" },
        h("summary", {}, "Thinking"),
        longText(item.redacted ? "[not shown by the model]" : item.text, "text")
      )
    case "tool_call":
      return tool(item)
    case "tool_result":
      return h(
        "details",
        { class: `tool${item.outcome.isError ? " bad" : ""}` },
        h("summary", {}, "Result of an earlier call"),
        longText(item.outcome.text, "code")
      )
    case "plan":
      return h(
        "div",
        { class: "plan" },
        h("span", { class: "who" }, "Plan"),
        item.text === null ? null : longText(item.text, "text"),
        item.steps.length === 0
          ? null
          : h(
              "ul",
              {},
              ...item.steps.map((step) =>
                h(
                  "li",
                  { class: step.status },
                  `${step.status === "completed" ? "✓" : step.status === "in_progress" ? "▸" : "○"} ${step.text}`
                )
              )
            )
      )
    case "compaction":
      return h(
        "details",
        { class: "system" },
        h("summary", {}, "The conversation so far was summarised"),
        longText(item.summary ?? "", "text")
      )
    case "system":
      return h("div", { class: "system" }, words ?? item.subtype.replaceAll("_", " "))
    case "error":
      return h("div", { class: "system bad" }, item.text)
    case "turn":
      return h("div", { class: `system${item.stopped ? "" : " bad"}` }, words ?? "The turn failed")
    case "unknown":
      return h(
        "details",
        { class: "system" },
        h("summary", {}, `Not known to this page: ${item.type === "" ? "a line" : item.type}`),
        longText(json(item.value), "code")
      )
  }
}

export const build = (shown: Shown): HTMLElement =>
  h("li", { class: shown.item.parentToolUseId === null ? "" : "sub" }, body(shown))
