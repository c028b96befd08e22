/** Control requests of people, and changes of settings. */
import type { JsonObject, Payload } from "@causeway/protocol/Payload"
import * as ProtocolPayload from "@causeway/protocol/Payload"
import * as Read from "@causeway/transcript/Read"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { ProcessGone } from "../../Process/AgentProcess.ts"
import * as Settings from "../Settings.ts"
import { cancel } from "./Questions.ts"
import { describe, later, type State, translate } from "./State.ts"

/** Makes a change of settings; answers why not, in words for a person. Told to who listens unless `told` is false. */
export const set = (
  state: State,
  choose: Settings.Choose,
  told = true
): Effect.Effect<Either.Either<void, string>, ProcessGone> =>
  Effect.gen(function* () {
    const { peer, translation } = state
    if (translation === undefined) return Either.left("the agent has no session")
    const change = choose(translation.settings)
    if (Either.isLeft(change)) return Either.left(change.left)
    const refused = state.refuses(
      Settings.movesTo(translation.settings, change.right),
      Settings.isOfMode(translation.settings, change.right)
    )
    if (refused !== undefined) return Either.left(refused)
    const { method, params } = change.right
    const result = yield* Effect.either(
      peer.request(method, { sessionId: translation.acpSessionId, ...params })
    )
    if (Either.isLeft(result)) {
      if (result.left._tag === "ProcessGone") return yield* result.left
      return Either.left(describe(result.left))
    }
    const { settings: now } = state.translation ?? translation
    const settings =
      "modeId" in params
        ? Settings.withMode(now, params.modeId)
        : Settings.withConfigOptions(now, Read.object(result.right)["configOptions"])
    yield* translate(state, { _tag: "SettingsChanged", settings, told })
    return Either.right(undefined)
  })

const respond = (state: State, response: JsonObject): Effect.Effect<void> =>
  state.emit([ProtocolPayload.make({ type: "control_response", session_id: state.sessionId, response })])

const interrupt = (state: State, dropsQueued: boolean): Effect.Effect<JsonObject, ProcessGone> =>
  Effect.gen(function* () {
    const waiting = state.queue.filter(({ from }) => from === "person").map(({ uuid }) => uuid)
    if (dropsQueued) state.queue.length = 0
    if (state.running !== undefined) yield* cancel(state)
    return dropsQueued ? { cancelled: waiting, still_queued: [] } : { still_queued: waiting }
  })

/** Takes a prompt that waits out of the queue. */
const dequeue = ({ queue }: State, uuid: unknown): JsonObject => {
  const at = queue.findIndex((each) => each.uuid === uuid)
  if (at >= 0) queue.splice(at, 1)
  return { cancelled: at >= 0 }
}

const asText = (value: unknown): string => (typeof value === "string" ? value : "default")

const choiceOf = (request: JsonObject): Settings.Choose | undefined => {
  switch (request["subtype"]) {
    case "set_model":
      return (settings) => Settings.setModel(settings, asText(request["model"]))
    case "set_permission_mode":
      return (settings) => Settings.setMode(settings, asText(request["mode"]))
    case "set_config_option":
      return (settings) => Settings.setOption(settings, asText(request["config_id"]), request["value"])
    default:
      return undefined
  }
}

const abilities = ({ translation }: State): JsonObject => ({
  commands: translation?.commands ?? [],
  agents: [],
  modes: translation?.settings.modes ?? [],
  config_options: translation?.settings.configOptions ?? [],
  output_style: "default"
})

export const onControl = (state: State, payload: Payload): Effect.Effect<void, ProcessGone> => {
  const requestId = payload.json["request_id"]
  const request = Read.object(payload.json["request"])
  const answer = (response: JsonObject) =>
    respond(state, { subtype: "success", request_id: requestId, response })
  const refuse = (error: string, more: JsonObject = {}) =>
    respond(state, { subtype: "error", request_id: requestId, error, ...more })
  const choose = choiceOf(request)
  if (choose !== undefined) {
    const change = Effect.flatMap(
      set(state, choose),
      Either.match({ onLeft: (why) => refuse(why), onRight: () => answer({}) })
    )
    return later(state, change)
  }
  switch (request["subtype"]) {
    case "interrupt":
      return Effect.flatMap(interrupt(state, request["cancel_queued"] === true), answer)
    case "cancel_async_message":
      return answer(dequeue(state, request["message_uuid"]))
    case "initialize":
      return answer(abilities(state))
    default:
      return refuse(`an ACP agent has no ${Read.name(request["subtype"], 64) ?? "such request"}`, {
        error_code: "unsupported_request"
      })
  }
}
