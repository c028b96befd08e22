/**
 * A model of a server's ingress log: entries in a list, the guard on its head, and a network that fails in every way
 * that the protocol must survive. It does not tell entries apart by uuid: nothing but the guard keeps it from storing
 * one twice.
 */
import * as Effect from "effect/Effect"
import type { Asked, Reply } from "./Scripted.ts"
import { Broken } from "./Scripted.ts"

/** What happens to one request. */
export type Fault =
  | "none"
  /** The request is lost on its way. */
  | "lost"
  /** The request is done, the answer is lost. */
  | "answer-lost"
  /** 500 before anything is done. */
  | "failed"
  /** 500 after it was done. */
  | "failed-late"
  /** The connection breaks, and the request arrives after a later one has been answered. */
  | "delayed"
  /** A conflict is answered without `x-last-uuid`. */
  | "no-header"
  /** Another writer stores an entry just before. */
  | "overtaken"
  /** 429 with `Retry-After`. */
  | "busy"

export interface Stored {
  readonly uuid: string | undefined
  readonly by: "client" | "other"
}

export interface Model {
  readonly log: Array<Stored>
  readonly handle: (asked: Asked) => Effect.Effect<Reply, Broken>
  /** `PUT`s that were in flight at the same moment, at most. */
  readonly mostInFlight: () => number
}

/** `faults` are taken one a `PUT`, then none. `readFaults` one a `GET`. */
export const make = (
  faults: ReadonlyArray<Fault>,
  readFaults: ReadonlyArray<"none" | "lost" | "failed">
): Model => {
  const log: Array<Stored> = []
  let puts = 0
  let gets = 0
  let others = 0
  let inFlight = 0
  let mostInFlight = 0
  const delayed: Array<Asked> = []

  const head = () => log.findLast((entry) => entry.uuid !== undefined)?.uuid

  const entriesOf = (body: unknown): ReadonlyArray<{ readonly uuid: string }> =>
    (Array.isArray(body) ? body : [body]) as ReadonlyArray<{ readonly uuid: string }>

  const put = (asked: Asked): Reply => {
    if (asked.headers["last-uuid"] !== head()) {
      const current = head()
      return { status: 409, headers: current === undefined ? {} : { "x-last-uuid": current }, body: {} }
    }
    for (const { uuid } of entriesOf(asked.body)) log.push({ uuid, by: "client" })
    return { status: 201, body: { last_uuid: head() } }
  }

  const arrive = () => {
    for (const late of delayed.splice(0)) put(late)
  }

  const handlePut = (asked: Asked): Effect.Effect<Reply, Broken> =>
    Effect.suspend(() => {
      const fault = faults[puts++] ?? "none"
      switch (fault) {
        case "lost":
          return Effect.fail(new Broken("ECONNREFUSED"))
        case "failed":
          return Effect.succeed({ status: 500, body: { message: "before" } })
        case "busy":
          return Effect.succeed({ status: 429, headers: { "retry-after": "1" }, body: {} })
        case "delayed":
          delayed.push(asked)
          return Effect.fail(new Broken("ECONNRESET"))
        case "overtaken":
          log.push({ uuid: `other-${++others}`, by: "other" })
          break
        default:
          break
      }
      const reply = put(asked)
      arrive()
      if (fault === "answer-lost") return Effect.fail(new Broken("ECONNRESET"))
      if (fault === "failed-late") return Effect.succeed({ status: 502, body: "<html>" })
      return Effect.succeed(fault === "no-header" && reply.status === 409 ? { status: 409, body: {} } : reply)
    })

  return {
    log,
    mostInFlight: () => mostInFlight,
    handle: (asked) =>
      asked.method === "PUT"
        ? Effect.acquireUseRelease(
            Effect.sync(() => {
              inFlight++
              mostInFlight = Math.max(mostInFlight, inFlight)
            }),
            // A turn of the event loop on the way, so that requests can overlap.
            () => Effect.zipRight(Effect.yieldNow(), handlePut(asked)),
            () => Effect.sync(() => void inFlight--)
          )
        : Effect.suspend((): Effect.Effect<Reply, Broken> => {
            const fault = readFaults[gets++] ?? "none"
            if (fault === "lost") return Effect.fail(new Broken("ECONNREFUSED"))
            if (fault === "failed") return Effect.succeed({ status: 503, body: {} })
            return log.length === 0
              ? Effect.succeed({ status: 404, body: {} })
              : Effect.succeed({
                  body: {
                    loglines: log.map(({ uuid }) =>
                      uuid === undefined ? { type: "summary" } : { type: "user", uuid }
                    )
                  }
                })
          })
  }
}
