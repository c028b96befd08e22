/** The page's entrance: lets the device in, then starts the app. The only place that touches the browser's own state. */
import { HUB_HEADER } from "@causeway/protocol/Headers"
import { StrictMode } from "react"
import { createRoot } from "react-dom/client"
import * as Credentials from "./Credentials.ts"
import * as Device from "./Device.ts"
import type * as Gateway from "./Gateway.ts"
import * as Hub from "./Hub.ts"
import * as Keys from "./Keys.ts"
import * as Left from "./Left.ts"
import * as Model from "./Model.ts"
import * as Notifications from "./Notifications.ts"
import * as Route from "./Route.ts"
import * as Seen from "./Seen.ts"
import * as Storage from "./Storage.ts"
import { App } from "./ui/App.tsx"
import { SignIn } from "./ui/SignIn.tsx"

const root = createRoot(document.getElementById("app") ?? document.body)

/** Where this page is, with the path under which a proxy serves the hub. */
const here = new URL(".", location.href)

/** For this browser, all tabs of it; and for this tab alone. */
const storage = Storage.make(Storage.under(here.pathname, () => localStorage))
const ofTab = Storage.make(Storage.under(here.pathname, () => sessionStorage))
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

/** Where somebody left, put into an address that names no place. */
const resume = (): Route.Route | null => {
  if (!/^#?\/?$/.test(location.hash) || resumed) return null
  resumed = true
  const left = Left.of(storage)
  if (left !== null) history.replaceState(null, "", `${location.pathname}${location.search}${Route.to(left)}`)
  return left
}
/** Once for each load: after that it is people who say where to go. */
let resumed = false

/** Asks the hub for a sign of life by a plain request. */
const who = (): Promise<Gateway.Who> =>
  fetch(new URL("health", document.baseURI), { cache: "no-store", signal: AbortSignal.timeout(5000) }).then(
    (answer) => (answer.headers.has(HUB_HEADER) ? "hub" : "other"),
    () => "nobody"
  )

/** Opens the app: with what a person has brought, or (null) as the device that was let in before. */
const enter = (ticket: Credentials.Ticket | null): void => {
  model?.close()
  const made = Model.make({
    gateway: {
      open: (on) => {
        const socket = new WebSocket(new URL("gateway", here).href.replace(/^http/, "ws"))
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
      online: () => navigator.onLine,
      who
    },
    credentials,
    ticket,
    displayName: Device.nameOf(navigator.userAgent),
    uuid: Hub.uuid,
    store: storage,
    outbox: { load: () => ofTab.get("outbox"), save: (text) => ofTab.set("outbox", text) },
    visible: () => document.visibilityState === "visible",
    roomy: () => matchMedia("(min-width: 761px)").matches,
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
  made.go(resume() ?? Route.of(location.hash))
  root.render(
    <StrictMode>
      <App model={made} notifications={notifications} stores={[storage, ofTab]} cancel={() => signIn(null)} />
    </StrictMode>
  )
}

/** The token or code of the address, which must not stay there, nor in the history. */
const takeTicket = (): Credentials.Ticket | null => {
  const ticket = Route.ticketIn(location.hash)
  if (ticket !== null) history.replaceState(null, "", `${location.pathname}${location.search}${Route.toList}`)
  return ticket
}

Keys.guard(window)
addEventListener("hashchange", () => {
  const ticket = takeTicket()
  if (ticket === null) model?.go(Route.of(location.hash))
  else enter(ticket)
})
// A machine that wakes has sockets that look alive; what tells of it differs between browsers.
const hurry = (): void => model?.hurry()
for (const event of ["online", "offline", "pageshow", "focus"]) addEventListener(event, hurry)
document.addEventListener("resume", hurry)
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") hurry()
})
Seen.follow(window)
// Another tab has signed out, or in.
addEventListener("storage", (event) => {
  if (event.key !== Storage.nameOf(here.pathname, Credentials.GRANT)) return
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
