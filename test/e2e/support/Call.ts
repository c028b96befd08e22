/** One call of the gateway, as a program on the hub's own machine makes it. */
import { WebSocket } from "ws"

type Json = { readonly [key: string]: unknown }

/** Answers the call's payload; a refusal fails the test. */
export const call = (
  hub: { readonly url: string; readonly token: string },
  method: string,
  params: Json
): Promise<Json> =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(`${hub.url.replace(/^http/, "ws")}/gateway`)
    const send = (id: string, name: string, given: Json) =>
      socket.send(JSON.stringify({ type: "req", id, method: name, params: given }))
    socket.on("error", reject)
    socket.on("message", (data) => {
      const frame = JSON.parse(data.toString())
      if (frame.event === "connect.challenge") {
        send("connect", "connect", {
          minProtocol: 3,
          maxProtocol: 3,
          client: { id: "gateway-client", version: "1", platform: "test", mode: "backend" },
          scopes: ["operator.admin", "operator.read", "operator.write", "operator.pairing"],
          auth: { token: hub.token }
        })
        return
      }
      if (frame.type !== "res") return
      if (!frame.ok) {
        reject(new Error(`${method}: ${JSON.stringify(frame.error)}`))
        socket.terminate()
      } else if (frame.id === "connect") send("call", method, params)
      else {
        resolve(frame.payload)
        socket.terminate()
      }
    })
  })
