// A hub with many sessions, for the benchmark of `sessions.list`. Argument: sessions, events of each of the first ten.
import { randomUUID } from "node:crypto"
import * as Hub from "@causeway/hub/Hub"
import * as SessionRow from "@causeway/transcript/SessionRow"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"

const [, , filename = ":memory:", count = "10000", long = "2000"] = process.argv

const fill = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const { organizationId, firstToken, url } = yield* Hub.Hub
  const now = Date.now()
  yield* sql.withTransaction(
    Effect.gen(function* () {
      for (let i = 0; i < Number(count); i++) {
        const events = i < 10 ? Number(long) : 4
        let row = SessionRow.initial
        const prompt = {
          type: "user",
          message: { role: "user", content: `Question ${i}: why is the list slow?` }
        }
        const answer = {
          type: "assistant",
          message: {
            id: `m${i}`,
            role: "assistant",
            model: "claude-x",
            content: [{ type: "text", text: `Answer ${i}. ${"Words. ".repeat(30)}` }],
            usage: { input_tokens: 100, output_tokens: 50 }
          }
        }
        const created = now - i * 1000
        const body = randomUUID().replaceAll("-", "")
        const [inserted] = yield* sql<{
          readonly sid: number
        }>`INSERT INTO sessions (body, organization_id, attributes,
          created_at, updated_at, projection) VALUES (${body}, ${organizationId},
          ${JSON.stringify({ key: `agent:main:session:${body}`, agentId: "main" })}, ${created}, ${created}, '{}') RETURNING sid`
        const sid = inserted?.sid ?? 0
        for (let seq = 1; seq <= events; seq++) {
          const json = seq % 2 === 1 ? prompt : answer
          const source = seq % 2 === 1 ? "client" : "worker"
          const uuid = randomUUID()
          row = SessionRow.step(row, {
            seq,
            uuid,
            source,
            createdAt: created,
            payload: { type: json.type, json }
          })
          yield* sql`INSERT INTO events (sid, seq, uuid, source, type, transcript, compaction, created_at, payload)
            VALUES (${sid}, ${seq}, ${uuid}, ${source}, ${json.type}, 1, 0, ${created}, ${JSON.stringify({ ...json, uuid })})`
        }
        yield* sql`UPDATE sessions SET last_seq = ${events}, title = ${row.title}, status = 'idle',
          projection = ${SessionRow.toJson({ ...row, activity: "idle", status: "idle" })} WHERE sid = ${sid}`
      }
    })
  )
  process.stdout.write(
    `${JSON.stringify({ url: url.replace(/^http/, "ws"), token: Redacted.value(Option.getOrThrow(firstToken)) })}\n`
  )
})

NodeRuntime.runMain(Layer.launch(Layer.provide(Layer.effectDiscard(fill), Hub.layer({ filename, port: 0 }))))
