/**
 * Whose answer it is: the hub's, or that of somebody between here and the hub.
 *
 * A refusal is believed where the hub's mark stands on it, where it is an error of the wire, or where it names the head of
 * a log; every other one is an outage, whatever its status: a proxy's 404 while the hub restarts, a portal's redirect, a
 * page. A success is believed where it is JSON or empty; from where the mark was seen once, only with the mark.
 */

import { HUB_HEADER, X_LAST_UUID_HEADER } from "@causeway/protocol/Headers"
import * as Visible from "@causeway/protocol/Visible"

export interface Seen {
  readonly status: number
  readonly headers: { readonly [name: string]: string | undefined }
  readonly text: string
  /** The parsed text; `undefined` where it is empty or no JSON. */
  readonly json: unknown
}

/** `unmarked`: nothing speaks against it, and it does not say that it is the hub's; hubs made by others do not. */
export type Whose = "hub" | "unmarked" | "foreign"

export interface Hubs {
  readonly judge: (url: string, seen: Seen) => Whose
  /** The head of an answer 200 is that of a stream. */
  readonly isStream: (url: string, headers: Seen["headers"]) => boolean
}

/** The hub's mark stands on an answer. */
export const isMarked = (headers: Seen["headers"]): boolean => headers[HUB_HEADER] !== undefined

const isWireError = (json: unknown): boolean =>
  typeof json === "object" && json !== null && "type" in json && json.type === "error"

const origin = (url: string): string => (URL.canParse(url) ? new URL(url).origin : url)

const make = (): Hubs => {
  /** Origins whose hub marks its answers. */
  const marking = new Set<string>()
  const judge = (url: string, { headers, json, status, text }: Seen): Whose => {
    const from = origin(url)
    const whole = json !== undefined || text.trim() === ""
    const success = status >= 200 && status < 300
    if (isMarked(headers)) {
      marking.add(from)
      // What the hub says where it succeeds is JSON: anything else was cut or changed on its way.
      return success && !whole ? "foreign" : "hub"
    }
    if (success) return whole && !marking.has(from) ? "unmarked" : "foreign"
    return isWireError(json) || headers[X_LAST_UUID_HEADER] !== undefined ? "unmarked" : "foreign"
  }
  const isStream = (url: string, headers: Seen["headers"]): boolean => {
    const from = origin(url)
    if (isMarked(headers)) marking.add(from)
    else if (marking.has(from)) return false
    return headers["content-type"]?.toLowerCase().startsWith("text/event-stream") ?? false
  }
  return { judge, isStream }
}

const known = new WeakMap<object, Hubs>()

/** Knowledge that the services of one configuration share. */
export const of = (config: object): Hubs => {
  const found = known.get(config) ?? make()
  known.set(config, found)
  return found
}

// --- Words ---

const WORDS_MAX = 80

/** Words of somebody unknown: one line, nothing hidden in it. */
const plain = (text: string): string => Visible.line(text, WORDS_MAX)

const named = (what: string, words: string): string => (words === "" ? what : `${what} "${words}"`)

/** Words for people about what came instead of an answer: "somebody in between answered 404 with a page "Not Found" (nginx)". */
export const describe = (
  url: string,
  { headers, status, text }: Pick<Seen, "status" | "headers" | "text">,
  redact: (text: string) => string
): string => {
  if (isMarked(headers)) return `the answer ${status} was cut or changed on its way`
  const location = headers["location"]
  const server = plain(redact(headers["server"] ?? headers["via"] ?? ""))
  const by = server === "" ? "" : ` (${server})`
  if (status >= 300 && status < 400 && location !== undefined && URL.canParse(location, url)) {
    return `somebody in between answered ${status} and points to ${new URL(location, url).origin}${by}; is the hub's address right?`
  }
  const words = redact(text)
  const title = /<title[^>]*>([^<]*)/i.exec(words.slice(0, 10_000))?.[1]
  const isPage = title !== undefined || /^\s*<(!doctype|html)/i.test(words)
  const what = isPage
    ? ` with ${named("a page", plain(title ?? ""))}`
    : plain(words) === ""
      ? ""
      : ` with "${plain(words)}"`
  return `somebody in between answered ${status}${what}${by}`
}
