/** What the page knows of the session it shows: the projections of its log, and what only travels beside the log. */
import * as Approvals from "@causeway/transcript/Approvals"
import * as Conversation from "@causeway/transcript/Conversation"
import * as FileChange from "@causeway/transcript/FileChange"
import * as Live from "@causeway/transcript/Live"
import { array, object, type ReadableEvent } from "@causeway/transcript/Read"
import * as SessionRow from "@causeway/transcript/SessionRow"
import * as Turns from "@causeway/transcript/Turns"
import * as Attachment from "./Attachment.ts"
import type { Delivery, Frame } from "./Frame.ts"
import * as Images from "./Images.ts"

/** A request of the agent as it stands in the log: whole, where the row's copy may be cut. */
export interface Request {
  readonly input: unknown
  readonly suggestions: ReadonlyArray<unknown>
  /** What stands in the file that it changes. */
  readonly before?: FileChange.Before | null
}

/** The request that an event is, with what the events before it told of its file. */
export const requestOf = (
  event: ReadableEvent,
  fileOf: (toolUseId: string) => FileChange.Before | undefined
): Request => {
  const request = object(event.payload.json["request"])
  return {
    input: request["input"],
    suggestions: array(request["permission_suggestions"]),
    before: fileOf(String(request["tool_use_id"])) ?? null
  }
}

export interface SessionView {
  readonly row: SessionRow.SessionRow
  readonly conversation: Conversation.Conversation
  readonly live: Live.Live
  /** Of people's messages, by uuid. What is in the log and not here is `accepted`. */
  readonly deliveries: ReadonlyMap<string, Delivery>
  /** Of open approvals, by `request_id`. */
  readonly requests: ReadonlyMap<string, Request>
  /** Whether the hub said that older events are missing here. */
  readonly truncated: boolean
  /** `data:` addresses, by message or call, see `Images`. */
  readonly images: ReadonlyMap<string, ReadonlyArray<string>>
  /** Names of documents that people sent, by message. */
  readonly documents: ReadonlyMap<string, ReadonlyArray<string>>
  /** What the agent offers behind a slash. */
  readonly commands: ReadonlyArray<string>
  /** Whether somebody has asked the agent to stop and the turn has not ended since; so a page that is loaded again knows. */
  readonly stopping: boolean
}

export const empty: SessionView = {
  row: SessionRow.initial,
  conversation: Conversation.empty,
  live: Live.empty,
  deliveries: new Map(),
  requests: new Map(),
  truncated: false,
  images: new Map(),
  documents: new Map(),
  commands: [],
  stopping: false
}

const order: { readonly [D in Delivery]: number } = {
  accepted: 0,
  received: 1,
  withdrawn: 2,
  processing: 3,
  processed: 4
}

/** The view after some frames. Events that were seen change nothing; a delivery never goes back. */
export const steps = (view: SessionView, frames: ReadonlyArray<Frame>): SessionView => {
  const fresh = new Set<string>()
  const events = frames.flatMap((frame) => {
    if (frame._tag !== "Event") return []
    const { uuid } = frame.event
    if (view.conversation.seen.has(uuid) || fresh.has(uuid)) return []
    fresh.add(uuid)
    return [frame.event]
  })
  let { live, truncated, commands, stopping } = view
  let images: Map<string, ReadonlyArray<string>> | undefined
  let documents: Map<string, ReadonlyArray<string>> | undefined
  let deliveries: Map<string, Delivery> | undefined
  let requests: Map<string, Request> | undefined
  const deliver = (uuid: string, status: Delivery): void => {
    const known = (deliveries ?? view.deliveries).get(uuid) ?? "accepted"
    if (order[status] <= order[known]) return
    deliveries ??= new Map(view.deliveries)
    deliveries.set(uuid, status)
  }
  const files = new Map<string, FileChange.Before>()
  const pending = new Set(events)
  for (const frame of frames) {
    if (frame._tag === "Delivery") deliver(frame.uuid, frame.status)
    else if (frame._tag === "Truncated") truncated = true
    else if (frame._tag === "Ephemeral") live = Live.step(live, frame.payload)
    else if (pending.delete(frame.event)) {
      const { event } = frame
      const { json } = event.payload
      for (const [owner, urls] of Images.of(event.uuid, json)) {
        images ??= new Map(view.images)
        images.set(owner, urls)
      }
      if (json["type"] === "user") {
        const titles = Attachment.titles(object(json["message"])["content"])
        if (titles.length > 0) {
          documents ??= new Map(view.documents)
          documents.set(event.uuid, titles)
        }
      }
      if (event.source === "client" && json["type"] === "control_request") {
        if (object(json["request"])["subtype"] === "interrupt") stopping = true
      }
      if (event.source === "worker" && (json["type"] === "result" || json["type"] === "bridge_error")) {
        stopping = false
      }
      if (event.source === "worker" && json["type"] === "system" && json["subtype"] === "init") {
        stopping = false
        commands = array(json["slash_commands"]).flatMap((one) =>
          typeof one === "string" && one.length <= 128 ? [one.replace(/^\//, "")] : []
        )
      }
      if (event.source === "worker") live = Live.step(live, event.payload.json)
      const told = FileChange.told(event)
      if (told !== null) files.set(told.toolUseId, told)
      const approval = Approvals.requestOf(event)
      if (approval !== null) {
        requests ??= new Map(view.requests)
        requests.set(
          approval.requestId,
          requestOf(event, (id) => files.get(id) ?? view.conversation.files.get(id))
        )
      }
      // The log itself proves what a result says it answered, whether or not its delivery was told.
      if (event.source === "worker" && event.payload.json["type"] === "result") {
        for (const uuid of Turns.promptsOf(event.payload.json)) deliver(uuid, "processed")
      }
    }
  }
  const row = SessionRow.replay(events, view.row)
  if (row.approvals !== view.row.approvals) {
    const open = new Set(row.approvals.pending.map((approval) => approval.requestId))
    requests = new Map([...(requests ?? view.requests)].filter(([id]) => open.has(id)))
  }
  return {
    row,
    conversation: events.length === 0 ? view.conversation : Conversation.steps(view.conversation, events),
    live,
    deliveries: deliveries ?? view.deliveries,
    requests: requests ?? view.requests,
    truncated,
    images: images ?? view.images,
    documents: documents ?? view.documents,
    commands,
    stopping
  }
}
