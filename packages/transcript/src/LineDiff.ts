/** What differs between two texts, line by line: the shortest way from one to the other (Myers 1986). */

export interface Line {
  readonly kind: "same" | "add" | "remove"
  readonly text: string
}

/** Differences that are looked for at most; texts that differ more are told as replaced between what they share at both ends. */
const MOST = 1000

/** Lines with their ends. */
const linesOf = (text: string): ReadonlyArray<string> => text.match(/[^\n]*\n|[^\n]+/g) ?? []

const unended = (text: string): string => (text.endsWith("\n") ? text.slice(0, -1) : text)

/** The way through the middle, whose ends differ; undefined where it is too long. */
const middle = (a: ReadonlyArray<string>, b: ReadonlyArray<string>): ReadonlyArray<Line> | undefined => {
  const most = Math.min(MOST, a.length + b.length)
  const reach = new Map<number, number>([[1, 0]])
  const trace: Array<ReadonlyMap<number, number>> = []
  const at = (from: ReadonlyMap<number, number>, k: number): number => from.get(k) ?? -1
  const isDown = (from: ReadonlyMap<number, number>, k: number, d: number): boolean =>
    k === -d || (k !== d && at(from, k - 1) < at(from, k + 1))
  for (let d = 0; d <= most; d++) {
    trace.push(new Map(reach))
    for (let k = -d; k <= d; k += 2) {
      let x = isDown(reach, k, d) ? at(reach, k + 1) : at(reach, k - 1) + 1
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++
      reach.set(k, x)
      if (x < a.length || x - k < b.length) continue
      const way: Array<Line> = []
      let [left, right] = [a.length, b.length]
      for (let back = d; back >= 0; back--) {
        const before = trace[back] ?? new Map<number, number>()
        const diagonal = left - right
        const previous = isDown(before, diagonal, back) ? diagonal + 1 : diagonal - 1
        const x0 = at(before, previous)
        const y0 = x0 - previous
        while (left > x0 && right > y0 && left > 0 && right > 0)
          way.push({ kind: "same", text: a[--left] ?? "" }) && right--
        if (back === 0) break
        if (left === x0) way.push({ kind: "add", text: b[--right] ?? "" })
        else way.push({ kind: "remove", text: a[--left] ?? "" })
      }
      return way.toReversed()
    }
  }
  return undefined
}

export const of = (before: string, after: string): ReadonlyArray<Line> => {
  // A last line without an end is the same line wherever it stands; only where the two differ in that, it is a change.
  const ended = before.endsWith("\n") || after.endsWith("\n")
  const whole = (text: string): string => (ended || text === "" ? text : `${text}\n`)
  const a = linesOf(whole(before))
  const b = linesOf(whole(after))
  let head = 0
  while (head < a.length && head < b.length && a[head] === b[head]) head++
  let tail = 0
  while (
    tail < a.length - head &&
    tail < b.length - head &&
    a[a.length - 1 - tail] === b[b.length - 1 - tail]
  )
    tail++
  const [from, to] = [a.slice(head, a.length - tail), b.slice(head, b.length - tail)]
  const same = (text: string): Line => ({ kind: "same", text })
  return [
    ...a.slice(0, head).map(same),
    ...(middle(from, to) ?? [
      ...from.map((text): Line => ({ kind: "remove", text })),
      ...to.map((text): Line => ({ kind: "add", text }))
    ]),
    ...a.slice(a.length - tail).map(same)
  ].map(({ kind, text }) => ({ kind, text: unended(text) }))
}

/** Lines added and removed. */
export const count = (
  lines: ReadonlyArray<{ readonly kind: string }>
): { readonly added: number; readonly removed: number } => ({
  added: lines.filter(({ kind }) => kind === "add").length,
  removed: lines.filter(({ kind }) => kind === "remove").length
})
