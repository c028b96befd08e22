import { OrganizationId, sessionBody } from "@causeway/protocol/Ids"
import * as Bus from "@causeway/store/Bus"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { Connection, type Wire } from "../../src/Gateway/Connections.ts"
import * as Watches from "../../src/Gateway/Watches.ts"

/** A socket whose texts leave when the test says so. */
class Gate implements Wire {
  readonly sent: Array<string> = []
  closed: readonly [number, string] | undefined
  /** Bytes that wait beside those sent here. */
  other = 0
  private waiting: Array<{ readonly bytes: number; readonly done: (error?: Error | null) => void }> = []

  get bufferedAmount() {
    return this.other + this.waiting.reduce((sum, { bytes }) => sum + bytes, 0)
  }
  send(text: string, done: (error?: Error | null) => void) {
    this.sent.push(text)
    this.waiting.push({ bytes: Buffer.byteLength(text), done })
  }
  close(code: number, reason: string) {
    this.closed = [code, reason]
  }
  /** The oldest text leaves, or fails. */
  leave(error?: Error) {
    this.waiting.shift()?.done(error)
  }
}

const info = {} as ConstructorParameters<typeof Connection>[0]
const LIMIT = 100

const make = () => {
  const wire = new Gate()
  return { wire, connection: new Connection(info, wire, LIMIT) }
}

/** Begins sending, as far as it goes now. */
const begin = (connection: Connection, text: string) =>
  Effect.tap(Effect.fork(connection.paced(text)), () => Effect.yieldNow())

const isDone = (fiber: Fiber.RuntimeFiber<void>) =>
  Effect.map(Fiber.poll(fiber), (exit) => exit._tag === "Some")

describe("paced texts", () => {
  it.effect("leave one at a time, first come first", () =>
    Effect.gen(function* () {
      const { connection, wire } = make()
      const fibers = yield* Effect.forEach(["a", "b", "c"], (text) => begin(connection, text))
      expect(wire.sent).toEqual(["a"])
      wire.leave()
      expect(wire.sent).toEqual(["a", "b"])
      yield* Fiber.join(fibers[0] ?? Fiber.void)
      wire.leave()
      wire.leave()
      expect(wire.sent).toEqual(["a", "b", "c"])
      yield* Effect.forEach(fibers, Fiber.join)
    })
  )

  it.effect("neither make a client slow nor drop its events, however large", () =>
    Effect.gen(function* () {
      const { connection, wire } = make()
      yield* begin(connection, "é".repeat(10 * LIMIT))
      expect(connection.send("answer")).toBe(true)
      expect(connection.offer("event")).toBe(true)
      expect(wire.closed).toBe(undefined)
      // What else waits still counts.
      wire.other = LIMIT + 1
      expect(connection.offer("event")).toBe(false)
      expect(connection.send("answer")).toBe(false)
      expect(wire.closed).toEqual([1008, "slow consumer"])
    })
  )

  it.effect("wait while much else waits, and go on when it has left", () =>
    Effect.gen(function* () {
      const { connection, wire } = make()
      connection.send("x".repeat(LIMIT))
      const fiber = yield* begin(connection, "watch")
      expect(wire.sent).toHaveLength(1)
      wire.leave()
      expect(wire.sent.at(-1)).toBe("watch")
      wire.leave()
      yield* Fiber.join(fiber)
    })
  )

  it.effect("give up their turn when interrupted; one that is on its way still holds up the next", () =>
    Effect.gen(function* () {
      const { connection, wire } = make()
      const [a, b] = [yield* begin(connection, "a"), yield* begin(connection, "b")]
      const c = yield* begin(connection, "c")
      yield* Fiber.interrupt(b)
      yield* Fiber.interrupt(a)
      expect(wire.sent).toEqual(["a"])
      wire.leave()
      expect(wire.sent).toEqual(["a", "c"])
      wire.leave()
      yield* Fiber.join(c)
    })
  )

  it.effect("never complete where the text did not leave, or the connection has closed", () =>
    Effect.gen(function* () {
      const { connection, wire } = make()
      const lost = yield* begin(connection, "a")
      wire.leave(new Error("reset"))
      yield* Effect.yieldNow()
      expect(yield* isDone(lost)).toBe(false)
      connection.close(1000, "")
      const late = yield* begin(connection, "b")
      expect(wire.sent).toEqual(["a"])
      expect(yield* isDone(late)).toBe(false)
      yield* Fiber.interruptAll([lost, late])
    })
  )
})

