/** A writer's knowledge of each session's log: its head, what is in doubt, and the line of those who wait to append. */
import { type EventUuid, type SessionId, sessionBody } from "@causeway/protocol/Ids"
import * as Fifo from "./Fifo.ts"

/** One session's log. */
export interface Log {
  head: EventUuid | undefined
  /** Counts what was learnt about the head, so that an older reading does not replace a newer one. */
  version: number
  /** Entries that were sent and whose end was never learnt: they may be stored. */
  readonly doubtful: Set<EventUuid>
  /** Forget it when the line is empty. */
  cleared: boolean
  readonly line: Fifo.Fifo
}

/** The logs, by session; those that nobody uses are bounded in number, the least recently used go first. */
export const make = (idleHeads: number) => {
  // In order of last use.
  const logs = new Map<string, Log>()

  const evict = () => {
    if (logs.size <= idleHeads) return
    for (const [key, log] of logs) {
      if (logs.size <= idleHeads) return
      if (log.line.isIdle()) logs.delete(key)
    }
  }

  const of = (sessionId: SessionId): Log => {
    const key = sessionBody(sessionId)
    const known = logs.get(key)
    if (known !== undefined) {
      logs.delete(key)
      logs.set(key, known)
      return known
    }
    const log: Log = {
      head: undefined,
      version: 0,
      doubtful: new Set(),
      cleared: false,
      line: Fifo.make(() => {
        if (log.cleared && logs.get(key) === log) logs.delete(key)
        evict()
      })
    }
    logs.set(key, log)
    evict()
    return log
  }

  const clearLog = (key: string, log: Log) => {
    learn(log, undefined)
    log.doubtful.clear()
    if (log.line.isIdle()) logs.delete(key)
    // One request in flight a session: who comes meanwhile joins the line that there is.
    else log.cleared = true
  }

  return {
    of,
    size: () => logs.size,
    clear: (sessionId: SessionId) => {
      const key = sessionBody(sessionId)
      const log = logs.get(key)
      if (log !== undefined) clearLog(key, log)
    },
    clearAll: () => {
      for (const [key, log] of [...logs]) clearLog(key, log)
    }
  }
}

export type Heads = ReturnType<typeof make>

/** Notes a head that is known to be stored, or that none is known. */
export const learn = (log: Log, head: EventUuid | undefined) => {
  log.head = head
  log.version++
}
