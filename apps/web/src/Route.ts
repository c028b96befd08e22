/** The part of the address after `#`: where the page is, and how somebody was sent here to be let in. */
import type { Ticket } from "./Credentials.ts"

/** What `#token=…` or `#code=…` brings, or null. */
export const ticketIn = (fragment: string): Ticket | null => {
  const given = new URLSearchParams(fragment.replace(/^#/, ""))
  const code = given.get("code")
  if (code !== null && code !== "") return { _tag: "Code", code }
  const token = given.get("token")
  return token === null || token === "" ? null : { _tag: "Token", token }
}

/** What a person typed to be let in: an access token, or a whole address that holds a token or a code. */
export const ticketOf = (typed: string): Ticket | null => {
  const text = typed.trim()
  const hash = text.indexOf("#")
  const linked = hash < 0 ? null : ticketIn(text.slice(hash))
  return linked ?? (text === "" ? null : { _tag: "Token", token: text })
}

/** The address that lets another device in with a code; `page` is where this page is, without its fragment. */
export const toCode = (page: string, code: string): string => `${page}#code=${encodeURIComponent(code)}`

/** What the page shows: nothing open, a session (at an event of it), all approvals, the figures, or the devices. */
export type Route =
  | { readonly _tag: "List" }
  | { readonly _tag: "Session"; readonly id: string; readonly seq: number | null }
  | { readonly _tag: "Approvals" }
  | { readonly _tag: "Metrics" }
  | { readonly _tag: "Devices" }

/** What a fragment names; anything unknown is the list. */
export const of = (fragment: string): Route => {
  if (fragment === toApprovals) return { _tag: "Approvals" }
  if (fragment === toMetrics) return { _tag: "Metrics" }
  if (fragment === toDevices) return { _tag: "Devices" }
  const [, id, seq] = /^#\/session\/([A-Za-z0-9_-]{1,128})(?:\/([1-9]\d{0,14}))?$/.exec(fragment) ?? []
  return id === undefined
    ? { _tag: "List" }
    : { _tag: "Session", id, seq: seq === undefined ? null : Number(seq) }
}

export const toSession = (id: string): string => `#/session/${encodeURIComponent(id)}`
/** The address of one event. */
export const toEvent = (id: string, seq: number): string => `${toSession(id)}/${seq}`
export const toApprovals = "#/approvals"
export const toMetrics = "#/metrics"
export const toDevices = "#/devices"
export const toList = "#/"

/** The fragment of a route. */
export const to = (route: Route): string => {
  switch (route._tag) {
    case "List":
      return toList
    case "Approvals":
      return toApprovals
    case "Metrics":
      return toMetrics
    case "Devices":
      return toDevices
    case "Session":
      return route.seq === null ? toSession(route.id) : toEvent(route.id, route.seq)
  }
}
