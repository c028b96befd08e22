import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it, layer as suite } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as DeviceCodes from "../src/DeviceCodes.ts"
import * as Devices from "../src/Devices.ts"
import * as fixtures from "./fixtures.ts"

const layer = Layer.provideMerge(Layer.merge(DeviceCodes.layer, Devices.layer), fixtures.layer())

const TTL = 1000

/** Devices that present the code at the same moment, some time after those before. */
const round = FastCheck.record({
  after: FastCheck.integer({ min: 0, max: 400 }),
  devices: FastCheck.array(FastCheck.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 4 })
})

describe("a code", () => {
  suite(layer)((it) => {
    it.effect.prop(
      "lets at most one device in, that one until it expires, and tells all others why not",
      [FastCheck.array(round, { minLength: 1, maxLength: 8 })],
      ([rounds]) =>
        Effect.gen(function* () {
          const codes = yield* DeviceCodes.DeviceCodes
          const { id } = yield* fixtures.organization("org")
          const { code } = yield* codes.create({ organizationId: id, ttl: TTL, scopes: ["operator.read"] })
          let elapsed = 0
          let winner: string | undefined
          for (const { after, devices } of rounds) {
            yield* TestClock.adjust(after)
            elapsed += after
            const outcomes = yield* Effect.forEach(
              devices,
              (device) =>
                Effect.map(Effect.either(codes.redeem(code, device)), (outcome) => ({ device, outcome })),
              { concurrency: "unbounded" }
            )
            const open = elapsed < TTL
            for (const { device, outcome } of outcomes) {
              if (Either.isRight(outcome)) {
                expect(open).toBe(true)
                winner ??= device
                expect(device).toBe(winner)
                expect(outcome.right).toEqual({
                  organizationId: id,
                  scopes: ["operator.read"],
                  label: undefined
                })
              }
            }
            for (const { device, outcome } of outcomes) {
              if (Either.isRight(outcome)) continue
              // While it is open somebody gets in, so a refusal means another did.
              const reason = winner === undefined || device === winner ? "expired" : "used"
              expect(outcome.left).toMatchObject({ _tag: "DeviceCodeRefused", reason })
              if (open) expect(reason).toBe("used")
            }
          }
        }),
      { fastCheck: { numRuns: 60 } }
    )

    it.effect.prop(
      "is the same code however it is typed",
      [FastCheck.infiniteStream(FastCheck.constantFrom("", " ", "-", "–", "lower", "O", "l"))],
      ([changes]) =>
        Effect.gen(function* () {
          const codes = yield* DeviceCodes.DeviceCodes
          const { id } = yield* fixtures.organization("org")
          const { code } = yield* codes.create({ organizationId: id })
          const typed = [...Redacted.value(code)]
            .map((letter) => {
              const change = changes.next().value
              if (change === "lower") return letter.toLowerCase()
              if (change === "O") return letter === "0" ? "o" : letter
              if (change === "l") return letter === "1" ? "l" : letter
              return `${change}${letter}`
            })
            .join("")
          const opened = yield* codes.redeem(Redacted.make(typed), "device")
          expect(opened.scopes).toEqual(DeviceCodes.ALL_SCOPES)
        }),
      { fastCheck: { numRuns: 30 } }
    )

    it.effect("has 140 random bits, of which the database holds a hash alone", () =>
      Effect.gen(function* () {
        const codes = yield* DeviceCodes.DeviceCodes
        const sql = yield* SqlClient.SqlClient
        const { id } = yield* fixtures.organization("org")
        const made = yield* Effect.replicateEffect(codes.create({ organizationId: id, label: "phone" }), 50)
        const texts = made.map(({ code }) => Redacted.value(code))
        expect(new Set(texts).size).toBe(50)
        for (const text of texts) expect(text).toMatch(/^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){6}$/)
        const rows = JSON.stringify(yield* sql`SELECT * FROM device_codes`)
        for (const text of texts) {
          expect(rows).not.toContain(text)
          expect(rows).not.toContain(DeviceCodes.normalise(text))
        }
        expect(String(made[0]?.code)).not.toContain(texts[0] ?? "")
      })
    )

    it.effect("is forgotten a day after it expired, at the next one's making", () =>
      Effect.gen(function* () {
        const codes = yield* DeviceCodes.DeviceCodes
        const { id } = yield* fixtures.organization("org")
        const { code } = yield* codes.create({ organizationId: id })
        const reason = Effect.map(Effect.flip(codes.redeem(code, "device")), (error) =>
          error._tag === "DeviceCodeRefused" ? error.reason : error._tag
        )
        yield* TestClock.adjust("24 hours")
        yield* codes.create({ organizationId: id })
        expect(yield* reason).toBe("expired")
        yield* TestClock.adjust("11 minutes")
        yield* codes.create({ organizationId: id })
        expect(yield* reason).toBe("unknown")
      })
    )

    for (const ending of ["remove", "rotate"] as const) {
      it.effect(`ends where its device is sent away (${ending})`, () =>
        Effect.gen(function* () {
          const codes = yield* DeviceCodes.DeviceCodes
          const devices = yield* Devices.Devices
          const { id } = yield* fixtures.organization("org")
          const { code } = yield* codes.create({ organizationId: id })
          const device = metadata(`device-${ending}`)
          yield* codes.redeem(code, device.deviceId)
          yield* devices.approve({ ...device, organizationId: id }, "operator", ["operator.read"])
          // Another organisation's word is none.
          yield* devices[ending]((yield* fixtures.organization("other")).id, device.deviceId)
          yield* codes.redeem(code, device.deviceId)
          yield* devices[ending](id, device.deviceId)
          expect(yield* Effect.flip(codes.redeem(code, device.deviceId))).toMatchObject({ reason: "expired" })
        })
      )
    }
  })
})

const metadata = (deviceId: string): Omit<Devices.DeviceMetadata, "organizationId"> => ({
  deviceId,
  publicKey: "key",
  displayName: undefined,
  platform: "web",
  deviceFamily: "",
  clientId: "openclaw-control-ui",
  clientMode: "ui"
})

describe("a device", () => {
  it.effect("brings nothing that one organisation approved to another", () =>
    Effect.gen(function* () {
      const devices = yield* Devices.Devices
      const [a, b] = yield* Effect.all([fixtures.organization("a"), fixtures.organization("b")])
      const device = metadata("device")
      yield* devices.approve({ ...device, organizationId: a.id }, "operator", ["operator.admin"])
      const moved = yield* devices.approve({ ...device, organizationId: b.id }, "operator", ["operator.read"])
      expect(moved.approved).toEqual({ operator: ["operator.read"] })
      expect(yield* devices.list(a.id)).toEqual([])
    }).pipe(Effect.provide(layer))
  )
})
