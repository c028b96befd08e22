import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Bootstrap from "../src/Bootstrap.ts"
import * as Organizations from "../src/Organizations.ts"
import * as Readiness from "../src/Readiness.ts"
import * as Tokens from "../src/Tokens.ts"
import * as fixtures from "./fixtures.ts"

const ensure = Effect.flatMap(Bootstrap.Bootstrap, (bootstrap) => bootstrap.ensure)

describe("the first start", () => {
  it.effect("makes one organisation and one token, however many ask at once", () =>
    Effect.gen(function* () {
      const all = yield* Effect.all([ensure, ensure, ensure], { concurrency: "unbounded" })
      expect(all.flatMap((ready) => Option.toArray(ready.created))).toHaveLength(1)
      expect(yield* (yield* Organizations.Organizations).list).toHaveLength(1)
    }).pipe(Effect.provide(fixtures.layer()))
  )

  it.scoped("is remembered by the file; the token opens it after a restart, and does not stand in it", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const filename = `${yield* fs.makeTempDirectoryScoped()}/hub.db`
      const first = yield* Effect.provide(ensure, fixtures.layer(filename))
      const token = Option.getOrThrow(first.created)
      const second = yield* Effect.provide(
        Effect.all([
          ensure,
          Effect.flatMap(Tokens.Tokens, (tokens) => tokens.resolve(token)),
          Effect.flatMap(Readiness.Readiness, (readiness) => readiness.check)
        ]),
        fixtures.layer(filename)
      )
      expect(second[0]).toEqual({ organizationId: first.organizationId, created: Option.none() })
      expect(second[1].organizationId).toBe(first.organizationId)
      expect(second[2].found).toBe(second[2].known)
      const bytes = Buffer.from(yield* fs.readFile(filename))
      expect(bytes.includes(Redacted.value(token))).toBe(false)
      expect(bytes.includes(first.organizationId)).toBe(true)
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.effect("each signing key is made once and differs by name", () =>
    Effect.gen(function* () {
      const tokens = yield* Tokens.Tokens
      const [a, again, b] = yield* Effect.all(
        [tokens.signingKey("a"), tokens.signingKey("a"), tokens.signingKey("b")],
        { concurrency: "unbounded" }
      )
      expect(Redacted.value(a)).toBe(Redacted.value(again))
      expect(Redacted.value(a)).not.toBe(Redacted.value(b))
      expect(Buffer.from(Redacted.value(a), "base64url")).toHaveLength(32)
    }).pipe(Effect.provide(fixtures.layer()))
  )
})
