/** Files as agents read them: equal contents once, and of each session no more than a bound. */
import { type SessionId, sessionBody } from "@causeway/protocol/Ids"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Snapshot } from "../Snapshot.ts"
import type { Database } from "./Database.ts"

/** Most bytes that the snapshots of one session hold; the oldest give way. */
const SESSION_BYTES = 256 * 1024 * 1024

export const make = ({ atomically, run, sql }: Database) => ({
  /** Keeps the snapshot that a tool use took. */
  keep: (id: SessionId, { content, path, sha256, toolUseId, truncated }: Snapshot) =>
    Effect.gen(function* () {
      const session = sessionBody(id)
      yield* sql`INSERT OR IGNORE INTO contents (sha256, content) VALUES (${sha256}, ${content})`
      yield* sql`INSERT OR REPLACE INTO snapshots (session, tool_use_id, path, sha256, bytes, truncated)
        VALUES (${session}, ${toolUseId}, ${path}, ${sha256}, ${content.length}, ${truncated ? 1 : 0})`
      const dropped = yield* sql<{ readonly sha256: string }>`DELETE FROM snapshots WHERE rowid IN (
          SELECT rowid FROM (SELECT rowid, sum(bytes) OVER (ORDER BY rowid DESC) AS held FROM snapshots
            WHERE session = ${session}) WHERE held > ${SESSION_BYTES})
        RETURNING sha256`
      for (const { sha256 } of dropped) {
        yield* sql`DELETE FROM contents WHERE sha256 = ${sha256}
          AND NOT EXISTS (SELECT 1 FROM snapshots WHERE snapshots.sha256 = contents.sha256)`
      }
    }).pipe(atomically("keep a snapshot")),

  snapshot: (id: SessionId, toolUseId: string) =>
    sql<{
      readonly path: string
      readonly sha256: string
      readonly truncated: number
      readonly content: Uint8Array
    }>`SELECT path, sha256, truncated, content FROM snapshots JOIN contents USING (sha256)
      WHERE session = ${sessionBody(id)} AND tool_use_id = ${toolUseId}`.pipe(
      Effect.map(([found]) =>
        Option.map(
          Option.fromNullable(found),
          ({ content, path, sha256, truncated }): Snapshot => ({
            toolUseId,
            path,
            sha256,
            truncated: truncated === 1,
            content: Buffer.from(content)
          })
        )
      ),
      run("read a snapshot")
    )
})
