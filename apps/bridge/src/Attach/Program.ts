/**
 * The view's engine: what happens goes into one queue, one loop takes it, asks the model what follows, does it and draws.
 * Frames of the stream wait until they have been drawn, so a flood is read as fast as it is shown and no faster.
 */
import { randomUUID } from "node:crypto"
import * as ClientError from "@causeway/client/ClientError"
import * as Sessions from "@causeway/client/Sessions"
import * as Viewer from "@causeway/client/Viewer"
import * as Api from "@causeway/protocol/http/Sessions"
import type { SessionId } from "@causeway/protocol/Ids"
import type { Frame } from "@causeway/transcript/View/Frame"
import * as Window from "@causeway/transcript/View/Window"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberHandle from "effect/FiberHandle"
import * as FiberRef from "effect/FiberRef"
import * as HashSet from "effect/HashSet"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Failure } from "../Failure.ts"
import * as Remote from "../Remote.ts"
import { sending } from "../Sending.ts"
import * as Session from "../Session.ts"
import { ofViewer } from "./Frames.ts"
import * as Model from "./Model.ts"
import * as Screen from "./Screen.ts"
import * as Terminal from "./Terminal.ts"
import * as Update from "./Update.ts"

/** How the view ended. */
export interface Ended {
  readonly sessionId: SessionId | null
  /** Whether the hub has confirmed all that the person said. */
  readonly confirmed: boolean
  /** What ended the watching, where something did before the person left. */
  readonly failure: Failure | null
}

/** Time between two drawings: about sixty a second. */
const FRAME = "16 millis"
/** How often the hub is asked what no event tells: whether the agent's side is there. */
const ASK = "10 seconds"
/** Sessions asked for at once; the picker shows all that are open. */
const LISTED = 200

/** How long leaving waits for the hub to take what a person has said. */
const LEAVE_MILLIS = 3000

/** A stop that comes late would stop something else: it is tried for five seconds. */
const stopping = sending.pipe(Schedule.upTo("5 seconds"))

interface Envelope {
  readonly message: Model.Message
  /** Completed when it has been drawn. */
  readonly drawn?: Deferred.Deferred<void>
}

const decodeSession = Schema.decodeUnknownOption(Api.Session)

