/** What of a conversation people get to see. */
import type { Item } from "@causeway/transcript/Conversation"
import type { Delivery } from "./Frame.ts"

/** An item as it is shown. */
export interface Shown {
  readonly item: Item
  /** Of a message that a person sent through the hub. */
  readonly delivery: Delivery | null
  /** Of reports: what they say, null where their kind says it all. */
  readonly words: string | null
}

const isShown = (item: Item): boolean => {
  if (item.superseded) return false
  switch (item.kind) {
    case "tool_result":
      return !item.linked
    case "system":
      return !item.quiet
    case "thinking":
      return item.text !== "" || item.redacted
    case "message":
      return item.text !== "" || item.attachments.length > 0 || item.error !== null
    case "turn":
      return item.isError
    default:
      return true
  }
}

const wordsOf = (item: Item, before: Item | undefined): string | null => {
  if (item.kind === "system") return item.subtype === "interrupted" ? "Stopped" : item.text
  if (item.kind !== "turn") return null
  if (item.stopped) return "Stopped"
  // An agent that fails has often said so already.
  return before?.kind === "message" && before.role === "assistant" && before.text === item.text
    ? null
    : item.text
}

/** Whether an item says what the one before it has said: agents tell of an interrupt, and so does the turn's end. */
const isRepeated = (item: Item, before: Item | undefined): boolean =>
  item.kind === "turn" && item.stopped && before?.kind === "system" && before.subtype === "interrupted"

/** The last `limit` items that are shown, and whether there are earlier ones. */
export const of = (
  items: ReadonlyArray<Item>,
  deliveries: ReadonlyMap<string, Delivery>,
  limit: number
): { readonly shown: ReadonlyArray<Shown>; readonly more: boolean } => {
  const visible: Array<Item> = []
  for (const item of items) if (isShown(item) && !isRepeated(item, visible.at(-1))) visible.push(item)
  const from = Math.max(0, visible.length - limit)
  const shown = visible.slice(from).map((item, i) => ({
    item,
    delivery:
      item.kind === "message" && item.role === "user" && item.source === "client"
        ? (deliveries.get(item.uuid) ?? "accepted")
        : null,
    words: wordsOf(item, visible[from + i - 1])
  }))
  return { shown, more: from > 0 }
}

/** Whether two say the same. */
export const same = (a: Shown, b: Shown): boolean =>
  a.item === b.item && a.delivery === b.delivery && a.words === b.words
