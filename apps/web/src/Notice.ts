/**
 * What a person wants to be told of while the page is not looked at. Titles and tags are those of the hub's own pushes, so
 * that a browser which hears of the same thing twice shows it once.
 */

import { isSubagent } from "@causeway/transcript/Read"
import * as Result from "@causeway/transcript/Result"
import type { Frame } from "./Frame.ts"
import type * as Hub from "./Hub.ts"
import * as Route from "./Route.ts"
import * as Text from "./Text.ts"

export interface Notice {
  readonly title: string
  readonly body: string
  /** Of two notifications with the same tag, a browser shows the later one in the place of the earlier one. */
  readonly tag: string
  /** A fragment of this page. */
  readonly url: string
}

const tagOf = (session: Hub.Session, kind: string): string => `${session.id}:${kind}`

const notice = (session: Hub.Session, kind: string, title: string, more: string): Notice => ({
  title,
  body: `${Text.line(session.title ?? "Session", 120)}${more}`,
  tag: tagOf(session, kind),
  url: Route.toSession(session.id)
})

/** The notice of a session that began to wait for an approval between two readings of the list. */
export const ofApproval = (before: Hub.Session | undefined, after: Hub.Session): Notice | undefined => {
  const [oldest] = after.approvals
  if (before === undefined || after.archived || oldest === undefined) return undefined
  const known = before.approvals.some(({ requestId }) => requestId === oldest.requestId)
  return known
    ? undefined
    : notice(after, "approval", "Waits for approval", `: ${Text.line(oldest.toolName, 80)}`)
}

/** The tag of what is settled: the approval that was waited for was given or refused, here or elsewhere. */
export const settled = (before: Hub.Session | undefined, after: Hub.Session): string | undefined =>
  before !== undefined && before.approvals.length > 0 && after.approvals.length === 0
    ? tagOf(after, "approval")
    : undefined

/** Whether a session's turn ended between two readings of the list. */
export const hasEnded = (before: Hub.Session | undefined, after: Hub.Session): boolean =>
  before !== undefined &&
  !after.archived &&
  after.status === "idle" &&
  (before.status === "running" || before.status === "requires_action")

/** The notice of a turn that ended, from the end of its log; undefined where a person has stopped it. */
export const ofEnd = (session: Hub.Session, frames: ReadonlyArray<Frame>): Notice | undefined => {
  const last = frames.findLast(
    (frame) =>
      frame._tag === "Event" &&
      frame.event.source === "worker" &&
      (frame.event.payload.type === "bridge_error" ||
        (frame.event.payload.type === "result" && !isSubagent(frame.event.payload.json)))
  )
  if (last?._tag !== "Event") return notice(session, "ended", "Turn ended", "")
  const { type, json } = last.event.payload
  if (type === "bridge_error") return notice(session, "failed", "Session failed", "")
  if (Result.wasStopped(json)) return undefined
  return Result.isFailure(json)
    ? notice(session, "failed", "Turn failed", "")
    : notice(session, "ended", "Turn ended", "")
}
