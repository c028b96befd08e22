/** `interrupt`, `approve`, `deny`: steer a session from the terminal. */
import { randomUUID } from "node:crypto"
import type * as Api from "@causeway/protocol/http/Sessions"
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Visible from "@causeway/protocol/Visible"
import * as Approvals from "@causeway/transcript/Approvals"
import * as Read from "@causeway/transcript/Read"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Argument from "../Cli/Argument.ts"
import * as Flag from "../Cli/Flag.ts"
import { ExitCode, Failure } from "../Failure.ts"
import { Output } from "../Output.ts"
import * as Remote from "../Remote.ts"
import { post, watch } from "../Sending.ts"
import * as Session from "../Session.ts"

export const interrupt = Session.command(
  "interrupt",
  "Stop the running turn of a session",
  "running",
  {},
  ({ id }, output) =>
    Effect.gen(function* () {
      const uuid = randomUUID()
      const request = { type: "control_request", uuid, request_id: uuid, request: { subtype: "interrupt" } }
      const { sequenceNum } = yield* post(id, request)
      yield* output.tell(
        { event: "interrupt_sent", session_id: id, uuid, sequence_num: sequenceNum },
        `asked ${id} to stop`
      )
    })
)

/** The open approval that is meant: the named one, or the oldest. */
const pending = (found: Api.Session, toolUseId: Option.Option<string>) => {
  const open = found.pending_approvals ?? []
  const [meant] = open.filter(
    (each) => Option.getOrElse(toolUseId, () => each.tool_use_id) === each.tool_use_id
  )
  if (meant !== undefined) return Effect.succeed(meant)
  return new Failure({
    message: Option.match(toolUseId, {
      onNone: () => `session ${found.id} is not waiting for an approval`,
      onSome: (id) => `session ${found.id} is not waiting for an approval of ${id}`
    }),
    ...(open.length > 0
      ? { next: `open: ${open.map((a) => `${a.tool_use_id} (${a.tool_name})`).join(", ")}` }
      : {}),
    exitCode: ExitCode.notFound
  })
}

/** The request as it stands in the log: the row may show a shortened input. */
const requestOf = (found: Api.Session, approval: Api.PendingApproval) =>
  watch(found.id, (approval.sequence_num ?? 1) - 1).pipe(
    Stream.filterMap((frame) =>
      frame._tag === "Event" && frame.event.payload["request_id"] === approval.request_id
        ? Option.some(Read.object(frame.event.payload["request"]))
        : Option.none()
    ),
    Stream.runHead,
    Effect.map(Option.getOrElse((): JsonObject => ({})))
  )

const answer = (found: Api.Session, approval: Api.PendingApproval, response: JsonObject) =>
  Effect.gen(function* () {
    const output = yield* Output
    const uuid = randomUUID()
    const { sequenceNum } = yield* post(found.id, { ...response, uuid })
    const behavior = Read.object(Read.object(response["response"])["response"])["behavior"]
    yield* output.tell(
      {
        event: "answered",
        session_id: found.id,
        tool_use_id: approval.tool_use_id,
        tool_name: approval.tool_name,
        behavior,
        uuid,
        sequence_num: sequenceNum
      },
      `${behavior === "allow" ? "allowed" : "denied"} ${Visible.line(approval.tool_name)} (${Visible.line(approval.tool_use_id)})${changeOf(approval)}`,
      behavior === "allow" ? "good" : "warn"
    )
  })

/** What it does to a file: "/a/b.ts: +1 -3", "/a/new.ts: a new file, +3". */
export const changeOf = ({ change }: Api.PendingApproval): string => {
  if (change === undefined) return ""
  const path = Visible.line(change.path)
  return change.added === null
    ? `: ${path}, no preview (${change.state.replaceAll("_", " ")})`
    : change.state === "missing"
      ? `: ${path}, a new file, +${change.added}`
      : `: ${path}, +${change.added} -${change.removed ?? 0}`
}

const approval = {
  session: Session.argument,
  toolUseId: Argument.optional(Argument.text("TOOL-USE-ID", "Which request (default: the oldest)"))
}

export const approve = Remote.command(
  "approve",
  "Allow what an agent asks to do",
  { ...approval, always: Flag.toggle("always", "Also remember the rule that the agent suggests") },
  ({ always, session, toolUseId }) =>
    Effect.gen(function* () {
      const found = yield* Session.find(session, "waiting", toolUseId)
      const approval = yield* pending(found, toolUseId)
      const request = yield* requestOf(found, approval)
      const rules = always ? Read.array(request["permission_suggestions"]) : []
      if (always && rules.length === 0) {
        return yield* Failure.failed(
          `the agent suggests no rule to remember for ${Visible.line(approval.tool_name)}`,
          "approve it without --always"
        )
      }
      const input = request["input"] ?? approval.input
      const { request_id: requestId, tool_use_id: asked } = approval
      yield* answer(found, approval, Approvals.allow({ requestId, toolUseId: asked, input, rules }))
    })
)

export const deny = Remote.command(
  "deny",
  "Refuse what an agent asks to do",
  {
    ...approval,
    message: Flag.withDefault(Flag.text("message", "TEXT", "What the agent is told"), Approvals.DENIED)
  },
  ({ message, session, toolUseId }) =>
    Effect.gen(function* () {
      const found = yield* Session.find(session, "waiting", toolUseId)
      const approval = yield* pending(found, toolUseId)
      const { request_id: requestId, tool_use_id: asked } = approval
      yield* answer(found, approval, Approvals.deny({ requestId, toolUseId: asked, message }))
    })
)
