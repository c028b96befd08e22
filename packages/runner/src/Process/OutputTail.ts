/** The end of a program's output: at most so many bytes, whole characters only. Source: spec 4 §2 (`terminal/*`). */

export interface OutputTail {
  readonly push: (chunk: Uint8Array) => void
  /** No more comes: a torn character at the end is shown as it is. */
  readonly end: () => void
  readonly read: () => { readonly output: string; readonly truncated: boolean }
  /** Bytes held at the moment: at most twice the limit and one chunk. */
  readonly held: () => number
  /** Bytes so far; tells whether anything has come since. */
  readonly total: () => number
}

const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80

/** Bytes of the character that `byte` begins. */
const width = (byte: number): number => (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1)

/** The end of the last whole character: what follows is the beginning of one whose rest is yet to come. */
const wholeEnd = (bytes: Uint8Array): number => {
  for (let at = bytes.length - 1; at >= 0 && bytes.length - at <= 3; at--) {
    const byte = bytes[at]
    if (byte === undefined || isContinuation(byte)) continue
    return at + width(byte) > bytes.length ? at : bytes.length
  }
  return bytes.length
}

export const make = (limit: number): OutputTail => {
  let parts: Array<Uint8Array> = []
  let held = 0
  let total = 0
  let ended = false

  /** The last `limit` bytes, from the beginning of a character. */
  const cut = (): Uint8Array => {
    const all = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
    let from = Math.max(0, all.length - limit)
    if (from === 0 && all.length === total) return all
    // Also at the start of what an earlier cut left: the first bytes of a character may have gone before its last came.
    for (let skipped = 0; skipped < 3 && isContinuation(all[from]); skipped++) from++
    return all.subarray(from)
  }

  return {
    push: (chunk) => {
      if (chunk.length === 0) return
      parts.push(chunk)
      held += chunk.length
      total += chunk.length
      if (held > 2 * limit) {
        // A copy: a view would keep the whole of what was cut off.
        parts = [Uint8Array.from(cut())]
        held = parts[0]?.length ?? 0
      }
    },
    end: () => {
      ended = true
    },
    read: () => {
      const bytes = cut()
      const shown = ended ? bytes : bytes.subarray(0, wholeEnd(bytes))
      return {
        output: Buffer.from(shown.buffer, shown.byteOffset, shown.length).toString("utf8"),
        truncated: total > bytes.length
      }
    },
    held: () => held,
    total: () => total
  }
}
