/**
 * How many sessions the limit on open files has room for. Each of them holds pipes to its agent and connections to the hub;
 * with none left a process can neither answer nor start anything, so fewer sessions run at once, and people are told.
 */
import { readFile } from "node:fs/promises"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/** What hub, bridge and page hold open themselves, with room for the requests that come. */
export const OF_THE_PROGRAM = 64

/** Pipes, guard and connections of one running session, both ends of those where the hub is this process too. */
export const OF_A_SESSION = 12

/** The limit of this process as Linux tells it; none elsewhere, and where there is no limit. */
const limit: Effect.Effect<Option.Option<number>> = Effect.tryPromise(() =>
  readFile("/proc/self/limits", "utf8")
).pipe(
  Effect.map((text) => Option.fromNullable(/^Max open files\s+(\d+)/m.exec(text)?.[1])),
  Effect.map(Option.map(Number)),
  Effect.orElseSucceed(() => Option.none())
)

/** Sessions that `files` open files have room for; one at least. */
export const roomFor = (files: number): number =>
  Math.max(1, Math.floor((files - OF_THE_PROGRAM) / OF_A_SESSION))

/** `wanted`, or as many as there is room for: then with the sentence that says so. */
export const capacity = (
  wanted: number
): Effect.Effect<{ readonly sessions: number; readonly says: Option.Option<string> }> =>
  Effect.map(limit, (files) => {
    const room = Option.map(files, roomFor)
    if (Option.isNone(files) || Option.isNone(room) || room.value >= wanted) {
      return { sessions: wanted, says: Option.none() }
    }
    return {
      sessions: room.value,
      says: Option.some(
        `only ${files.value} files may be open at once: ${room.value} of ${wanted} sessions run at a time; allow more with \`ulimit -n ${OF_THE_PROGRAM + OF_A_SESSION * wanted}\` (LimitNOFILE= of a service), then start again`
      )
    }
  })
