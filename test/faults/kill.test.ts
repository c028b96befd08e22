/** kill -9 of every part at random moments while messages flow: nothing lost, nothing twice. */
import { randomUUID } from "node:crypto"
import { join } from "node:path"
import * as Sessions from "@causeway/client/Sessions"
import * as Viewer from "@causeway/client/Viewer"
import type { EnvironmentId, SessionId } from "@causeway/protocol/Ids"
import type * as Payload from "@causeway/protocol/Payload"
import { beforeAll, describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import { expectExact } from "./support/Exact.ts"
import * as Processes from "./support/Processes.ts"
import * as World from "./support/World.ts"

let programs: Processes.Programs
beforeAll(async () => {
  programs = await Processes.bundle()
}, 60_000)

const KILLS = 20

const member = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? (value as Payload.JsonObject)[name] : undefined

const texts = (n: number): string =>
  [`!say answer ${n}`, `!slow 4 25`, `!flood 60`, `plain ${n}`, `!think about ${n}`][n % 5] ?? `plain ${n}`

describe("kill -9", () => {
  it.live(
    "of hub, bridge and agent, while messages flow",
    () =>
      Effect.gen(function* () {
        const seed = Date.now()
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
        const started = yield* bridge.line(({ _tag }) => _tag === "Started")
        const sessionId = started["sessionId"] as SessionId

        yield* Effect.gen(function* () {
          const sessions = yield* Sessions.Sessions
          const sent: Array<string> = []
          let going = true
          const sending = yield* Effect.gen(function* () {
            while (going) {
              const uuid = randomUUID()
              // In doubt the same message is sent again: its uuid is stored once.
              yield* sessions
                .sendEvents(sessionId, [World.prompt(texts(sent.length), uuid)])
                .pipe(Effect.retry(Schedule.spaced("50 millis")))
              sent.push(uuid)
              yield* Effect.sleep("60 millis")
            }
          }).pipe(Effect.fork)

          const random = Random.make(seed)
          for (let kill = 0; kill < KILLS; kill++) {
            yield* Effect.sleep(Duration.millis(yield* random.nextIntBetween(20, 900)))
            const which = yield* random.nextIntBetween(0, 3)
            if (which === 0) {
              yield* hub.kill
              hub = yield* Processes.hub(programs, { file, port })
              yield* hub.line((line) => "url" in line)
            } else if (which === 1) {
              yield* bridge.kill
              bridge = yield* Processes.bridge(programs, options)
            } else {
              for (const pid of Processes.running(programs.agent)) process.kill(pid, "SIGKILL")
            }
          }
          going = false
          yield* Fiber.join(sending)
          const log = yield* World.until(sessionId, ({ type }) => type === "result", sent.length).pipe(
            Effect.timeoutFail({
              duration: "90 seconds",
              onTimeout: () =>
                new World.TooLate({
                  message: `seed ${seed}: not all of ${sent.length} prompts were answered\n${JSON.stringify(bridge.lines.slice(-5))}\n${bridge.stderr()}`
                })
            })
          )
          expectExact(log, sent, (n) =>
            n % 5 === 0 ? `answer ${n}` : n % 5 === 3 ? `echo: plain ${n}` : undefined
          )
          const again = yield* bridge.line(({ _tag }) => _tag === "Started")
          expect(again["sessionId"]).toBe(sessionId)
          expect(yield* bridge.stop).toBe(0)
          expect(Processes.running(programs.agent)).toEqual([])
        }).pipe(
          Effect.provide(World.client({ url: String(url), token: Redacted.make(String(token)) })),
          Effect.onError(() => Effect.logInfo(`seed ${seed}`, bridge.lines.slice(-20), bridge.stderr()))
        )
      }).pipe(Effect.scoped),
    180_000
  )

  it.live(
    "of a bridge with 8 sessions in different states: all are back within 5 s, and no agent is left behind",
    () =>
      Effect.gen(function* () {
        const dir = yield* World.directory
        const stateDirectory = yield* World.directory
        const port = yield* World.freePort
        const hub = yield* Processes.hub(programs, { file: join(stateDirectory, "hub.db"), port })
        const { url, token } = yield* hub.line((line) => "url" in line)
        const options = {
          url: String(url),
          token: String(token),
          dir,
          stateDirectory,
          perpetual: false,
          maxSessions: 8
        }
        const launched = Date.now()
        const bridge = yield* Processes.bridge(programs, options)
        const started = yield* bridge.line(({ _tag }) => _tag === "Started")
        const startTook = Date.now() - launched
        const home = started["sessionId"] as SessionId
        const environmentId = started["environmentId"] as EnvironmentId

        yield* Effect.gen(function* () {
          const sessions = yield* Sessions.Sessions
          const others = yield* Effect.forEach(
            Array.from({ length: 7 }, (_, i) => i),
            (i) => sessions.create({ environmentId, title: `session ${i}`, events: [] })
          )
          const all = [home, ...others]
          const ask = (sessionId: SessionId, text: string) =>
            Effect.suspend(() => {
              const uuid = randomUUID()
              return Effect.as(sessions.sendEvents(sessionId, [World.prompt(text, uuid)]), uuid)
            })
          const [idle, idleToo, slow, slower, waits, waitsToo, hangs, fresh] = all
          if (
            idle === undefined ||
            idleToo === undefined ||
            slow === undefined ||
            slower === undefined ||
            waits === undefined ||
            waitsToo === undefined ||
            hangs === undefined ||
            fresh === undefined
          ) {
            return yield* Effect.dieMessage("eight sessions")
          }
          const uuids = yield* Effect.all({
            idle: ask(idle, "one"),
            idleToo: ask(idleToo, "two"),
            slow: ask(slow, "!slow 60 50"),
            slower: ask(slower, "!slow 40 100"),
            waits: ask(waits, "!bash echo allowed"),
            waitsToo: ask(waitsToo, "!bash echo too"),
            hangs: ask(hangs, "!hang")
          })
          const isQuestion = ({ type }: Payload.JsonObject) => type === "control_request"
          yield* Effect.all(
            [
              World.until(idle, ({ type }) => type === "result"),
              World.until(idleToo, ({ type }) => type === "result"),
              World.until(waits, isQuestion),
              World.until(waitsToo, isQuestion),
              World.until(slow, ({ subtype }) => subtype === "session_state_changed"),
              World.until(slower, ({ subtype }) => subtype === "session_state_changed"),
              World.until(hangs, ({ subtype }) => subtype === "session_state_changed")
            ],
            { concurrency: "unbounded" }
          )
          // The interrupt and the kill race: wherever it got to, the session must come to rest.
          yield* (yield* Viewer.Viewer).send(hangs, [
            {
              type: "control_request",
              uuid: randomUUID(),
              request_id: "stop",
              request: { subtype: "interrupt" }
            }
          ])
          yield* bridge.kill

          const before = Date.now()
          const again = yield* Processes.bridge(programs, options)
          yield* Effect.forEach(
            all,
            (id) => again.line((line) => line._tag === "SessionAttached" && line["sessionId"] === id),
            { concurrency: "unbounded" }
          )
          const took = Date.now() - before
          yield* Effect.logInfo(`8 sessions back after ${took} ms`)
          // 5 s where the machine is free; on a busy one, five times what the start of one bridge takes.
          expect(took).toBeLessThan(Math.max(5_000, 5 * startTook))
          expect((yield* again.line(({ _tag }) => _tag === "Started"))["sessionId"]).toBe(home)

          // Every question is asked again, and every turn comes to its end.
          yield* Effect.forEach([waits, waitsToo], (id) =>
            Effect.gen(function* () {
              const log = yield* World.until(id, isQuestion)
              const request = log.findLast(({ payload }) => isQuestion(payload))?.payload
              yield* (yield* Viewer.Viewer).send(id, [
                {
                  type: "control_response",
                  uuid: randomUUID(),
                  response: {
                    subtype: "success",
                    request_id: request?.["request_id"],
                    response: { behavior: "allow", updatedInput: member(request?.["request"], "input") }
                  }
                }
              ])
            })
          )
          const logs = yield* Effect.all(
            [slow, slower, waits, waitsToo, hangs].map((id) =>
              World.until(id, ({ type }) => type === "result")
            ),
            { concurrency: "unbounded" }
          ).pipe(
            Effect.timeoutFail({
              duration: "40 seconds",
              onTimeout: () => new World.TooLate({ message: "a turn did not end" })
            })
          )
          expect(
            logs.map(
              (log) =>
                log.findLast(({ payload }) => payload["type"] === "result")?.payload["user_message_uuid"]
            )
          ).toEqual([uuids.slow, uuids.slower, uuids.waits, uuids.waitsToo, uuids.hangs])
          expect(yield* again.stop).toBe(0)
          expect(Processes.running(programs.agent)).toEqual([])
          for (const id of all) {
            expect(Option.isSome((yield* sessions.get(id)).archivedAt)).toBe(true)
          }
        }).pipe(Effect.provide(World.client({ url: String(url), token: Redacted.make(String(token)) })))
      }).pipe(Effect.scoped),
    180_000
  )
})
