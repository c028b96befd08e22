/** What people send to an agent that runs, against the machine's ceiling: control requests, and answers with rules. */
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import type { JsonObject, Payload } from "@causeway/protocol/Payload"
import * as Approvals from "@causeway/transcript/Approvals"
import { array, object } from "@causeway/transcript/Read"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ceiling from "../Ceiling.ts"
import type { Author } from "./Author.ts"
import * as Launch from "./Launch.ts"
import * as Settings from "./Settings.ts"

type Why = ReadonlyArray<Ceiling.NotAllowed>

/**
 * Control requests that allow an agent nothing. One that is not named here may be new: it is refused, as by an agent that
 * does not know it.
 */
const HARMLESS: ReadonlySet<string> = new Set([
  "background_tasks",
  "cancel_async_message",
  "file_suggestions",
  "get_context_usage",
  "get_session_cost",
  "interrupt",
  "list_models",
  "mcp_reconnect",
  "mcp_status",
  "rename_session",
  "set_has_subscribers",
  "set_max_thinking_tokens",
  "set_model",
  "stop_task"
])

const request = (ceiling: Ceiling.Ceiling, asked: JsonObject): Why => {
  const subtype = String(asked["subtype"])
  if (HARMLESS.has(subtype)) return []
  switch (subtype) {
    case "set_permission_mode": {
      const mode = asked["mode"]
      if (mode === undefined || mode === null) return []
      return typeof mode === "string"
        ? [Ceiling.modeRefused(ceiling, mode) ?? []].flat()
        : [Ceiling.byFile("a permission mode that is no name")]
    }
    case "apply_flag_settings":
      return Settings.flags(ceiling, object(asked["settings"]))
    case "set_config_option":
      return Settings.judge(ceiling, AgentSettings.asked(asked)).why
    case "mcp_set_servers":
      return Launch.mcpServers(ceiling, object(asked["servers"]))
    case "initialize":
      // Its members bring hooks, servers and agents.
      if (Object.keys(asked).every((member) => member === "subtype")) return []
  }
  return Ceiling.skips(ceiling) ? [] : [Ceiling.byFlag(`the request ${Ceiling.word(subtype)}`)]
}

/** Why a change of the agent's rules may not come with an answer. An approver's rules are theirs to make. */
const update = (ceiling: Ceiling.Ceiling, cwd: string, given: JsonObject): Effect.Effect<Why> => {
  const type = String(given["type"])
  if (given["destination"] === "userSettings" && !Ceiling.skips(ceiling)) {
    return Effect.succeed([Ceiling.byFlag("a rule for all that this user does")])
  }
  switch (type) {
    case "setMode":
      return Effect.succeed(
        request(ceiling, { subtype: "set_permission_mode", mode: given["mode"] ?? false })
      )
    case "addDirectories":
      return Effect.map(
        Effect.forEach(array(given["directories"]), (path) => Launch.directory(ceiling, cwd, String(path))),
        (all) => all.flat()
      )
    case "removeDirectories":
      return Effect.succeed([])
    case "addRules":
    case "replaceRules":
    case "removeRules": {
      // To replace or take away what denies or asks is to allow.
      const loosens = type !== "addRules" && given["behavior"] !== "allow"
      const allows = type !== "removeRules" && given["behavior"] === "allow"
      return Effect.succeed([
        ...(loosens ? [Ceiling.byFile("taking away a rule that denies or asks")] : []),
        ...(allows
          ? array(given["rules"])
              .map((rule) => String(object(rule)["toolName"] ?? ""))
              .filter((tool) => Launch.toolAsked(ceiling, tool))
              .map((tool) => Ceiling.byFile(`a rule that allows ${Ceiling.word(tool)} without a question`))
          : [])
      ])
    }
    default:
      return Effect.succeed([Ceiling.byFile(`the change of rules ${Ceiling.word(type)}`)])
  }
}

const answer = (
  ceiling: Ceiling.Ceiling,
  cwd: string,
  author: Option.Option<Author>,
  payload: Payload
): Effect.Effect<Why> =>
  Effect.gen(function* () {
    const given = Approvals.answerOf(payload.json)
    if (given === null || given.outcome === "denied") return []
    const { approvers } = ceiling
    const mayAnswer =
      approvers === undefined ||
      Option.exists(
        author,
        ({ deviceId, role }) =>
          (deviceId !== undefined && approvers.devices.includes(deviceId)) ||
          (role !== undefined && approvers.roles.includes(role))
      )
    const who = Option.match(author, {
      onNone: () => "an answer whose author the hub does not name",
      onSome: ({ deviceId, role }) => `an answer of ${Ceiling.word(deviceId ?? role ?? "nobody")}`
    })
    const updates = yield* Effect.forEach(array(given.body["updatedPermissions"]), (each) =>
      update(ceiling, cwd, object(each))
    )
    return [...(mayAnswer ? [] : [Ceiling.byFile(who)]), ...updates.flat()]
  })

/** Why an agent that works in `cwd` is not given what somebody sent. Messages are never refused. */
export const refused = (
  ceiling: Ceiling.Ceiling,
  cwd: string,
  author: Option.Option<Author>,
  payload: Payload
): Effect.Effect<Why> => {
  switch (payload.type) {
    case "user":
    case "control_cancel_request":
      return Effect.succeed([])
    case "control_request":
      return Effect.succeed(request(ceiling, object(payload.json["request"])))
    case "control_response":
      return answer(ceiling, cwd, author, payload)
    default:
      return Effect.succeed([Ceiling.byFile(`a line of the type ${Ceiling.word(payload.type)}`)])
  }
}
