import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Stream from "effect/Stream"
import * as Sse from "../../src/internal/Sse.ts"

/** What a server may write: frames, comments, fields unknown here. */
const text = FastCheck.string({ unit: "grapheme", maxLength: 12 }).map((s) => s.replace(/[\r\n\0]/g, ""))
const piece = FastCheck.oneof(
  FastCheck.record({
    kind: FastCheck.constant("frame" as const),
    id: FastCheck.option(FastCheck.integer({ min: 1, max: 999 }).map(String), { nil: undefined }),
    event: FastCheck.option(FastCheck.constantFrom("client_event", "delivery_update"), { nil: undefined }),
    data: FastCheck.array(text, { minLength: 1, maxLength: 3 })
  }),
  FastCheck.record({ kind: FastCheck.constant("comment" as const), text })
)

type Piece = typeof piece extends FastCheck.Arbitrary<infer A> ? A : never

const written = (pieces: ReadonlyArray<Piece>, end: string): string =>
  pieces
    .map((p) =>
      p.kind === "comment"
        ? `: ${p.text}${end}${end}`
        : [
            ...(p.event === undefined ? [] : [`event: ${p.event}`]),
            ...(p.id === undefined ? [] : [`id: ${p.id}`]),
            ...p.data.map((line) => `data: ${line}`),
            "",
            ""
          ].join(end)
    )
    .join("")

const expected = (pieces: ReadonlyArray<Piece>): ReadonlyArray<Sse.Frame> =>
  pieces.flatMap((p) =>
    p.kind === "comment" ? [] : [{ id: p.id, event: p.event ?? "message", data: p.data.join("\n") }]
  )

/** Cuts bytes at the given places, inside characters and line ends alike. */
const cut = (bytes: Uint8Array, places: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b)
  return [...at, bytes.length].map((end, n) => bytes.slice(n === 0 ? 0 : at[n - 1], end))
}

const read = (chunks: ReadonlyArray<Uint8Array>) =>
  Effect.map(Stream.runCollect(Sse.frames(Stream.fromIterable(chunks))), (frames) => [...frames])

describe("frames", () => {
  it.effect.prop(
    "are the same however the bytes are cut",
    {
      pieces: FastCheck.array(piece, { maxLength: 8 }),
      end: FastCheck.constantFrom("\n", "\r\n"),
      places: FastCheck.array(FastCheck.nat())
    },
    ({ end, pieces, places }) =>
      Effect.gen(function* () {
        const bytes = new TextEncoder().encode(written(pieces, end))
        expect(yield* read(cut(bytes, places))).toEqual(expected(pieces))
      }),
    { fastCheck: { numRuns: 60 } }
  )

  it.effect("survive being cut at every byte", () =>
    Effect.gen(function* () {
      const stream = 'event: client_event\r\nid: 7\r\ndata: {"t":"é😀"}\r\n\r\n: alive\r\n\r\ndata: b\r\n\r\n'
      const bytes = new TextEncoder().encode(stream)
      const whole = yield* read([bytes])
      expect(whole.map(({ data }) => data)).toEqual(['{"t":"é😀"}', "b"])
      expect(yield* read([...bytes].map((byte) => new Uint8Array([byte])))).toEqual(whole)
      for (let at = 0; at <= bytes.length; at++) {
        expect(yield* read([bytes.slice(0, at), bytes.slice(at)])).toEqual(whole)
      }
    })
  )

  it.effect("drop what was not finished", () =>
    Effect.gen(function* () {
      expect(yield* read([new TextEncoder().encode("data: a\n\ndata: half")])).toHaveLength(1)
    })
  )

  it.effect("a frame without end is refused", () =>
    Effect.gen(function* () {
      const megabyte = new TextEncoder().encode("x".repeat(1024 * 1024))
      const endless = Stream.concat(
        Stream.make(new TextEncoder().encode("data: ")),
        Stream.repeatValue(megabyte)
      )
      expect((yield* Effect.flip(Stream.runDrain(Sse.frames(endless))))._tag).toBe("FrameTooLarge")
    })
  )
})
