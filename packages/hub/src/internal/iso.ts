/** Milliseconds since the epoch as the wire has them: ISO 8601, null where there is none. */
export const isoOrNull = (millis: number | undefined): string | null =>
  millis === undefined ? null : new Date(millis).toISOString()
