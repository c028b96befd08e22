/** What the list says while the hub is not reached: what it shows may be out of date. */
import { useModelState, useNow } from "./use.ts"

export const Away = () => {
  const { connection, connectionAt, loaded } = useModelState()
  const now = useNow(1000)
  if (connection._tag === "connected" || (connection._tag === "connecting" && !loaded)) return null
  const left = "inMillis" in connection ? connectionAt + connection.inMillis - now : 0
  return (
    <div className="note away">
      <span>
        {connection._tag === "offline" ? "This device has no network." : "The hub is not reached."}
        {loaded ? " What stands here may be out of date." : ""}
      </span>{" "}
      <span>
        {connection._tag === "connecting"
          ? "Trying…"
          : `Next try in ${Math.max(0, Math.ceil(left / 1000))} s.`}
      </span>
    </div>
  )
}
