/** What people type to name something: a command behind a slash, a file behind an at sign. */
import type { Item } from "@causeway/transcript/Conversation"
import { object, string } from "@causeway/transcript/Read"

/** Offers that are shown at most. */
export const OFFERS_MAX = 12
/** Files that are remembered of one conversation, the latest ones. */
const FILES_MAX = 500
/** Longest path that is taken for one, in UTF-16 units. */
const PATH_MAX = 512
/** Lines of one result that are looked at. */
const LINES_MAX = 200

/** Where a word is being typed: `text` from `start` to the caret, without its sign. */
export interface Typing {
  readonly kind: "command" | "file"
  readonly word: string
  readonly start: number
}

/** What is being typed before the caret, or null where it names nothing. */
export const at = (text: string, caret: number): Typing | null => {
  const before = text.slice(0, caret)
  const command = /^\/([\w:-]*)$/.exec(before)?.[1]
  if (command !== undefined) return { kind: "command", word: command, start: 0 }
  const file = /(?:^|\s)@([^\s@]*)$/.exec(before)?.[1]
  return file === undefined ? null : { kind: "file", word: file, start: before.length - file.length - 1 }
}

/** The text with what was chosen in the place of what was typed, and where the caret stands then. */
export const put = (
  text: string,
  caret: number,
  typing: Typing,
  chosen: string
): { readonly text: string; readonly caret: number } => {
  const head = `${text.slice(0, typing.start)}${typing.kind === "command" ? "/" : "@"}${chosen} `
  return { text: head + text.slice(caret).replace(/^ /, ""), caret: head.length }
}

const isPath = (text: string): boolean =>
  text.length > 0 && text.length <= PATH_MAX && !/\s/.test(text) && /[./]/.test(text) && !text.includes("://")

/** Files that the agent's calls name and that its searches found, the latest first. */
export const files = (items: ReadonlyArray<Item>): ReadonlyArray<string> => {
  const found = new Set<string>()
  const add = (path: string | null): void => {
    if (path !== null && isPath(path)) found.add(path)
  }
  for (let n = items.length - 1; n >= 0 && found.size < FILES_MAX; n--) {
    const item = items[n]
    if (item?.kind !== "tool_call") continue
    const input = object(item.input)
    add(string(input["file_path"]))
    add(string(input["notebook_path"]))
    add(string(input["path"]))
    if (item.result === null || item.result.isError) continue
    const lists = /^(glob|ls|find|list)/i.test(item.name)
    if (!lists && !/^(grep|search)/i.test(item.name)) continue
    for (const row of item.result.text.split("\n", LINES_MAX)) {
      const text = row.replace(/^\s*-?\s+/, "").trim()
      add(lists ? text : (/^([^\s:]+)(?::\d+)?(?::|$)/.exec(text)?.[1] ?? null))
    }
  }
  return [...found]
}

const rank = (name: string, word: string): number => {
  const lower = name.toLowerCase()
  if (lower.startsWith(word)) return 0
  if (lower.slice(lower.lastIndexOf("/") + 1).startsWith(word)) return 1
  return lower.includes(word) ? 2 : 3
}

/** Those of `names` that go with the word: beginnings first, else in their order. */
export const offers = (names: ReadonlyArray<string>, typing: Typing): ReadonlyArray<string> => {
  const word = typing.word.toLowerCase()
  return names
    .map((name, n) => ({ name, n, rank: rank(name, word) }))
    .filter((one) => one.rank < (typing.kind === "command" ? 2 : 3))
    .sort((a, b) => a.rank - b.rank || a.n - b.n)
    .slice(0, OFFERS_MAX)
    .map(({ name }) => name)
}
