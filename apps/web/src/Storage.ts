/**
 * What a browser keeps for this page, whatever the browser allows: where it is blocked or full, this page holds it in memory
 * for as long as it is open, goes on, and can say so.
 */

/** Why something is not kept: the browser lets this page keep nothing, or has no room left for it. */
export type Problem = "blocked" | "full"

export interface Storage {
  readonly get: (key: string) => string | null
  readonly set: (key: string, value: string) => void
  readonly remove: (key: string) => void
  /** Null while all of it is kept. */
  readonly problem: () => Problem | null
  readonly subscribe: (listener: () => void) => () => void
}

type Kept = Pick<globalThis.Storage, "getItem" | "setItem" | "removeItem">

/**
 * The name under which the page at `path` (`/`, `/tools/causeway/`) keeps something: pages of one origin share what is kept,
 * and under other paths there may be other hubs.
 */
export const nameOf = (path: string, key: string): string => (path === "/" ? key : `${path}${key}`)

/** The storage of the page at `path` alone. */
export const under = (path: string, open: () => Kept) => (): Kept => {
  const kept = open()
  return {
    getItem: (key) => kept.getItem(nameOf(path, key)),
    setItem: (key, value) => kept.setItem(nameOf(path, key), value),
    removeItem: (key) => kept.removeItem(nameOf(path, key))
  }
}

/** Where the page asks whether anything is kept at all. */
const PROBE = "probe"

/** `open` answers the browser's storage, and fails where it is blocked. */
export const make = (open: () => Kept): Storage => {
  const listeners = new Set<() => void>()
  /** What is not kept, or was taken out and could not be (null). It comes before what is kept. */
  const held = new Map<string, string | null>()
  let blocked = false
  const told = (): Problem | null =>
    blocked ? "blocked" : [...held.values()].some((value) => value !== null) ? "full" : null
  let problem: Problem | null = null
  const look = (): void => {
    const now = told()
    if (now === problem) return
    problem = now
    for (const listener of [...listeners]) listener()
  }
  const kept = (): Kept | undefined => {
    try {
      return open()
    } catch {
      blocked = true
      return undefined
    }
  }
  const remove = (key: string): void => {
    held.delete(key)
    try {
      kept()?.removeItem(key)
    } catch {
      held.set(key, null)
    }
    look()
  }
  try {
    const storage = kept()
    storage?.setItem(PROBE, "")
    storage?.removeItem(PROBE)
  } catch (cause) {
    // A storage that is full is one all the same.
    blocked = !(cause instanceof DOMException && cause.name === "QuotaExceededError")
  }
  look()
  return {
    get: (key) => {
      const here = held.get(key)
      if (here !== undefined) return here
      try {
        return kept()?.getItem(key) ?? null
      } catch {
        return null
      }
    },
    set: (key, value) => {
      try {
        const storage = kept()
        if (storage === undefined) held.set(key, value)
        else {
          storage.setItem(key, value)
          held.delete(key)
        }
      } catch {
        // What was kept before is out of date, and in the way.
        remove(key)
        held.set(key, value)
      }
      look()
    },
    remove,
    problem: () => problem,
    subscribe: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    }
  }
}
