/**
 * What a person has typed and the hub has not confirmed. Each message has its uuid before it is first sent, is sent again
 * under it until the hub answers, in the order in which it was typed, and outlives a reload of the page.
 */
import { array, type JsonObject, name, object, string } from "@causeway/transcript/Read"
import * as Backoff from "./Backoff.ts"

export interface Entry {
  readonly uuid: string
  readonly session: string
  readonly text: string
  /** Content blocks that go with the text: images, documents. */
  readonly attachments: ReadonlyArray<JsonObject>
  /** `waiting`: being sent, again and again; `failed`: the hub refuses it, `reason` says why. */
  readonly state: "waiting" | "failed"
  readonly reason: string | null
}

/** What became of an attempt. `refused`: the same message can never be accepted. */
export type Sent =
  | { readonly _tag: "stored"; readonly waitingFor: string | null }
  | { readonly _tag: "refused"; readonly reason: string }
  | { readonly _tag: "unreachable"; readonly reason: string }

export interface World {
  readonly send: (entry: Entry) => Promise<Sent>
  /** Keeps the entries for the next load of the page. */
  readonly save: (text: string) => void
  readonly load: () => string | null
  readonly sleep: (millis: number) => Promise<void>
  readonly onChange: (entries: ReadonlyArray<Entry>) => void
  /** Called once for each message that the hub has confirmed. */
  readonly onStored: (entry: Entry, waitingFor: string | null) => void
}

/** 1 s doubling to 15 s. */
export const delayMillis = Backoff.doubling(1000, 15_000)

const restore = (text: string | null): ReadonlyArray<Entry> => {
  if (text === null) return []
  try {
    return array(JSON.parse(text)).flatMap((value) => {
      const entry = object(value)
      const uuid = name(entry["uuid"])
      const session = name(entry["session"])
      const words = string(entry["text"])
      if (uuid === null || session === null || words === null) return []
      const state = entry["state"] === "failed" ? ("failed" as const) : ("waiting" as const)
      const attachments = array(entry["attachments"]).map(object)
      return [{ uuid, session, text: words, attachments, state, reason: string(entry["reason"]) }]
    })
  } catch {
    return []
  }
}

export const make = (world: World) => {
  let entries = restore(world.load())
  const sending = new Set<string>()
  /** Ends the wait of a session's next attempt. */
  const wakes = new Map<string, () => void>()

  const set = (next: ReadonlyArray<Entry>): void => {
    entries = next
    world.save(JSON.stringify(next))
    world.onChange(next)
  }
  const without = (uuid: string) => entries.filter((entry) => entry.uuid !== uuid)
  const change = (uuid: string, to: Partial<Entry>): void =>
    set(entries.map((each) => (each.uuid === uuid ? { ...each, ...to } : each)))

  const next = (session: string) =>
    entries.find((each) => each.session === session && each.state === "waiting")

  /** Sends what waits for one session, oldest first, until nothing does. */
  const drain = async (session: string): Promise<void> => {
    if (sending.has(session)) return
    sending.add(session)
    let failures = 0
    try {
      for (let entry = next(session); entry !== undefined; entry = next(session)) {
        const sent = await world.send(entry)
        if (sent._tag === "unreachable") {
          change(entry.uuid, { reason: sent.reason })
          await Promise.race([
            world.sleep(delayMillis(failures++)),
            new Promise<void>((resolve) => wakes.set(entry.session, resolve))
          ])
          wakes.delete(entry.session)
          continue
        }
        failures = 0
        if (sent._tag === "stored") {
          set(without(entry.uuid))
          world.onStored(entry, sent.waitingFor)
        } else change(entry.uuid, { state: "failed", reason: sent.reason })
      }
    } finally {
      sending.delete(session)
    }
  }

  for (const session of new Set(entries.map((entry) => entry.session))) void drain(session)

  return {
    entries: (): ReadonlyArray<Entry> => entries,
    add: (entry: Omit<Entry, "state" | "reason">): void => {
      set([...entries, { ...entry, state: "waiting", reason: null }])
      void drain(entry.session)
    },
    /** Sends it again at once, under its own uuid: what the hub has already is stored no second time. */
    retry: (uuid: string): void => {
      const entry = entries.find((each) => each.uuid === uuid)
      if (entry === undefined) return
      change(uuid, { state: "waiting", reason: null })
      wakes.get(entry.session)?.()
      void drain(entry.session)
    },
    discard: (uuid: string): void => set(without(uuid))
  }
}
