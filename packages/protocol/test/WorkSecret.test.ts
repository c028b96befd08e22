import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import * as FastCheck from "effect/FastCheck"
import * as Redacted from "effect/Redacted"
import { decode, encode } from "../src/WorkSecret.ts"

const secretOf = (json: unknown) => Encoding.encodeBase64Url(JSON.stringify(json))

describe("work secret", () => {
  it.effect.prop(
    "decodes what was encoded",
    [FastCheck.string({ minLength: 1 }), FastCheck.webUrl()],
    ([sessionIngressToken, apiBaseUrl]) =>
      Effect.gen(function* () {
        const secret = yield* decode(encode({ sessionIngressToken, apiBaseUrl }))
        expect(Redacted.value(secret.sessionIngressToken)).toBe(sessionIngressToken)
        expect(secret.apiBaseUrl).toBe(apiBaseUrl)
      })
  )

  it.effect("takes sessions_token for the same thing, and padding", () =>
    Effect.gen(function* () {
      const secret = yield* decode(`${secretOf({ sessions_token: "t" })}==`)
      expect(Redacted.value(secret.sessionIngressToken)).toBe("t")
      expect(secret.apiBaseUrl).toBe(undefined)
    })
  )

  it.effect("names an unknown version", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(decode(secretOf({ version: 2, session_ingress_token: "t" })))
      expect(error._tag).toBe("WorkSecretVersionUnsupported")
      expect(error.message).toContain("version 2")
    })
  )

  it.effect.prop(
    "never throws, and never quotes what it was given",
    [FastCheck.string({ minLength: 12 })],
    ([text]) =>
      decode(text).pipe(
        Effect.match({
          onFailure: (error) => expect(error.message).not.toContain(text),
          onSuccess: (secret) => expect(secret.version).toBe(1)
        }),
        Effect.asVoid
      )
  )
})
