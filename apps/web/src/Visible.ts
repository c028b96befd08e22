/** What of a conversation people get to see, and in what order. */

import type { Stage } from "@causeway/protocol/Delivery"
import type { Item } from "@causeway/transcript/Conversation"
import type { Deliveries } from "@causeway/transcript/View/Deliveries"
import * as SessionView from "@causeway/transcript/View/SessionView"
import * as Edit from "./Edit.ts"

/** An item as it is shown. */
export interface Shown {
  readonly item: Item
  /** Of a message that a person sent through the hub. */
  readonly delivery: Stage | null
  /** Of reports: what they say, null where their kind says it all. */
  readonly words: string | null
  /** Of a turn's end: what this turn alone has cost, in US dollars; null where the one before it is not known. */
  readonly costUsd: number | null
  /** Of a call that started a subagent: what that one did. */
  readonly children: ReadonlyArray<Shown>
}

const isShown = (item: Item): boolean => {
  if (item.superseded) return false
  switch (item.kind) {
    case "tool_result":
      return !item.linked
    case "tool_call":
      // The plan that it makes is shown in its place.
      return item.name !== "TodoWrite" || item.result?.isError === true || item.approval?.state === "pending"
    case "system":
      return !item.quiet
    case "thinking":
      return item.text !== "" || item.redacted
    case "message":
      return item.text !== "" || item.attachments.length > 0 || item.error !== null
    case "turn":
      return item.isError || item.durationMs !== null || item.totalCostUsd !== null
    default:
      return true
  }
}

const wordsOf = (item: Item, before: Item | undefined): string | null => {
  if (item.kind === "system") return item.subtype === "interrupted" ? "Stopped" : item.text
  if (item.kind !== "turn" || !item.isError) return null
  if (item.stopped) return "Stopped"
  // An agent that fails has often said so already.
  return before?.kind === "message" && before.role === "assistant" && before.text === item.text
    ? null
    : item.text
}

/** Whether an item says what the one before it has said: agents tell of an interrupt, and so does the turn's end. */
const isRepeated = (item: Item, before: Item | undefined): boolean =>
  item.kind === "turn" && item.stopped && before?.kind === "system" && before.subtype === "interrupted"

/** Levels of subagents that are shown inside each other; deeper ones stand beside the last. */
const DEPTH_MAX = 8

/** What each turn has cost: the running total grows by it, and begins anew with a new agent. */
const costs = (items: ReadonlyArray<Item>, whole: boolean): ReadonlyMap<string, number> => {
  const found = new Map<string, number>()
  let before = whole ? 0 : null
  for (const item of items) {
    if (item.kind !== "turn" || item.totalCostUsd === null) continue
    const { id, totalCostUsd: total } = item
    if (before !== null) found.set(id, total < before ? total : total - before)
    before = total
  }
  return found
}

/** The items that are shown, those of a subagent inside the call that started it. `whole`: nothing before them is missing. */
export const of = (
  items: ReadonlyArray<Item>,
  deliveries: Deliveries,
  whole = true
): ReadonlyArray<Shown> => {
  const cost = costs(items, whole)
  const calls = new Set<string>()
  for (const item of items) if (item.kind === "tool_call" && !item.superseded) calls.add(item.toolUseId)
  const top: Array<Item> = []
  const inside = new Map<string, Array<Item>>()
  for (const item of items) {
    if (!isShown(item)) continue
    const parent = item.parentToolUseId
    const own = item.kind === "tool_call" ? item.toolUseId : null
    if (parent === null || parent === own || !calls.has(parent)) top.push(item)
    else {
      const siblings = inside.get(parent)
      if (siblings === undefined) inside.set(parent, [item])
      else siblings.push(item)
    }
  }
  const show = (list: ReadonlyArray<Item>, depth: number): ReadonlyArray<Shown> => {
    const out: Array<Shown> = []
    let before: Item | undefined
    for (const item of list) {
      if (isRepeated(item, before)) continue
      const within = item.kind === "tool_call" ? inside.get(item.toolUseId) : undefined
      // Taken once: a log may name a call as its own ancestor.
      if (item.kind === "tool_call" && within !== undefined) inside.delete(item.toolUseId)
      const children = within === undefined || depth >= DEPTH_MAX ? [] : show(within, depth + 1)
      out.push({
        item,
        delivery: SessionView.stageOf({ deliveries }, item) ?? null,
        words: wordsOf(item, before),
        costUsd: cost.get(item.id) ?? null,
        children
      })
      before = item
      if (within !== undefined && depth >= DEPTH_MAX) out.push(...show(within, depth))
    }
    return out
  }
  const shown = [...show(top, 0)]
  // What only names each other as parent has no place of its own; it is shown all the same.
  for (const [id, left] of [...inside]) if (inside.delete(id)) shown.push(...show(left, DEPTH_MAX))
  return shown
}

/** Whether two show the same. */
export const same = (a: Shown, b: Shown): boolean =>
  a.item === b.item &&
  a.delivery === b.delivery &&
  a.words === b.words &&
  a.costUsd === b.costUsd &&
  a.children.length === b.children.length &&
  a.children.every((child, i) => {
    const other = b.children[i]
    return other !== undefined && same(child, other)
  })

/** What a person may want to jump to. */
export type Mark = "approval" | "error" | "edit"

/** Whether an item, or one inside it, is of that kind. */
export const isMarked = ({ item, children }: Shown, mark: Mark): boolean => {
  if (children.some((child) => isMarked(child, mark))) return true
  switch (mark) {
    case "approval":
      return item.kind === "tool_call" && item.approval !== null
    case "error":
      return (
        item.kind === "error" ||
        (item.kind === "turn" && item.isError && !item.stopped) ||
        (item.kind === "message" && item.error !== null) ||
        (item.kind === "tool_call" && item.result?.isError === true)
      )
    case "edit":
      return item.kind === "tool_call" && Edit.of(item.input).length > 0 && !/^read$/i.test(item.name)
  }
}

/** Index of the next such item after `from`, beginning anew at the end; -1 where there is none. */
export const next = (shown: ReadonlyArray<Shown>, from: number, mark: Mark): number => {
  for (let step = 1; step <= shown.length; step++) {
    const at = (from + step + shown.length) % shown.length
    const entry = shown[at]
    if (entry !== undefined && isMarked(entry, mark)) return at
  }
  return -1
}

/** Index of the item that holds event `seq`, or the one after it; the last where all are before. */
export const indexOf = (shown: ReadonlyArray<Shown>, seq: number): number => {
  const at = shown.findIndex((entry) => entry.item.seq >= seq)
  return at < 0 ? shown.length - 1 : at
}
