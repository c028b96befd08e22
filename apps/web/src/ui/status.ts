/** What a session is doing, in words. */
const words: ReadonlyMap<string, string> = new Map([
  ["pending", "waiting for a host"],
  ["idle", "ready"],
  ["running", "working"],
  ["requires_action", "needs you"]
])

/** One that has a host (`isHosted`) and has not been written to has nothing to wait for. */
export const statusText = (status: string, isArchived: boolean, isHosted = false): string =>
  isArchived ? "archived" : status === "pending" && isHosted ? "ready" : (words.get(status) ?? status)
