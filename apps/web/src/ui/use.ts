/** Hooks that parts of the page share. */
import { createContext, useContext, useEffect, useState, useSyncExternalStore } from "react"
import type { Model } from "../Model.ts"
import type { Notifications } from "../Notifications.ts"
import type { State } from "../State.ts"
import type { Storage } from "../Storage.ts"

/** A context that always has a value, and the hook that reads it. */
const provided = <A>(what: string) => {
  const context = createContext<A | undefined>(undefined)
  const use = (): A => {
    const value = useContext(context)
    if (value === undefined) throw new Error(`the page has no ${what}`)
    return value
  }
  return [context.Provider, use] as const
}

export const [ModelProvider, useModel] = provided<Model>("model")
export const [NotificationsProvider, useNotifications] = provided<Notifications>("notifications")

/** What this browser keeps: for all tabs, and for this one. */
export type Stores = readonly [all: Storage, tab: Storage]
export const [StoresProvider, useStores] = provided<Stores>("storage")

export const useModelState = (): State => {
  const model = useModel()
  return useSyncExternalStore(model.subscribe, model.state)
}

/** The time in milliseconds since the epoch, kept up to date. */
export const useNow = (everyMillis: number): number => {
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMillis)
    return () => clearInterval(timer)
  }, [everyMillis])
  return now
}

export const useTitle = (title: string): void =>
  useEffect(() => {
    document.title = `${title} · Causeway`
  }, [title])

/** What `read` brings, again whenever it changes; `null` until then, or where it fails. */
export const useRead = <A>(read: (() => Promise<A | null>) | null, everyMillis?: number): A | null => {
  const [value, setValue] = useState<A | null>(null)
  useEffect(() => {
    if (read === null) return
    let mounted = true
    const again = (): void => {
      void read().then((next) => {
        if (mounted && next !== null) setValue(next)
      })
    }
    again()
    const timer = everyMillis === undefined ? undefined : setInterval(again, everyMillis)
    return () => {
      mounted = false
      clearInterval(timer)
    }
  }, [read, everyMillis])
  return value
}
