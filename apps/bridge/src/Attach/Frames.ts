/** Frames of the viewer's stream as the view takes them. */
import type * as Viewer from "@causeway/client/Viewer"
import * as Delivery from "@causeway/protocol/Delivery"
import type { Frame } from "@causeway/transcript/View/Frame"

/** None for a frame of a kind unknown here. */
export const ofViewer = (frame: Viewer.Frame): ReadonlyArray<Frame> => {
  switch (frame._tag) {
    case "Event": {
      const { created_at, event_id, event_type, payload, payloadText, sequence_num, source } = frame.event
      return [
        {
          _tag: "Event",
          event: {
            seq: sequence_num,
            uuid: event_id,
            source,
            createdAt: Date.parse(created_at),
            payload: { type: event_type, json: payload },
            size: payloadText.length
          }
        }
      ]
    }
    case "Ephemeral":
      return [frame]
    case "Delivery": {
      const status = Delivery.fromWire(frame.update.status)
      return status === undefined ? [] : [{ _tag: "Delivery", uuid: frame.update.event_id, status }]
    }
    case "CatchUpTruncated":
      return [{ _tag: "Truncated" }]
    case "Unknown":
      return []
  }
}
