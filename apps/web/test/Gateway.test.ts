import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Gateway from "../src/Gateway.ts"

type Json = { readonly [key: string]: unknown }

const settle = async (): Promise<void> => {
  for (let i = 0; i < 50; i++) await Promise.resolve()
}

/** A gateway that answers as it is told, and a clock that tests turn. */
const world = (scopes: ReadonlyArray<string> = ["operator.read"]) => {
  const timers = new Set<{ readonly millis: number; readonly then: () => void }>()
  const requests: Array<Json> = []
  let on: { readonly message: (text: string) => void; readonly close: () => void } | undefined
  let opened = 0
  const tell = (frame: Json): void => on?.message(JSON.stringify(frame))
  const changed: Array<number> = []
  const gateway = Gateway.open(
    {
      after: (millis, then) => {
        const timer = { millis, then }
        timers.add(timer)
        return () => timers.delete(timer)
      },
      open: (handlers) => {
        on = handlers
        opened++
        return {
          send: (text) => {
            const frame: Json = JSON.parse(text)
            requests.push(frame)
            const payload = frame["method"] === "connect" ? { auth: { scopes } } : { echoed: frame["method"] }
            if (frame["method"] !== "never") tell({ type: "res", id: frame["id"], ok: true, payload })
          },
          close: () => undefined
        }
      }
    },
    { token: "t", onChanged: () => changed.push(1), onReady: () => undefined }
  )
  return {
    gateway,
    requests,
    changed,
    tell,
    raw: (text: string) => on?.message(text),
    close: () => on?.close(),
    opened: () => opened,
    fire: (millis: number) => {
      for (const timer of [...timers]) {
        if (timer.millis !== millis) continue
        timers.delete(timer)
        timer.then()
      }
    }
  }
}

describe("Gateway", () => {
  it.effect("connects with the token, calls, and tells of changes", () =>
    Effect.promise(async () => {
      const at = world()
      expect(await at.gateway.call("x", {})).toMatchObject({ ok: false })
      at.tell({ type: "event", event: "connect.challenge", payload: { nonce: "n" } })
      await settle()
      expect(at.gateway.ready()).toBe(true)
      expect(at.requests[0]).toMatchObject({ method: "connect", params: { auth: { token: "t" } } })
      expect(await at.gateway.call("x", {})).toEqual({ ok: true, value: { echoed: "x" } })
      const before = at.changed.length
      at.tell({ type: "event", event: "sessions.changed", payload: {} })
      expect(at.changed.length).toBe(before + 1)
    })
  )

  it.effect("settles what waits when the connection goes, and comes back", () =>
    Effect.promise(async () => {
      const at = world()
      at.tell({ type: "event", event: "connect.challenge" })
      await settle()
      const answer = at.gateway.call("never", {})
      at.close()
      expect(await answer).toMatchObject({ ok: false, status: 0 })
      expect(at.gateway.ready()).toBe(false)
      at.fire(1000)
      expect(at.opened()).toBe(2)
      at.tell({ type: "event", event: "connect.challenge" })
      await settle()
      expect(at.gateway.ready()).toBe(true)
      at.gateway.stop()
    })
  )

  it.effect("is not ready without the right to read", () =>
    Effect.promise(async () => {
      const at = world([])
      at.tell({ type: "event", event: "connect.challenge" })
      await settle()
      expect(at.gateway.ready()).toBe(false)
    })
  )

  it.prop(
    "spells ids both ways",
    [FastCheck.uuid(), FastCheck.string({ minLength: 1, maxLength: 20 })],
    ([uuid, other]) => {
      const id = `session_${uuid.replaceAll("-", "")}`
      expect(Gateway.fromSessionId(id)).toBe(uuid)
      expect(Gateway.toSessionId(uuid)).toBe(id)
      const odd = `session_${other}`
      expect(Gateway.fromSessionId(Gateway.toSessionId(odd))).toBe(Gateway.fromSessionId(odd))
    }
  )

  it.prop("takes any frame", [FastCheck.oneof(FastCheck.string(), FastCheck.json())], ([text]) => {
    const at = world()
    at.raw(text)
  })
})
