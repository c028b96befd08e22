import type { LogEvent } from "@causeway/protocol/Event"
import { SequenceNum } from "@causeway/protocol/Event"
import { EventUuid } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import { expect, it } from "@effect/vitest"
import * as Export from "../src/Export.ts"

const event = (seq: number, json: { readonly type: string; readonly [key: string]: unknown }): LogEvent => ({
  seq: SequenceNum.make(seq),
  uuid: EventUuid.make(`u${seq}`),
  source: "worker",
  createdAt: 0,
  payload: Payload.make(json)
})

it("keeps the conversation, each entry once and in order", () => {
  const user = event(1, { type: "user", message: { role: "user", content: "hi" } })
  const answer = event(4, { type: "assistant", message: { role: "assistant", content: [] } })
  const log = [
    user,
    event(2, { type: "system", subtype: "init" }),
    event(3, { type: "control_request", request_id: "r" }),
    answer,
    answer,
    event(5, { type: "user", isReplay: true }),
    event(6, { type: "result" }),
    event(7, { type: "from_the_future" })
  ]
  expect(Export.transcriptOf(log).map((entry) => entry.seq)).toEqual([1, 4, 7])
})
