/** The part of the address after `#`: where the page is, and how it was given its token. */

/** The token of `#token=…`, or null. */
export const tokenIn = (fragment: string): string | null => {
  const token = new URLSearchParams(fragment.replace(/^#/, "")).get("token")
  return token === null || token === "" ? null : token
}

/** The session that `#/session/<id>` names, or null. */
export const sessionIn = (fragment: string): string | null =>
  /^#\/session\/([A-Za-z0-9_-]{1,128})$/.exec(fragment)?.[1] ?? null

export const toSession = (id: string): string => `#/session/${encodeURIComponent(id)}`
export const toList = "#/"