export const run = (
  view: Parameters<typeof Terminal.open>[0],
  options: { readonly colour: boolean; readonly session: Option.Option<Api.Session> }
): Effect.Effect<Ended, Failure, Sessions.Sessions | Viewer.Viewer> =>
  Effect.gen(function* () {
    const sessions = yield* Sessions.Sessions
    const viewer = yield* Viewer.Viewer
    const inbox = yield* Queue.unbounded<Envelope>()
    const defect = yield* Deferred.make<never>()
    let failure: Failure | null = null

    const tell = (message: Model.Message) => Effect.asVoid(Queue.offer(inbox, { message }))
    const tellNow = (message: Model.Message): void => void Queue.unsafeOffer(inbox, { message })

    // --- Work that goes on beside the loop ---

    const list = Session.list({ limit: LISTED }).pipe(
      Stream.runCollect,
      Effect.provideService(Sessions.Sessions, sessions),
      Effect.matchEffect({
        onFailure: (error) => tell({ _tag: "NotListed", error: error.message }),
        onSuccess: (found) => tell({ _tag: "Listed", sessions: Chunk.toReadonlyArray(found) })
      })
    )

    /** Events with numbers above `after`, up to `upTo`, which the log has. */
    const page = (id: SessionId, after: number, upTo: number) =>
      upTo <= after
        ? Effect.succeed<ReadonlyArray<Frame>>([])
        : viewer.watch(id, after).pipe(
            Stream.mapConcat(ofViewer),
            Stream.takeUntil((frame) => frame._tag === "Event" && frame.event.seq >= upTo),
            Stream.runCollect,
            Effect.map(Chunk.toReadonlyArray),
            Effect.timeoutFail({
              duration: "20 seconds",
              onTimeout: () =>
                new ClientError.HubUnreachable({
                  operation: "Viewer.watch",
                  reason: "Timeout",
                  detail: "the page did not come within 20 seconds"
                })
            }),
            Effect.mapError(Remote.failure)
          )

    /** Requests that are open and stand before the window: read whole, so that they can be answered. */
    const asked = (session: Api.Session, after: number) =>
      Effect.forEach(
        (session.pending_approvals ?? []).flatMap(({ sequence_num: seq }) =>
          seq !== undefined && seq <= after ? [seq] : []
        ),
        // With what was told of its file right before it.
        (seq) => page(session.id, Math.max(0, seq - 4), seq),
        { concurrency: 4 }
      ).pipe(
        Effect.matchEffect({
          onFailure: (error) => tell({ _tag: "NotPaged", reason: error.message }),
          onSuccess: (pages) => tell({ _tag: "Asked", frames: pages.flat() })
        })
      )

    const watch = (session: Api.Session, after: number) =>
      viewer
        .watch(session.id, after, {
          onConnection: (connection) =>
            tell(
              connection._tag === "Connected"
                ? connection
                : {
                    _tag: "Disconnected",
                    error: connection.error,
                    delayMillis: connection.delayMillis
                  }
            )
        })
        .pipe(
          Stream.runForEachChunk((chunk) =>
            Effect.gen(function* () {
              const drawn = yield* Deferred.make<void>()
              const frames = Chunk.toReadonlyArray(chunk)
              yield* Queue.offer(inbox, { message: { _tag: "Received", frames }, drawn })
              yield* Deferred.await(drawn)
            })
          ),
          Effect.mapError(Remote.failure),
          Effect.catchAll((error) => {
            failure = error
            return tell({ _tag: "Ended", error: error.message })
          })
        )

    const ask = (id: SessionId) =>
      sessions.get(id).pipe(
        Effect.map((found) => decodeSession(found.raw)),
        Effect.flatMap(
          Option.match({ onNone: () => Effect.void, onSome: (session) => tell({ _tag: "Told", session }) })
        ),
        // The stream tells of every loss; here the next attempt is soon.
        Effect.catchAll((error) =>
          Effect.logDebug("the session could not be asked for").pipe(
            Effect.annotateLogs({ error: error._tag })
          )
        ),
        Effect.delay(ASK),
        Effect.forever
      )

    // --- The person's side ---

    const outbox = yield* Queue.unbounded<{
      readonly id: SessionId
      readonly uuid: string
      readonly text: string
    }>()

    /** Sends one message under its uuid until the hub has answered, or for so long that a person should decide. */
    const send = ({
      id,
      uuid,
      text
    }: {
      readonly id: SessionId
      readonly uuid: string
      readonly text: string
    }) =>
      sessions
        .sendEvents(id, [
          {
            type: "user",
            uuid,
            session_id: "",
            parent_tool_use_id: null,
            message: { role: "user", content: text }
          }
        ])
        .pipe(
          Effect.retry({ schedule: sending, while: ClientError.isTransient }),
          Effect.matchEffect({
            onFailure: (error) =>
              tell({
                _tag: "NotSent",
                uuid,
                // An answer that makes no sense may follow a message that was stored.
                refused: !ClientError.isTransient(error) && error._tag !== "InvalidResponse",
                reason: error.message
              }),
            onSuccess: (sent) => tell({ _tag: "Accepted", uuid, waitingFor: sent.waiting_for ?? null })
          })
        )

    const answer = (
      id: SessionId,
      { requestId, payload }: Extract<Model.Command, { readonly _tag: "Answer" }>
    ) =>
      sessions.sendEvents(id, [payload]).pipe(
        Effect.retry({ schedule: sending, while: ClientError.isTransient }),
        Effect.matchEffect({
          onFailure: (error) =>
            tell({
              _tag: "NotAnswered",
              requestId,
              conflict: error._tag === "SessionConflict",
              reason: error.message
            }),
          onSuccess: () => tell({ _tag: "Answered", requestId })
        })
      )

    const interrupt = (id: SessionId, uuid: string) =>
      sessions
        .sendEvents(id, [
          { type: "control_request", uuid, request_id: uuid, request: { subtype: "interrupt" } }
        ])
        .pipe(
          Effect.retry({ schedule: stopping, while: ClientError.isTransient }),
          Effect.matchEffect({
            onFailure: (error) => tell({ _tag: "NotStopped", reason: error.message }),
            onSuccess: () => tell({ _tag: "Stopping" })
          })
        )

    // --- The terminal, the loop ---

    const terminal = yield* Terminal.open(view, options, {
      onKeys: (keys) => {
        for (const key of keys) tellNow({ _tag: "Pressed", key, uuid: randomUUID() })
      },
      onResize: (size) => tellNow({ _tag: "Resized", ...size }),
      onEnd: () => {
        for (let n = 0; n < 2; n++) {
          tellNow({ _tag: "Pressed", key: { _tag: "Named", name: "ctrl-c" }, uuid: randomUUID() })
        }
      },
      onDefect: (error) => Deferred.unsafeDone(defect, Exit.die(error))
    })

    const watching = yield* FiberHandle.make()
    const openSession = (session: Api.Session) => {
      const after = Math.max(0, (session.last_sequence_num ?? 0) - Window.PAGE)
      return tell({ _tag: "Opened", session, after }).pipe(
        Effect.zipRight(
          FiberHandle.run(
            watching,
            Effect.all([watch(session, after), asked(session, after), ask(session.id)], {
              concurrency: "unbounded",
              discard: true
            })
          )
        )
      )
    }

    /** What a person has said and the hub has not answered. */
    let underway = 0
    const counted = <A>(effect: Effect.Effect<A>) =>
      Effect.ensuring(
        effect,
        Effect.sync(() => {
          underway -= 1
          // Who is leaving waits for this.
          tellNow({ _tag: "Tick" })
        })
      )

    const perform = (model: Model.Model, command: Model.Command) => {
      if (command._tag === "Open") return openSession(command.session)
      if (command._tag === "List") return Effect.forkScoped(list)
      if (command._tag === "Redraw") return terminal.redraw(Screen.rows(model))
      if (model.sessionId === null) return Effect.void
      const id = model.sessionId
      // Here and not where it is done: the person may be leaving in the same moment.
      if (command._tag !== "Page") underway += 1
      switch (command._tag) {
        case "Send":
          return Queue.offer(outbox, { id, uuid: command.uuid, text: command.text })
        case "Answer":
          return Effect.forkScoped(counted(answer(id, command)))
        case "Interrupt":
          return Effect.forkScoped(counted(interrupt(id, command.uuid)))
        case "Page":
          return Effect.forkScoped(
            page(id, command.after, command.upTo).pipe(
              Effect.matchEffect({
                onFailure: (error) => tell({ _tag: "NotPaged", reason: error.message }),
                onSuccess: (frames) =>
                  tell({ _tag: "Paged", kind: command.kind, after: command.after, frames })
              })
            )
          )
      }
    }

    yield* Effect.forkScoped(
      Effect.forever(Effect.flatMap(Queue.take(outbox), (message) => counted(send(message))))
    )
    yield* Effect.forkScoped(Effect.repeat(tell({ _tag: "Tick" }), Schedule.spaced("1 second")))
    yield* Option.match(options.session, { onNone: () => Effect.forkScoped(list), onSome: openSession })

    const loop = Effect.gen(function* () {
      let model = Model.initial({
        ...terminal.size(),
        now: yield* Clock.currentTimeMillis,
        picking: Option.isNone(options.session)
      })
      let leftAt: number | undefined
      yield* terminal.draw(Screen.rows(model))
      const frame = Effect.gen(function* () {
        const envelopes = yield* Queue.takeBetween(inbox, 1, 256)
        const now = yield* Clock.currentTimeMillis
        const { size } = model
        const drawn: Array<Deferred.Deferred<void>> = []
        for (const envelope of envelopes) {
          const [next, commands] = Update.update(model, envelope.message, now)
          model = next
          if (envelope.drawn !== undefined) drawn.push(envelope.drawn)
          for (const command of commands) yield* perform(model, command)
        }
        if (model.detached) {
          leftAt ??= now
          // What was said just before leaving is not taken back by it.
          if (underway === 0 || now - leftAt >= LEAVE_MILLIS) return true
        }
        yield* model.size === size ? terminal.draw(Screen.rows(model)) : terminal.redraw(Screen.rows(model))
        yield* Effect.forEach(drawn, (each) => Deferred.succeed(each, undefined), { discard: true })
        yield* Effect.sleep(FRAME)
        return false
      })
      yield* Effect.repeat(frame, { until: (isLast) => isLast })
      return model
    })

    const model = yield* Effect.raceFirst(loop, Deferred.await(defect))
    return {
      sessionId: model.sessionId,
      confirmed: underway === 0 && Model.unconfirmed(model).length === 0,
      failure
    }
  }).pipe(
    Effect.scoped,
    // Lines of a log would be written across the screen; what matters of them is on it.
    Effect.locally(FiberRef.currentLoggers, HashSet.empty())
  )
