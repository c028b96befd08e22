/** What screen readers are told of their own accord: new approvals, and the connection when it changes. */
import { useEffect, useRef, useState } from "react"
import * as State from "../State.ts"
import * as Text from "../Text.ts"
import { useModelState } from "./use.ts"

const connections = {
  connecting: null,
  connected: "The hub is reached again.",
  reconnecting: "The connection to the hub is lost.",
  offline: "This device has no network.",
  waiting: null,
  ended: "This device is signed out."
} as const

export const Announcer = () => {
  const state = useModelState()
  const waiting = State.approvals(state)
  const [approval, setApproval] = useState("")
  const [connection, setConnection] = useState("")
  const known = useRef<ReadonlySet<string> | null>(null)
  useEffect(() => {
    if (!state.loaded) return
    const fresh = waiting.filter((one) => known.current?.has(one.approval.request_id) === false)
    known.current = new Set(waiting.map((one) => one.approval.request_id))
    const [first] = fresh
    if (first === undefined) return
    const title = Text.line(first.session.title ?? "New session", 80)
    setApproval(
      `Approval needed in ${title}: ${Text.line(first.approval.tool_name, 60)}.${fresh.length > 1 ? ` And ${fresh.length - 1} more.` : ""}`
    )
  }, [waiting, state.loaded])
  const tag = state.connection._tag
  const was = useRef(tag)
  useEffect(() => {
    if (was.current === tag) return
    // The first connection is nothing to tell of.
    const words =
      was.current === "connecting" && tag === "connected" && connection === "" ? null : connections[tag]
    was.current = tag
    if (words !== null) setConnection(words)
  }, [tag, connection])
  return (
    <div className="hidden">
      <div role="status">{approval}</div>
      <div role="status">{connection}</div>
    </div>
  )
}
