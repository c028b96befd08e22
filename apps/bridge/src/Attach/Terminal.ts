/** The terminal as a resource: its own screen and raw keys while the scope is open, as it was when it closes. */

import { StringDecoder } from "node:string_decoder"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Keys from "./Keys.ts"
import type { Row } from "./Row.ts"
import type { Mounted, Options } from "./View.tsx"

/** How long an escape may stand alone before it is a key rather than the beginning of one. */
const ESCAPE_MILLIS = 40

/** Own screen, no cursor, bracketed paste, and keys told apart (kitty's protocol; others ignore it). */
const ENTER = "\u001b[?1049h\u001b[2J\u001b[H\u001b[?25l\u001b[?2004h\u001b[>1u"
const LEAVE = "\u001b[<u\u001b[?2004l\u001b[?25h\u001b[?1049l"
const WIPE = "\u001b[2J"
/** Around a frame: terminals that know it show the frame at once. */
const BEGIN = "\u001b[?2026h"
const END = "\u001b[?2026l"

/** What turns the lines that are shown into others: only those that differ, each at its own place. */
export const difference = (before: ReadonlyArray<string>, after: ReadonlyArray<string>): string => {
  let out = ""
  for (let n = 0; n < Math.max(before.length, after.length); n++) {
    const line = after[n] ?? ""
    // Erased first: behind a line that fills its row the cursor stands on the last column, which must stay.
    if (before[n] !== line) out += `\u001b[${n + 1};1H\u001b[2K${line}\u001b[0m`
  }
  return out === "" ? "" : `${BEGIN}${out}${END}`
}

/** The view failed to draw. */
export class ViewDefect extends Data.TaggedError("ViewDefect")<{ readonly cause: unknown }> {}

export interface Size {
  readonly columns: number
  readonly rows: number
}

export interface Terminal {
  readonly size: () => Size
  /** Draws rows where the last ones were. */
  readonly draw: (rows: ReadonlyArray<Row>) => Effect.Effect<void>
  /** Draws everything anew: after a change of size, or when something else has written to the terminal. */
  readonly redraw: (rows: ReadonlyArray<Row>) => Effect.Effect<void>
}

export interface Events {
  readonly onKeys: (keys: ReadonlyArray<Keys.Key>) => void
  readonly onResize: (size: Size) => void
  /** Nobody types any more: the terminal has gone. */
  readonly onEnd: () => void
  readonly onDefect: (defect: ViewDefect) => void
}

/** Whether both ends are a terminal that can place its cursor. */
export const isUsable = (term: string | undefined): boolean =>
  process.stdin.isTTY === true && process.stdout.isTTY === true && term !== "dumb"

const sizeOf = (stdout: NodeJS.WriteStream): Size => ({
  columns: Math.max(1, stdout.columns ?? 80),
  rows: Math.max(1, stdout.rows ?? 24)
})

export const open = (
  view: { readonly mount: (rows: ReadonlyArray<Row>, options: Options) => Mounted },
  options: { readonly colour: boolean },
  events: Events
): Effect.Effect<Terminal, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { stdin, stdout } = process
    let mounted: Mounted | undefined
    let shown: ReadonlyArray<string> = []
    let left = false
    const show = (lines: ReadonlyArray<string>): void => {
      if (left) return
      // Nothing stands below the last row.
      const next = lines.slice(0, sizeOf(stdout).rows)
      const change = difference(shown, next)
      shown = next
      if (change !== "") stdout.write(change)
    }
    const leave = (): void => {
      if (left) return
      mounted?.unmount()
      left = true
      stdout.write(LEAVE)
      try {
        stdin.setRawMode(false)
      } catch {
        // The terminal was closed: there is nothing to give back.
      }
    }
    const mount = (rows: ReadonlyArray<Row>): void => {
      mounted = view.mount(rows, {
        columns: sizeOf(stdout).columns,
        colour: options.colour,
        onFrame: show,
        onDefect: (cause) => events.onDefect(new ViewDefect({ cause }))
      })
    }

    const utf8 = new StringDecoder("utf8")
    let decoder = Keys.initial
    let timer: NodeJS.Timeout | undefined
    const take = ([next, keys]: readonly [Keys.Decoder, ReadonlyArray<Keys.Key>]): void => {
      decoder = next
      if (keys.length > 0) events.onKeys(keys)
    }
    const onData = (chunk: Buffer): void => {
      clearTimeout(timer)
      take(Keys.decode(decoder, utf8.write(chunk)))
      if (Keys.waits(decoder)) timer = setTimeout(() => take(Keys.flush(decoder)), ESCAPE_MILLIS)
    }
    const onResize = (): void => events.onResize(sizeOf(stdout))

    yield* Effect.acquireRelease(
      Effect.sync(() => {
        // Whatever ends the process, the person gets the terminal back.
        process.once("exit", leave)
        stdin.setRawMode(true)
        stdout.write(ENTER)
        stdin.on("data", onData)
        stdin.on("end", events.onEnd)
        stdin.on("error", events.onEnd)
        stdout.on("resize", onResize)
        stdin.resume()
      }),
      () =>
        Effect.sync(() => {
          clearTimeout(timer)
          stdin.off("data", onData)
          stdin.off("end", events.onEnd)
          stdin.off("error", events.onEnd)
          stdout.off("resize", onResize)
          leave()
          stdin.pause()
          process.off("exit", leave)
        })
    )

    return {
      size: () => sizeOf(stdout),
      draw: (rows) =>
        Effect.sync(() => {
          if (mounted === undefined) mount(rows)
          else mounted.draw(rows)
        }),
      redraw: (rows) =>
        Effect.sync(() => {
          mounted?.unmount()
          shown = []
          stdout.write(WIPE)
          mount(rows)
        })
    }
  })
