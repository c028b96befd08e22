/**
 * Heads of logs, kept between batches so that an append reads no row and decodes none.
 *
 * The database tells of every change that somebody else makes to what a head holds: a trigger of this connection calls for
 * each row, and another connection's commit shows in `data_version`. So a head that is found here is the one that is
 * stored, whoever writes to the table.
 */
import { BoundedMap } from "@causeway/protocol/BoundedMap"
import type { Database } from "better-sqlite3"
import type { Draft, Head } from "./Draft.ts"

/** Sessions whose head is kept. */
const KEPT = 2000

/** Columns of `sessions` that a head is made of. */
const COLUMNS =
  "body, organization_id, environment_id, archived_at, last_seq, worker_head, worker_head_seq, worker_epoch, token_epoch, projection, attributes"

export interface Heads {
  /** To be called where a transaction has begun: forgets what another connection may have changed. */
  readonly begin: () => void
  readonly get: (body: string) => Head | undefined
  readonly keep: (head: Head) => void
  /** Calls what writes drafts alone: the heads that it changes are settled by it, and are not forgotten. */
  readonly writing: <A>(body: () => A) => A
  /** What was written stands: the heads are as the drafts. */
  readonly settle: (drafts: Iterable<Draft>) => void
  readonly clear: () => void
}

export const make = (db: Database): Heads => {
  const heads = new BoundedMap<string, Head>(KEPT)
  let writing = false
  db.function("forget_head", (body: unknown) => {
    if (!writing) heads.delete(String(body))
    return null
  })
  db.exec(`CREATE TEMP TRIGGER head_changed AFTER UPDATE OF ${COLUMNS} ON main.sessions
      BEGIN SELECT forget_head(OLD.body); END;
    CREATE TEMP TRIGGER head_removed AFTER DELETE ON main.sessions
      BEGIN SELECT forget_head(OLD.body); END`)
  const dataVersion = db.prepare<[], number>("PRAGMA data_version").pluck()
  let version = dataVersion.get()

  return {
    begin: () => {
      const now = dataVersion.get()
      if (now === version) return
      version = now
      heads.clear()
    },
    get: (body) => heads.get(body),
    keep: (head) => void heads.set(head.body, head),
    writing: (body) => {
      writing = true
      try {
        return body()
      } finally {
        writing = false
      }
    },
    settle: (drafts) => {
      for (const { head, lastSeq, row, workerHead, workerHeadSeq } of drafts)
        Object.assign(head, { lastSeq, row, workerHead, workerHeadSeq })
    },
    clear: () => heads.clear()
  }
}
