/** Notifications of the agent: updates of its session, and the history that it tells when it loads one. */
import * as Read from "@causeway/transcript/Read"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberHandle from "effect/FiberHandle"
import { begin } from "./Prompts.ts"
import { type State, terminalNews, translate } from "./State.ts"

/** After this long without an update between turns, text that came late is written. */
export const quietAfter = Duration.millis(300)

/** Updates that tell a state rather than a part of the history. */
const stateUpdates: ReadonlySet<unknown> = new Set([
  "available_commands_update",
  "current_mode_update",
  "config_option_update",
  "usage_update"
])

/** Takes in an update of a history that is known already: its state, and the newest message of a person. */
const collect = (state: State, update: unknown): void => {
  const { sessionUpdate, content } = Read.object(update)
  if (stateUpdates.has(sessionUpdate)) state.early.push(update)
  else if (sessionUpdate === "user_message_chunk") {
    const text = Read.string(Read.object(content)["text"]) ?? ""
    if (state.history?.open === true) state.history.text += text
    else state.history = { text, open: true }
  } else if (state.history !== undefined) state.history.open = false
}

/** `quiet` runs what follows the last update between turns. */
export const onUpdate = (
  state: State,
  quiet: FiberHandle.FiberHandle,
  params: unknown
): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { sessionId, update } = Read.object(params)
    if (state.translation === undefined) {
      if (state.replaying === undefined) state.early.push(update)
      else if (sessionId === state.replaying) collect(state, update)
      return
    }
    if (sessionId !== state.translation.acpSessionId) {
      return yield* Effect.logDebug("Update of another session").pipe(
        Effect.annotateLogs({ module: "Acp", session: state.sessionId })
      )
    }
    const between = state.running === undefined
    if (!stateUpdates.has(Read.object(update)["sessionUpdate"])) yield* begin(state)
    yield* terminalNews(state)
    yield* translate(state, { _tag: "Update", update })
    if (!between) return
    yield* FiberHandle.run(
      quiet,
      Effect.zipRight(Effect.sleep(quietAfter), translate(state, { _tag: "Quiet" }))
    )
  })
