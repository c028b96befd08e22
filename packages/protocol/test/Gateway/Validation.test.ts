import { expect, it, describe as suite } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Schema from "effect/Schema"
import * as Frames from "../../src/Gateway/Frames.ts"
import * as Params from "../../src/Gateway/Params.ts"
import { check, describe } from "../../src/Gateway/Validation.ts"

/** Texts as a client of the published gateway sees them. */
const cases: ReadonlyArray<
  readonly [name: string, schema: Schema.Schema<never>, value: unknown, text: string]
> = [
  [
    "no members",
    Params.SessionsList as never,
    { limit: 0, foo: 1, label: "" },
    "at root: unexpected property 'foo'; at /limit: must be >= 1; at /label: must NOT have fewer than 1 characters"
  ],
  ["not an object", Params.SessionsList as never, [], "must be object"],
  [
    "missing",
    Params.SessionsPluginPatch as never,
    { pluginId: "a" },
    "must have required property 'key'; must have required property 'namespace'"
  ],
  [
    "missing and extra",
    Params.SessionsDescribe as never,
    { zz: 1 },
    "must have required property 'key'; at root: unexpected property 'zz'"
  ],
  [
    "element",
    Params.SessionsPreview as never,
    { keys: ["a", ""] },
    "at /keys/1: must NOT have fewer than 1 characters"
  ],
  [
    "no elements",
    Params.SessionsPreview as never,
    { keys: [] },
    "at /keys: must NOT have fewer than 1 items"
  ],
  [
    "two bounds",
    Params.SessionsPreview as never,
    { keys: ["a"], maxChars: 5, limit: 0 },
    "at /limit: must be >= 1; at /maxChars: must be >= 20"
  ],
  [
    "nullable boolean",
    Params.SessionsPatch as never,
    { key: "p", fastMode: "x" },
    "at /fastMode: must be boolean; at /fastMode: must be null; at /fastMode: must match a schema in anyOf"
  ],
  [
    "nullable constants",
    Params.SessionsPatch as never,
    { key: "p", sendPolicy: "q" },
    "at /sendPolicy: must be equal to constant; at /sendPolicy: must be null; at /sendPolicy: must match a schema in anyOf"
  ],
  [
    "nullable text",
    Params.SessionsPatch as never,
    { key: "p", model: "" },
    "at /model: must NOT have fewer than 1 characters; at /model: must be null; at /model: must match a schema in anyOf"
  ],
  [
    "nullable count",
    Params.SessionsPatch as never,
    { key: "p", spawnDepth: -1 },
    "at /spawnDepth: must be >= 0; at /spawnDepth: must be null; at /spawnDepth: must match a schema in anyOf"
  ],
  [
    "constants",
    Params.SessionsReset as never,
    { key: "r", reason: "zzz" },
    "at /reason: must be equal to constant; at /reason: must match a schema in anyOf"
  ],
  [
    "frame",
    Frames.RequestFrame as never,
    { type: "event", event: "x" },
    "must have required property 'id'; must have required property 'method'; at root: unexpected property 'event'; at /type: must be equal to constant"
  ],
  [
    "enumeration",
    Frames.ConnectParams as never,
    { minProtocol: 3, maxProtocol: 3, client: { id: "nope", version: "1", platform: "x", mode: "cli" } },
    "at /client/id: must be equal to one of the allowed values"
  ],
  [
    "nested extra",
    Frames.ConnectParams as never,
    {
      minProtocol: 3,
      maxProtocol: 3,
      client: { id: "cli", version: "1", platform: "x", mode: "cli", foo: 1 }
    },
    "at /client: unexpected property 'foo'"
  ],
  [
    "whole number",
    Frames.ConnectParams as never,
    { minProtocol: "3", maxProtocol: 3, client: { id: "cli", version: "1", platform: "x", mode: "cli" } },
    "at /minProtocol: must be integer"
  ]
]

suite("Validation", () => {
  for (const [name, schema, value, text] of cases) {
    it(`words: ${name}`, () => {
      expect(describe(check(schema)(value))).toBe(text)
    })
  }

  // `Struct({})` stands for any value that is not null or undefined, so only the check can be asked about `Empty`.
  const schemas: ReadonlyArray<readonly [string, Schema.Schema.AnyNoContext]> = Object.entries(
    Params
  ).flatMap(
    ([name, value]): ReadonlyArray<readonly [string, Schema.Schema.AnyNoContext]> =>
      name === "Empty" ? [] : [[name, value]]
  )

  for (const [name, schema] of schemas) {
    it(`${name}: what fits the check is what the schema accepts`, () => {
      const issues = check(schema)
      const accepts = Schema.is(schema, { onExcessProperty: "error" })
      const strict = Schema.decodeUnknownEither(schema, { onExcessProperty: "error" })
      FastCheck.assert(
        FastCheck.property(FastCheck.oneof(arbitraryParams, FastCheck.jsonValue()), (value) => {
          const fits = issues(value).length === 0
          expect(strict(value)._tag).toBe(fits ? "Right" : "Left")
          expect(accepts(value)).toBe(fits)
        }),
        { numRuns: 150 }
      )
    })
  }
})

const scalar = FastCheck.constantFrom<unknown>(
  "",
  "a",
  "off",
  "allow",
  "new",
  "x".repeat(513),
  0,
  1,
  -1,
  1.5,
  20,
  200,
  1001,
  true,
  false,
  null
)
const arbitraryParams = FastCheck.dictionary(
  FastCheck.constantFrom(
    "key",
    "sessionKey",
    "keys",
    "limit",
    "maxChars",
    "label",
    "message",
    "idempotencyKey",
    "reason",
    "fastMode",
    "sendPolicy",
    "model",
    "value",
    "unset",
    "pluginId",
    "namespace",
    "afterSeq",
    "decision",
    "query",
    "checkpointId",
    "requestId",
    "deviceId",
    "role",
    "runIds",
    "extra"
  ),
  FastCheck.oneof(scalar, FastCheck.array(scalar, { maxLength: 3 })),
  { maxKeys: 5 }
)
