/** Schedules of the bridge: every wait before something is tried or looked at again, beside those of the client. */
import * as Schedule from "effect/Schedule"

/** A fault of this program ended something: it begins again after 5 s, for ever. */
export const beginAgain = Schedule.spaced("5 seconds")

/** How often it is looked whether a place has become free: every 250 ms. */
export const roomCheck = Schedule.spaced("250 millis")

/** The same for as long as an offer is kept: 4 s, of the 5 s after which it is offered again. */
export const whileOffered = roomCheck.pipe(Schedule.upTo("4 seconds"))

/** 60 s at the longest. */
const minute = Schedule.spaced("60 seconds")

/** A session whose attachments do not last is asked for at once, then after 2 s doubling to 60 s, for ever. */
export const askAgain = Schedule.andThen(
  Schedule.recurs(1),
  Schedule.exponential("2 seconds").pipe(Schedule.union(minute))
)

/** A line that somebody in between refuses: sent again after 1 s, doubling to 60 s, for ever. */
export const stuckLine = Schedule.exponential("1 second").pipe(Schedule.union(minute))
