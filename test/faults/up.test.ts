/** kill -9 of the whole, as people run it: hub, bridge and page in one process, and the agent that it leaves behind. */
import { randomUUID } from "node:crypto"
import { join } from "node:path"
import * as Sessions from "@causeway/client/Sessions"
import type * as Viewer from "@causeway/client/Viewer"
import { SessionId } from "@causeway/protocol/Ids"
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Program from "../support/Program.ts"
import { expectExact } from "./support/Exact.ts"
import * as World from "./support/World.ts"

const KILLS = 20

describe("kill -9", () => {
  it.live(
    "of the whole, while messages flow: the same session, nothing lost, nothing twice",
    () =>
      Effect.gen(function* () {
        const dir = yield* World.directory
        const stateDir = join(yield* World.directory, "state")
        const args = ["up", "--agent", "scripted", "--json", "--port", "0", "--state-dir", stateDir]
        const random = Random.make(Date.now())
        const sent: Array<string> = []
        let token = ""
        let sessionId: string | undefined

        /** One run, from its ready line on. */
        const run = <A, E>(
          use: (program: Program.Program) => Effect.Effect<A, E, Sessions.Sessions | Viewer.Viewer>
        ) =>
          Effect.gen(function* () {
            const program = yield* Program.start(args, { cwd: dir })
            const ready = yield* program.line(({ event }) => event === "ready")
            token = String(ready["token"] ?? token)
            sessionId ??= String(ready["session_id"])
            expect(ready["session_id"]).toBe(sessionId)
            return yield* Effect.provide(
              use(program),
              World.client({ url: String(ready["url"]), token: Redacted.make(token) })
            )
          }).pipe(Effect.scoped)

        const say = (text: string) =>
          Effect.gen(function* () {
            const uuid = randomUUID()
            yield* (yield* Sessions.Sessions).sendEvents(SessionId.make(String(sessionId)), [
              World.prompt(text, uuid)
            ])
            sent.push(uuid)
          })

        for (let kill = 0; kill < KILLS; kill++) {
          yield* run((program) =>
            Effect.gen(function* () {
              yield* say(`!slow 4 25`)
              yield* say(`plain ${sent.length}`)
              yield* Effect.sleep(Duration.millis(yield* random.nextIntBetween(0, 600)))
              yield* program.kill("SIGKILL")
            })
          )
        }
        yield* run((program) =>
          Effect.gen(function* () {
            const id = SessionId.make(String(sessionId))
            const log = yield* World.until(id, ({ type }) => type === "result", sent.length).pipe(
              Effect.timeoutFail({
                duration: "60 seconds",
                onTimeout: () =>
                  new World.TooLate({ message: `not all of ${sent.length} prompts were answered` })
              })
            )
            expectExact(log, sent, (n) => (n % 2 === 1 ? `echo: plain ${n}` : undefined))
            yield* program.kill("SIGTERM")
            expect((yield* program.ended).code).toBe(0)
          })
        )
      }).pipe(Effect.scoped),
    240_000
  )
})
