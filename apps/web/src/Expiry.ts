/** Credentials that expire soon. */

/** What is looked at of a credential; `expiresAtMs` in milliseconds since the epoch, null where it never expires. */
export interface Credential {
  readonly id: string
  readonly name: string
  readonly expiresAtMs: number | null
}

/** From when on people are warned, in milliseconds before it expires. */
export const WARN_MILLIS = 7 * 86_400_000

export interface Expiring<A extends Credential> {
  readonly credential: A
  /** Milliseconds until it expires; negative where it has. */
  readonly left: number
}

/** How long people are told of one that has expired. */
const TOLD_MILLIS = 86_400_000

/** Those that expire within {@link WARN_MILLIS} or expired within the last day, the soonest first. */
export const soon = <A extends Credential>(all: ReadonlyArray<A>, now: number): ReadonlyArray<Expiring<A>> =>
  all
    .flatMap((credential) => {
      const left = credential.expiresAtMs === null ? Number.POSITIVE_INFINITY : credential.expiresAtMs - now
      return left <= WARN_MILLIS && left > -TOLD_MILLIS ? [{ credential, left }] : []
    })
    .sort((a, b) => a.left - b.left)

const HOUR = 3_600_000

/** In words: "expires in 3 days". */
export const words = (left: number): string => {
  if (left <= 0) return "has expired"
  const hours = Math.ceil(left / HOUR)
  if (hours <= 1) return "expires within an hour"
  return hours < 48 ? `expires in ${hours} hours` : `expires in ${Math.floor(hours / 24)} days`
}
