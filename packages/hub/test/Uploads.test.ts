import { createHash } from "node:crypto"
import { gzipSync } from "node:zlib"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Hub from "../src/Hub.ts"
import { call, layer, session } from "./harness.ts"

const provide = <A, E>(effect: Effect.Effect<A, E, Hub.Hub>, hub = layer) => Effect.provide(effect, hub)

const assistant = (uuid: string, text = uuid) => ({ type: "assistant", uuid, message: { content: text } })

interface World {
  readonly id: string
  readonly ingress: string
  readonly access: string
}

const packed = (value: unknown) => {
  const bytes = gzipSync(JSON.stringify(value))
  return { bytes, id: createHash("sha256").update(bytes).digest("hex") }
}

const part = (world: World, id: string, offset: number, bytes: Buffer, token = world.ingress) =>
  call({
    method: "PUT",
    path: `/v1/session_ingress/session/${world.id}/uploads/${id}?offset=${offset}`,
    token,
    headers: { "content-type": "application/octet-stream" },
    text: bytes
  })

const append = (world: World, id: string, last?: string) =>
  call({
    method: "PUT",
    path: `/v1/session_ingress/session/${world.id}`,
    token: world.ingress,
    headers: { "x-causeway-upload": id, ...(last === undefined ? {} : { "last-uuid": last }) }
  })

const log = (world: World) =>
  Effect.map(
    call({ method: "GET", path: `/v1/session_ingress/session/${world.id}`, token: world.ingress }),
    ({ json }) => json.loglines
  )

describe("an append in parts", () => {
  it.scopedLive("is the same as whole, and its guard as well", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* session()
        const entry = assistant("a", "é".repeat(5_000))
        const { bytes, id } = packed(entry)
        const half = bytes.length >> 1
        expect((yield* part(world, id, 0, bytes.subarray(0, half))).json).toEqual({ received: half })
        // Not whole yet, and what is missing was not told: it has to come again.
        const early = yield* append(world, id)
        expect([early.status, early.json.type]).toEqual([412, "error"])
        expect((yield* part(world, id, half, bytes.subarray(half))).json).toEqual({ received: 0 })
        expect((yield* part(world, id, 0, bytes)).json).toEqual({ received: bytes.length })
        expect((yield* append(world, id, "unknown")).status).toBe(409)
        expect((yield* append(world, id)).status).toBe(200)
        expect(yield* log(world)).toEqual([entry])
        // Appended: it is gone, and the entry is not stored twice.
        expect((yield* append(world, id, "a")).status).toBe(412)
        yield* part(world, id, 0, bytes)
        expect((yield* append(world, id, "a")).status).toBe(200)
        expect(yield* log(world)).toHaveLength(1)
      })
    )
  )

  it.scopedLive("in whatever pieces, repeated and out of order", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* session()
        let last: string | undefined
        const samples = FastCheck.sample(
          FastCheck.record({
            text: FastCheck.string({ maxLength: 400, unit: "grapheme" }),
            tries: FastCheck.array(
              FastCheck.record({
                at: FastCheck.double({ min: 0, max: 1, noNaN: true }),
                size: FastCheck.nat(200)
              }),
              { maxLength: 8 }
            )
          }),
          40
        )
        for (const [n, { text, tries }] of samples.entries()) {
          const uuid = `u${n}`
          const { bytes, id } = packed([assistant(uuid, text)])
          for (const { at, size } of tries) {
            const from = Math.floor(at * bytes.length)
            yield* part(world, id, from, bytes.subarray(from, from + size))
          }
          for (let at = 0; at < bytes.length; ) {
            const { json } = yield* part(world, id, at, bytes.subarray(at, at + 50))
            expect(json.received).toBeGreaterThan(at)
            at = json.received
          }
          expect((yield* append(world, id, last)).status).toBe(200)
          last = uuid
        }
        expect(yield* log(world)).toEqual(samples.map(({ text }, n) => assistant(`u${n}`, text)))
      })
    )
  )

  it.scopedLive("is refused in words where it cannot be", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* session()
        const other = yield* session()
        const { bytes, id } = packed(assistant("a"))
        expect((yield* part(world, id, 0, bytes, other.ingress)).status).toBe(401)
        expect((yield* part(world, id, -1, bytes)).status).toBe(400)
        expect((yield* part(world, "not/an/id", 0, bytes)).status).toBe(404)
        expect((yield* part(world, id, 0, Buffer.alloc(1024 * 1024 + 1))).status).toBe(413)
        // Another session's upload is not this one's.
        yield* part(other, id, 0, bytes)
        expect((yield* append(world, id)).status).toBe(412)
        const noise = Buffer.from("no gzip")
        const noiseId = createHash("sha256").update(noise).digest("hex")
        yield* part(world, noiseId, 0, noise)
        expect((yield* append(world, noiseId)).json.error.message).toBe("the upload is no gzip")
        // What unpacks to more than a body may be is not unpacked to its end.
        const bomb = packed("x".repeat(17 * 1024 * 1024))
        yield* part(world, bomb.id, 0, bomb.bytes)
        expect((yield* append(world, bomb.id)).status).toBe(413)
        expect(yield* log(world)).toEqual([])
      })
    )
  )

  it.scopedLive("is bounded: an upload without end is refused and forgotten", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* session()
        const id = "f".repeat(64)
        const chunk = Buffer.alloc(40_000, 1)
        expect((yield* part(world, id, 0, chunk)).json).toEqual({ received: 40_000 })
        expect((yield* part(world, id, 40_000, chunk)).json).toEqual({ received: 80_000 })
        expect((yield* part(world, id, 80_000, chunk)).status).toBe(413)
        expect((yield* part(world, id, 0, chunk)).json).toEqual({ received: 40_000 })
      }),
      Hub.layer({ filename: ":memory:", bodyLimitBytes: 100_000 })
    )
  )
})
