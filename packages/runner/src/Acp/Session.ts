/**
 * A session with an ACP agent while its process lives: one prompt at a time, its updates translated in their order,
 * questions and answers, settings, cancellation. Source: spec 4 §2 and §3.
 */
import type { ContentBlock, PromptCapabilities } from "@agentclientprotocol/sdk"
import type { JsonObject, Payload } from "@causeway/protocol/Payload"
import * as ProtocolPayload from "@causeway/protocol/Payload"
import * as Read from "@causeway/transcript/Read"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FiberHandle from "effect/FiberHandle"
import * as FiberMap from "effect/FiberMap"
import type * as Scope from "effect/Scope"
import type { ProcessGone } from "../Process/AgentProcess.ts"
import { uuid5 } from "../Uuid5.ts"
import * as Elicitation from "./Elicitation.ts"
import * as JsonRpc from "./JsonRpc.ts"
import * as Permission from "./Permission.ts"
import * as Prompt from "./Prompt.ts"
import type { Record } from "./Record.ts"
import type { Service } from "./Services.ts"
import * as Settings from "./Settings.ts"
import type { Terminals } from "./Terminal.ts"
import * as Translate from "./Translate.ts"

/** After this long without an update between turns, text that came late is written. */
export const quietAfter = Duration.millis(300)
/** Requests of the agent that are worked on at once; more are refused. */
const SERVED_MAX = 256

export interface SessionOptions {
  /** The owner's id of the conversation. */
  readonly sessionId: string
  /** Names this start of the agent. */
  readonly run: string
  readonly cwd: string
  readonly mcpServers: ReadonlyArray<string>
  readonly peer: JsonRpc.Peer
  readonly record: Record
  readonly services: ReadonlyMap<string, Service>
  readonly terminals: Terminals
  /** Where lines go; slow when their reader is. */
  readonly emit: (lines: ReadonlyArray<Payload>) => Effect.Effect<void>
}

/** What the agent's replies have told about itself and its session. */
export interface Opened {
  readonly acpSessionId: string
  readonly agent: { readonly name: string; readonly version: string }
  readonly takes: PromptCapabilities
  readonly settings: Settings.Settings
}

export interface Session {
  readonly handlers: Pick<JsonRpc.Handlers, "onNotification" | "onRequest">
  /** From now on until `opened`, updates of this conversation are its history: known already, and not written again. */
  readonly replay: (acpSessionId: string) => void
  /** The agent has opened the session. What it told before is translated now. */
  readonly opened: (opened: Opened) => Effect.Effect<void>
  readonly notice: (text: string, severity: "info" | "warning") => Effect.Effect<void>
  /** Sets the model or the mode; answers why not, in words for a person. Told to who listens unless `told` is false. */
  readonly set: (
    change: (settings: Settings.Settings) => Either.Either<Settings.Change, string>,
    told?: boolean
  ) => Effect.Effect<Either.Either<void, string>, ProcessGone>
  readonly send: (payload: Payload) => Effect.Effect<void, ProcessGone>
  /** The agent is gone and everything it said was handled. */
  readonly gone: Effect.Effect<void>
}

/** A prompt that waits for its turn. */
interface Waiting {
  readonly uuid: string
  readonly words: string
  readonly blocks: ReadonlyArray<ContentBlock>
  readonly omitted: ReadonlyArray<string>
  /** `person`: from the log; `host`: this program's own, which the log gets to see now. */
  readonly from: "person" | "host"
  /** Why it is not given to the agent. */
  readonly refused: string | undefined
}

/** A question of the agent that waits: for permission, or a form. */
interface Asked {
  readonly id: JsonRpc.RequestId
  readonly form: Elicitation.Form | undefined
}

/** What the agent is told of a question that nobody has decided. */
const undecided = ({ form }: Asked): Either.Either<object> =>
  Either.right(form === undefined ? { outcome: Permission.cancelled.outcome } : { action: "cancel" })

/** Updates that tell a state rather than a part of the history. */
const stateUpdates: ReadonlySet<unknown> = new Set([
  "available_commands_update",
  "current_mode_update",
  "config_option_update",
  "usage_update"
])

/** What a failed request is in words for a person. */
export const describe = (cause: JsonRpc.RpcError | ProcessGone): string => {
  if (cause._tag === "ProcessGone") return cause.detail
  const data = Read.object(cause.data)
  const detail = Read.string(cause.data) ?? Read.string(data["details"]) ?? Read.string(data["message"])
  return detail === null || cause.message.includes(detail) ? cause.message : `${cause.message}: ${detail}`
}

