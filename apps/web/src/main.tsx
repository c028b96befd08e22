/** The page's entrance: lets the device in, then starts the app. The only place that touches the browser's own state. */
import { StrictMode } from "react"
import { createRoot } from "react-dom/client"
import * as Credentials from "./Credentials.ts"
import * as Device from "./Device.ts"
import * as Hub from "./Hub.ts"
import * as Model from "./Model.ts"
import * as Notifications from "./Notifications.ts"
import * as Route from "./Route.ts"
import { App } from "./ui/App.tsx"
import { SignIn } from "./ui/SignIn.tsx"

const root = createRoot(document.getElementById("app") ?? document.body)

/** `localStorage`; a browser that keeps nothing for this page signs in anew at each load. */
const memory = new Map<string, string>()
const storage: Credentials.Storage = {
  get: (key) => {
    try {
      return localStorage.getItem(key)
    } catch {
      return memory.get(key) ?? null
    }
  },
  set: (key, value) => {
    try {
      localStorage.setItem(key, value)
    } catch {
      memory.set(key, value)
    }
  },
  remove: (key) => {
    try {
      localStorage.removeItem(key)
    } catch {
      memory.delete(key)
    }
  }
}
const credentials = Credentials.make(storage, (bytes) => crypto.getRandomValues(new Uint8Array(bytes)))

const after = (millis: number, then: () => void): (() => void) => {
  const timer = setTimeout(then, millis)
  return () => clearTimeout(timer)
}

/** Goes to a place on this page; what is no place is the list. */
const goTo = (fragment: string): void => {
  location.hash = Route.to(Route.of(fragment))
}

let model: Model.Model | undefined

const signIn = (why: Model.SignedOut | null): void => {
  model?.close()
  model = undefined
  root.render(
    <SignIn why={why} enter={enter} resume={credentials.grant() === null ? null : () => enter(null)} />
  )
}

/** Opens the app: with what a person has brought, or (null) as the device that was let in before. */
const enter = (ticket: Credentials.Ticket | null): void => {
  model?.close()
  const made = Model.make({
    gateway: {
      open: (on) => {
        const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/gateway`)
        socket.onmessage = (event) => {
          if (typeof event.data === "string") on.message(event.data)
        }
        socket.onclose = on.close
        return {
          send: (text) => {
            if (socket.readyState === WebSocket.OPEN) socket.send(text)
          },
          close: () => socket.close()
        }
      },
      after,
      now: Date.now,
      random: Math.random,
      online: () => navigator.onLine
    },
    credentials,
    ticket,
    displayName: Device.nameOf(navigator.userAgent),
    uuid: Hub.uuid,
    store: storage,
    outbox: {
      load: () => sessionStorage.getItem("outbox"),
      save: (text) => {
        try {
          sessionStorage.setItem("outbox", text)
        } catch {
          // Too large to be kept over a reload; it is sent all the same.
          sessionStorage.removeItem("outbox")
        }
      }
    },
    visible: () => document.visibilityState === "visible",
    notify: (notice) => notifications.show(notice),
    withdraw: (tag) => notifications.withdraw(tag),
    navigate: (route) => goTo(Route.to(route)),
    signOut: signIn
  })
  const notifications = Notifications.make({ call: made.call, store: storage, open: goTo })
  const unsubscribe = made.subscribe(() => {
    if (made.state().connection._tag !== "connected") return
    unsubscribe()
    void notifications.renew()
  })
  model = made
  made.go(Route.of(location.hash))
  root.render(
    <StrictMode>
      <App model={made} notifications={notifications} cancel={() => signIn(null)} />
    </StrictMode>
  )
}

/** The token or code of the address, which must not stay there, nor in the history. */
const takeTicket = (): Credentials.Ticket | null => {
  const ticket = Route.ticketIn(location.hash)
  if (ticket !== null) history.replaceState(null, "", `${location.pathname}${location.search}${Route.toList}`)
  return ticket
}

addEventListener("hashchange", () => {
  const ticket = takeTicket()
  if (ticket === null) model?.go(Route.of(location.hash))
  else enter(ticket)
})
const hurry = (): void => model?.hurry()
addEventListener("online", hurry)
addEventListener("offline", hurry)
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") hurry()
})
// Another tab has signed out, or in.
addEventListener("storage", (event) => {
  if (event.key !== Credentials.GRANT) return
  if (event.newValue === null) signIn(null)
  else if (model === undefined) enter(null)
})
if ("serviceWorker" in navigator) {
  // The page works without it; without it, it cannot be opened while the hub is away, and nothing is pushed to it.
  navigator.serviceWorker.register("sw.js").catch(() => undefined)
  navigator.serviceWorker.addEventListener("message", (event) => {
    const { go }: { readonly go?: unknown } = Object(event.data)
    if (typeof go === "string") goTo(go)
  })
}

const ticket = takeTicket() ?? Credentials.takeLegacy(storage)
if (ticket === null && credentials.grant() === null) signIn(null)
else enter(ticket)
