/**
 * A push service on this machine, and a browser that subscribes to it: it reads what it is sent by RFC 8291 and 8292 with
 * code of its own.
 */
import { createDecipheriv, createECDH, hkdfSync, randomBytes } from "node:crypto"
import { readFileSync } from "node:fs"
import { createServer } from "node:https"
import type { AddressInfo } from "node:net"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import { importJWK, jwtVerify } from "jose"

const fixture = (name: string): string => readFileSync(new URL(`fixtures/${name}`, import.meta.url), "utf8")

/** The service's certificate, to be trusted. */
export const certificate = fixture("push-service.cert.pem")

export interface Received {
  readonly path: string
  readonly headers: { readonly [name: string]: string | ReadonlyArray<string> | undefined }
  readonly body: Buffer
}

/** Answers with the status that a path asks for (`/410/…`), else 201. */
export const pushService = Effect.gen(function* () {
  const received = yield* Queue.unbounded<Received>()
  const server = yield* Effect.acquireRelease(
    Effect.async<ReturnType<typeof createServer>>((resume) => {
      const listening = createServer(
        { key: fixture("push-service.key.pem"), cert: certificate },
        (request, response) => {
          const chunks: Array<Buffer> = []
          request.on("data", (chunk: Buffer) => chunks.push(chunk))
          request.on("end", () => {
            const path = request.url ?? ""
            const status = Number(/^\/(\d{3})\//.exec(path)?.[1] ?? 201)
            response.writeHead(status, status === 429 ? { "retry-after": "7" } : {})
            response.end(status === 201 ? "" : "words that nobody reads")
            Queue.unsafeOffer(received, { path, headers: request.headers, body: Buffer.concat(chunks) })
          })
        }
      )
      listening.listen(0, "127.0.0.1", () => resume(Effect.succeed(listening)))
    }),
    (listening) =>
      Effect.async<void>((resume) => {
        listening.closeAllConnections()
        listening.close(() => resume(Effect.void))
      })
  )
  const { port } = server.address() as AddressInfo
  return { origin: `https://127.0.0.1:${port}`, next: Queue.take(received), size: Queue.size(received) }
})

const hkdf = (key: Buffer, salt: Buffer, info: string | Buffer, length: number): Buffer =>
  Buffer.from(hkdfSync("sha256", key, salt, info, length))

/** A browser's half of a subscription. */
export class Browser {
  private readonly curve = createECDH("prime256v1")
  private readonly auth = randomBytes(16)

  constructor() {
    this.curve.generateKeys()
  }

  get keys() {
    return { p256dh: this.curve.getPublicKey("base64url"), auth: this.auth.toString("base64url") }
  }

  /** The text of a message (RFC 8188 with the keys of RFC 8291). Throws where it was not meant for this browser. */
  read(body: Buffer): string {
    const salt = body.subarray(0, 16)
    const length = body.readUInt8(20)
    const sender = body.subarray(21, 21 + length)
    const secret = this.curve.computeSecret(sender)
    const info = Buffer.concat([Buffer.from("WebPush: info\0"), this.curve.getPublicKey(), sender])
    const input = hkdf(secret, this.auth, info, 32)
    const key = hkdf(input, salt, "Content-Encoding: aes128gcm\0", 16)
    const nonce = hkdf(input, salt, "Content-Encoding: nonce\0", 12)
    const cipher = createDecipheriv("aes-128-gcm", key, nonce)
    const record = body.subarray(21 + length)
    cipher.setAuthTag(record.subarray(-16))
    const plain = Buffer.concat([cipher.update(record.subarray(0, -16)), cipher.final()])
    const end = plain.lastIndexOf(2)
    return plain.subarray(0, end).toString("utf8")
  }
}

/** The claims of a request's `Authorization: vapid t=…, k=…`, its signature checked against the key. */
export const claims = (received: Received, publicKey: string, audience: string) =>
  Effect.promise(async () => {
    const [, token = "", key = ""] =
      /^vapid t=([^,]+), k=(.+)$/.exec(String(received.headers["authorization"])) ?? []
    if (key !== publicKey) throw new Error(`another key: ${key}`)
    const point = Buffer.from(publicKey, "base64url")
    const x = point.subarray(1, 33).toString("base64url")
    const y = point.subarray(33).toString("base64url")
    const jwk = await importJWK({ kty: "EC", crv: "P-256", x, y }, "ES256")
    return (await jwtVerify(token, jwk, { audience, algorithms: ["ES256"] })).payload
  })
