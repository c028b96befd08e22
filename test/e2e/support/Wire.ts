/** A wire between a browser and the hub that tests can cut. */
import { connect, createServer, type Socket } from "node:net"

export interface Wire {
  /** Where the hub is reached over the wire. */
  readonly url: string
  /** Breaks every connection, and refuses new ones until it is mended. */
  readonly cut: () => void
  readonly mend: () => void
  /** Lets nothing more through on the connections that are open, and leaves them open; new ones work. */
  readonly silence: () => void
  readonly close: () => Promise<void>
}

/** Takes connections on a free port and passes them to `port`. */
export const make = (port: number): Promise<Wire> =>
  new Promise((resolve) => {
    const open = new Set<Socket>()
    let whole = true
    const server = createServer((near) => {
      if (!whole) {
        near.destroy()
        return
      }
      const far = connect(port, "127.0.0.1")
      for (const socket of [near, far]) {
        open.add(socket)
        // The other end sees the same loss; who it was is told by the streams themselves.
        socket.on("error", () => socket.destroy())
        socket.on("close", () => {
          open.delete(socket)
          near.destroy()
          far.destroy()
        })
      }
      near.pipe(far)
      far.pipe(near)
    })
    const cut = () => {
      whole = false
      for (const socket of open) socket.destroy()
    }
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      resolve({
        url: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`,
        cut,
        silence: () => {
          for (const socket of open) socket.unpipe().resume()
        },
        mend: () => {
          whole = true
        },
        close: () =>
          new Promise((closed) => {
            cut()
            server.close(() => closed())
          })
      })
    })
  })
