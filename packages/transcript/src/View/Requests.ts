/** What open approvals ask, whole as it stands in the log; the row's copy may be cut. */
import * as Approvals from "../Approvals.ts"
import * as FileChange from "../FileChange.ts"
import { array, object, type ReadableEvent } from "../Read.ts"

export interface Request {
  /** The tool's input; of a dialog, the whole request. */
  readonly input: unknown
  /** Rules that "always allow" would add. */
  readonly suggestions: ReadonlyArray<unknown>
  /** What stands in the file that it changes. */
  readonly before: FileChange.Before | null
}

export interface Requests {
  /** By `request_id`. */
  readonly open: ReadonlyMap<string, Request>
  /** Told of files whose requests follow. */
  readonly files: ReadonlyArray<FileChange.Told>
}

export const empty: Requests = { open: new Map(), files: [] }

/** Files that are told of before their requests, at most. */
const FILES_MAX = 8

/** The requests after some events. Returns the same object where nothing changed. */
export const steps = (requests: Requests, events: Iterable<ReadableEvent>): Requests => {
  let { files } = requests
  let open: Map<string, Request> | undefined
  for (const event of events) {
    const told = FileChange.told(event)
    if (told !== null) files = [...files, told].slice(-FILES_MAX)
    const asked = Approvals.requestOf(event)
    if (asked === null) continue
    const request = object(event.payload.json["request"])
    open ??= new Map(requests.open)
    open.set(asked.requestId, {
      input: asked.kind === "tool" ? (request["input"] ?? null) : request,
      suggestions: array(request["permission_suggestions"]),
      before: files.findLast((file) => file.toolUseId === asked.toolUseId) ?? null
    })
  }
  return open === undefined && files === requests.files ? requests : { open: open ?? requests.open, files }
}

/** Without those that are settled. */
export const retain = (requests: Requests, approvals: Approvals.Approvals): Requests => {
  const open = new Set(approvals.pending.map(({ requestId }) => requestId))
  const settled = [...requests.open.keys()].filter((id) => !open.has(id))
  if (settled.length === 0) return requests
  return { ...requests, open: new Map([...requests.open].filter(([id]) => open.has(id))) }
}

/** The request at position `seq` of a log, from the events that end there; null where none was asked there. */
export const at = (events: ReadonlyArray<ReadableEvent>, seq: number): Request | null => {
  const asked = events.find((event) => event.seq === seq)
  const id = asked === undefined ? undefined : Approvals.requestOf(asked)?.requestId
  return id === undefined ? null : (steps(empty, events).open.get(id) ?? null)
}
