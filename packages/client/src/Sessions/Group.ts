/** Sessions that are archived with a scope. */
import type { SessionId } from "@causeway/protocol/Ids"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Diagnostics from "../Diagnostics.ts"
import * as Request from "../internal/Request.ts"
import * as Calls from "./Calls.ts"
import type { ArchiveError, ArchiveOptions, Group, GroupOptions, NotArchived } from "./Model.ts"

/**
 * The archive of a finalizer: its bound covers everything, and an interruption of the caller does not reach it.
 * It runs in a fiber of its own (the timeout's), so it may be interruptible there.
 */
const archiveBounded = (
  caller: Request.Caller,
  id: SessionId,
  options: ArchiveOptions
): Effect.Effect<void, ArchiveError> => {
  const timeout = options.timeout ?? "10 seconds"
  return Effect.interruptible(Calls.archive(caller)(id, options)).pipe(
    Effect.timeoutFail({ duration: timeout, onTimeout: Request.tooSlow("Sessions.archive", timeout) }),
    Effect.uninterruptible
  )
}

export const archiveAll = (caller: Request.Caller) =>
  Effect.fn("Sessions.archiveAll")(function* (ids: ReadonlyArray<SessionId>, options: ArchiveOptions = {}) {
    const results = yield* Effect.forEach(
      ids,
      (sessionId) => Effect.either(archiveBounded(caller, sessionId, options)),
      { concurrency: "unbounded" }
    )
    return results.flatMap((result, at): ReadonlyArray<NotArchived> => {
      const sessionId = ids[at]
      return sessionId !== undefined && Either.isLeft(result) ? [{ sessionId, error: result.left }] : []
    })
  }, Effect.uninterruptible)

/** Archives what a scope leaves behind and logs what did not archive. */
const archiveOnClose = (caller: Request.Caller, ids: ReadonlyArray<SessionId>, options: ArchiveOptions) =>
  Effect.tap(archiveAll(caller)(ids, options), (left) =>
    Effect.forEach(
      left,
      ({ error, sessionId }) =>
        Diagnostics.record("session_archive_fail", { session_id: sessionId, error: error._tag }),
      { discard: true }
    )
  )

export const group = (caller: Request.Caller) =>
  Effect.fnUntraced(function* (options: GroupOptions = {}) {
    const alive = new Set<SessionId>()
    yield* Effect.addFinalizer(() =>
      Effect.flatMap(
        Effect.suspend(() => archiveOnClose(caller, [...alive], options)),
        (left) => (left.length === 0 ? Effect.void : (options.onNotArchived?.(left) ?? Effect.void))
      )
    )
    const create = Calls.create(caller)
    const archive = Calls.archive(caller)
    const group: Group = {
      // In the set before anything can interrupt: what was created is archived.
      create: (options) => Effect.tap(create(options), (id) => Effect.sync(() => alive.add(id))),
      adopt: (id) => Effect.sync(() => void alive.add(id)),
      release: (id) => Effect.sync(() => void alive.delete(id)),
      archive: (id, archiving) =>
        Effect.zipRight(
          archive(id, archiving),
          Effect.sync(() => void alive.delete(id))
        )
    }
    return group
  })
