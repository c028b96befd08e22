/** Sessions as the writer sees them: what it keeps of each between batches, and each while a batch is applied to it. */
import type { Source } from "@causeway/protocol/Event"
import type * as Payload from "@causeway/protocol/Payload"
import * as Approvals from "@causeway/transcript/Approvals"
import type * as SessionRow from "@causeway/transcript/SessionRow"

/** A session as the database has it. */
export interface Head {
  readonly sid: number
  readonly body: string
  readonly organizationId: string
  readonly environmentId: string | null
  readonly workerEpoch: number
  readonly tokenEpoch: number
  lastSeq: number
  /** Uuid and position of the last transcript entry of source worker. */
  workerHead: string | null
  workerHeadSeq: number
  row: SessionRow.SessionRow
}

export interface Known {
  readonly seq: number
  readonly createdAt: number
}

/** A stored answer to a request. */
export interface StoredAnswer {
  readonly uuid: string
  readonly known: Known
  readonly json: Payload.JsonObject
}

/** A session while a batch is applied to it. */
export interface Draft {
  readonly head: Head
  row: SessionRow.SessionRow
  lastSeq: number
  workerHead: string | null
  workerHeadSeq: number
  /** A worker has written in this batch. */
  workerSeen: boolean
  /** Events that this batch has met, by uuid. */
  readonly known: Map<string, Known>
  /** Has a message for the worker in this batch. */
  forWorker: boolean
  /** The session has nothing to do any more: its place can be given to another. */
  rested: boolean
}

/** A withdrawal, the messages that were open when it came, and those that it was found to take back. */
export interface Taking {
  readonly covered: ReadonlyArray<string>
  /** The oldest open one, where the agent was at work: it is likely to be the one that it worked on. */
  readonly atWork: string | undefined
  readonly taken: Array<string>
}

export const draftOf = (head: Head): Draft => ({
  head,
  row: head.row,
  lastSeq: head.lastSeq,
  workerHead: head.workerHead,
  workerHeadSeq: head.workerHeadSeq,
  workerSeen: false,
  known: new Map(),
  forWorker: false,
  rested: false
})

export const isChanged = (draft: Draft): boolean => draft.lastSeq !== draft.head.lastSeq

/** The request that a payload of people answers, if it is an answer. */
export const answered = (source: Source, payload: Payload.Payload): Approvals.Answer | null =>
  source === "client" && payload.type === "control_response" ? Approvals.answerOf(payload.json) : null
