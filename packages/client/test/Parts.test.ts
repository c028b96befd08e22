/** A body that somebody in between does not let through whole goes in parts, to a hub that takes them. */
import { createHash } from "node:crypto"
import { gunzipSync } from "node:zlib"
import { SessionId } from "@causeway/protocol/Ids"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Redacted from "effect/Redacted"
import { Credentials } from "../src/Credentials.ts"
import * as Entry from "../src/Entry.ts"
import { Ingress } from "../src/Ingress.ts"
import * as Scripted from "./support/Scripted.ts"
import * as VirtualTime from "./support/VirtualTime.ts"

const sessionId = SessionId.make("session_abc")
const URL_ = `${Scripted.BASE}/v1/session_ingress/session/session_abc`

const page = "<html><head><title>413 Request Entity Too Large</title></head></html>"

/** Incompressible, so that a body's size says how many parts it takes. */
const noise = (length: number, seed: string) => {
  let text = ""
  for (let n = 0; text.length < length; n++)
    text += createHash("sha256").update(`${seed}${n}`).digest("base64")
  return text.slice(0, length)
}

interface World {
  /** Bytes of a body that the proxy lets through. */
  readonly allows: number
  /** Content that a filter refuses, with 403. */
  readonly dislikes?: string
  readonly takesParts: boolean
  /** The n-th request: lost, done with its answer lost, or met by a hub that was started anew. */
  readonly faults?: ReadonlyArray<"ok" | "lost" | "answer-lost" | "anew">
}

const make = (world: World) => {
  const log: Array<string> = []
  let upload = { id: "", bytes: Buffer.alloc(0) }
  let requests = 0
  const store = (text: string): Scripted.Reply => {
    const body: unknown = JSON.parse(text)
    for (const entry of Array.isArray(body) ? body : [body]) {
      if (!log.includes(JSON.stringify(entry))) log.push(JSON.stringify(entry))
    }
    return { body: {} }
  }
  const error = (status: number) => ({ status, body: { type: "error", error: { type: "x", message: "no" } } })
  const hub = (asked: Scripted.Asked): Scripted.Reply => {
    const id = /\/uploads\/(\w+)/.exec(asked.path)?.[1]
    if (id !== undefined) {
      if (!world.takesParts) return error(404)
      if (upload.id !== id) upload = { id, bytes: Buffer.alloc(0) }
      const offset = Number(asked.query["offset"])
      if (offset <= upload.bytes.length) {
        upload.bytes = Buffer.concat([
          upload.bytes,
          Buffer.from(asked.bytes).subarray(upload.bytes.length - offset)
        ])
      }
      return { body: { received: upload.bytes.length } }
    }
    const named = asked.headers["x-causeway-upload"]
    if (named === undefined) return store(asked.text)
    const whole = createHash("sha256").update(upload.bytes).digest("hex") === named
    if (upload.id !== named || !whole) return error(412)
    return store(gunzipSync(upload.bytes).toString("utf8"))
  }
  const net = Scripted.make((asked) =>
    Effect.suspend((): Effect.Effect<Scripted.Reply, Scripted.Broken> => {
      const fault = world.faults?.[requests++] ?? "ok"
      if (fault === "anew") upload = { id: "", bytes: Buffer.alloc(0) }
      if (fault === "lost") return Effect.fail(new Scripted.Broken("ECONNRESET"))
      if (asked.bytes.length > world.allows) {
        return Effect.succeed({ status: 413, body: page, foreign: true, headers: { server: "nginx" } })
      }
      if (world.dislikes !== undefined && asked.text.includes(world.dislikes)) {
        return Effect.succeed({ status: 403, body: "blocked", foreign: true })
      }
      const reply = hub(asked)
      return fault === "answer-lost" ? Effect.fail(new Scripted.Broken("ECONNRESET")) : Effect.succeed(reply)
    })
  )
  return { net, log }
}

const appending = (net: Scripted.Scripted, lines: ReadonlyArray<Entry.ChainEntry>) =>
  VirtualTime.run(
    Effect.gen(function* () {
      yield* (yield* Credentials).setIngressToken(sessionId, Redacted.make("i"))
      const ingress = yield* Ingress
      const ends: Array<string> = []
      for (const line of lines) {
        const end = yield* Effect.either(ingress.append(sessionId, line, URL_))
        ends.push(end._tag === "Right" ? "stored" : end.left._tag)
      }
      const millis = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      return { ends, millis }
    }).pipe(Effect.provide(Scripted.services(net)))
  )

