/** One-time codes as people get them: an address to open, a QR code to look at with a phone, and until when. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Output } from "./Output.ts"
import * as QrCode from "./QrCode.ts"

/** How to get a code, in a person's words. */
export const HOW = "`node apps/bridge devices code`"

/** How the hub is made reachable for others. */
export const HOW_OTHERS =
  "start it with --host 0.0.0.0 --trusted-network (everyone in this network, without TLS), with --tls-cert and --tls-key, or with --public-url behind a proxy"

const two = (n: number): string => String(n).padStart(2, "0")

/** When a code ends, by this machine's clock. */
export const until = (millis: number): string => {
  const at = new Date(millis)
  return `${two(at.getHours())}:${two(at.getMinutes())}`
}

/** Draws the QR code of an address where people look at a terminal. */
export const draw = (url: string): Effect.Effect<void, never, Output> =>
  Effect.gen(function* () {
    const output = yield* Output
    if (Option.isNone(output.terminal)) return
    const lines = QrCode.render(url, output.terminal.value)
    if (Option.isNone(lines)) {
      yield* output.line(
        `(a QR code of it does not fit into ${output.terminal.value.columns} columns: make the terminal wider, then ${HOW})`,
        "dim"
      )
      return
    }
    yield* output.drawing(lines.value)
  })
