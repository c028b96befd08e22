/** `interrupt`, `approve`, `deny`: steer a session from the terminal. */
import { randomUUID } from "node:crypto"
import * as ClientError from "@causeway/client/ClientError"
import * as Sessions from "@causeway/client/Sessions"
import * as Viewer from "@causeway/client/Viewer"
import type * as Api from "@causeway/protocol/http/Sessions"
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Visible from "@causeway/protocol/Visible"
import * as Approvals from "@causeway/transcript/Approvals"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Argument from "../Cli/Argument.ts"
import * as Command from "../Cli/Command.ts"
import * as Flag from "../Cli/Flag.ts"
import { ExitCode, Failure } from "../Failure.ts"
import * as Flags from "../Flags.ts"
import { Output } from "../Output.ts"
import * as Remote from "../Remote.ts"
import { sending } from "../Sending.ts"
import * as Session from "../Session.ts"

const post = (session: Api.Session, payload: JsonObject & { readonly uuid: string }) =>
  Effect.gen(function* () {
    const sessions = yield* Sessions.Sessions
    const sent = yield* sessions
      .sendEvents(session.id, [payload])
      .pipe(
        Effect.retry({ schedule: sending, while: ClientError.isTransient }),
        Effect.mapError(Remote.failure)
      )
    return sent.events[0]?.sequence_num
  })

export const interrupt = Command.make(
  "interrupt",
  "Stop the running turn of a session",
  { ...Flags.remote, session: Session.argument },
  ({ session, ...flags }) =>
    Effect.gen(function* () {
      const output = yield* Output
      const found = yield* Session.find(session, { _tag: "running" })
      const uuid = randomUUID()
      const sequenceNum = yield* post(found, {
        type: "control_request",
        uuid,
        request_id: uuid,
        request: { subtype: "interrupt" }
      })
      yield* output.value({ event: "interrupt_sent", session_id: found.id, uuid, sequence_num: sequenceNum })
      yield* output.line(`asked ${found.id} to stop`)
    }).pipe(Remote.withHub(flags))
)

/** The open approval that is meant: the named one, or the oldest. */
const pending = (found: Api.Session, toolUseId: Option.Option<string>) => {
  const open = found.pending_approvals ?? []
  const meant = Option.match(toolUseId, {
    onNone: () => open[0],
    onSome: (id) => open.find((approval) => approval.tool_use_id === id)
  })
  if (meant !== undefined) return Effect.succeed(meant)
  return new Failure({
    message: Option.match(toolUseId, {
      onNone: () => `session ${found.id} waits for no approval`,
      onSome: (id) => `session ${found.id} does not wait for an approval of ${id}`
    }),
    ...(open.length > 0
      ? { next: `open: ${open.map((a) => `${a.tool_use_id} (${a.tool_name})`).join(", ")}` }
      : {}),
    exitCode: ExitCode.notFound
  })
}

/** The request as it stands in the log: the row may show a shortened input. */
const requestOf = (found: Api.Session, approval: Api.PendingApproval) =>
  Effect.gen(function* () {
    const viewer = yield* Viewer.Viewer
    const event = yield* viewer.watch(found.id, (approval.sequence_num ?? 1) - 1).pipe(
      Stream.filterMap((frame) =>
        frame._tag === "Event" && frame.event.payload["request_id"] === approval.request_id
          ? Option.some(frame.event.payload["request"])
          : Option.none()
      ),
      Stream.runHead,
      Effect.mapError(Remote.failure)
    )
    const request = Option.getOrUndefined(event)
    return typeof request === "object" && request !== null ? (request as JsonObject) : {}
  })

const answer = (found: Api.Session, approval: Api.PendingApproval, response: JsonObject) =>
  Effect.gen(function* () {
    const output = yield* Output
    const uuid = randomUUID()
    const sequenceNum = yield* post(found, {
      type: "control_response",
      uuid,
      response: {
        subtype: "success",
        request_id: approval.request_id,
        response: { ...response, toolUseID: approval.tool_use_id }
      }
    })
    const behavior = String(response["behavior"])
    yield* output.value({
      event: "answered",
      session_id: found.id,
      tool_use_id: approval.tool_use_id,
      tool_name: approval.tool_name,
      behavior,
      uuid,
      sequence_num: sequenceNum
    })
    yield* output.line(
      `${behavior === "allow" ? "allowed" : "denied"} ${Visible.line(approval.tool_name)} (${Visible.line(approval.tool_use_id)})${changeOf(approval)}`,
      behavior === "allow" ? "good" : "warn"
    )
  })

/** What it does to a file: "/a/b.ts: +1 -3", "/a/new.ts: a new file, +3". */
export const changeOf = ({ change }: Api.PendingApproval): string => {
  if (change === undefined) return ""
  const path = Visible.line(change.path)
  return change.added === null
    ? `: ${path}, of which nothing can be shown (${change.state.replaceAll("_", " ")})`
    : change.state === "missing"
      ? `: ${path}, a new file, +${change.added}`
      : `: ${path}, +${change.added} -${change.removed ?? 0}`
}

const toolUseId = Argument.optional(
  Argument.text("TOOL-USE-ID", "Which one; default: the oldest that is open")
)

export const approve = Command.make(
  "approve",
  "Allow what an agent asks to do",
  {
    ...Flags.remote,
    always: Flag.toggle("always", "Also allow the like from now on, as it suggests"),
    session: Session.argument,
    toolUseId
  },
  ({ always, session, toolUseId, ...flags }) =>
    Effect.gen(function* () {
      const found = yield* Session.find(session, { _tag: "waiting", toolUseId })
      const approval = yield* pending(found, toolUseId)
      const request = yield* requestOf(found, approval)
      const suggestions = request["permission_suggestions"]
      if (always && !(Array.isArray(suggestions) && suggestions.length > 0)) {
        return yield* new Failure({
          message: `the agent suggests no rule for ${Visible.line(approval.tool_name)}`,
          next: "approve it without --always"
        })
      }
      yield* answer(found, approval, {
        behavior: "allow",
        updatedInput: request["input"] ?? approval.input,
        ...(always ? { updatedPermissions: suggestions } : {})
      })
    }).pipe(Remote.withHub(flags))
)

export const deny = Command.make(
  "deny",
  "Refuse what an agent asks to do",
  {
    ...Flags.remote,
    message: Flag.withDefault(
      Flag.text("message", { value: "TEXT", description: "What the agent is told" }),
      Approvals.DENIED
    ),
    session: Session.argument,
    toolUseId
  },
  ({ message, session, toolUseId, ...flags }) =>
    Effect.gen(function* () {
      const found = yield* Session.find(session, { _tag: "waiting", toolUseId })
      const approval = yield* pending(found, toolUseId)
      yield* answer(found, approval, { behavior: "deny", message })
    }).pipe(Remote.withHub(flags))
)
