/** What a person has taken back never runs, whichever part is killed, and whenever. */
import { randomUUID } from "node:crypto"
import { join } from "node:path"
import * as Sessions from "@causeway/client/Sessions"
import * as Viewer from "@causeway/client/Viewer"
import type { SessionId } from "@causeway/protocol/Ids"
import * as Withdrawal from "@causeway/protocol/Withdrawal"
import { beforeAll, describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as Processes from "./support/Processes.ts"
import * as World from "./support/World.ts"

let programs: Processes.Programs
beforeAll(async () => {
  programs = await Processes.bundle()
}, 60_000)

const ROUNDS = 14

/**
 * The log up to the answer to a prompt, and the delivery state of each message in it. Deliveries are told in the order of
 * their messages: once that of the prompt has come to its end, those before it have.
 */
const until = (sessionId: SessionId, uuid: string) =>
  Effect.gen(function* () {
    const missing = new Set(["answer", "delivery"])
    const frames = yield* (yield* Viewer.Viewer).watch(sessionId, 0).pipe(
      Stream.takeUntil((frame) => {
        if (frame._tag === "Event") {
          const { type, user_message_uuid: answered } = frame.event.payload
          if (type === "result" && answered === uuid) missing.delete("answer")
        } else if (frame._tag === "Delivery") {
          const { event_id: event, status } = frame.update
          if (event === uuid && status === "DELIVERY_STATUS_PROCESSED") missing.delete("delivery")
        }
        return missing.size === 0
      }),
      Stream.runCollect,
      Effect.map(Chunk.toReadonlyArray)
    )
    const states = new Map<string, string>()
    const lines: Array<string> = []
    for (const frame of frames) {
      if (frame._tag === "Delivery") states.set(frame.update.event_id, frame.update.status)
      if (frame._tag === "Event" && frame.event.source === "worker") {
        lines.push(JSON.stringify(frame.event.payload))
      }
    }
    return { states, lines }
  })

describe("kill -9", () => {
  it.live(
    "while messages are taken back: none of them runs, and each that follows is answered",
    () =>
      Effect.gen(function* () {
        const seed = Date.now()
        const random = Random.make(seed)
        const dir = yield* World.directory
        const stateDirectory = yield* World.directory
        const port = yield* World.freePort
        const file = join(stateDirectory, "hub.db")
        let hub = yield* Processes.hub(programs, { file, port })
        const { url, token } = yield* hub.line((line) => "url" in line)
        const options = {
          url: String(url),
          token: String(token),
          dir,
          stateDirectory,
          perpetual: true,
          maxSessions: 4
        }
        let bridge = yield* Processes.bridge(programs, options)
        const { sessionId: id } = yield* bridge.line(({ _tag }) => _tag === "Started")
        const sessionId = id as SessionId

        const kill = (part: string) =>
          Effect.gen(function* () {
            if (part === "hub") {
              yield* hub.kill
              hub = yield* Processes.hub(programs, { file, port })
              yield* hub.line((line) => "url" in line)
            } else if (part === "bridge" || part === "bridge that is away") {
              yield* bridge.kill
              if (part === "bridge") bridge = yield* Processes.bridge(programs, options)
            } else if (part === "agent") {
              for (const pid of Processes.running(programs.agent)) process.kill(pid, "SIGKILL")
            }
          })

        yield* Effect.gen(function* () {
          const sessions = yield* Sessions.Sessions
          const send = (json: { readonly type: string; readonly [key: string]: unknown }) =>
            sessions
              .sendEvents(sessionId, [{ uuid: randomUUID(), ...json }])
              .pipe(Effect.retry(Schedule.spaced("50 millis")))
          let withdrawn = 0
          let long = 0
          for (let round = 0; round < ROUNDS; round++) {
            const [a, b, c] = [randomUUID(), randomUUID(), randomUUID()]
            const one = (yield* random.nextIntBetween(0, 2)) === 0
            const parts = ["hub", "bridge", "bridge that is away", "agent", "nobody"]
            const part = parts[yield* random.nextIntBetween(0, parts.length)] ?? "nobody"
            const before = (yield* random.nextIntBetween(0, 2)) === 0
            const pause = Effect.sleep(Duration.millis(yield* random.nextIntBetween(0, 250)))
            // A short turn may be over, and the next one too, while the hub is away.
            const isLong = (yield* random.nextIntBetween(0, 3)) > 0
            if (isLong) long++
            yield* send(World.prompt(`!slow ${isLong ? 40 : 2} 100`, a))
            yield* send(World.prompt(`!say ran ${b}`, b))
            yield* pause
            if (before) yield* kill(part)
            const request = randomUUID()
            if (one) {
              yield* send(Withdrawal.one(request, b))
              yield* send({
                type: "control_request",
                request_id: randomUUID(),
                request: { subtype: "interrupt" }
              })
            } else yield* send(Withdrawal.all(request))
            if (!before) {
              yield* pause
              yield* kill(part)
            }
            yield* send(World.prompt(`!say after ${c}`, c))
            if (part === "bridge that is away") bridge = yield* Processes.bridge(programs, options)
            const { lines, states } = yield* until(sessionId, c).pipe(
              Effect.timeoutFail({
                duration: "60 seconds",
                onTimeout: () =>
                  new World.TooLate({ message: `seed ${seed}, round ${round} (${part}): no answer to C` })
              })
            )
            const what = `seed ${seed}, round ${round}: ${part} ${before ? "before" : "after"}, ${one ? "one" : "all"}`
            const isWithdrawn = states.get(b) === "DELIVERY_STATUS_WITHDRAWN"
            if (isWithdrawn && isLong) withdrawn++
            // It may have been answered before the withdrawal came; then it is not told as taken back.
            const ran = lines.some((line) => line.includes(`ran ${b}`))
            expect([what, ran]).toEqual([what, !isWithdrawn && ran])
            expect([what, lines.some((line) => line.includes(`after ${c}`))]).toEqual([what, true])
          }
          expect(withdrawn).toBeGreaterThan(long / 2)
        }).pipe(
          Effect.provide(World.client({ url: String(url), token: Redacted.make(String(token)) })),
          Effect.onError(() => Effect.logInfo(`seed ${seed}`, bridge.lines.slice(-20), bridge.stderr()))
        )
      }).pipe(Effect.scoped),
    240_000
  )
})
