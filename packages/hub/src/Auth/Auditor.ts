/** What doors write into the audit log. It never stands in anybody's way: what cannot be written is logged. */
import { BoundedMap } from "@causeway/protocol/BoundedMap"
import { Audit, type Entry } from "@causeway/store/Audit"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** The same is written once in this time: whoever knocks, or comes and goes, again and again does not fill the disk. */
const ONCE_IN_MILLIS = 60_000
/** Refusals that are written in that time, whoever is refused. */
const REFUSALS_MAX = 60
/** What is the same is told from outside: what is remembered of it stays bounded. */
const KINDS_MAX = 10_000
/** Characters of a refusal's words. */
const WORDS_MAX = 200

/** A refusal; `kind` tells which are the same. */
export interface Refusal extends Omit<Entry, "action" | "details"> {
  readonly kind: string
  readonly words: string
}

export const make = Effect.map(Audit, (audit) => {
  const told = new BoundedMap<string, number>(KINDS_MAX)
  const refusals = { since: 0, count: 0 }

  const record = (entry: Entry): Effect.Effect<void> =>
    Effect.catchAll(audit.record(entry), (error) =>
      Effect.logWarning("a line of the audit log was not written", error).pipe(
        Effect.annotateLogs({ module: "Auditor", action: entry.action })
      )
    )

  /** Records unless the same was recorded a moment ago. */
  const once = (kind: string, entry: Entry): Effect.Effect<void> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (now - (told.get(kind) ?? Number.NEGATIVE_INFINITY) < ONCE_IN_MILLIS) return Effect.void
      told.set(kind, now)
      return record(entry)
    })

  const refused = ({ kind, words, ...rest }: Refusal): Effect.Effect<void> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (now - refusals.since >= ONCE_IN_MILLIS) Object.assign(refusals, { since: now, count: 0 })
      refusals.count += 1
      return refusals.count > REFUSALS_MAX
        ? Effect.void
        : once(`refused ${kind}`, { ...rest, action: "refused", details: { why: words.slice(0, WORDS_MAX) } })
    })

  return { record, once, refused }
})

export type Auditor = Effect.Effect.Success<typeof make>
