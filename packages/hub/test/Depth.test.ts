/** 11: a payload that is nested deep is refused where it comes in, and one that is stored already stops nobody. */
import { createHash, randomUUID } from "node:crypto"
import { gzipSync } from "node:zlib"
import { sessionBody } from "@causeway/protocol/Ids"
import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, layer as suite } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Gateway from "./Gateway/harness.ts"
import { call, layer, open, put, session } from "./harness.ts"

/** A value of so many levels, as text. */
const nested = (levels: number, inner = "1"): string =>
  `${'{"a":['.repeat(Math.floor(levels / 2))}${inner}${"]}".repeat(Math.floor(levels / 2))}`

/** Events whose deepest part lies so many levels down. */
const line = (levels: number, uuid: string = randomUUID()): string =>
  `{"type":"assistant","uuid":"${uuid}","message":{"role":"assistant","content":[{"type":"text","text":"a word"}]},"x":${nested(levels - 1)}}`
const prompt = (levels: number) =>
  `{"type":"user","uuid":"${randomUUID()}","message":{"role":"user","content":"hi"},"x":${nested(levels - 1)}}`

describe("11: depth", () => {
  suite(layer, { excludeTestServices: true })((it) => {
    it.scoped("257 levels are refused at every door, in words; what was sent before goes on", () =>
      Effect.gen(function* () {
        const { access, epoch, id, ingress } = yield* session()
        const target = yield* Gateway.target
        const client = yield* Gateway.connected(target)
        const code = `/v1/code/sessions/${id}`
        const upload = (text: string) =>
          Effect.gen(function* () {
            const bytes = gzipSync(text)
            const name = createHash("sha256").update(bytes).digest("hex")
            const path = `/v1/session_ingress/session/${id}`
            yield* call({
              method: "PUT",
              path: `${path}/uploads/${name}?offset=0`,
              token: ingress,
              text: bytes
            })
            return yield* call({
              method: "PUT",
              path,
              token: ingress,
              text: "",
              headers: { "x-causeway-upload": name }
            })
          })
        const doors: { readonly [name: string]: (levels: number) => ReturnType<typeof call> } = {
          ingress: (levels) =>
            call({
              method: "PUT",
              path: `/v1/session_ingress/session/${id}`,
              token: ingress,
              text: line(levels)
            }),
          upload: (levels) => upload(line(levels)),
          worker: (levels) =>
            call({
              method: "POST",
              path: `${code}/worker/events`,
              token: ingress,
              text: `{"worker_epoch":${epoch},"events":[{"payload":${line(levels - 3)}}]}`
            }),
          sessions: (levels) =>
            call({
              method: "POST",
              path: `/v1/sessions/${id}/events`,
              token: access,
              text: `{"events":[{"type":"event","data":${prompt(levels - 3)}}]}`
            }),
          viewer: (levels) =>
            call({
              method: "POST",
              path: `${code}/events`,
              token: access,
              text: `{"events":[{"payload":${prompt(levels - 3)}}]}`
            }),
          cold: (levels) =>
            call({
              method: "PATCH",
              path: `/v1/sessions/${id}`,
              token: access,
              text: `{"title":"t","x":${nested(levels - 1)}}`
            })
        }
        for (const [name, door] of Object.entries(doors)) {
          for (const levels of [259, 100_000]) {
            const refused = yield* door(levels)
            expect([name, refused.status]).toEqual([name, 400])
            expect(refused.json.error.message).toContain("more than 256 levels")
          }
        }
        // The ingress takes its first entry only where the head is right.
        for (const [name, door] of Object.entries(doors)) {
          if (name === "ingress" || name === "upload") continue
          expect([name, (yield* door(255)).status]).toEqual([name, 200])
        }
        for (const levels of [260, 100_000]) {
          client.raw(
            `{"type":"req","id":"deep","method":"causeway.sessions.append","params":{"sessionId":"${id}","events":[${prompt(levels)}]}}`
          )
          const answer = yield* Effect.promise(() => client.until((frame) => frame["id"] === "invalid"))
          expect(answer["error"].message).toContain("more than 256 levels")
          client.frames.length = 0
        }
        expect((yield* Gateway.call(client, "causeway.sessions.show", { sessionId: id }))["session"].id).toBe(
          id
        )
      })
    )

    it.scoped("a log that holds 1,001 and 20,000 levels already is read at every door, and searched", () =>
      Effect.gen(function* () {
        const { access, id, ingress } = yield* session()
        const target = yield* Gateway.target
        const client = yield* Gateway.connected(target)
        expect((yield* put({ id, token: ingress, entry: JSON.parse(line(2, "w1")) })).status).toBe(200)
        expect(
          (yield* put({ id, token: ingress, last: "w1", entry: JSON.parse(line(2, "w2")) })).status
        ).toBe(200)
        const sql = yield* SqlClient.SqlClient
        const [row] = yield* sql<{
          readonly key: string
        }>`SELECT session_key AS key FROM sessions WHERE body = ${sessionBody(id)}`
        const key = row?.key ?? ""
        yield* sql`UPDATE events SET payload = ${line(1001, "w1")} WHERE uuid = 'w1'`
        yield* sql`UPDATE events SET payload = ${line(20_000, "w2")} WHERE uuid = 'w2'`
        yield* sql`UPDATE sessions SET search_seq = 0, projection = '{}'`

        const stream = yield* open({ path: `/v1/code/sessions/${id}/events/stream`, token: access })
        let words = ""
        while (!words.includes('"w2"')) words += JSON.stringify(yield* stream.next)
        for (const path of [
          `/v1/code/sessions/${id}/teleport-events`,
          `/v1/session_ingress/session/${id}`,
          `/v1/sessions/${id}`
        ]) {
          const answer = yield* call({ method: "GET", path, token: access })
          expect([path, answer.status]).toEqual([path, 200])
        }
        for (const [method, params] of Object.entries({
          "sessions.get": { key },
          "sessions.preview": { keys: [key] },
          "sessions.list": { includeLastMessage: true, includeDerivedTitles: true },
          "chat.history": { sessionKey: key },
          "causeway.export": { key },
          "causeway.events.replay": { key, afterSeq: 0 },
          "causeway.sessions.page": {}
        })) {
          const text = JSON.stringify(yield* Gateway.call(client, method, params))
          if (!/list|page/.test(method)) expect([method, text.includes("a word")]).toEqual([method, true])
        }
        const { hits } = yield* Gateway.call(client, "causeway.search", { query: "word" })
        expect(hits.map((hit: Gateway.Frame) => hit["uuid"])).not.toContain("w2")
        expect(
          (yield* put({ id, token: ingress, last: "w2", entry: JSON.parse(line(2, "w3")) })).status
        ).toBe(200)
        const again = yield* Gateway.call(client, "causeway.search", { query: "word" })
        expect(again["hits"].map((hit: Gateway.Frame) => hit["uuid"])).toContain("w3")
      })
    )
  })
})
