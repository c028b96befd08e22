/**
 * What a person wants to be told of while the page is not looked at. Titles and tags are those of the hub's own pushes, so
 * that a browser which hears of the same thing twice shows it once.
 */
import type { Session } from "@causeway/protocol/http/Sessions"
import { isSubagent } from "@causeway/transcript/Read"
import * as Result from "@causeway/transcript/Result"
import { events, type Frame } from "@causeway/transcript/View/Frame"
import * as Route from "./Route.ts"
import { pending } from "./State.ts"
import * as Text from "./Text.ts"

export interface Notice {
  readonly title: string
  readonly body: string
  /** Of two notifications with the same tag, a browser shows the later one in the place of the earlier one. */
  readonly tag: string
  /** A fragment of this page. */
  readonly url: string
}

const tagOf = (session: Session, kind: string): string => `${session.id}:${kind}`

const notice = (session: Session, kind: string, title: string, more: string): Notice => ({
  title,
  body: `${Text.line(session.title ?? "Session", 120)}${more}`,
  tag: tagOf(session, kind),
  url: Route.toSession(session.id)
})

/** The notice of a session that began to wait for an approval between two readings of the list. */
export const ofApproval = (before: Session | undefined, after: Session): Notice | undefined => {
  const [oldest] = pending(after)
  if (before === undefined || after.archived_at != null || oldest === undefined) return undefined
  return pending(before).some((each) => each.request_id === oldest.request_id)
    ? undefined
    : notice(after, "approval", "Waits for approval", `: ${Text.line(oldest.tool_name, 80)}`)
}

/** The tag of what is settled: the approval that was waited for was given or refused, here or elsewhere. */
export const settled = (before: Session | undefined, after: Session): string | undefined =>
  before !== undefined && pending(before).length > 0 && pending(after).length === 0
    ? tagOf(after, "approval")
    : undefined

/** Whether a session's turn ended between two readings of the list. */
export const hasEnded = (before: Session | undefined, after: Session): boolean =>
  before !== undefined &&
  after.archived_at == null &&
  after.status === "idle" &&
  (before.status === "running" || before.status === "requires_action")

/** The notice of a turn that ended, from the end of its log; undefined where a person has stopped it. */
export const ofEnd = (session: Session, frames: ReadonlyArray<Frame>): Notice | undefined => {
  const last = events(frames).findLast(
    ({ payload: { json, type }, source }) =>
      source === "worker" && (type === "bridge_error" || (type === "result" && !isSubagent(json)))
  )
  if (last === undefined) return notice(session, "ended", "Turn ended", "")
  const { type, json } = last.payload
  if (type === "bridge_error") return notice(session, "failed", "Session failed", "")
  if (Result.wasStopped(json)) return undefined
  return Result.isFailure(json)
    ? notice(session, "failed", "Turn failed", "")
    : notice(session, "ended", "Turn ended", "")
}