describe("the watches of a connection", () => {
  const watched = {
    key: { session: sessionBody("s"), organizationId: OrganizationId.make("o") },
    after: 0,
    until: undefined
  }

  /** A bus that counts who listens. */
  const counted = Effect.map(Bus.make, (bus) => {
    const listening = { now: 0 }
    const subscribe: typeof bus.subscribe = (topic) =>
      Effect.zipRight(
        Effect.acquireRelease(
          Effect.sync(() => {
            listening.now += 1
          }),
          () =>
            Effect.sync(() => {
              listening.now -= 1
            })
        ),
        bus.subscribe(topic)
      )
    return { bus: Bus.Bus.of({ ...bus, subscribe }), listening }
  })

  it.effect("end with it, and when they are stopped", () =>
    Effect.gen(function* () {
      const { connection } = make()
      const { bus, listening } = yield* counted
      const scope = yield* Scope.make()
      const watches = yield* Watches.make(connection, {
        bus,
        follow: () => Effect.never,
        rows: () => Effect.succeed([])
      }).pipe(Scope.extend(scope))
      for (const id of ["a", "b", "c"]) {
        expect(watches.reserve(id)).toBe(true)
        yield* watches.start(id, watched)
      }
      yield* Effect.yieldNow()
      expect(listening.now).toBe(3)
      expect(yield* watches.stop("b")).toBe(true)
      expect(yield* watches.stop("b")).toBe(false)
      expect(listening.now).toBe(2)
      yield* Scope.close(scope, Exit.void)
      expect(listening.now).toBe(0)
    })
  )

  it.effect("a failure ends one with words, and not the others", () =>
    Effect.gen(function* () {
      const { connection, wire } = make()
      const { bus, listening } = yield* counted
      const watches = yield* Watches.make(connection, {
        bus,
        rows: () => Effect.succeed([]),
        follow: ({ after }) => (after === 1 ? Effect.die(new Error("broken")) : Effect.never)
      })
      for (const after of [0, 1]) {
        watches.reserve(`w${after}`)
        yield* watches.start(`w${after}`, { ...watched, after })
      }
      yield* Effect.yieldNow()
      yield* Effect.yieldNow()
      expect(wire.sent.map((text) => JSON.parse(text))).toEqual([
        {
          type: "event",
          event: "session.watch.ended",
          payload: { watch: "w1", reason: "failed", message: "the watch failed; the hub's log says why" }
        }
      ])
      wire.leave()
      yield* Effect.yieldNow()
      expect(listening.now).toBe(1)
      expect(yield* watches.stop("w0")).toBe(true)
    }).pipe(Effect.scoped)
  )

  it("frames go out in events of a bounded size, a larger one alone, each text as it is", () => {
    const frame = (n: number) => ({ event: "client_event", data: `{"n": 1.0, "t":"${"x".repeat(n)}"}` })
    expect(Watches.events("w", [])).toEqual([])
    const texts = Watches.events("w", [frame(10), frame(300_000), frame(20), frame(30)])
    expect(texts.map((text) => JSON.parse(text).payload.frames.length)).toEqual([1, 1, 2])
    expect(texts[0]).toBe(
      '{"type":"event","event":"session.frames","payload":{"watch":"w","frames":[{"event":"client_event","data":{"n": 1.0, "t":"xxxxxxxxxx"}}]}}'
    )
  })
})
