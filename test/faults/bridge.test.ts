/** The whole way with everything real, and what must hold when parts of it end. */
import { randomUUID } from "node:crypto"
import { join } from "node:path"
import type { BridgeEvent } from "@causeway/bridge/BridgeEvent"
import * as Sessions from "@causeway/client/Sessions"
import * as Viewer from "@causeway/client/Viewer"
import * as Hub from "@causeway/hub/Hub"
import { beforeAll, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as World from "./support/World.ts"

let scriptedAgentPath: string
beforeAll(async () => {
  scriptedAgentPath = await World.bundleAgent()
})

describe("bridge and hub", () => {
  it.scopedLive(
    "a prompt is answered; the log holds prompt, answer and result once each, in order; shutdown archives",
    () =>
      Effect.gen(function* () {
        const dir = yield* World.directory
        const stateDirectory = yield* World.directory
        yield* Effect.gen(function* () {
          const { url, firstToken } = yield* Hub.Hub
          const token = Option.getOrThrow(firstToken)
          const events: Array<BridgeEvent> = []
          const uuid = randomUUID()
          yield* Effect.gen(function* () {
            const viewer = yield* Viewer.Viewer
            const sessionId = yield* Effect.scoped(
              Effect.gen(function* () {
                const handle = yield* World.start({ dir, baseUrl: url, events })
                const sessionId = yield* handle.sessionId
                yield* viewer.send(sessionId, [World.prompt("!say hello", uuid)])
                const log = yield* World.until(sessionId, (payload) => payload["type"] === "result")
                const shown = log.map(({ payload }) => payload["type"])
                expect(
                  shown.filter((type) => type === "user" || type === "assistant" || type === "result")
                ).toEqual(["user", "assistant", "result"])
                return sessionId
              })
            )
            const session = yield* (yield* Sessions.Sessions).get(sessionId)
            expect(Option.isSome(session.archivedAt)).toBe(true)
            expect(events.map(({ _tag }) => _tag)).toContain("SessionAttached")
            expect(events.at(-1)).toEqual({ _tag: "ShutDown", unfinished: [] })
          }).pipe(
            Effect.provide(World.bridge({ stateDirectory, scriptedAgentPath })),
            Effect.provide(World.client({ url, token }))
          )
        }).pipe(Effect.provide(World.hub({ file: join(stateDirectory, "hub.db") })))
      })
  )
})
