/**
 * The list of sessions as it changes: the row of each session that something happened to, at most one a session and tick, at
 * the client's pace. What changes while the client reads waits as a name, not as a row.
 */

import type { Session } from "@causeway/protocol/http/Sessions"
import type { OrganizationId } from "@causeway/protocol/Ids"
import type { Bus, Topic } from "@causeway/store/Bus"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { Connection } from "./Connections.ts"

/** Changes are gathered for this long. */
const TICK = "100 millis"
/** Rows of one event. */
const ROWS = 100
/** A database that cannot be read now is asked again every second: nothing that has changed is forgotten. */
const againSchedule = Schedule.spaced("1 second")

/** Rows of changed topics, of this organisation alone. */
export type Rows<E> = (
  organizationId: OrganizationId,
  topics: ReadonlyArray<Topic>
) => Effect.Effect<ReadonlyArray<Session>, E>

const chunksOf = <A>(all: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(all.length / ROWS) }, (_, i) => all.slice(i * ROWS, (i + 1) * ROWS))

/** Listens from when it is run; the effect that it answers with sends until it is interrupted. */
export const make = <E>(
  connection: Connection,
  bus: Bus["Type"],
  rows: Rows<E>
): Effect.Effect<Effect.Effect<never>, never, Scope.Scope> =>
  Effect.map(bus.subscribeChanges, ({ take }) => {
    const send = (sessions: ReadonlyArray<Session>) =>
      sessions.length === 0
        ? Effect.void
        : connection.paced(
            JSON.stringify({ type: "event", event: "causeway.sessions.changed", payload: { sessions } })
          )
    const read = (topics: ReadonlyArray<Topic>) =>
      rows(connection.info.organizationId, topics).pipe(
        Effect.tapErrorCause((cause) =>
          Effect.logWarning("the rows of changed sessions cannot be read", cause)
        ),
        Effect.retry(againSchedule),
        Effect.orDie
      )
    return Effect.sleep(TICK).pipe(
      Effect.zipRight(take),
      Effect.flatMap((topics) =>
        Effect.forEach(chunksOf([...topics]), (some) => Effect.flatMap(read(some), send), { discard: true })
      ),
      Effect.forever,
      Effect.withSpan("Gateway.listWatch")
    )
  })
