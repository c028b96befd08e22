/** The page's entrance: takes the token, then starts the app. */
import * as App from "./App.ts"
import * as Route from "./Route.ts"
import { h } from "./view/dom.ts"

const KEY = "token"

const root = document.getElementById("app") ?? document.body

/** Asks for the token. `problem` says why there is none. */
const signIn = (problem: string | null): void => {
  const field = h("input", { attrs: { type: "password", autocomplete: "off", id: "token", required: true } })
  const form = h(
    "form",
    { class: "sign-in" },
    h("h1", {}, "Causeway"),
    problem === null ? null : h("p", { class: "note bad", attrs: { role: "alert" } }, problem),
    h("label", { attrs: { for: "token" } }, "Access token"),
    field,
    h("button", { class: "primary", attrs: { type: "submit" } }, "Open"),
    h("p", { class: "note" }, "The address that Causeway printed at its start holds the token.")
  )
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    enter(field.value.trim())
  })
  root.replaceChildren(form)
  field.focus()
}

let started = false
const enter = (token: string): void => {
  sessionStorage.setItem(KEY, token)
  if (started) {
    // The app that runs holds the old token.
    location.reload()
    return
  }
  started = true
  App.start(root, token, () => {
    sessionStorage.removeItem(KEY)
    signIn("The token is not accepted any more.")
  })
}

const given = Route.tokenIn(location.hash)
if (given !== null) {
  sessionStorage.setItem(KEY, given)
  // The token must not stay in the address, nor in the history.
  history.replaceState(null, "", `${location.pathname}${location.search}${Route.toList}`)
}
const token = sessionStorage.getItem(KEY)
if (token === null) signIn(null)
else enter(token)
