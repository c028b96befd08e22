/** What was mended of a transcript on its way to a model, counted so that it can be told. */
/** What was mended; the wire's names, in the order in which they are told, with words for one and for several. */
const kinds = {
  unanswered_tool_use: ["tool call without a result", "tool calls without a result"],
  orphan_tool_result: ["result of no tool call", "results of no tool call"],
  no_beginning: ["conversation without its first message", "conversations without their first message"],
  out_of_order: ["message out of order", "messages out of order"],
  unusable_file: ["image or document that cannot be read", "images or documents that cannot be read"],
  unknown_part: ["part that no model takes", "parts that no model takes"],
  unsigned_thinking: ["thought without a signature", "thoughts without a signature"],
  blank_text: ["blank text", "blank texts"],
  empty_message: ["message without content", "messages without content"],
  half_character: ["text cut within a character", "texts cut within a character"],
  renamed_tool: ["tool call with a name that no model takes", "tool calls with a name that no model takes"]
} as const

export type Kind = keyof typeof kinds

/** How often each was mended; what was not is not named. */
export type Repairs = { readonly [K in Kind]?: number }

export const none: Repairs = {}

/** For people: "1 tool call without a result, 2 blank texts"; null where nothing was mended. */
export const describe = (repairs: Repairs): string | null => {
  const words = (Object.keys(kinds) as ReadonlyArray<Kind>).flatMap((kind) => {
    const count = repairs[kind] ?? 0
    return count === 0 ? [] : [`${count} ${kinds[kind][count === 1 ? 0 : 1]}`]
  })
  return words.length === 0 ? null : words.join(", ")
}

/** Counts what is mended. */
export class Tally {
  readonly counts: { [K in Kind]?: number } = {}
  add(kind: Kind): void {
    this.counts[kind] = (this.counts[kind] ?? 0) + 1
  }
}
