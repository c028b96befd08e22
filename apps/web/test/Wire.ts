/** A clock that tests turn, and the hub's side of the page's sockets. */
import * as Credentials from "../src/Credentials.ts"
import type * as Gateway from "../src/Gateway.ts"

export type Json = { readonly [key: string]: unknown }

const hops = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await Promise.resolve()
}
/** Lets everything run that waits for no timer. */
export const settle = (): Promise<void> => hops(400)

/** Timers fire in the order of their times, one a turn. */
export const clock = () => {
  const timers = new Set<{ readonly at: number; readonly then: () => void }>()
  let now = 1_000_000
  const after = (millis: number, then: () => void): (() => void) => {
    const timer = { at: now + millis, then }
    timers.add(timer)
    return () => timers.delete(timer)
  }
  /** Lets promises run, then fires the earliest timer; answers how long it had been waited for. */
  const turn = async (): Promise<number | undefined> => {
    await settle()
    const first = [...timers].sort((a, b) => a.at - b.at)[0]
    if (first === undefined) return undefined
    timers.delete(first)
    const waited = first.at - now
    now = Math.max(now, first.at)
    first.then()
    await settle()
    return waited
  }
  /** Turns until so much time has passed. */
  const pass = async (millis: number): Promise<void> => {
    const until = now + millis
    await settle()
    while ([...timers].some(({ at }) => at <= until)) await turn()
    now = until
    await settle()
  }
  return { after, turn, pass, now: () => now, size: () => timers.size }
}

/** One socket as the hub has it. */
export interface Line {
  readonly tell: (frame: Json) => void
  readonly raw: (text: string) => void
  readonly answer: (request: Json, payload: Json) => void
  readonly refuse: (request: Json, error: Json) => void
  readonly close: () => void
  readonly isOpen: () => boolean
}

export const challenge: Json = { type: "event", event: "connect.challenge", payload: { nonce: "n", ts: 7 } }

export const storage = (): Credentials.Storage & { readonly entries: ReadonlyMap<string, string> } => {
  const entries = new Map<string, string>()
  return {
    entries,
    get: (key) => entries.get(key) ?? null,
    set: (key, value) => void entries.set(key, value),
    remove: (key) => void entries.delete(key)
  }
}

export const random = (bytes: number): Uint8Array => new Uint8Array(bytes).fill(7)

/** A world of the gateway whose hub does as it is told: at each new socket, and at each request. */
export const world = (hub: {
  readonly open?: (line: Line, n: number) => void
  readonly request?: (line: Line, request: Json, n: number) => void
}) => {
  const time = clock()
  const requests: Array<Json> = []
  const lines: Array<Line> = []
  let online = true
  const gateway: Gateway.World = {
    after: time.after,
    now: time.now,
    random: () => 0,
    online: () => online,
    open: (on) => {
      const n = lines.length
      let isOpen = true
      // As in a browser, whatever waits for one message has run before the next one comes.
      let delivered = Promise.resolve()
      const deliver = (then: () => void): void => {
        delivered = delivered.then(() => hops(20)).then(() => (isOpen ? then() : undefined))
      }
      const raw = (text: string): void => deliver(() => on.message(text))
      const tell = (frame: Json): void => raw(JSON.stringify(frame))
      const line: Line = {
        tell,
        raw,
        answer: ({ id }, payload) => tell({ type: "res", id, ok: true, payload }),
        refuse: ({ id }, error) => tell({ type: "res", id, ok: false, error }),
        close: () =>
          deliver(() => {
            isOpen = false
            on.close()
          }),
        isOpen: () => isOpen
      }
      lines.push(line)
      void Promise.resolve().then(() => (hub.open ?? ((each) => each.tell(challenge)))(line, n))
      return {
        send: (text) => {
          const request: Json = JSON.parse(text)
          requests.push(request)
          if (isOpen) hub.request?.(line, request, n)
        },
        close: () => {
          isOpen = false
        }
      }
    }
  }
  const store = storage()
  return {
    ...time,
    gateway,
    requests,
    lines,
    store,
    credentials: Credentials.make(store, random),
    setOnline: (now: boolean) => {
      online = now
    },
    asked: (method: string) => requests.filter((request) => request["method"] === method)
  }
}

/** The parameters of a request. */
export const params = (request: Json | undefined): Json => Object(request?.["params"])

export const hello = (deviceToken = "granted"): Json => ({
  auth: { deviceToken, scopes: ["operator.read", "operator.write"] }
})
