/**
 * The page's one connection: the gateway's WebSocket, kept open for as long as the page is, over which everything is read
 * and sent. Signs the device in, tries again with growing delays, notices silence, and says at any moment how things
 * stand. Source: spec 2 §1, §2, §6.
 */
import { isTransient } from "@causeway/protocol/ErrorTable"
import { amount, array, type JsonObject, object, string } from "@causeway/transcript/Read"
import * as Backoff from "./Backoff.ts"
import type { Credentials, Ticket } from "./Credentials.ts"

/** What a call brought. `UNREACHABLE`: no answer came; the other codes are the gateway's. */
export type Result<A> =
  | { readonly ok: true; readonly value: A }
  | { readonly ok: false; readonly code: string; readonly message: string; readonly details: JsonObject }

/** Why the hub does not let this device in. */
export type Refusal =
  | "token"
  | "code-used"
  | "code-expired"
  | "code-unknown"
  /** The device was let in once and is not any more. */
  | "revoked"
  /** Nothing that another token or code would change; the message says what. */
  | "other"

/** What the connection is at this moment. */
export type Connection =
  | { readonly _tag: "connecting" }
  | { readonly _tag: "connected" }
  | { readonly _tag: "reconnecting"; readonly reason: string; readonly inMillis: number }
  /** The last attempt failed and the browser says that there is no network; attempts go on. */
  | { readonly _tag: "offline"; readonly inMillis: number }
  /** Somebody has to approve this device first; asked again and again. */
  | { readonly _tag: "waiting"; readonly requestId: string; readonly message: string }
  /** Nothing more is tried. */
  | { readonly _tag: "ended"; readonly refusal: Refusal; readonly message: string }

export interface Socket {
  readonly send: (text: string) => void
  readonly close: () => void
}

/** What the gateway needs of the world. */
export interface World {
  readonly open: (on: { readonly message: (text: string) => void; readonly close: () => void }) => Socket
  /** Runs `then` after `millis`; answers how to call it off. */
  readonly after: (millis: number, then: () => void) => () => void
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** 0 to 1. */
  readonly random: () => number
  /** Whether the browser believes that there is a network. */
  readonly online: () => boolean
  /** Who answers a plain request where no socket was greeted: the hub, somebody in between, or nobody. */
  readonly who?: () => Promise<Who>
}

/** Who answered. */
export type Who = "hub" | "other" | "nobody"

/** Why no socket is greeted, for people; null where the first reason says it. */
const whyUngreeted = (who: Who): string | null => {
  switch (who) {
    case "hub":
      return "the hub answers, but somebody in between lets no WebSockets through (a proxy has to pass on Upgrade)"
    case "other":
      return "somebody between here and the hub answers in its place"
    case "nobody":
      return null
  }
}

export interface Options {
  readonly credentials: Credentials
  /** What is presented until the hub has let this device in; null to come with what is kept. */
  readonly ticket: Ticket | null
  /** What people know this device by. */
  readonly displayName: string
}

export interface Listener {
  readonly connection?: (connection: Connection) => void
  /** Every event of the gateway but the challenge. */
  readonly event?: (event: string, payload: JsonObject) => void
}

/** What the page asks to be allowed, where it was not given less. */
const SCOPES = ["operator.admin", "operator.read", "operator.write", "operator.approvals", "operator.pairing"]
/** The one version of the protocol that is spoken. */
const PROTOCOL = 3
const CLIENT = { id: "openclaw-control-ui", mode: "ui", version: "1", platform: "web" } as const

const doubled = Backoff.doubling(500, 15_000)
/** 0.5 s doubling to 15 s, each shortened by up to a half. */
export const backoffMillis = (failures: number, random: number): number =>
  doubled(failures) * (1 - random / 2)
/** A connection that lasted this long starts the delays anew: a hub that accepts and drops is not asked twice a second. */
const STABLE_MILLIS = 10_000
/** Between two attempts of a device that waits for approval. */
export const APPROVAL_MILLIS = 3000
/** Longest wait for an answer. */
const ANSWER_MILLIS = 30_000
/** The hub ticks every 30 s; after this long without a word it is asked for one … */
export const QUIET_MILLIS = 20_000
/** … and without an answer for this long the connection is lost. As long may the challenge take. */
export const PROBE_MILLIS = 10_000
/** A person has come back, or the machine has woken: a connection that is not heard of for this long is begun anew. */
export const WAKE_MILLIS = 3000
/** Between two looks at the two above. */
const LOOK_MILLIS = 5000

type Failure = Extract<Result<never>, { readonly ok: false }>

