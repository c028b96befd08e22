/** The rules by which a request is refused, or carried out on the draft of its session. Plain functions over a {@link Lookup}. */
import { randomUUID } from "node:crypto"
import type { Source } from "@causeway/protocol/Event"
import * as Payload from "@causeway/protocol/Payload"
import * as Withdrawal from "@causeway/protocol/Withdrawal"
import * as Approvals from "@causeway/transcript/Approvals"
import * as SessionRow from "@causeway/transcript/SessionRow"
import * as Either from "effect/Either"
import {
  AlreadyAnswered,
  HeadMoved,
  SessionArchived,
  SessionUnknown,
  TokenSuperseded,
  WorkerSuperseded
} from "../Errors.ts"
import { answered, type Draft, type Known, type StoredAnswer, type Taking } from "./Draft.ts"
import type { AppendError, Appended, AppendRequest } from "./Request.ts"

export type Refusal = Exclude<AppendError, { readonly _tag: "StoreUnavailable" | "LogBusy" }>
export type Outcome = Either.Either<ReadonlyArray<Appended>, Refusal>

export type EventValues = readonly [
  sid: number,
  seq: number,
  uuid: string,
  source: Source,
  type: string,
  transcript: number,
  compaction: number,
  createdAt: number,
  author: string | null,
  payload: string
]

/** The log as it stands when a request's turn comes, what the batch has stored before it included. */
export interface Lookup {
  /** The event of this uuid. */
  readonly event: (draft: Draft, uuid: string) => Known | undefined
  /** The answers to a request, oldest first. `id`: the request's or the tool call's. */
  readonly answers: (draft: Draft, id: string) => ReadonlyArray<StoredAnswer>
}

/** An event that is to be written, and what it takes back. */
export interface Stored {
  readonly values: EventValues
  readonly taking: Taking | undefined
}

/** The position of the entry that a writer names as the last; the usual writer names the head, which is at hand. */
const positionOf = (draft: Draft, uuid: string, lookup: Lookup): number | undefined =>
  uuid === draft.workerHead ? draft.workerHeadSeq : lookup.event(draft, uuid)?.seq

const refusal = (request: AppendRequest, draft: Draft | undefined, lookup: Lookup): Refusal | undefined => {
  if (draft === undefined || draft.head.organizationId !== request.organizationId) {
    return new SessionUnknown({ session: request.session })
  }
  const { tokenEpoch, workerEpoch } = draft.head
  if (request.tokenEpoch !== undefined && request.tokenEpoch < tokenEpoch) {
    return new TokenSuperseded({ given: request.tokenEpoch, current: tokenEpoch })
  }
  const { guard } = request
  if (guard?.kind === "epoch" && guard.workerEpoch < workerEpoch) {
    return new WorkerSuperseded({ given: guard.workerEpoch, current: workerEpoch })
  }
  if (guard?.kind === "lastUuid") {
    const last = guard.lastUuid === undefined ? 0 : positionOf(draft, guard.lastUuid, lookup)
    if (last === undefined || last < draft.workerHeadSeq) {
      return new HeadMoved({ head: draft.workerHead ?? undefined })
    }
  }
  if (
    draft.row.archivedAt !== null &&
    request.source === "client" &&
    request.payloads.some(
      (payload) =>
        payload.type !== "session_update" &&
        (payload.uuid === undefined || lookup.event(draft, payload.uuid) === undefined)
    )
  ) {
    return new SessionArchived({ session: request.session })
  }
  return undefined
}

/** The stored event that holds the answer which won. */
const winner = (draft: Draft, answer: Approvals.Answer, lookup: Lookup) =>
  lookup.answers(draft, answer.requestId ?? answer.toolUseId ?? "").find(({ json }) => {
    const stored = Approvals.answerOf(json)
    return (
      stored !== null &&
      (answer.requestId !== null
        ? stored.requestId === answer.requestId
        : stored.toolUseId === answer.toolUseId)
    )
  })

