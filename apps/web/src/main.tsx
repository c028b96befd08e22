/** The page's entrance: takes the token, then starts the app. */
import { StrictMode, useState } from "react"
import { createRoot } from "react-dom/client"
import * as Hub from "./Hub.ts"
import * as Model from "./Model.ts"
import * as Route from "./Route.ts"
import { App } from "./ui/App.tsx"

const KEY = "token"

const root = createRoot(document.getElementById("app") ?? document.body)

const SignIn = ({ problem }: { readonly problem: string | null }) => {
  const [token, setToken] = useState("")
  return (
    <main className="sign-in">
      <form
        onSubmit={(event) => {
          event.preventDefault()
          if (token.trim() !== "") enter(token.trim())
        }}
      >
        <h1>Causeway</h1>
        {problem === null ? null : (
          <p className="note bad" role="alert">
            {problem}
          </p>
        )}
        <label htmlFor="token">Access token</label>
        <input
          id="token"
          type="password"
          autoComplete="off"
          required
          value={token}
          onChange={(event) => setToken(event.target.value)}
        />
        <button type="submit" className="primary">
          Open
        </button>
        <p className="note">The address that Causeway printed at its start holds the token.</p>
      </form>
    </main>
  )
}

const routeTo = (route: Route.Route): string => {
  switch (route._tag) {
    case "List":
      return Route.toList
    case "Approvals":
      return Route.toApprovals
    case "Metrics":
      return Route.toMetrics
    case "Session":
      return route.seq === null ? Route.toSession(route.id) : Route.toEvent(route.id, route.seq)
  }
}

let model: Model.Model | undefined

const signIn = (problem: string | null): void => {
  model?.close()
  model = undefined
  root.render(<SignIn problem={problem} />)
}

const enter = (token: string): void => {
  localStorage.setItem(KEY, token)
  model?.close()
  const made = Model.make({
    token,
    hub: (onUnauthenticated) => Hub.make(token, onUnauthenticated),
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
      after
    },
    watcher: { fetch: (url, init) => fetch(url, { ...init, cache: "no-store" }), after, random: Math.random },
    now: Date.now,
    uuid: Hub.uuid,
    store: {
      get: (key) => localStorage.getItem(key),
      set: (key, value) => localStorage.setItem(key, value)
    },
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
    navigate: (route) => {
      location.hash = routeTo(route)
    },
    signOut: (problem) => {
      localStorage.removeItem(KEY)
      signIn(problem)
    }
  })
  model = made
  made.go(Route.of(location.hash))
  root.render(
    <StrictMode>
      <App model={made} />
    </StrictMode>
  )
}

function after(millis: number, then: () => void): () => void {
  const timer = setTimeout(then, millis)
  return () => clearTimeout(timer)
}

/** The token of the address, which must not stay there, nor in the history. */
const takeToken = (): boolean => {
  const given = Route.tokenIn(location.hash)
  if (given === null) return false
  history.replaceState(null, "", `${location.pathname}${location.search}${Route.toList}`)
  enter(given)
  return true
}

addEventListener("hashchange", () => {
  if (!takeToken()) model?.go(Route.of(location.hash))
})
addEventListener("online", () => model?.hurry())
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") model?.hurry()
})
// Another tab has signed out, or in.
addEventListener("storage", (event) => {
  if (event.key !== KEY) return
  if (event.newValue === null) signIn(null)
  else if (model === undefined) enter(event.newValue)
})
if ("serviceWorker" in navigator) {
  // The page works without it; without it, it only cannot be opened while the hub is away.
  navigator.serviceWorker.register("sw.js").catch(() => undefined)
}

if (!takeToken()) {
  const token = localStorage.getItem(KEY)
  if (token === null) signIn(null)
  else enter(token)
}