const failure = (code: string, message: string, details: JsonObject = {}): Failure => ({
  ok: false,
  code,
  message,
  details
})
export const unreachable = (message = "the hub cannot be reached"): Failure => failure("UNREACHABLE", message)

const codeRefusals: ReadonlyMap<string | null, Refusal> = new Map([
  ["used", "code-used"],
  ["expired", "code-expired"]
])
/** Why a handshake was refused for good. */
const refusalOf = ({ details }: Failure): Refusal => {
  const code = string(details["code"]) ?? ""
  if (code === "AUTH_DEVICE_TOKEN_MISMATCH") return "revoked"
  if (code === "AUTH_BOOTSTRAP_TOKEN_INVALID") {
    return codeRefusals.get(string(details["reason"])) ?? "code-unknown"
  }
  return /^AUTH_(TOKEN|PASSWORD)_/.test(code) ? "token" : "other"
}

export const open = (world: World, { credentials, displayName, ...options }: Options) => {
  const listeners = new Set<Listener>()
  const waiting = new Map<string, (result: Result<JsonObject>) => void>()
  let connection: Connection = { _tag: "connecting" }
  let { ticket } = options
  let failures = 0
  let ids = 0
  let stopped = false
  let send: (text: string) => void = () => undefined
  /** Ends the attempt or the connection that there is. */
  let drop: () => void = () => undefined
  /** Asks the other side for a sign of life, and begins anew where none comes soon. */
  let wake: () => void = () => undefined
  let cancelRetry: () => void = () => undefined

  const become = (next: Connection): void => {
    connection = next
    for (const listener of [...listeners]) listener.connection?.(next)
  }

  const request = (method: string, params: JsonObject): Promise<Result<JsonObject>> =>
    new Promise((resolve) => {
      const id = `page-${++ids}`
      const cancel = world.after(ANSWER_MILLIS, () => settle(unreachable("the hub does not answer")))
      const settle = (result: Result<JsonObject>): void => {
        cancel()
        waiting.delete(id)
        resolve(result)
      }
      waiting.set(id, settle)
      send(JSON.stringify({ type: "req", id, method, params }))
    })

  const retry = (inMillis: number, then: Connection): void => {
    cancelRetry = world.after(inMillis, dial)
    become(then)
  }

  // --- Signing in ---

  const connectParams = (nonce: string, signedAt: number): JsonObject => {
    const grant = ticket === null ? credentials.grant() : null
    const secret =
      ticket === null ? (grant?.deviceToken ?? "") : ticket._tag === "Token" ? ticket.token : ticket.code
    const scopes = grant === null || grant.scopes.length === 0 ? SCOPES : grant.scopes
    const auth =
      ticket === null
        ? { deviceToken: secret }
        : ticket._tag === "Code"
          ? { bootstrapToken: secret }
          : // A hub that is opened by a password reads that one.
            { token: secret, password: secret }
    return {
      minProtocol: PROTOCOL,
      maxProtocol: PROTOCOL,
      client: { ...CLIENT, displayName },
      role: "operator",
      scopes,
      device: credentials.device().prove({
        clientId: CLIENT.id,
        clientMode: CLIENT.mode,
        role: "operator",
        scopes,
        token: secret,
        nonce,
        platform: CLIENT.platform,
        signedAt
      }),
      auth
    }
  }

  /** What a refused handshake leads to; undefined where the closing of the socket says enough. */
  const refused = (result: Failure): (() => void) | undefined => {
    if (isTransient(result.code)) return undefined
    if (result.code === "NOT_PAIRED") {
      const requestId = string(result.details["requestId"])
      if (requestId !== null) {
        const { message } = result
        return () => retry(APPROVAL_MILLIS, { _tag: "waiting", requestId, message })
      }
    }
    const refusal = refusalOf(result)
    // An old link that is opened again on a device that is in already.
    if (ticket?._tag === "Code" && credentials.grant() !== null) {
      ticket = null
      return dial
    }
    if (refusal === "revoked") credentials.forget()
    return () => become({ _tag: "ended", refusal, message: result.message })
  }

  // --- One connection ---

  function dial(): void {
    cancelRetry()
    let socket: Socket | undefined
    let over = false
    /** Whether a word came over the socket. */
    let greeted = false
    let heard = world.now()
    /** Since when an answer is waited for; the challenge at first. */
    let asked: number | null = heard
    let cancelLook: () => void = () => undefined
    let cancelStable: () => void = () => undefined
    let cancelWake: (() => void) | undefined
    let probe: () => void = () => undefined

    const end = (then: () => void): void => {
      if (over) return
      over = true
      cancelLook()
      cancelStable()
      cancelWake?.()
      send = drop = wake = () => undefined
      socket?.close()
      for (const settle of [...waiting.values()]) settle(unreachable())
      then()
    }
    const lose = (reason: string): void =>
      end(() => {
        const inMillis = backoffMillis(failures++, world.random())
        const since = world.now()
        const state: Connection = world.online()
          ? { _tag: "reconnecting", reason, inMillis }
          : { _tag: "offline", inMillis }
        retry(inMillis, state)
        if (greeted) return
        void world.who?.().then((who) => {
          const why = whyUngreeted(who)
          if (why === null || connection !== state || state._tag !== "reconnecting") return
          become({ ...state, reason: why, inMillis: Math.max(0, inMillis - (world.now() - since)) })
        })
      })
    let looked = heard
    const look = (): void => {
      const now = world.now()
      // Timers that come late: the machine has slept.
      if (now - looked > 2 * LOOK_MILLIS) wake()
      looked = now
      if (asked !== null && now - asked >= PROBE_MILLIS) {
        lose("the hub fell silent")
        return
      }
      if (asked === null && now - heard >= QUIET_MILLIS) probe()
      cancelLook = world.after(LOOK_MILLIS, look)
    }

    const greet = async (nonce: string, at: number): Promise<void> => {
      const hello = await request("connect", connectParams(nonce, at))
      if (over) return
      if (!hello.ok) {
        const then = refused(hello)
        if (then === undefined) lose(hello.message)
        else end(then)
        return
      }
      const auth = object(hello.value["auth"])
      const deviceToken = string(auth["deviceToken"])
      if (deviceToken !== null) {
        const scopes = array(auth["scopes"]).flatMap((scope) => string(scope) ?? [])
        credentials.keep({ deviceToken, scopes })
      }
      ticket = null
      cancelStable = world.after(STABLE_MILLIS, () => {
        failures = 0
      })
      probe = () => {
        // Asked a second time, too: what was asked before a sleep may never have left.
        asked = world.now()
        void request("health", {})
      }
      become({ _tag: "connected" })
    }

    const onMessage = (text: string): void => {
      if (over) return
      greeted = true
      heard = world.now()
      asked = null
      cancelWake?.()
      cancelWake = undefined
      let frame: JsonObject
      try {
        frame = object(JSON.parse(text))
      } catch {
        return
      }
      const payload = object(frame["payload"])
      if (frame["type"] === "res") {
        const settle = waiting.get(string(frame["id"]) ?? "")
        const error = object(frame["error"])
        settle?.(
          frame["ok"] === true
            ? { ok: true, value: payload }
            : failure(
                string(error["code"]) ?? "INVALID_REQUEST",
                string(error["message"]) ?? "the hub refuses",
                object(error["details"])
              )
        )
      } else if (frame["event"] === "connect.challenge") {
        // The hub's own time where it tells it: this device's clock may be wrong.
        void greet(string(payload["nonce"]) ?? "", amount(payload["ts"]) ?? heard)
      } else {
        const event = string(frame["event"])
        if (event !== null) for (const listener of [...listeners]) listener.event?.(event, payload)
      }
    }

    // While a person is waited for, the attempts in between are nobody's business.
    if (connection._tag !== "waiting") become({ _tag: "connecting" })
    socket = world.open({
      message: onMessage,
      close: () =>
        lose(connection._tag === "connected" ? "the connection was lost" : "the hub cannot be reached")
    })
    if (over) return
    send = socket.send
    drop = () => end(() => undefined)
    wake = () => {
      if (cancelWake !== undefined) return
      cancelWake = world.after(WAKE_MILLIS, () =>
        end(() => {
          failures = 0
          dial()
        })
      )
      probe()
    }
    cancelLook = world.after(LOOK_MILLIS, look)
  }
  dial()

  return {
    connection: () => connection,
    /** Fails at once while there is no connection, and with `UNREACHABLE` when it goes before the answer. */
    call: (method: string, params: JsonObject): Promise<Result<JsonObject>> =>
      connection._tag === "connected" && !stopped ? request(method, params) : Promise.resolve(unreachable()),
    listen: (listener: Listener): (() => void) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    /** Tries at once instead of waiting, or makes sure that the other side still answers. */
    hurry: (): void => {
      if (connection._tag === "reconnecting" || connection._tag === "offline") {
        failures = 0
        dial()
      } else wake()
    },
    stop: (): void => {
      stopped = true
      cancelRetry()
      drop()
      listeners.clear()
    }
  }
}

export type Gateway = ReturnType<typeof open>
