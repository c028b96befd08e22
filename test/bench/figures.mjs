// Figures of several rounds.
import { cpus, loadavg } from "node:os"

export const median = (values) => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Candidates in another order each round, so that none always runs after the same other. */
export const rotated = (candidates, round) =>
  candidates.map((_, index) => candidates[(index + round) % candidates.length])

/** What else the machine does: figures of different runs are compared by their ratios alone. */
export const machine = () =>
  `Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model ?? "?"}, load ${loadavg()
    .map((load) => load.toFixed(1))
    .join(" ")}`
