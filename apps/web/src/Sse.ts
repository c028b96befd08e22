/** Server-sent events, read from text as it comes. Source: the HTML standard, "Event stream interpretation". */

/** One dispatched message. `id` is undefined where the message named none. */
export interface Message {
  readonly event: string
  readonly id: string | undefined
  readonly data: string
}

/** Takes text in any portions and answers the messages that each portion completes; comments and retries are dropped. */
export const parser = (): ((chunk: string) => ReadonlyArray<Message>) => {
  let rest = ""
  /** How far `rest` is known to hold no line end. */
  let scanned = 0
  let event = ""
  let id: string | undefined
  let data: Array<string> = []
  let first = true

  const line = (text: string, out: Array<Message>): void => {
    if (text === "") {
      if (data.length > 0) out.push({ event: event === "" ? "message" : event, id, data: data.join("\n") })
      event = ""
      id = undefined
      data = []
      return
    }
    const colon = text.indexOf(":")
    if (colon === 0) return
    const field = colon < 0 ? text : text.slice(0, colon)
    const value = colon < 0 ? "" : text.slice(text[colon + 1] === " " ? colon + 2 : colon + 1)
    if (field === "data") data.push(value)
    else if (field === "event") event = value
    else if (field === "id" && !value.includes("\0")) id = value
  }

  return (chunk) => {
    const out: Array<Message> = []
    if (first && chunk.length > 0) {
      first = false
      rest = chunk.startsWith("\ufeff") ? chunk.slice(1) : chunk
    } else rest += chunk
    let from = 0
    for (;;) {
      let end = Math.max(from, scanned)
      while (end < rest.length && rest[end] !== "\n" && rest[end] !== "\r") end++
      // A "\r" at the very end may be half of "\r\n".
      scanned = end
      if (end >= rest.length || (rest[end] === "\r" && end + 1 === rest.length)) break
      line(rest.slice(from, end), out)
      from = rest[end] === "\r" && rest[end + 1] === "\n" ? end + 2 : end + 1
    }
    rest = rest.slice(from)
    scanned -= from
    return out
  }
}
