/** Idempotency keys, which senders choose: a message that is accepted is stored, whatever others sent under the same key. */
import { randomUUID } from "node:crypto"
import { Organizations } from "@causeway/store/Organizations"
import { Tokens } from "@causeway/store/Tokens"
import { describe, expect, layer as suite } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { type Client, call, connected, type Frame, layer, target } from "./harness.ts"

const create = (client: Client) => Effect.map(call(client, "sessions.create", {}), ({ key }) => String(key))

/** Texts of a session's messages, as the log holds them. */
const messages = (client: Client, key: string) =>
  Effect.map(call(client, "chat.history", { sessionKey: key }), ({ messages }) =>
    (messages as ReadonlyArray<Frame>).map((message) => JSON.stringify(message["content"]))
  )

suite(layer(), { excludeTestServices: true })((it) => {
  describe("a key counts within its session", () => {
    for (const kind of ["a uuid", "any other text"]) {
      it.scoped(`${kind}, used in two sessions: both messages are stored`, () =>
        Effect.gen(function* () {
          const client = yield* connected(yield* target)
          const [one, two] = [yield* create(client), yield* create(client)]
          const idempotencyKey = kind === "a uuid" ? randomUUID() : "once more"
          for (const method of ["sessions.send", "chat.send"]) {
            const send = (key: string, message: string) =>
              call(client, method, {
                [method === "chat.send" ? "sessionKey" : "key"]: key,
                message,
                idempotencyKey: `${method === "chat.send" ? "chat " : ""}${idempotencyKey}`
              })
            expect(yield* send(one, `${method} one`)).toMatchObject({ status: "started" })
            expect(yield* send(two, `${method} two`)).toMatchObject({ status: "started" })
            expect(yield* send(one, `${method} one`)).toMatchObject({ status: "in_flight" })
            expect(
              (yield* messages(client, one)).filter((text) => text.includes(`${method} one`))
            ).toHaveLength(1)
            expect(
              (yield* messages(client, two)).filter((text) => text.includes(`${method} two`))
            ).toHaveLength(1)
          }
          // Which of the two runs is meant has to be said.
          const refused = yield* Effect.promise(() =>
            client.request("sessions.abort", { runId: idempotencyKey })
          )
          expect(JSON.stringify(refused)).toContain("name the key")
          expect(yield* call(client, "sessions.abort", { key: two, runId: idempotencyKey })).toMatchObject({
            abortedRunId: idempotencyKey
          })
        })
      )
    }

    it.scoped("used in two organisations, in sessions of the same name: both messages are stored", () =>
      Effect.gen(function* () {
        const { url } = yield* target
        const other = yield* (yield* Organizations).create("other")
        const made = yield* (yield* Tokens).create({ organizationId: other.id, name: "other" })
        const mine = yield* connected(yield* target)
        const theirs = yield* connected({ url, token: Redacted.value(made.token) })
        const key = "agent:main:shared"
        for (const [client, message] of [
          [mine, "of mine"],
          [theirs, "of theirs"]
        ] as const) {
          yield* call(client, "sessions.create", { key })
          const sent = yield* call(client, "sessions.send", { key, message, idempotencyKey: "same" })
          expect(sent).toMatchObject({ status: "started" })
        }
        for (const [client, message] of [
          [mine, "of mine"],
          [theirs, "of theirs"]
        ] as const) {
          const texts = yield* messages(client, key)
          expect(texts).toHaveLength(1)
          expect(texts[0]).toContain(message)
        }
      })
    )

    it.scoped("sent twice at the same moment it is stored once, and both are told the truth", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const key = yield* create(client)
        const answers = yield* Effect.all(
          Array.from({ length: 8 }, () =>
            call(client, "sessions.send", { key, message: "at once", idempotencyKey: "k" })
          ),
          { concurrency: "unbounded" }
        )
        expect(answers.map(({ status }) => status).sort()).toEqual([...Array(7).fill("in_flight"), "started"])
        expect((yield* messages(client, key)).filter((text) => text.includes("at once"))).toHaveLength(1)
      })
    )
  })
})
