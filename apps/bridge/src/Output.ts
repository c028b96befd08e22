/**
 * What commands print. With `--json` each value is one line of JSON on standard output and nothing else goes there;
 * without it, sentences. Progress and failures go to standard error. Colour: {@link isColoured}.
 */
import * as Ansi from "@causeway/protocol/Ansi"
import { scrub } from "@causeway/protocol/Scrub"
import * as Visible from "@causeway/protocol/Visible"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Failure } from "./Failure.ts"
import * as QrCode from "./QrCode.ts"

export type Tone = "plain" | "dim" | "good" | "warn" | "bad" | "strong"

/**
 * Whether what is written to a stream is coloured: on a terminal, and not with `NO_COLOR` (set and not empty:
 * https://no-color.org) or `TERM=dumb`; `FORCE_COLOR` asks for it elsewhere too.
 */
export const isColoured = (
  stream: { readonly isTTY?: boolean },
  env: { readonly [name: string]: string | undefined } = process.env
): boolean => {
  const force = env["FORCE_COLOR"]
  if ((env["NO_COLOR"] ?? "") !== "") return false
  if (force !== undefined) return force !== "0" && force !== "false"
  return stream.isTTY === true && env["TERM"] !== "dumb"
}

const codes: { readonly [T in Tone]: string } = {
  plain: "",
  dim: "\u001b[2m",
  good: "\u001b[32m",
  warn: "\u001b[33m",
  bad: "\u001b[31m",
  strong: "\u001b[1m"
}

export class Output extends Context.Tag("@causeway/app-bridge/Output")<
  Output,
  {
    readonly json: boolean
    /** What people look at: none with `--json`, and none where standard output is no terminal. */
    readonly terminal: Option.Option<QrCode.Options>
    /** One value for programs; nothing without `--json`. */
    readonly value: (value: { readonly [key: string]: unknown }) => Effect.Effect<void>
    /** What happened: its value for programs, its line for people. */
    readonly tell: (
      value: { readonly [key: string]: unknown },
      line: string,
      tone?: Tone
    ) => Effect.Effect<void>
    /**
     * Lines for people; nothing with `--json`. Whatever words of others are in them, they drive no terminal: so do those of
     * `progress` and `failure`.
     */
    readonly line: (text: string, tone?: Tone) => Effect.Effect<void>
    /** A part of a line, without its end. */
    readonly piece: (text: string) => Effect.Effect<void>
    /** What a tool wrote, in its colours where these are shown. */
    readonly output: (text: string) => Effect.Effect<void>
    /** Lines that were made here, as they are: a picture, help. */
    readonly drawing: (lines: ReadonlyArray<string>) => Effect.Effect<void>
    /** Lines of JSON, whoever reads: as they are in a file, and driving no terminal on one. */
    readonly jsonLines: (text: string) => Effect.Effect<void>
    /** Progress for people, on standard error. */
    readonly progress: (text: string) => Effect.Effect<void>
    /** A question to a person, on standard error; the answer is typed behind it. */
    readonly ask: (text: string) => Effect.Effect<void>
    /** A heading, where it is read. */
    readonly strong: (text: string) => string
    readonly failure: (failure: Failure) => Effect.Effect<void>
  }
>() {}

/** A name as programs read it: `approvalRequested` is `approval_requested`. */
export const snakeCase = (name: string): string =>
  name.replace(/[A-Z]/g, (letter, at) => (at === 0 ? "" : "_") + letter.toLowerCase())

/** Waits for the reader: a full pipe holds the program up instead of filling memory. */
const write = (stream: NodeJS.WriteStream, text: string): Effect.Effect<void> =>
  Effect.async((resume) => {
    stream.write(text, () => resume(Effect.void))
  })

export const layer = (options: { readonly json: boolean }): Layer.Layer<Output> =>
  Layer.sync(Output, () => {
    const { json } = options
    const paint = (stream: NodeJS.WriteStream, text: string, tone: Tone) =>
      tone !== "plain" && isColoured(stream) ? `${codes[tone]}${text}\u001b[0m` : text
    const out = (text: string) => write(process.stdout, text)
    const err = (text: string) => write(process.stderr, text)
    const value = (value: { readonly [key: string]: unknown }) =>
      json ? out(`${Visible.json(JSON.stringify(value))}\n`) : Effect.void
    const line = (text: string, tone: Tone = "plain") =>
      json ? Effect.void : out(`${paint(process.stdout, Visible.text(text), tone)}\n`)
    return Output.of({
      json,
      value,
      line,
      tell: (what, text, tone) => Effect.zipRight(value(what), line(text, tone)),
      terminal:
        json || !process.stdout.isTTY
          ? Option.none()
          : Option.some({
              columns: process.stdout.columns,
              paint: QrCode.paintOf({
                noColor: !isColoured(process.stdout),
                colorFgBg: process.env["COLORFGBG"]
              })
            }),
      piece: (text) => (json ? Effect.void : out(Visible.text(text))),
      ask: (text) => (json ? Effect.void : err(paint(process.stderr, Visible.text(text), "strong"))),
      output: (text) =>
        json ? Effect.void : out(`${isColoured(process.stdout) ? Ansi.coloured(text) : Ansi.plain(text)}\n`),
      drawing: (lines) => out(`${lines.join("\n")}\n`),
      jsonLines: (text) => out(json || process.stdout.isTTY ? Visible.json(text) : text),
      strong: (text) => paint(process.stdout, text, "strong"),
      progress: (text) =>
        json ? Effect.void : err(`${paint(process.stderr, Visible.text(scrub(text)), "dim")}\n`),
      failure: ({ exitCode, message: words, next, told }) => {
        const message = scrub(words)
        if (told === true) return Effect.void
        if (json) return value({ event: "error", message, next, exit_code: exitCode })
        return err(
          `${paint(process.stderr, `error: ${Visible.text(message)}`, "bad")}\n${next === undefined ? "" : `  ${Visible.text(next)}\n`}`
        )
      }
    })
  })
