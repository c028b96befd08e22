import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Sse from "../src/Sse.ts"

const whole = (text: string) => Sse.parser()(text)

describe("Sse", () => {
  it("reads events, ids, comments and every line end", () => {
    expect(whole(":\n\nevent: a\nid: 7\ndata: one\ndata: two\n\ndata:x\r\n\r\nid\rdata: y\r\r\n")).toEqual([
      { event: "a", id: "7", data: "one\ntwo" },
      { event: "message", id: undefined, data: "x" },
      { event: "message", id: "", data: "y" }
    ])
    expect(whole("\ufeffdata: b\n\n")).toHaveLength(1)
    expect(whole("event: a\n\n")).toEqual([])
    expect(whole("data: torn")).toEqual([])
  })

  it.prop(
    "however the text is cut, the same comes out",
    [
      FastCheck.array(
        FastCheck.record({
          event: FastCheck.constantFrom("client_event", "delivery_update"),
          data: FastCheck.fullUnicodeString().map((text) => text.replace(/[\r\n]/g, " ")),
          end: FastCheck.constantFrom("\n", "\r\n", "\r")
        })
      ),
      FastCheck.array(FastCheck.nat(20))
    ],
    ([messages, cuts]) => {
      const text = messages
        .map(({ event, data, end }) => `event: ${event}${end}data: ${data}${end}${end}`)
        .join("")
        .concat(":\n")
      const parse = Sse.parser()
      const out: Array<Sse.Message> = []
      let from = 0
      for (const cut of cuts) {
        out.push(...parse(text.slice(from, from + cut)))
        from += cut
      }
      out.push(...parse(text.slice(from)))
      expect(out).toEqual(messages.map(({ event, data }) => ({ event, id: undefined, data })))
    }
  )
})
