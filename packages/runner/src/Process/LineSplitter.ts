/** Lines out of chunks of bytes. Whole lines are decoded, so no character is torn at a chunk's border. */

/** Longest line that is taken, in bytes, without its line break. Source: spec 4 §3.6. */
export const MAX_LINE_BYTES = 10 * 1024 * 1024

/** Of a line that is too long, this much of its start is kept for the report. */
export const EXCERPT_BYTES = 1024

export type Line =
  | { readonly _tag: "Line"; readonly text: string }
  /** Longer than the limit: its size and its start; the rest was passed over as it came. */
  | { readonly _tag: "TooLong"; readonly bytes: number; readonly start: string }

export interface LineSplitter {
  /** The lines that `chunk` completes. Any way of cutting the same bytes into chunks gives the same lines. */
  readonly push: (chunk: Uint8Array) => ReadonlyArray<Line>
  /** After the last chunk: the last line, where no line break ended it. */
  readonly end: () => ReadonlyArray<Line>
  /** Bytes held back at the moment: never more than the limit and one chunk. */
  readonly held: () => number
}

const LINE_FEED = 10
const CARRIAGE_RETURN = 13

export const make = (maxBytes: number = MAX_LINE_BYTES): LineSplitter => {
  let parts: Array<Buffer> = []
  let held = 0
  /** Size so far of a line that is being passed over, or -1. */
  let skipped = -1
  let start = ""

  const complete = (): Line => {
    if (skipped >= 0) {
      const line: Line = { _tag: "TooLong", bytes: skipped, start }
      skipped = -1
      return line
    }
    const bytes = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
    parts = []
    held = 0
    const length = bytes.at(-1) === CARRIAGE_RETURN ? bytes.length - 1 : bytes.length
    return { _tag: "Line", text: bytes.toString("utf8", 0, length) }
  }

  const hold = (bytes: Buffer): void => {
    if (bytes.length === 0) return
    if (skipped >= 0) {
      skipped += bytes.length
      return
    }
    parts.push(bytes)
    held += bytes.length
    if (held > maxBytes) {
      start = Buffer.concat(parts).toString("utf8", 0, EXCERPT_BYTES)
      skipped = held
      parts = []
      held = 0
    }
  }

  return {
    push: (chunk) => {
      const lines: Array<Line> = []
      let rest = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
      for (let at = rest.indexOf(LINE_FEED); at >= 0; at = rest.indexOf(LINE_FEED)) {
        hold(rest.subarray(0, at))
        lines.push(complete())
        rest = rest.subarray(at + 1)
      }
      hold(rest)
      return lines
    },
    end: () => (held > 0 || skipped >= 0 ? [complete()] : []),
    held: () => held
  }
}
