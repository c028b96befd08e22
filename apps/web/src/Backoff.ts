/** Delays between attempts, in milliseconds. */

/** `first`, twice as much with each failure, at most `most`. */
export const doubling =
  (first: number, most: number) =>
  (failures: number): number =>
    Math.min(most, first << Math.min(failures, 10))
