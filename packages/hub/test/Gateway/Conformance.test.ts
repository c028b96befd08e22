import { describe, it, layer as suite } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { document, runCase } from "./conformance.ts"
import { layer, target } from "./harness.ts"

/** `ws://127.0.0.1:PORT|TOKEN` of a published gateway with the configuration of the cases; see test/conformance/README.md. */
const reference = process.env["CAUSEWAY_REFERENCE_GATEWAY"]

describe("conformance of the gateway", () => {
  suite(layer({ config: JSON.stringify(document.config) }), { excludeTestServices: true })((it) => {
    for (const each of document.cases) {
      it.effect(each.name, () =>
        Effect.gen(function* () {
          const at = yield* target
          yield* Effect.promise(() => runCase(at, each))
        })
      )
    }
  })
})

if (reference === undefined) {
  process.stderr.write(
    "Conformance: the published gateway DID NOT RUN: set CAUSEWAY_REFERENCE_GATEWAY to hold the cases against it\n"
  )
} else {
  describe("the cases against the published gateway (opt-in)", () => {
    const [url = "", token = ""] = reference.split("|")
    for (const each of document.cases) {
      it(each.name, () => runCase({ url, token }, each), 60_000)
    }
  })
}