export const make = (options: SessionOptions): Effect.Effect<Session, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { peer, record } = options
    const scope = yield* Effect.scope
    const serving = yield* FiberMap.make<string>()
    const quiet = yield* FiberHandle.make()
    const lock = yield* Effect.makeSemaphore(1)

    // --- Translation ---

    let state: Translate.State | undefined
    let takes: PromptCapabilities = {}
    let isGone = false
    /** Updates that came before the session was opened. */
    let early: Array<unknown> = []
    let replaying: string | undefined
    /** The newest message of a person in the history that was replayed; undefined where none was. */
    let history: { text: string; open: boolean } | undefined

    /** The lines of an input, in the order of the inputs. */
    const translate = (input: Translate.Input): Effect.Effect<void> =>
      lock.withPermits(1)(
        Effect.suspend(() => {
          if (state === undefined) return Effect.void
          const next = Translate.step(state, input)
          state = next.state
          return next.lines.length === 0 ? Effect.void : options.emit(next.lines)
        })
      )

    const later = <E>(effect: Effect.Effect<void, E>): Effect.Effect<void> =>
      Effect.asVoid(Effect.forkIn(Effect.ignore(effect), scope))

    // --- Updates ---

    const collect = (update: unknown): void => {
      const { sessionUpdate, content } = Read.object(update)
      if (stateUpdates.has(sessionUpdate)) early.push(update)
      else if (sessionUpdate === "user_message_chunk") {
        const text = Read.string(Read.object(content)["text"]) ?? ""
        if (history?.open === true) history.text += text
        else history = { text, open: true }
      } else if (history !== undefined) history.open = false
    }

    const terminalNews = Effect.suspend(() =>
      Effect.forEach(options.terminals.news(), (news) => translate({ _tag: "TerminalOutput", ...news }), {
        discard: true
      })
    )

    const onUpdate = (params: unknown): Effect.Effect<void> =>
      Effect.suspend(() => {
        const { sessionId, update } = Read.object(params)
        if (state === undefined) {
          if (replaying === undefined) early.push(update)
          else if (sessionId === replaying) collect(update)
          return Effect.void
        }
        if (sessionId !== state.acpSessionId) {
          return Effect.logDebug("Update of another session").pipe(
            Effect.annotateLogs({ module: "Acp", session: options.sessionId })
          )
        }
        const between = running === undefined
        const isSign = !stateUpdates.has(Read.object(update)["sessionUpdate"])
        return (isSign ? begin : Effect.void).pipe(
          Effect.zipRight(terminalNews),
          Effect.zipRight(translate({ _tag: "Update", update })),
          Effect.zipRight(
            between
              ? FiberHandle.run(
                  quiet,
                  Effect.zipRight(Effect.sleep(quietAfter), translate({ _tag: "Quiet" }))
                )
              : Effect.void
          )
        )
      })

    // --- Prompts ---

    const queue: Array<Waiting> = []
    const known = new Set<string>()
    /**
     * The prompt that was given to the agent. The turn is begun, and the prompt acknowledged, at the first sign that the
     * agent has taken it: what was written to an agent that is gone already was not taken.
     */
    let running:
      | { readonly prompt: Waiting; readonly at: number; begun: boolean; cancelled: boolean }
      | undefined

    const begin: Effect.Effect<void> = Effect.suspend(() => {
      if (running === undefined || running.begun) return Effect.void
      running.begun = true
      const { at, prompt } = running
      return Effect.gen(function* () {
        if (prompt.from === "host") yield* translate({ _tag: "Said", text: prompt.words })
        yield* translate({ _tag: "TurnStarted", prompt: prompt.uuid, words: prompt.words, at })
        for (const what of prompt.omitted) {
          yield* translate({ _tag: "Notice", severity: "warning", text: `left out of the prompt: ${what}` })
        }
      })
    })

    const end = (uuid: string, how: Translate.TurnEnd): Effect.Effect<void> =>
      Effect.gen(function* () {
        yield* begin
        yield* terminalNews
        const open = [...asked]
        asked.clear()
        const at = yield* Clock.currentTimeMillis
        yield* translate({ _tag: "TurnEnded", end: how, at, queued: queue.length })
        // Asked and never decided: the agent may still wait for it.
        yield* later(
          Effect.forEach(open, ([, asking]) => peer.respond(asking.id, undecided(asking)), { discard: true })
        )
        // What only ended with its agent was not answered; whoever gives the prompt again is told so.
        if (how._tag === "Gone") return
        yield* record
          .answered(uuid)
          .pipe(
            Effect.catchAll((cause) =>
              Effect.logWarning("Prompt not recorded as answered", cause).pipe(
                Effect.annotateLogs({ module: "Acp" })
              )
            )
          )
      })

    const onPromptReply = (uuid: string) => (reply: JsonRpc.Reply) =>
      Effect.gen(function* () {
        const how = Either.match(reply, {
          onLeft: (cause): Translate.TurnEnd | undefined => {
            if (cause._tag === "RpcError") {
              return cause.code === JsonRpc.codes.cancelled
                ? { _tag: "Stopped", stopReason: "cancelled", reply: {} }
                : { _tag: "Failed", message: describe(cause) }
            }
            // An agent that died before it said a word may not have taken the prompt: its next start will tell.
            if (running?.cancelled === true) {
              const message = "the agent did not follow the interrupt and was ended"
              return { _tag: "Failed", message, reason: "aborted_by_signal" }
            }
            return running?.begun === true
              ? {
                  _tag: "Gone",
                  message:
                    "the agent ended in mid-turn; what it had begun may be done in part, and the prompt is not given to it again"
                }
              : undefined
          },
          onRight: (result): Translate.TurnEnd => {
            const json = Read.object(result)
            return { _tag: "Stopped", stopReason: Read.name(json["stopReason"]) ?? "end_turn", reply: json }
          }
        })
        if (how !== undefined) yield* end(uuid, how)
        running = undefined
        // Not by this fiber, which reads: the agent may be waiting to be read while it is written to.
        yield* later(pump)
      })

    /** Ends a turn that the agent is not given. */
    const refuse = (uuid: string, message: string, reason: string): Effect.Effect<void> =>
      Effect.zipRight(
        end(uuid, { _tag: "Failed", message, reason }),
        Effect.suspend(() => {
          running = undefined
          return pump
        })
      )

    /** Gives the next prompt when none runs. */
    const pump: Effect.Effect<void> = Effect.gen(function* () {
      const at = yield* Clock.currentTimeMillis
      if (running !== undefined || isGone) return
      const next = queue.shift()
      if (next === undefined) return
      running = { prompt: next, at, begun: false, cancelled: false }
      if (next.refused !== undefined) return yield* refuse(next.uuid, next.refused, "swallowed")
      const recorded = yield* Effect.either(record.given(next.uuid))
      if (Either.isLeft(recorded)) return yield* refuse(next.uuid, recorded.left.message, "not_recorded")
      yield* peer.call(
        "session/prompt",
        { sessionId: state?.acpSessionId, prompt: next.blocks },
        onPromptReply(next.uuid)
      )
    })

    /** Why a prompt that an earlier process had must not be given again; undefined where it may. */
    const refusal = (uuid: string, words: string): string | undefined => {
      switch (record.progress(uuid)) {
        case "unknown":
          return undefined
        case "answered":
          return "the agent has answered this prompt already; its answer was lost before it was stored"
        case "given":
          return history !== undefined && !history.text.includes(words.trim())
            ? undefined
            : "the agent ended while it worked on this prompt; it may be done in part, so it is not given again"
      }
    }

    const onPrompt = (payload: Payload): Effect.Effect<void> =>
      Effect.suspend(() => {
        const { uuid } = payload
        if (uuid === undefined || known.has(uuid)) return Effect.void
        known.add(uuid)
        const { blocks, omitted } = Prompt.fromUser(payload.json, takes)
        const words = Prompt.words(blocks)
        queue.push({ uuid, words, blocks, omitted, from: "person", refused: refusal(uuid, words) })
        return pump
      })

    // --- Permissions ---

    /** The agent's questions that wait, by the request's id in the log. */
    const asked = new Map<string, Asked>()
    const requestIdOf = (id: JsonRpc.RequestId): string => `acp_${options.run}_${typeof id}_${id}`

    const onPermissionRequest = (id: JsonRpc.RequestId, params: unknown): Effect.Effect<void> => {
      const { toolCall, options: offered } = Read.object(params)
      const requestId = requestIdOf(id)
      asked.set(requestId, { id, form: undefined })
      return translate({ _tag: "PermissionAsked", requestId, toolCall, options: offered })
    }

    const onElicitation = (id: JsonRpc.RequestId, params: unknown): Effect.Effect<void> => {
      const json = Read.object(params)
      const form = Elicitation.form(json)
      if (form === undefined) {
        return later(peer.respond(id, Either.left(JsonRpc.invalidParams("only forms can be shown"))))
      }
      const requestId = requestIdOf(id)
      asked.set(requestId, { id, form })
      return translate({
        _tag: "QuestionAsked",
        requestId,
        toolCallId: Read.name(json["toolCallId"]),
        title: form.message,
        input: Elicitation.input(form)
      })
    }

    const withdraw = (requestId: string, refusal?: JsonRpc.RpcError) =>
      Effect.suspend(() => {
        const asking = asked.get(requestId)
        if (asking === undefined) return Effect.void
        asked.delete(requestId)
        return Effect.zipRight(
          translate({ _tag: "PermissionWithdrawn", requestId }),
          peer.respond(asking.id, refusal === undefined ? undecided(asking) : Either.left(refusal))
        )
      })

    const onAnswer = (payload: Payload): Effect.Effect<void, ProcessGone> =>
      Effect.gen(function* () {
        const response = Read.object(payload.json["response"])
        const requestId = Read.string(response["request_id"]) ?? ""
        const asking = asked.get(requestId)
        const pending = state?.permissions.get(requestId)
        if (asking === undefined || pending === undefined) return
        const { form, id } = asking
        asked.delete(requestId)
        if (form !== undefined) {
          const given = Elicitation.answer(form, response)
          yield* translate({ _tag: "PermissionAnswered", requestId, allowed: given.action === "accept" })
          if (Read.object(response["response"])["interrupt"] === true) yield* cancel
          return yield* peer.respond(id, Either.right(given))
        }
        const { outcome, allowed, comment, interrupt } = Permission.answer(pending.options, response)
        if (comment !== undefined && !interrupt) {
          const words = `${pending.toolName} was not allowed: ${comment}`
          // First of all that waits: it belongs to the turn that asked.
          queue.unshift({
            uuid: uuid5(requestId, "comment"),
            words,
            blocks: [{ type: "text", text: words }],
            omitted: [],
            from: "host",
            refused: undefined
          })
        }
        yield* translate({ _tag: "PermissionAnswered", requestId, allowed })
        if (interrupt) yield* cancel
        yield* peer.respond(id, Either.right({ outcome }))
      })

    // --- Control ---

    /** Cancels the turn; questions that are open are answered `cancelled`. */
    const cancel: Effect.Effect<void, ProcessGone> = Effect.suspend(() => {
      if (running !== undefined) running.cancelled = true
      return peer
        .notify("session/cancel", { sessionId: state?.acpSessionId })
        .pipe(
          Effect.zipRight(
            Effect.forEach([...asked.keys()], (requestId) => withdraw(requestId), { discard: true })
          )
        )
    })

    const reply = (
      requestId: unknown,
      answer: Either.Either<JsonObject, string>,
      code?: string
    ): Effect.Effect<void> =>
      options.emit([
        ProtocolPayload.make({
          type: "control_response",
          session_id: options.sessionId,
          response: Either.match(answer, {
            onLeft: (error) => ({
              subtype: "error",
              request_id: requestId,
              error,
              ...(code === undefined ? {} : { error_code: code })
            }),
            onRight: (response) => ({ subtype: "success", request_id: requestId, response })
          })
        })
      ])

    const set: Session["set"] = (choose, told = true) =>
      Effect.gen(function* () {
        if (state === undefined) return Either.left("the agent has no session")
        const change = choose(state.settings)
        if (Either.isLeft(change)) return Either.left(change.left)
        const { method, params } = change.right
        const result = yield* Effect.either(
          peer.request(method, { sessionId: state.acpSessionId, ...params })
        )
        if (Either.isLeft(result)) {
          if (result.left._tag === "ProcessGone") return yield* result.left
          return Either.left(describe(result.left))
        }
        const settings =
          "modeId" in params
            ? Settings.withMode(state.settings, params.modeId)
            : Settings.withConfigOptions(state.settings, Read.object(result.right)["configOptions"])
        yield* translate({ _tag: "SettingsChanged", settings, told })
        return Either.right(undefined)
      })

    const onControl = (payload: Payload): Effect.Effect<void, ProcessGone> => {
      const requestId = payload.json["request_id"]
      const request = Read.object(payload.json["request"])
      const change = (choose: Parameters<Session["set"]>[0]): Effect.Effect<void> =>
        later(
          set(choose).pipe(
            Effect.flatMap((done) =>
              reply(
                requestId,
                Either.map(done, () => ({}))
              )
            )
          )
        )
      const asText = (value: unknown): string => (typeof value === "string" ? value : "default")
      switch (request["subtype"]) {
        case "interrupt": {
          const drop = request["cancel_queued"] === true
          const waiting = queue.filter(({ from }) => from === "person").map(({ uuid }) => uuid)
          if (drop) queue.length = 0
          return Effect.zipRight(
            running === undefined ? Effect.void : cancel,
            reply(
              requestId,
              Either.right(drop ? { cancelled: waiting, still_queued: [] } : { still_queued: waiting })
            )
          )
        }
        case "cancel_async_message": {
          const at = queue.findIndex(({ uuid }) => uuid === request["message_uuid"])
          if (at >= 0) queue.splice(at, 1)
          return reply(requestId, Either.right({ cancelled: at >= 0 }))
        }
        case "set_model":
          return change((settings) => Settings.setModel(settings, asText(request["model"])))
        case "set_permission_mode":
          return change((settings) => Settings.setMode(settings, asText(request["mode"])))
        case "set_config_option":
          return change((settings) =>
            Settings.setOption(settings, asText(request["config_id"]), request["value"])
          )
        case "initialize":
          return reply(
            requestId,
            Either.right({
              commands: state?.commands ?? [],
              agents: [],
              modes: state?.settings.modes ?? [],
              config_options: state?.settings.configOptions ?? [],
              output_style: "default"
            })
          )
        default:
          return reply(
            requestId,
            Either.left(`an ACP agent has no ${Read.name(request["subtype"], 64) ?? "such request"}`),
            "unsupported_request"
          )
      }
    }

    // --- Requests of the agent ---

    const key = (id: JsonRpc.RequestId): string => `${typeof id} ${id}`

    const serve = (id: JsonRpc.RequestId, method: string, params: unknown): Effect.Effect<void> => {
      const service = options.services.get(method)
      if (service === undefined) {
        return later(
          peer.respond(
            id,
            Either.left(
              new JsonRpc.RpcError({
                code: JsonRpc.codes.methodNotFound,
                message: `there is no method ${method}`
              })
            )
          )
        )
      }
      return Effect.gen(function* () {
        if ((yield* FiberMap.size(serving)) >= SERVED_MAX) {
          const busy = new JsonRpc.RpcError({
            code: JsonRpc.codes.internal,
            message: `${SERVED_MAX} requests are worked on already`
          })
          return yield* later(peer.respond(id, Either.left(busy)))
        }
        const work = service(params).pipe(
          Effect.either,
          Effect.flatMap((outcome) => peer.respond(id, outcome)),
          Effect.onInterrupt(() =>
            Effect.ignore(
              peer.respond(
                id,
                Either.left(new JsonRpc.RpcError({ code: JsonRpc.codes.cancelled, message: "cancelled" }))
              )
            )
          ),
          Effect.ignore
        )
        yield* FiberMap.run(serving, key(id), work)
      })
    }

    const onCancelRequest = (params: unknown): Effect.Effect<void> => {
      const { requestId: id } = Read.object(params)
      if (typeof id !== "string" && typeof id !== "number") return Effect.void
      const cancelled = new JsonRpc.RpcError({ code: JsonRpc.codes.cancelled, message: "cancelled" })
      return Effect.zipRight(FiberMap.remove(serving, key(id)), later(withdraw(requestIdOf(id), cancelled)))
    }

    return {
      handlers: {
        onNotification: (method, params) =>
          method === "session/update"
            ? onUpdate(params)
            : method === "$/cancel_request"
              ? onCancelRequest(params)
              : Effect.logDebug("Unknown notification").pipe(Effect.annotateLogs({ module: "Acp", method })),
        onRequest: (id, method, params) =>
          Effect.zipRight(
            begin,
            method === "session/request_permission" && state !== undefined
              ? onPermissionRequest(id, params)
              : method === "elicitation/create" && state !== undefined
                ? onElicitation(id, params)
                : serve(id, method, params)
          )
      },
      replay: (acpSessionId) => {
        replaying = acpSessionId
        early = []
      },
      opened: (opened) =>
        Effect.gen(function* () {
          takes = opened.takes
          state = Translate.initial({
            sessionId: options.sessionId,
            acpSessionId: opened.acpSessionId,
            run: options.run,
            cwd: options.cwd,
            agent: opened.agent,
            mcpServers: options.mcpServers,
            settings: opened.settings
          })
          const updates = early
          early = []
          for (const update of updates) yield* translate({ _tag: "Update", update })
        }),
      notice: (text, severity) => translate({ _tag: "Notice", text, severity }),
      set,
      send: (payload) => {
        switch (payload.type) {
          case "user":
            return onPrompt(payload)
          case "control_request":
            return onControl(payload)
          case "control_response":
            return onAnswer(payload)
          default:
            return Effect.void
        }
      },
      gone: Effect.suspend(() => {
        isGone = true
        asked.clear()
        return Effect.flatMap(Clock.currentTimeMillis, (at) =>
          translate({ _tag: "TurnEnded", end: { _tag: "Gone", message: "the agent ended" }, at, queued: 0 })
        )
      })
    }
  })
