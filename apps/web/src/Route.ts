/** The part of the address after `#`: where the page is, and how it was given its token. */

/** The token of `#token=…`, or null. */
export const tokenIn = (fragment: string): string | null => {
  const token = new URLSearchParams(fragment.replace(/^#/, "")).get("token")
  return token === null || token === "" ? null : token
}

/** What the page shows: nothing open, a session (at an event of it), all approvals, or the figures. */
export type Route =
  | { readonly _tag: "List" }
  | { readonly _tag: "Session"; readonly id: string; readonly seq: number | null }
  | { readonly _tag: "Approvals" }
  | { readonly _tag: "Metrics" }

/** What a fragment names; anything unknown is the list. */
export const of = (fragment: string): Route => {
  if (fragment === toApprovals) return { _tag: "Approvals" }
  if (fragment === toMetrics) return { _tag: "Metrics" }
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
export const toList = "#/"
