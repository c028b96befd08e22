import { gunzipSync } from "node:zlib"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Hub from "../../src/Hub.ts"
import * as Page from "../../src/Page/Page.ts"
import { call } from "../harness.ts"

const LONG = "export const one = 1\n".repeat(200)

/** A directory beside a file that nobody may read, with a link that leads there. */
const directory = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const root = yield* fs.makeTempDirectoryScoped()
  const page = `${root}/page`
  yield* fs.makeDirectory(`${page}/assets`, { recursive: true })
  yield* fs.writeFileString(`${root}/secret.txt`, "secret")
  yield* fs.writeFileString(`${page}/index.html`, "<!doctype html><title>page</title>")
  yield* fs.writeFileString(`${page}/assets/main.js`, "export {}")
  yield* fs.writeFileString(`${page}/assets/long.js`, LONG)
  yield* fs.writeFileString(`${page}/.hidden`, "secret")
  yield* fs.symlink(`${root}/secret.txt`, `${page}/link.txt`)
  return page
})

const layer = Layer.unwrapScoped(
  Effect.map(directory, (page) => Hub.layer({ filename: ":memory:", page }))
).pipe(Layer.provide(NodeContext.layer))

const get = (path: string, headers: { readonly [name: string]: string } = {}, method = "GET") =>
  call({ method, path, headers })

describe("the page", () => {
  it.scoped("serves index.html at / and files with their types", () =>
    Effect.gen(function* () {
      const index = yield* get("/")
      expect([index.status, index.headers["content-type"], index.text]).toEqual([
        200,
        "text/html; charset=utf-8",
        "<!doctype html><title>page</title>"
      ])
      expect(index.headers["content-security-policy"]).toBe(Page.POLICY)
      expect(index.headers["x-content-type-options"]).toBe("nosniff")
      expect((yield* get("/index.html")).text).toBe(index.text)
      const script = yield* get("/assets/main.js")
      expect([script.status, script.headers["content-type"]]).toEqual([200, "text/javascript; charset=utf-8"])
      const head = yield* get("/", {}, "HEAD")
      expect([head.status, head.text, head.headers["etag"]]).toEqual([200, "", index.headers["etag"]])
    }).pipe(Effect.provide(layer))
  )

  it.scoped("answers 304 to whoever has it", () =>
    Effect.gen(function* () {
      const etag = String((yield* get("/")).headers["etag"])
      for (const known of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
        const answer = yield* get("/", { "if-none-match": known })
        expect([answer.status, answer.text, answer.headers["etag"]]).toEqual([304, "", etag])
      }
      expect((yield* get("/", { "if-none-match": '"other"' })).status).toBe(200)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("compresses long texts for whoever takes that", () =>
    Effect.gen(function* () {
      const plain = yield* get("/assets/long.js")
      expect([plain.text, plain.headers["content-encoding"]]).toEqual([LONG, undefined])
      for (const refused of ["identity", "gzip;q=0", "br, gzip; q=0.0"]) {
        const answer = yield* get("/assets/long.js", { "accept-encoding": refused })
        expect([answer.text, answer.headers["content-encoding"]]).toEqual([LONG, undefined])
      }
      const packed = yield* get("/assets/long.js", { "accept-encoding": "br;q=1, gzip;q=0.5" })
      expect(packed.headers["content-encoding"]).toBe("gzip")
      expect(packed.headers["vary"]).toBe("accept-encoding")
      expect(Number(packed.headers["content-length"])).toBeLessThan(LONG.length / 2)
      const etag = String(packed.headers["etag"])
      expect(etag).not.toBe(plain.headers["etag"])
      const known = yield* get("/assets/long.js", { "accept-encoding": "gzip", "if-none-match": etag })
      expect([known.status, known.text]).toEqual([304, ""])
      expect((yield* get("/", { "accept-encoding": "gzip" })).headers["content-encoding"]).toBeUndefined()
    }).pipe(Effect.provide(layer))
  )

  it.scoped("unpacks to what was there", () =>
    Effect.gen(function* () {
      const assets = yield* Effect.flatMap(directory, Page.load)
      const packed = assets.get("/assets/long.js")?.packed
      expect(packed === undefined ? undefined : gunzipSync(packed.body).toString()).toBe(LONG)
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scoped("gives nothing that is not in the directory", () =>
    Effect.gen(function* () {
      for (const path of [
        "/../secret.txt",
        "/assets/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/assets/..%5c..%5csecret.txt",
        "//secret.txt",
        "/link.txt",
        "/.hidden",
        "/assets",
        "/assets/",
        "/index.html/"
      ]) {
        const answer = yield* get(path)
        expect([path, answer.status]).toEqual([path, 404])
        expect(answer.text).not.toBe("secret")
      }
      expect((yield* get("/", {}, "DELETE")).status).toBe(405)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("whatever the path, what is served is one of its files", () =>
    Effect.gen(function* () {
      const assets = yield* Effect.flatMap(directory, Page.load)
      const segment = FastCheck.constantFrom(
        "..",
        ".",
        "",
        "assets",
        "main.js",
        "link.txt",
        ".hidden",
        "secret.txt",
        "index.html",
        "%2e%2e"
      )
      const paths = FastCheck.sample(FastCheck.array(segment, { maxLength: 5 }), 300)
      for (const path of paths) {
        const asset = assets.get(`/${path.join("/")}`)
        if (asset !== undefined) expect(Buffer.from(asset.body).toString()).not.toBe("secret")
      }
      expect([...assets.keys()].sort()).toEqual(["/", "/assets/long.js", "/assets/main.js", "/index.html"])
    }).pipe(Effect.provide(NodeContext.layer))
  )
})
