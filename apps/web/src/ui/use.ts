/** Hooks that parts of the page share. */
import { createContext, useContext, useEffect, useState, useSyncExternalStore } from "react"
import type { Model, State } from "../Model.ts"
import type { Notifications } from "../Notifications.ts"
import type { Storage } from "../Storage.ts"

const Context = createContext<Model | undefined>(undefined)
export const Provider = Context.Provider

export const useModel = (): Model => {
  const model = useContext(Context)
  if (model === undefined) throw new Error("the page has no model")
  return model
}

const NotificationsContext = createContext<Notifications | undefined>(undefined)
export const NotificationsProvider = NotificationsContext.Provider

export const useNotifications = (): Notifications => {
  const notifications = useContext(NotificationsContext)
  if (notifications === undefined) throw new Error("the page has no notifications")
  return notifications
}

/** What this browser keeps: for all tabs, and for this one. */
export type Stores = readonly [all: Storage, tab: Storage]
const StoresContext = createContext<Stores | undefined>(undefined)
export const StoresProvider = StoresContext.Provider

export const useStores = (): Stores => {
  const stores = useContext(StoresContext)
  if (stores === undefined) throw new Error("the page has no storage")
  return stores
}

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
