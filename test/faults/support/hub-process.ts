/** A hub as a process of its own: `hub-process FILE PORT`. Prints one line of JSON when it listens. */
import * as Hub from "@causeway/hub/Hub"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"

const [filename = ":memory:", port = "0"] = process.argv.slice(2)

const announce = Layer.effectDiscard(
  Effect.map(Hub.Hub, ({ url, firstToken }) =>
    process.stdout.write(
      `${JSON.stringify({ url, token: Option.getOrUndefined(Option.map(firstToken, Redacted.value)) })}\n`
    )
  )
)

announce.pipe(Layer.provide(Hub.layer({ filename, port: Number(port) })), Layer.launch, NodeRuntime.runMain)
