import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Outbox from "../src/Outbox.ts"

const settle = async (): Promise<void> => {
  for (let i = 0; i < 500; i++) await Promise.resolve()
}

/** What the network does with one attempt. */
type Fate = "stored" | "lost before" | "lost after" | "refused"

/** A hub that stores each uuid once, behind a network that follows its fates. */
const world = (fates: ReadonlyArray<Fate>) => {
  const log: Array<string> = []
  const confirmed: Array<string> = []
  const delays: Array<number> = []
  let saved: string | null = null
  let attempt = 0
  let alive = true
  const make = (): Outbox.World => ({
    send: async (entry): Promise<Outbox.Sent> => {
      if (!alive) return new Promise(() => undefined)
      const fate = fates[attempt++] ?? "stored"
      if (fate === "refused") return { _tag: "refused", reason: "too large" }
      if (fate !== "lost before" && !log.includes(entry.uuid)) log.push(entry.uuid)
      return fate === "stored"
        ? { _tag: "stored", waitingFor: null }
        : { _tag: "unreachable", reason: "the hub cannot be reached" }
    },
    save: (text) => {
      if (alive) saved = text
    },
    load: () => saved,
    sleep: async (millis) => {
      delays.push(millis)
    },
    onChange: () => undefined,
    onStored: (entry) => {
      confirmed.push(entry.uuid)
    }
  })
  return {
    make,
    log,
    confirmed,
    delays,
    /** The page goes; what it was doing comes to nothing. */
    close: () => {
      alive = false
    },
    reopen: () => {
      alive = true
    }
  }
}

const add = (outbox: ReturnType<typeof Outbox.make>, uuid: string): void =>
  outbox.add({ uuid, session: "s", text: `text of ${uuid}`, attachments: [] })

describe("Outbox", () => {
  it.effect.prop(
    "over any losses, each message is stored once and in order",
    [
      FastCheck.array(FastCheck.constantFrom<Fate>("stored", "lost before", "lost after"), { maxLength: 12 }),
      FastCheck.integer({ min: 1, max: 6 })
    ],
    ([fates, count]) =>
      Effect.promise(async () => {
        const at = world(fates)
        const outbox = Outbox.make(at.make())
        const uuids = Array.from({ length: count }, (_, i) => `m${i}`)
        for (const uuid of uuids) add(outbox, uuid)
        await settle()
        expect(at.log).toEqual(uuids)
        expect(at.confirmed).toEqual(uuids)
        expect(outbox.entries()).toEqual([])
      })
  )

  it.effect("a reload of the page sends what was not confirmed, under the same uuid", () =>
    Effect.promise(async () => {
      const at = world(["lost after"])
      const before = at.make()
      at.close()
      at.reopen()
      const first = Outbox.make({ ...before, sleep: () => new Promise(() => undefined) })
      add(first, "m1")
      add(first, "m2")
      await settle()
      expect(at.log).toEqual(["m1"])
      const second = Outbox.make(at.make())
      await settle()
      expect(at.log).toEqual(["m1", "m2"])
      expect(second.entries()).toEqual([])
    })
  )

  it.effect("a refused message stays, says why, holds nothing up, and can be tried again or dropped", () =>
    Effect.promise(async () => {
      const at = world(["refused", "stored", "stored"])
      const outbox = Outbox.make(at.make())
      add(outbox, "m1")
      add(outbox, "m2")
      await settle()
      expect(at.log).toEqual(["m2"])
      expect(outbox.entries()).toMatchObject([{ uuid: "m1", state: "failed", reason: "too large" }])
      outbox.retry("m1")
      await settle()
      expect(at.log).toEqual(["m2", "m1"])
      const other = world(["refused"])
      const dropped = Outbox.make(other.make())
      add(dropped, "m1")
      await settle()
      dropped.discard("m1")
      expect(dropped.entries()).toEqual([])
      expect(other.make().load()).toBe("[]")
    })
  )

  it.effect("sends again at once when a person asks, under the same uuid", () =>
    Effect.promise(async () => {
      const at = world(["lost after"])
      const outbox = Outbox.make({ ...at.make(), sleep: () => new Promise(() => undefined) })
      add(outbox, "m1")
      await settle()
      expect(outbox.entries()).toMatchObject([
        { uuid: "m1", state: "waiting", reason: "the hub cannot be reached" }
      ])
      outbox.retry("m1")
      await settle()
      expect(at.log).toEqual(["m1"])
      expect(at.confirmed).toEqual(["m1"])
      expect(outbox.entries()).toEqual([])
    })
  )

  it("reads nothing from a broken store", () => {
    for (const text of ["", "{", "null", "7", '[{"uuid":1}]', "[null]"]) {
      const at = world([])
      expect(Outbox.make({ ...at.make(), load: () => text }).entries()).toEqual([])
    }
  })

  it.prop("waits longer each time, up to a bound", [FastCheck.nat(100)], ([n]) => {
    expect(Outbox.delayMillis(n)).toBeLessThanOrEqual(15_000)
    expect(Outbox.delayMillis(n + 1)).toBeGreaterThanOrEqual(Outbox.delayMillis(n))
  })
})
