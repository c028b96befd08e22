/**
 * How the terminal's view changes: a pure function from what happens (keys, frames of the stream, answers of the hub, time)
 * to the next state and to what is to be done. It never throws, whatever comes in whatever order.
 */

import * as Delivery from "@causeway/protocol/Delivery"
import { object, textOf } from "@causeway/transcript/Read"
import { events, type Frame } from "@causeway/transcript/View/Frame"
import * as SessionView from "@causeway/transcript/View/SessionView"
import * as Composer from "./Composer.ts"
import { ofViewer } from "./Frames.ts"
import { follow, pressed } from "./Input.ts"
import * as Model from "./Model.ts"
import { none, type Step, say } from "./Model.ts"
import { paged } from "./Reading.ts"
import { cleanLine } from "./Text.ts"

/** A message from here has come further; of one that the log holds, the view tells. */
const advance = (
  model: Model.Model,
  uuid: string,
  to: Delivery.Stage,
  reason: string | null = null
): Model.Model => ({
  ...model,
  sent: model.sent.map((each) => {
    if (each.uuid !== uuid) return each
    const stage = Delivery.advance(each.stage, to)
    return { ...each, stage, reason: stage === to ? reason : each.reason }
  })
})

/** What a person is told of approvals that were open and are not any more. */
const settledElsewhere = (
  { answering, view: { row } }: Model.Model,
  { approvals }: SessionView.SessionView["row"]
): Model.Notice | null => {
  for (const approval of row.approvals.pending) {
    if (approvals.pending.some((each) => each.requestId === approval.requestId)) continue
    if (answering.has(approval.requestId)) continue
    const settled = approvals.settled.findLast((each) => each.requestId === approval.requestId)
    const name = cleanLine(approval.displayName ?? approval.toolName)
    return settled === undefined || settled.outcome === "cancelled"
      ? { text: `${name} is no longer asked`, tone: "plain" }
      : { text: `${name} was ${settled.outcome} by someone else`, tone: "warn" }
  }
  return null
}

/** With a view whose approvals may have changed: what is settled needs no answer. */
const withView = (model: Model.Model, view: SessionView.SessionView): Model.Model => {
  const open = new Set(view.row.approvals.pending.map((each) => each.requestId))
  // What was said of a turn that has ended is over.
  const ended = view.row.numTurns > model.view.row.numTurns && model.notice?.tone === "plain"
  return follow({
    ...model,
    view,
    notice: settledElsewhere(model, view.row) ?? (ended ? null : model.notice),
    answering: new Set([...model.answering].filter((id) => open.has(id)))
  })
}

const received = (model: Model.Model, frames: ReadonlyArray<Frame>): Model.Model => {
  const view = SessionView.steps(model.view, frames, model.anchor !== null)
  const said = events(frames).filter(
    ({ payload, seq, source }) =>
      seq > model.view.row.lastSeq && source === "client" && payload.type === "user"
  )
  const logged = new Set(said.map(({ uuid }) => uuid))
  const next = {
    ...model,
    sent: logged.size === 0 ? model.sent : model.sent.filter(({ uuid }) => !logged.has(uuid)),
    composer: said.reduce(
      (composer, { payload }) =>
        Composer.remember(composer, textOf(object(payload.json["message"])["content"]) ?? ""),
      model.composer
    )
  }
  return withView(
    frames.some(({ _tag }) => _tag === "Truncated")
      ? say(next, "the hub left out a part of what was missed; `logs` has all of it", "warn")
      : next,
    view
  )
}

/** The state after a message, and what is to be done. `now`: milliseconds since the epoch. */
export const update = (before: Model.Model, message: Model.Message, now: number): Step => {
  const model = before.now === now ? before : { ...before, now }
  switch (message._tag) {
    case "Tick":
      return [model, none]
    case "Resized":
      return [{ ...model, size: { columns: message.columns, rows: message.rows } }, none]
    case "Pressed":
      return model.detached ? [model, none] : pressed(model, message.key, message.uuid)
    case "Listed":
      return [
        model.picker === null
          ? model
          : {
              ...model,
              picker: {
                sessions: message.sessions,
                selected: Math.max(0, Math.min(model.picker.selected, message.sessions.length - 1)),
                error: null
              }
            },
        none
      ]
    case "NotListed":
      return [
        model.picker === null ? model : { ...model, picker: { ...model.picker, error: message.error } },
        none
      ]
    case "Opened":
      return [
        {
          ...Model.initial({ ...model.size, now, picking: false }),
          sessionId: message.session.id,
          view: SessionView.open(message.session, message.after, true),
          folded: model.folded
        },
        none
      ]
    case "Told":
      return [
        message.session.id === model.sessionId
          ? { ...model, view: SessionView.told(model.view, message.session) }
          : model,
        none
      ]
    case "Asked":
      return [withView(model, SessionView.asked(model.view, events(message.frames))), none]
    case "Received":
      return [received(model, message.frames.flatMap(ofViewer)), none]
    case "Connected":
      return [{ ...model, connection: message }, none]
    case "Disconnected":
      return [
        {
          ...model,
          // What the agent was writing goes on elsewhere; the log tells the whole of it.
          view: SessionView.interrupted(model.view),
          connection: {
            _tag: "Reconnecting",
            error: cleanLine(message.error),
            since: model.connection._tag === "Reconnecting" ? model.connection.since : now,
            retryAt: now + message.delayMillis
          }
        },
        none
      ]
    case "Ended":
      return [{ ...model, connection: { _tag: "Offline", error: cleanLine(message.error) } }, none]
    case "Accepted": {
      const accepted = advance(model, message.uuid, "accepted")
      return [
        message.waitingFor === null ? accepted : say(accepted, cleanLine(message.waitingFor), "warn"),
        none
      ]
    }
    case "NotSent":
      return [advance(model, message.uuid, message.refused ? "refused" : "unknown", message.reason), none]
    case "Answered":
      return [model, none]
    case "NotAnswered": {
      const answering = new Set([...model.answering].filter((id) => id !== message.requestId))
      return [
        message.conflict
          ? // It stays out of the panel: the answer that won settles it as soon as it comes.
            say(model, "someone else answered first; that answer holds", "warn")
          : follow(
              say({ ...model, answering }, `the answer did not arrive: ${cleanLine(message.reason)}`, "bad")
            ),
        none
      ]
    }
    case "Stopping":
      return [say(model, "asked the agent to stop"), none]
    case "NotStopped":
      return [say(model, `the agent could not be asked to stop: ${cleanLine(message.reason)}`, "bad"), none]
    case "Paged":
      return paged(model, message)
    case "NotPaged":
      return [say({ ...model, paging: null }, `not read: ${cleanLine(message.reason)}`, "bad"), none]
  }
}
