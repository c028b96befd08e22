/** A conversation, and the copy of it that events are put into. */
import * as Approvals from "../Approvals.ts"
import type * as FileChange from "../FileChange.ts"
import { amount, type JsonObject, name, type ReadableEvent, timeOf } from "../Read.ts"
import type { Common, Item, ToolCall } from "./Items.ts"

/** A conversation. Items stand in the order in which their events came; an item that changes keeps its place. */
export interface Conversation {
  readonly items: ReadonlyArray<Item>
  readonly approvals: Approvals.Approvals
  /** Uuids of all events that were taken, so that one that comes again changes nothing. */
  readonly seen: ReadonlySet<string>
  /** Places of tool calls, and of results whose calls have not come, by `tool_use_id`. */
  readonly calls: ReadonlyMap<string, number>
  readonly orphans: ReadonlyMap<string, number>
  /** What stood in files, by the `tool_use_id` that was to change them. */
  readonly files: ReadonlyMap<string, FileChange.Told>
  /** Calls that have no result, and belong to what goes on. */
  readonly running: ReadonlySet<string>
  /** Latest state of every approval, for calls that come after it. */
  readonly asked: ReadonlyMap<string, NonNullable<ToolCall["approval"]>>
  /** Places of the items that came from one agent line, by its uuid; and uuids that are replaced. */
  readonly places: ReadonlyMap<string, ReadonlyArray<number>>
  readonly replaced: ReadonlySet<string>
}

export const empty: Conversation = {
  items: [],
  approvals: Approvals.empty,
  seen: new Set(),
  calls: new Map(),
  orphans: new Map(),
  files: new Map(),
  running: new Set(),
  asked: new Map(),
  places: new Map(),
  replaced: new Set()
}

type Mutable<A> =
  A extends ReadonlyMap<infer K, infer V>
    ? Map<K, V>
    : A extends ReadonlySet<infer V>
      ? Set<V>
      : A extends ReadonlyArray<infer V>
        ? Array<V>
        : A

export type Draft = { -readonly [K in keyof Conversation]: Mutable<Conversation[K]> }

export const draftOf = (conversation: Conversation): Draft => ({
  items: [...conversation.items],
  approvals: conversation.approvals,
  seen: new Set(conversation.seen),
  calls: new Map(conversation.calls),
  orphans: new Map(conversation.orphans),
  files: new Map(conversation.files),
  running: new Set(conversation.running),
  asked: new Map(conversation.asked),
  places: new Map(conversation.places),
  replaced: new Set(conversation.replaced)
})

/** Changes the item at a place, where it is of that kind. */
export const update = <K extends Item["kind"]>(
  draft: Draft,
  at: number | undefined,
  kind: K,
  change: (item: Extract<Item, { readonly kind: K }>) => Item
): void => {
  const item = at === undefined ? undefined : draft.items[at]
  if (at !== undefined && item?.kind === kind) {
    draft.items[at] = change(item as Extract<Item, { readonly kind: K }>)
  }
}

/** What every item of one event shares, with an id for each block. */
export const commonOf =
  (draft: Draft, event: ReadableEvent, json: JsonObject) =>
  (block: number): Common => ({
    id: `${event.uuid}:${block}`,
    seq: amount(event.seq) ?? 0,
    at: timeOf(event),
    parentToolUseId:
      name(json["parent_tool_use_id"]) ??
      // An agent's own transcript names the subagent rather than the call that started it.
      (json["isSidechain"] === true ? (name(json["agentId"]) ?? "sidechain") : null),
    superseded: draft.replaced.has(event.uuid)
  })
