/** How the page is connected, in words that are true at this moment. */
import type * as Gateway from "../Gateway.ts"
import type * as Watcher from "../Watcher.ts"
import { useNow } from "./use.ts"

const words = (connection: Gateway.Connection | Watcher.Connection, leftMillis: number): string => {
  switch (connection._tag) {
    case "connecting":
      return "connecting…"
    case "connected":
      return "connected"
    case "reconnecting":
      return `reconnecting in ${Math.max(0, Math.ceil(leftMillis / 1000))} s: ${connection.reason}`
    case "offline":
      return "offline: this device has no network"
    case "waiting":
      return "waits for approval"
    case "ended":
      return "reason" in connection && connection.reason === "not-found"
        ? "this session is not there"
        : "signed out"
  }
}

/** What changes every second is read when it is looked for; `Announcer` tells of changes. `since` in milliseconds since the epoch. */
export const ConnectionLine = ({
  connection,
  since
}: {
  readonly connection: Gateway.Connection | Watcher.Connection
  readonly since: number
}) => {
  const now = useNow(1000)
  const left = "inMillis" in connection ? since + connection.inMillis - now : 0
  return (
    <span className={`connection ${connection._tag}`}>
      <span className="dot" aria-hidden="true" />
      <span>{words(connection, left)}</span>
    </span>
  )
}