/** What is to be done with one payload of a request that the guards let through. */
type Plan =
  | { readonly _tag: "Store"; readonly payload: Payload.Payload; readonly uuid: string }
  | { readonly _tag: "Known"; readonly uuid: string; readonly known: Known }

const plan = (
  request: AppendRequest,
  draft: Draft,
  lookup: Lookup
): Either.Either<ReadonlyArray<Plan>, AlreadyAnswered> => {
  const plans: Array<Plan> = []
  for (const payload of request.payloads) {
    const known = payload.uuid === undefined ? undefined : lookup.event(draft, payload.uuid)
    if (known !== undefined && payload.uuid !== undefined) {
      plans.push({ _tag: "Known", uuid: payload.uuid, known })
      continue
    }
    const answer = answered(request.source, payload)
    if (answer !== null) {
      const verdict = Approvals.judge(draft.row.approvals, payload.json)?.verdict
      const first = winner(draft, answer, lookup)
      if (verdict === "conflict") {
        const requestId = answer.requestId ?? answer.toolUseId ?? ""
        return Either.left(new AlreadyAnswered({ requestId, answeredBy: first?.uuid }))
      }
      if (first !== undefined && verdict === "duplicate") {
        plans.push({ _tag: "Known", uuid: first.uuid, known: first.known })
        continue
      }
    }
    plans.push({ _tag: "Store", payload, uuid: payload.uuid ?? randomUUID() })
  }
  return Either.right(plans)
}

/** Carries a request out on the draft. */
const carryOut = (
  request: AppendRequest,
  draft: Draft,
  plans: ReadonlyArray<Plan>,
  now: number,
  stored: Array<Stored>
): ReadonlyArray<Appended> =>
  plans.map((each) => {
    if (each._tag === "Known") return { ...each.known, uuid: each.uuid, duplicate: true }
    const { payload, uuid } = each
    // A uuid that stands twice in one request is known the second time.
    const known = draft.known.get(uuid)
    if (known !== undefined) return { ...known, uuid, duplicate: true }
    const seq = draft.lastSeq + 1
    const transcript = Payload.isTranscript(payload)
    draft.lastSeq = seq
    draft.known.set(uuid, { seq, createdAt: now })
    const withdrawal = request.source === "client" ? Withdrawal.of(payload) : undefined
    const taking: Taking | undefined =
      withdrawal === undefined
        ? undefined
        : {
            covered: draft.row.open.filter((message) => Withdrawal.covers(withdrawal, message)),
            atWork: draft.row.begun ? draft.row.open[0] : undefined,
            taken: []
          }
    if (request.source === "worker") {
      draft.workerSeen = true
      if (transcript) {
        draft.workerHead = uuid
        draft.workerHeadSeq = seq
      }
    } else if (Payload.isForWorker(payload)) {
      draft.forWorker = true
    }
    const { status } = draft.row
    draft.row = SessionRow.step(draft.row, {
      seq,
      uuid,
      source: request.source,
      createdAt: now,
      payload
    })
    draft.rested = draft.row.status === "idle" && (draft.rested || status !== "idle")
    const values: EventValues = [
      draft.head.sid,
      seq,
      uuid,
      request.source,
      payload.type,
      transcript ? 1 : 0,
      Payload.isCompaction(payload) ? 1 : 0,
      now,
      request.source === "client" ? (request.author ?? null) : null,
      payload.text
    ]
    stored.push({ values, taking })
    const appended = { seq, uuid, createdAt: now, duplicate: false }
    // Filled in once the batch stands in the log.
    return taking === undefined ? appended : { ...appended, withdrawn: taking.taken }
  })

/** Refuses a request, or carries it out: the events to write are added to `stored`. */
export const decide = (
  request: AppendRequest,
  draft: Draft | undefined,
  now: number,
  lookup: Lookup,
  stored: Array<Stored>
): Outcome => {
  const refused = refusal(request, draft, lookup)
  if (refused !== undefined || draft === undefined) {
    return Either.left(refused ?? new SessionUnknown({ session: request.session }))
  }
  return Either.map(plan(request, draft, lookup), (plans) => carryOut(request, draft, plans, now, stored))
}
