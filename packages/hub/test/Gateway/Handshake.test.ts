import { describe, expect, layer as suite } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Client, Device, layer, open, target } from "./harness.ts"

const page = { id: "openclaw-control-ui", version: "1", platform: "x", mode: "webchat" }
const webchat = { id: "webchat", version: "1", platform: "x", mode: "webchat" }

describe("handshake", () => {
  suite(layer(), { excludeTestServices: true })((it) => {
    it.scoped("a first request that is not connect is refused and closes 1008", () =>
      Effect.gen(function* () {
        const client = yield* open(yield* target)
        yield* Effect.promise(() => client.challenge())
        const error = yield* Effect.promise(() => client.refusal("health", {}))
        expect(error).toEqual({
          code: "INVALID_REQUEST",
          message: "invalid handshake: first request must be connect"
        })
        expect(yield* Effect.promise(() => client.untilClosed())).toEqual({
          code: 1008,
          reason: "invalid handshake: first request must be connect"
        })
      })
    )

    it.scoped("a new local device is let in and told a token, which opens the next connection", () =>
      Effect.gen(function* () {
        const at = yield* target
        const device = new Device()
        const first = yield* open(at)
        const hello = yield* Effect.promise(() => first.connect({ scopes: ["operator.read"] }, device))
        expect(hello["payload"]).toMatchObject({
          type: "hello-ok",
          protocol: 3,
          auth: { role: "operator", scopes: ["operator.read"] },
          policy: { maxPayload: 26214400, maxBufferedBytes: 52428800, tickIntervalMs: 30000 }
        })
        const deviceToken = hello["payload"].auth.deviceToken
        const second = yield* open(at)
        const again = yield* Effect.promise(() =>
          second.connect({ scopes: ["operator.read"], auth: { deviceToken } }, device)
        )
        expect(again["payload"].auth.deviceToken).toBe(deviceToken)
      })
    )
    void page
    void webchat
    void Client
  })
})
