/**
 * The screen in a terminal: draws rows with Ink and knows nothing else. Bundled into a file of its own, which only
 * `attach` loads.
 */
import { Writable } from "node:stream"
import type * as Ansi from "@causeway/protocol/Ansi"
import { Box, render, Text } from "ink"
import { memo } from "react"
import type { Row, Segment, Tone } from "./Row.ts"

type Style = {
  readonly color?: string
  readonly bold?: boolean
  readonly dimColor?: boolean
  readonly inverse?: boolean
  readonly backgroundColor?: string
  readonly italic?: boolean
  readonly underline?: boolean
  readonly strikethrough?: boolean
}

const styles: { readonly [T in Tone]: Style } = {
  plain: {},
  dim: { dimColor: true },
  strong: { bold: true },
  good: { color: "green" },
  warn: { color: "yellow" },
  bad: { color: "red" },
  you: { color: "cyan", bold: true },
  code: { color: "cyan" },
  cursor: { inverse: true }
}

/** Attributes are no colours: they stay. */
const withoutColour = ({ color: _, backgroundColor: __, ...style }: Style): Style => style

const colourOf = (colour: Ansi.Colour): string =>
  typeof colour === "number" ? `ansi256(${colour})` : `rgb(${colour.join(", ")})`

const styleOf = ({ style, tone }: Segment): Style =>
  style === undefined
    ? styles[tone]
    : {
        ...styles[tone],
        ...(style.foreground === undefined ? {} : { color: colourOf(style.foreground), dimColor: false }),
        ...(style.background === undefined ? {} : { backgroundColor: colourOf(style.background) }),
        ...(style.bold ? { bold: true, dimColor: false } : {}),
        ...(style.dim ? { dimColor: true } : {}),
        ...(style.italic ? { italic: true } : {}),
        ...(style.underline ? { underline: true } : {}),
        ...(style.strike ? { strikethrough: true } : {}),
        ...(style.inverse ? { inverse: true } : {})
      }

const Line = memo(
  ({ row, colour }: { readonly row: Row; readonly colour: boolean }) => (
    <Text wrap="truncate-end">
      {row.length === 0
        ? " "
        : row.map((segment, n) => {
            const style = styleOf(segment)
            return (
              // biome-ignore lint/suspicious/noArrayIndexKey: a segment is its place in the row
              <Text key={n} {...(colour ? style : withoutColour(style))}>
                {segment.text}
              </Text>
            )
          })}
    </Text>
  ),
  (before, after) =>
    before.colour === after.colour &&
    before.row.length === after.row.length &&
    before.row.every((segment: Segment, n) => {
      const other = after.row[n]
      return (
        other !== undefined &&
        other.text === segment.text &&
        other.tone === segment.tone &&
        other.style === segment.style
      )
    })
)

const Screen = ({ rows, colour }: { readonly rows: ReadonlyArray<Row>; readonly colour: boolean }) => (
  <Box flexDirection="column">
    {rows.map((row, n) => (
      // biome-ignore lint/suspicious/noArrayIndexKey: a row is its place on the screen
      <Line key={n} row={row} colour={colour} />
    ))}
  </Box>
)

/** A screen that is being drawn. */
export interface Mounted {
  readonly draw: (rows: ReadonlyArray<Row>) => void
  readonly unmount: () => void
}

export interface Options {
  readonly columns: number
  readonly colour: boolean
  /** Gets every frame whole: its lines, styled. The terminal is the caller's. */
  readonly onFrame: (lines: ReadonlyArray<string>) => void
  /** Told of a defect of the view, which ends it. */
  readonly onDefect: (error: unknown) => void
}

export const mount = (rows: ReadonlyArray<Row>, options: Options): Mounted => {
  const { columns, colour, onFrame, onDefect } = options
  const frames = Object.assign(
    new Writable({
      decodeStrings: false,
      write: (frame: string, _encoding, done) => {
        onFrame(frame.split("\n"))
        done()
      }
    }),
    { columns }
  )
  const ink = render(<Screen rows={rows} colour={colour} />, {
    // Ink reads nothing else of its output when it hands over whole frames, which is what `debug` means. Its own way of
    // replacing a frame counts lines from the cursor, which goes wrong when a terminal is resized or something else writes.
    stdout: frames as unknown as NodeJS.WriteStream,
    debug: true,
    exitOnCtrlC: false,
    patchConsole: false
  })
  ink.waitUntilExit().catch(onDefect)
  return {
    draw: (next) => ink.rerender(<Screen rows={next} colour={colour} />),
    unmount: () => ink.unmount()
  }
}