const lineOf = (uuid: string, text: string) => Entry.make({ type: "assistant", uuid, text })

describe("a body too large for somebody in between", () => {
  it.effect("goes in parts at once, and the next one without being refused first", () => {
    const { net, log } = make({ allows: 1_000_000, takesParts: true })
    const lines = [
      lineOf("a", noise(3_000_000, "a")),
      lineOf("b", "small"),
      lineOf("c", noise(2_000_000, "c"))
    ]
    return Effect.gen(function* () {
      const { ends, millis } = yield* appending(net, lines)
      expect(ends).toEqual(["stored", "stored", "stored"])
      expect(log).toEqual(lines.map(({ text }) => text))
      expect(millis).toBe(0)
      expect(net.asked.filter(({ bytes }) => bytes.length > 1_000_000)).toHaveLength(2)
    })
  })

  it.effect("goes in smaller parts where those are refused, down to 4 KiB", () => {
    const { net, log } = make({ allows: 5_000, takesParts: true })
    const lines = [lineOf("a", noise(60_000, "a"))]
    return Effect.gen(function* () {
      expect((yield* appending(net, lines)).ends).toEqual(["stored"])
      expect(log).toEqual(lines.map(({ text }) => text))
    })
  })

  it.effect("is given up at once, and said, where even the smallest part is refused", () => {
    const { net } = make({ allows: 1_000, takesParts: true })
    return Effect.gen(function* () {
      const { ends, millis } = yield* appending(net, [lineOf("a", noise(60_000, "a"))])
      expect([ends, millis]).toEqual([["RetriesExhausted"], 0])
    })
  })

  it.effect("is given up at once where the hub takes no parts; what is small goes on", () => {
    const { net, log } = make({ allows: 50_000, takesParts: false })
    return Effect.gen(function* () {
      const { ends, millis } = yield* appending(net, [
        lineOf("a", noise(60_000, "a")),
        lineOf("b", "small"),
        lineOf("c", noise(60_000, "c"))
      ])
      expect([ends, millis]).toEqual([["RetriesExhausted", "stored", "RetriesExhausted"], 0])
      expect(log).toHaveLength(1)
      // It is asked once whether it takes parts.
      expect(net.asked.filter(({ path }) => path.includes("/uploads/"))).toHaveLength(1)
    })
  })

  it.effect("a line too slow for what is sent gets it in parts that it can carry", () => {
    // Answers what is small; what is larger takes longer than an attempt may.
    const { net: quick, log } = make({ allows: Number.POSITIVE_INFINITY, takesParts: true })
    const net = Scripted.make((asked) => (asked.bytes.length > 30_000 ? Effect.never : quick.handler(asked)))
    const lines = [lineOf("a", noise(200_000, "a"))]
    return Effect.gen(function* () {
      expect((yield* appending(net, lines)).ends).toEqual(["stored"])
      expect(log).toEqual(lines.map(({ text }) => text))
    })
  })

  it.effect("what a filter dislikes goes packed", () => {
    const { net, log } = make({ allows: 1_000_000, dislikes: "/etc/passwd", takesParts: true })
    const lines = [lineOf("a", "cat /etc/passwd"), lineOf("b", "and on")]
    return Effect.gen(function* () {
      expect((yield* appending(net, lines)).ends).toEqual(["stored", "stored"])
      expect(log).toEqual(lines.map(({ text }) => text))
    })
  })

  it.effect.prop(
    "whatever is lost on the way and however often the hub is started anew, is stored once and whole",
    {
      allows: FastCheck.integer({ min: 4_200, max: 400_000 }),
      sizes: FastCheck.array(FastCheck.integer({ min: 0, max: 500_000 }), { minLength: 1, maxLength: 3 }),
      faults: FastCheck.array(
        FastCheck.constantFrom<NonNullable<World["faults"]>[number]>(
          "ok",
          "ok",
          "lost",
          "answer-lost",
          "anew"
        ),
        { maxLength: 40 }
      )
    },
    ({ allows, faults, sizes }) => {
      const { net, log } = make({ allows, faults, takesParts: true })
      const lines = sizes.map((size, at) => lineOf(`l${at}`, noise(size, String(at))))
      return Effect.gen(function* () {
        let left: ReadonlyArray<Entry.ChainEntry> = lines
        while (left.length > 0) {
          const { ends } = yield* appending(net, left.slice(0, 1))
          if (ends[0] === "stored") left = left.slice(1)
        }
        expect(log).toEqual(lines.map(({ text }) => text))
      })
    },
    { fastCheck: { numRuns: 25 } }
  )
})
