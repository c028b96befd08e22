/**
 * JSON-RPC 2.0 over an agent's standard streams, one message a line.
 *
 * The SDK's own connection reads ahead without bound, tears the connection down at an over-long line, answers junk to
 * the agent and reports it nowhere, writes to the console, and settles replies apart from the notifications around
 * them. Here one fiber reads: what a message causes is done before the next line is pulled, so order holds and a slow
 * reader holds the agent up; a line that is no message is reported and passed over. Source: spec 4 §2 and §3.6.
 */
import * as Limits from "@causeway/protocol/Limits"
import * as RawJson from "@causeway/protocol/RawJson"
import * as Read from "@causeway/transcript/Read"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Stream from "effect/Stream"
import { type AgentProcess, ProcessGone } from "../Process/AgentProcess.ts"
import type { Line } from "../Process/LineSplitter.ts"
import * as StreamJson from "../StreamJson.ts"

/** Codes of errors: JSON-RPC's and ACP's own. */
export const codes = {
  invalidParams: -32602,
  methodNotFound: -32601,
  internal: -32603,
  authRequired: -32000,
  notFound: -32002,
  cancelled: -32800
} as const

/** Levels of a message: what is made of it for the log lies a few levels deeper, and must be taken there. */
const DEPTH = Limits.JSON_DEPTH - 16

/** An error of the other side, or one for it. */
export class RpcError extends Data.TaggedError("RpcError")<{
  readonly code: number
  readonly message: string
  readonly data?: unknown
}> {}

export const invalidParams = (message: string): RpcError =>
  new RpcError({ code: codes.invalidParams, message })

export type RequestId = string | number | null
export type Reply = Either.Either<unknown, RpcError | ProcessGone>

/** Each is run by the fiber that reads; what waits for anything else must be forked. */
export interface Handlers {
  readonly onNotification: (method: string, params: unknown) => Effect.Effect<void>
  readonly onRequest: (id: RequestId, method: string, params: unknown) => Effect.Effect<void>
  /** A line that is no message. */
  readonly onBad: (issue: string, excerpt: string) => Effect.Effect<void>
}

export interface Peer {
  /** Sends a request. `onReply` is run by the reading fiber, before anything that the other side wrote afterwards. */
  readonly call: (
    method: string,
    params: unknown,
    onReply: (reply: Reply) => Effect.Effect<void>
  ) => Effect.Effect<void>
  /** Sends a request and waits for its reply. */
  readonly request: (method: string, params: unknown) => Effect.Effect<unknown, RpcError | ProcessGone>
  readonly notify: (method: string, params: unknown) => Effect.Effect<void, ProcessGone>
  readonly respond: (
    id: RequestId,
    outcome: Either.Either<unknown, RpcError>
  ) => Effect.Effect<void, ProcessGone>
  /** Reads until the other side is gone; then every open request is answered with `ProcessGone`. */
  readonly run: (handlers: Handlers) => Effect.Effect<void>
}

type Message =
  | { readonly _tag: "Request"; readonly id: RequestId; readonly method: string; readonly params: unknown }
  | { readonly _tag: "Notification"; readonly method: string; readonly params: unknown }
  | { readonly _tag: "Reply"; readonly id: RequestId; readonly reply: Either.Either<unknown, RpcError> }
  | { readonly _tag: "Bad"; readonly issue: string; readonly excerpt: string }
  | { readonly _tag: "Blank" }

const isId = (value: unknown): value is RequestId =>
  value === null || typeof value === "string" || (typeof value === "number" && Number.isFinite(value))

const errorOf = (value: unknown): RpcError => {
  const { code, message, data } = Read.object(value)
  return new RpcError({
    code: typeof code === "number" ? code : codes.internal,
    message: typeof message === "string" ? message : "the agent failed without saying why",
    ...(data === undefined ? {} : { data })
  })
}

export const read = (line: Line): Message => {
  if (line._tag === "TooLong") return StreamJson.tooLong(line)
  const { text } = line
  if (text.trim() === "") return { _tag: "Blank" }
  const bad = (issue: string) => StreamJson.bad(issue, StreamJson.excerptOf(text))
  if (RawJson.isDeeperThan(text, DEPTH)) return bad(RawJson.tooDeep(DEPTH))
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return bad("not JSON")
  }
  const message = Read.object(json)
  const { id, method, params } = message
  if (message["jsonrpc"] !== "2.0") return bad("not a JSON-RPC 2.0 message")
  if (typeof method === "string") {
    if (!("id" in message)) return { _tag: "Notification", method, params }
    return isId(id) ? { _tag: "Request", id, method, params } : bad("its id is neither text nor number")
  }
  if (!isId(id)) return bad("neither a call nor a reply")
  if ("error" in message) return { _tag: "Reply", id, reply: Either.left(errorOf(message["error"])) }
  return "result" in message
    ? { _tag: "Reply", id, reply: Either.right(message["result"]) }
    : bad("neither a call nor a reply")
}

export const make = (agent: Pick<AgentProcess, "lines" | "write">): Peer => {
  const pending = new Map<RequestId, (reply: Reply) => Effect.Effect<void>>()
  let nextId = 0
  let gone: ProcessGone | undefined

  const write = (message: object) => agent.write(JSON.stringify({ jsonrpc: "2.0", ...message }))

  const call: Peer["call"] = (method, params, onReply) =>
    Effect.suspend(() => {
      if (gone !== undefined) return onReply(Either.left(gone))
      const id = nextId++
      pending.set(id, onReply)
      return Effect.catchAll(write({ id, method, params }), (cause) =>
        // The reading fiber may have answered it already.
        pending.delete(id) ? onReply(Either.left(cause)) : Effect.void
      )
    })

  const dispatch = (message: Message, handlers: Handlers): Effect.Effect<void> => {
    switch (message._tag) {
      case "Blank":
        return Effect.void
      case "Bad":
        return handlers.onBad(message.issue, message.excerpt)
      case "Notification":
        return handlers.onNotification(message.method, message.params)
      case "Request":
        return handlers.onRequest(message.id, message.method, message.params)
      case "Reply": {
        const onReply = pending.get(message.id)
        pending.delete(message.id)
        return onReply === undefined
          ? Effect.logDebug("Reply to no request").pipe(Effect.annotateLogs({ id: message.id }))
          : onReply(message.reply)
      }
    }
  }

  const settle = Effect.suspend(() => {
    const cause = new ProcessGone({ detail: "the agent has ended" })
    gone = cause
    const open = [...pending.values()]
    pending.clear()
    return Effect.forEach(open, (onReply) => onReply(Either.left(cause)), { discard: true })
  })

  return {
    call,
    request: (method, params) =>
      Effect.gen(function* () {
        const reply = yield* Deferred.make<unknown, RpcError | ProcessGone>()
        yield* call(method, params, (each) => Effect.asVoid(Deferred.complete(reply, each)))
        return yield* Deferred.await(reply)
      }),
    notify: (method, params) => write({ method, params }),
    respond: (id, outcome) =>
      write(
        Either.match(outcome, {
          onLeft: ({ code, message, data }) => ({
            id,
            error: { code, message, ...(data === undefined ? {} : { data }) }
          }),
          onRight: (result) => ({ id, result: result ?? {} })
        })
      ),
    run: (handlers) =>
      Effect.zipRight(
        Stream.runForEach(agent.lines, (line) => dispatch(read(line), handlers)),
        settle
      )
  }
}
