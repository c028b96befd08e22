/**
 * Who makes room where all places are taken: of the sessions that do nothing, the one that has done nothing for longest.
 *
 * Never one with a turn, an open question, a request without its answer, background tasks of its agent, or anything of its
 * own that is on its way up or down. Source: spec 5 §3.7.
 */

/** A session that holds a place. */
export interface Place<A> {
  readonly session: A
  /** Whether anything would be lost or held up if its agent ended now. */
  readonly isBusy: boolean
  /** When it last did anything, in milliseconds since the epoch. */
  readonly lastActive: number
}

/** The session that is put to sleep; undefined where every place is busy, and for as long as there is room. */
export const sleeper = <A>(places: ReadonlyArray<Place<A>>, capacity: number): A | undefined => {
  if (places.length < capacity) return undefined
  let longest: Place<A> | undefined
  for (const place of places) {
    if (!place.isBusy && (longest === undefined || place.lastActive < longest.lastActive)) longest = place
  }
  return longest?.session
}
