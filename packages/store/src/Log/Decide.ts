/** The rules by which a request is refused, or carried out on the draft of its session. */
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
import { answered, type Draft, type Known, type Taking } from "./Draft.ts"
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
  payload: string
]

const refusal = (request: AppendRequest, draft: Draft | undefined): Refusal | undefined => {
  if (draft === undefined || draft.columns.organization_id !== request.organizationId) {
    return new SessionUnknown({ session: request.session })
  }
  const { columns } = draft
  if (request.tokenEpoch !== undefined && request.tokenEpoch < columns.token_epoch) {
    return new TokenSuperseded({ given: request.tokenEpoch, current: columns.token_epoch })
  }
  const { guard } = request
  if (guard?.kind === "epoch" && guard.workerEpoch < columns.worker_epoch) {
    return new WorkerSuperseded({ given: guard.workerEpoch, current: columns.worker_epoch })
  }
  if (guard?.kind === "lastUuid") {
    const last = guard.lastUuid === undefined ? 0 : draft.known.get(guard.lastUuid)?.seq
    if (last === undefined || last < draft.workerHeadSeq) {
      return new HeadMoved({ head: draft.workerHead ?? undefined })
    }
  }
  if (
    draft.row.archivedAt !== null &&
    request.source === "client" &&
    request.payloads.some(
      (payload) =>
        payload.type !== "session_update" && (payload.uuid === undefined || !draft.known.has(payload.uuid))
    )
  ) {
    return new SessionArchived({ session: request.session })
  }
  return undefined
}

/** The stored event that holds the answer which won. */
const winner = (draft: Draft, answer: Approvals.Answer) =>
  draft.answers.find(({ json }) => {
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

const plan = (request: AppendRequest, draft: Draft): Either.Either<ReadonlyArray<Plan>, AlreadyAnswered> => {
  const plans: Array<Plan> = []
  for (const payload of request.payloads) {
    const known = payload.uuid === undefined ? undefined : draft.known.get(payload.uuid)
    if (known !== undefined && payload.uuid !== undefined) {
      plans.push({ _tag: "Known", uuid: payload.uuid, known })
      continue
    }
    const answer = answered(request.source, payload)
    if (answer !== null) {
      const verdict = Approvals.judge(draft.row.approvals, payload.json)?.verdict
      const first = winner(draft, answer)
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
  values: Array<EventValues>
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
    draft.changed = true
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
    if (taking !== undefined) draft.withdrawals.push(taking)
    if (request.source === "worker") {
      draft.workerSeenAt = now
      if (transcript) {
        draft.workerHead = uuid
        draft.workerHeadSeq = seq
      }
    } else {
      if (Payload.isForWorker(payload)) draft.forWorker = true
      if (payload.type === "control_response") {
        draft.answers.push({ uuid, known: { seq, createdAt: now }, json: payload.json })
      }
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
    values.push([
      draft.columns.sid,
      seq,
      uuid,
      request.source,
      payload.type,
      transcript ? 1 : 0,
      Payload.isCompaction(payload) ? 1 : 0,
      now,
      payload.text
    ])
    const appended = { seq, uuid, createdAt: now, duplicate: false }
    // Filled in once the batch stands in the log.
    return taking === undefined ? appended : { ...appended, withdrawn: taking.taken }
  })

/** Refuses a request, or carries it out: the events to write are added to `values`. */
export const decide = (
  request: AppendRequest,
  draft: Draft | undefined,
  now: number,
  values: Array<EventValues>
): Outcome => {
  const refused = refusal(request, draft)
  if (refused !== undefined || draft === undefined) {
    return Either.left(refused ?? new SessionUnknown({ session: request.session }))
  }
  return Either.map(plan(request, draft), (plans) => carryOut(request, draft, plans, now, values))
}
