/** The log after a position, and how far messages have come. */
import * as Params from "@causeway/protocol/Gateway/Params"
import { anySessionBody, sessionUuid } from "@causeway/protocol/Ids"
import { Log } from "@causeway/store/Log"
import { Sessions } from "@causeway/store/Session"
import * as Effect from "effect/Effect"
import { payloadOf } from "../Messages.ts"
import { answer, method } from "../Method.ts"
import { GatewayRuns } from "../Runs.ts"
import * as SessionCommands from "../SessionCommands.ts"

const REPLAY_LIMIT = 200

const replay = method("causeway.events.replay", Params.EventsReplay, function* (params, { organizationId }) {
  const log = yield* Log
  const record = yield* SessionCommands.existing(organizationId, params.key)
  const [oldest] = yield* log.events(record.sid, { limit: 1 })
  const limit = params.limit ?? REPLAY_LIMIT
  const sessionId = sessionUuid(record.session)
  const reason =
    params.sessionId !== undefined && anySessionBody(params.sessionId) !== record.session
      ? "session-replaced"
      : params.afterSeq > record.lastSeq
        ? "ahead-of-log"
        : oldest !== undefined && params.afterSeq + 1 < oldest.seq
          ? "truncated"
          : undefined
  const after = reason === undefined || reason === "truncated" ? params.afterSeq : 0
  const { events, more } = yield* log.pageOf(record.sid, { after, limit })
  const last = events.at(-1)?.seq ?? after
  return answer({
    key: record.key,
    sessionId,
    verdict: reason === undefined ? "synced" : "gap",
    ...(reason === undefined ? {} : { reason }),
    oldestSeq: oldest?.seq ?? null,
    lastSeq: record.lastSeq,
    // These reach the end of the log as it stood.
    complete: last >= record.lastSeq || !more,
    events: events.map((event) => ({
      seq: event.seq,
      uuid: event.uuid,
      source: event.source,
      createdAt: event.createdAt,
      delivery: event.delivery ?? null,
      author: event.author === undefined ? null : JSON.parse(event.author),
      payload: payloadOf(event)
    }))
  })
})

const deliveries = method(
  "causeway.deliveries.list",
  Params.DeliveriesList,
  function* (params, { organizationId }) {
    const sessions = yield* Sessions
    const log = yield* Log
    const runs = yield* GatewayRuns
    const record = yield* SessionCommands.existing(organizationId, params.key)
    const prompts = yield* log.events(record.sid, { select: "prompts", last: params.limit ?? 20 })
    const wanted = params.runIds
    const shown = yield* wanted === undefined
      ? Effect.succeed(prompts.toReversed())
      : Effect.map(
          Effect.forEach(wanted, (runId) =>
            log.events(record.sid, {
              uuid:
                runs.get(record.session, runId)?.promptUuid ??
                SessionCommands.promptUuid(record.session, runId)
            })
          ),
          (found) => found.flat()
        )
    return answer({
      key: record.key,
      sessionId: sessionUuid(record.session),
      waitingFor: (yield* sessions.waitingFor([record.sid])).get(record.sid) ?? null,
      deliveries: shown.map((event) => ({
        messageId: event.uuid,
        seq: event.seq,
        // Stored here and not yet reported by any worker.
        status: event.delivery ?? "accepted",
        sentAt: event.createdAt,
        deliveredAt: event.deliveredAt ?? null
      }))
    })
  }
)

const withdraw = method(
  "causeway.messages.withdraw",
  Params.MessagesWithdraw,
  function* (params, { organizationId }) {
    const sessions = yield* Sessions
    const log = yield* Log
    const id = yield* sessions.find({ sessions: [anySessionBody(params.key)] })
    const record =
      id?.organizationId === organizationId ? id : yield* SessionCommands.existing(organizationId, params.key)
    const withdrawn = yield* SessionCommands.withdraw(record, params.uuid)
    const [message] = yield* log.events(record.sid, { uuid: params.uuid })
    return answer({
      ok: true,
      key: record.key,
      uuid: params.uuid,
      withdrawn,
      status: message?.delivery ?? "accepted"
    })
  }
)

export const methods = [replay, deliveries, withdraw]
