import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import type { Block } from "../../src/Attach/Layout.ts"
import * as Row from "../../src/Attach/Row.ts"
import * as Scroll from "../../src/Attach/Scroll.ts"

const block = (id: string, rows: number): Block => ({
  id,
  rows: () => Array.from({ length: rows }, (_, n) => Row.row(`${id}.${n}`))
})
const blocksOf = (sizes: ReadonlyArray<number>) => sizes.map((rows, n) => block(`b${n}`, rows))
const seen = (blocks: ReadonlyArray<Block>, anchor: Scroll.Anchor, height: number) =>
  Scroll.view(blocks, anchor, 80, height).map(Row.textOf)
const whole = (blocks: ReadonlyArray<Block>) => blocks.flatMap((each) => each.rows(80)).map(Row.textOf)

const sizes = FastCheck.array(FastCheck.nat(7), { maxLength: 12 })
const height = FastCheck.integer({ min: 1, max: 12 })
const steps = FastCheck.array(FastCheck.integer({ min: -15, max: 15 }), { maxLength: 12 })

describe("Scroll", () => {
  it("follows the end, and stays where the reader has gone whatever comes", () => {
    const blocks = blocksOf([3, 3, 3])
    expect(seen(blocks, null, 4)).toEqual(["b1.2", "b2.0", "b2.1", "b2.2"])
    const { anchor } = Scroll.move(blocks, null, -2, 80, 4)
    expect(seen(blocks, anchor, 4)).toEqual(["b1.0", "b1.1", "b1.2", "b2.0"])
    const more = [...blocks, block("new", 5)]
    expect(seen(more, anchor, 4)).toEqual(["b1.0", "b1.1", "b1.2", "b2.0"])
    expect(seen([block("older", 9), ...more], anchor, 4)).toEqual(["b1.0", "b1.1", "b1.2", "b2.0"])
    expect(Scroll.move(blocks, anchor, 2, 80, 4)).toEqual({ anchor: null, reached: "end" })
  })

  it("goes to the end with a text that has gone over into the log, to the beginning with one that was cut off", () => {
    const blocks = blocksOf([3, 3])
    expect(seen(blocks, { id: "live:0", row: 1 }, 2)).toEqual(["b1.1", "b1.2"])
    expect(seen(blocks, { id: "gone", row: 1 }, 2)).toEqual(["b0.0", "b0.1"])
  })

  it.prop(
    "shows a run of the rows there are, as many as fit",
    { sizes, height, steps },
    ({ height, sizes, steps }) => {
      const blocks = blocksOf(sizes)
      const all = whole(blocks)
      let anchor: Scroll.Anchor = null
      for (const by of steps) {
        anchor = Scroll.move(blocks, anchor, by, 80, height).anchor
        const rows = seen(blocks, anchor, height)
        const from = rows.length === 0 ? 0 : all.indexOf(rows[0] ?? "")
        expect(rows).toEqual(all.slice(from, from + rows.length))
        // Never less than a full view while there is more above.
        expect(rows.length).toBe(Math.min(height, all.length))
      }
    }
  )

  it.prop(
    "comes back by as much as it went",
    { sizes, height, by: FastCheck.integer({ min: 1, max: 15 }) },
    ({ by, height, sizes }) => {
      const blocks = blocksOf(sizes)
      const up = Scroll.move(blocks, null, -by, 80, height)
      FastCheck.pre(up.reached !== "top")
      expect(Scroll.move(blocks, up.anchor, by, 80, height).anchor).toBeNull()
    }
  )
})
