import { randomUUID } from "node:crypto"
import * as PushSubscriptions from "@causeway/store/PushSubscriptions"
import { describe, expect, layer as suite } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Hub from "../../src/Hub.ts"
import * as Sender from "../../src/Push/Sender.ts"
import { Browser, certificate, pushService } from "./service.ts"

const store = PushSubscriptions.layer.pipe(Layer.provide(Hub.layerStore({ filename: ":memory:" })))

const to = (endpoint: string) =>
  Effect.gen(function* () {
    const sender = yield* Sender.PushSender
    const { vapidKey } = yield* PushSubscriptions.PushSubscriptions
    const { auth, p256dh } = new Browser().keys
    return yield* sender.send({
      subscription: { endpoint, auth, p256dh },
      key: vapidKey,
      contact: "mailto:hub@example.com",
      payload: randomUUID(),
      ttlSeconds: 60,
      urgency: "normal",
      topic: "topic"
    })
  })

describe("a push service", () => {
  suite(Layer.merge(store, Sender.layer({ ca: certificate, privateAddresses: true })), {
    excludeTestServices: true
  })((it) => {
    it.scoped("says what becomes of a push", () =>
      Effect.gen(function* () {
        const { origin } = yield* pushService
        yield* to(`${origin}/201/x`)
        for (const status of [404, 410]) {
          expect(yield* Effect.flip(to(`${origin}/${status}/x`))).toEqual(new Sender.PushGone({ status }))
        }
        for (const status of [400, 403, 413]) {
          expect(yield* Effect.flip(to(`${origin}/${status}/x`))).toMatchObject({
            _tag: "PushRefused",
            status
          })
        }
        expect(yield* Effect.flip(to(`${origin}/503/x`))).toEqual(
          new Sender.PushUnavailable({ detail: "status 503", retryAfterMillis: undefined })
        )
        expect(yield* Effect.flip(to(`${origin}/429/x`))).toEqual(
          new Sender.PushUnavailable({ detail: "status 429", retryAfterMillis: 7000 })
        )
        // Others are sent after all of these.
        yield* to(`${origin}/201/x`)
      })
    )

    it.scoped("that is away may be back", () =>
      Effect.gen(function* () {
        const { origin } = yield* Effect.scoped(pushService)
        expect(yield* Effect.flip(to(`${origin}/x`))).toMatchObject({
          _tag: "PushUnavailable",
          detail: "ECONNREFUSED"
        })
      })
    )
  })

  suite(Layer.merge(store, Sender.layer({ ca: certificate })), { excludeTestServices: true })((it) => {
    it.scoped("of this machine is not spoken to, whatever it is called", () =>
      Effect.gen(function* () {
        const { origin, size } = yield* pushService
        for (const endpoint of [`${origin}/x`, `${origin.replace("127.0.0.1", "localhost")}/x`]) {
          expect(yield* Effect.flip(to(endpoint))).toMatchObject({
            _tag: "PushRefused",
            detail: "not a public address"
          })
        }
        expect(yield* size).toBe(0)
      })
    )
  })

  suite(Layer.merge(store, Sender.layer({ privateAddresses: true })), { excludeTestServices: true })((it) => {
    it.scoped("without a certificate of those that are trusted is not sent to", () =>
      Effect.gen(function* () {
        const { origin, size } = yield* pushService
        expect(yield* Effect.flip(to(`${origin}/x`))).toMatchObject({ _tag: "PushUnavailable" })
        expect(yield* size).toBe(0)
      })
    )
  })
})
