/**
 * The gateway's WebSocket: calls of methods, and the hub's own word that sessions have changed. Source: spec 2 §1, §2, §6.
 *
 * The page works without it (a hub behind a proxy grants a page no scopes): what it brings is search, older pages of a
 * long log, answers to approvals of sessions that are not open, and a list that needs no asking.
 */
import { array, type JsonObject, object, string } from "@causeway/transcript/Read"
import type { Result } from "./Hub.ts"

export interface Socket {
  readonly send: (text: string) => void
  readonly close: () => void
}

/** What the gateway needs of the world. */
export interface World {
  readonly open: (on: { readonly message: (text: string) => void; readonly close: () => void }) => Socket
  readonly after: (millis: number, then: () => void) => () => void
}

export interface Options {
  readonly token: string
  /** Sessions have changed; called for every change that the hub tells. */
  readonly onChanged: () => void
  /** Whether methods can be called has changed. */
  readonly onReady: (ready: boolean) => void
}

export interface Gateway {
  readonly ready: () => boolean
  readonly call: (method: string, params: JsonObject) => Promise<Result<JsonObject>>
  readonly stop: () => void
}

/** 1 s doubling to 30 s. */
const delayMillis = (failures: number): number => Math.min(30_000, 1000 * 2 ** Math.min(failures, 10))
/** Longest wait for an answer. */
const ANSWER_MILLIS = 30_000
/** The hub ticks every 30 s; a socket that is silent for this long is lost. */
const SILENCE_MILLIS = 75_000

const lost = { ok: false, status: 0, message: "the hub cannot be reached" } as const

/** A session's id as the HTTP API spells it: the gateway writes the shared part as a uuid. */
export const toSessionId = (id: string): string =>
  /^(session|cse)_/.test(id)
    ? id
    : `session_${/^[0-9a-f-]{36}$/i.test(id) ? id.replaceAll("-", "").toLowerCase() : id}`

/** A session's id as the gateway shows and looks for it. */
export const fromSessionId = (id: string): string => {
  const body = id.replace(/^(session|cse)_/, "")
  return /^[0-9a-f]{32}$/.test(body) ? body.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-") : body
}

export const open = (world: World, options: Options): Gateway => {
  const waiting = new Map<string, (result: Result<JsonObject>) => void>()
  let socket: Socket | undefined
  let ready = false
  let stopped = false
  let failures = 0
  let ids = 0

  const setReady = (now: boolean): void => {
    if (ready === now) return
    ready = now
    options.onReady(now)
  }

  const request = (method: string, params: JsonObject): Promise<Result<JsonObject>> =>
    new Promise((resolve) => {
      const id = `page-${++ids}`
      const cancel = world.after(ANSWER_MILLIS, () => settle({ ...lost, message: "the hub does not answer" }))
      const settle = (result: Result<JsonObject>): void => {
        cancel()
        waiting.delete(id)
        resolve(result)
      }
      waiting.set(id, settle)
      socket?.send(JSON.stringify({ type: "req", id, method, params }))
    })

  const connect = (): void => {
    let silence = () => {}
    let mine: Socket | undefined
    let closed = false
    const alive = (): void => {
      silence()
      silence = world.after(SILENCE_MILLIS, () => {
        mine?.close()
        onClose()
      })
    }
    const onClose = (): void => {
      if (closed) return
      closed = true
      silence()
      socket = undefined
      setReady(false)
      for (const settle of [...waiting.values()]) settle(lost)
      if (!stopped) world.after(delayMillis(failures++), connect)
    }
    const greet = async (): Promise<void> => {
      const hello = await request("connect", {
        minProtocol: 3,
        maxProtocol: 3,
        client: { id: "gateway-client", mode: "backend", version: "1", platform: "web" },
        role: "operator",
        scopes: ["operator.read", "operator.write", "operator.admin"],
        auth: { token: options.token }
      })
      if (!hello.ok || closed) return
      // A connection whose scopes were not granted can do nothing for the page.
      if (!array(object(hello.value["auth"])["scopes"]).includes("operator.read")) {
        failures = 10
        mine?.close()
        return
      }
      failures = 0
      const subscribed = await request("sessions.subscribe", {})
      if (closed) return
      setReady(true)
      if (subscribed.ok) options.onChanged()
    }
    const onMessage = (text: string): void => {
      alive()
      let frame: JsonObject
      try {
        frame = object(JSON.parse(text))
      } catch {
        return
      }
      if (frame["type"] === "res") {
        const settle = waiting.get(string(frame["id"]) ?? "")
        const error = object(frame["error"])
        settle?.(
          frame["ok"] === true
            ? { ok: true, value: object(frame["payload"]) }
            : { ok: false, status: 400, message: string(error["message"]) ?? "the hub refuses" }
        )
      } else if (frame["event"] === "connect.challenge") void greet()
      else if (frame["event"] === "sessions.changed" || frame["event"] === "session.message") {
        options.onChanged()
      }
    }
    alive()
    mine = world.open({ message: onMessage, close: onClose })
    socket = mine
  }
  connect()

  return {
    ready: () => ready,
    call: (method, params) => (ready ? request(method, params) : Promise.resolve(lost)),
    stop: () => {
      stopped = true
      socket?.close()
    }
  }
}
