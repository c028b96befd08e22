/**
 * The page that people open: the static files of one directory, read once and served from memory.
 *
 * What is served is decided when the hub starts: a request is looked up among the files that were found, so no path of a
 * request ever reaches the file system.
 */
import { createHash } from "node:crypto"
import type { OutgoingHttpHeaders } from "node:http"
import { gzipSync } from "node:zlib"
import * as WireError from "@causeway/protocol/WireError"
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as HotRoutes from "../HotRoutes.ts"

/** One file as it is served. */
export interface Asset {
  readonly body: Uint8Array
  readonly type: string
  /** Strong, from the content. */
  readonly etag: string
  /** Compressed by gzip, with an etag of its own; undefined where that saves nothing worth while. */
  readonly packed: { readonly body: Uint8Array; readonly etag: string } | undefined
}

/** By path of the request, `/` for `index.html`. */
export type Assets = ReadonlyMap<string, Asset>

export class Page extends Context.Tag("@causeway/hub/Page")<Page, { readonly assets: Assets }>() {}

const types: { readonly [extension: string]: string } = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".map": "application/json; charset=utf-8",
  ".webmanifest": "application/manifest+json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
  ".txt": "text/plain; charset=utf-8"
}

/** Only what came with the page runs or is loaded, and only this hub is called, by fetch, event stream and WebSocket. */
export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
  "connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** What compresses well, and from which size on, in bytes. Maps are read by developers, seldom and nearby. */
const texts: ReadonlySet<string> = new Set([".html", ".js", ".mjs", ".css", ".json", ".svg", ".webmanifest"])
const PACKED_MIN = 1024

const INDEX = "/index.html"

/** Reads a directory, whole. Files whose name begins with a dot, and what links lead out of it, are left out. */
export const load = (
  directory: string
): Effect.Effect<Assets, PlatformError, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const root = yield* fs.realPath(directory)
    const assets = new Map<string, Asset>()
    for (const name of yield* fs.readDirectory(root, { recursive: true })) {
      const segments = name.split(path.sep)
      if (segments.some((segment) => segment.startsWith("."))) continue
      const real = yield* fs.realPath(path.join(root, name))
      if (real !== root && !real.startsWith(root + path.sep)) continue
      if ((yield* fs.stat(real)).type !== "File") continue
      const body = yield* fs.readFile(real)
      const extension = path.extname(name).toLowerCase()
      const type = types[extension] ?? "application/octet-stream"
      const hash = createHash("sha256").update(body).digest("base64url")
      const packed =
        texts.has(extension) && body.length >= PACKED_MIN
          ? { body: gzipSync(body, { level: 9 }), etag: `"${hash}-gzip"` }
          : undefined
      assets.set(`/${segments.join("/")}`, { body, type, etag: `"${hash}"`, packed })
    }
    const index = assets.get(INDEX)
    if (index !== undefined) assets.set("/", index)
    return assets
  })

export const layer = (
  directory: string
): Layer.Layer<Page, PlatformError, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(
    Page,
    Effect.map(load(directory), (assets) => ({ assets }))
  )

/** No page: `/` answers 404. */
export const layerNone: Layer.Layer<Page> = Layer.succeed(Page, { assets: new Map() })

const matches = (header: string | undefined, etag: string): boolean =>
  header !== undefined &&
  (header.trim() === "*" || header.split(",").some((one) => one.trim().replace(/^W\//, "") === etag))

/** Whether an `accept-encoding` takes gzip: named, and not with a weight of 0. */
const takesGzip = (header: string | undefined): boolean =>
  (header ?? "").split(",").some((one) => {
    const [coding = "", ...parameters] = one
      .trim()
      .toLowerCase()
      .split(/\s*;\s*/)
    return coding === "gzip" && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter))
  })

const answer = (assets: Assets) => (request: HotRoutes.HotRequest) =>
  Effect.suspend((): Effect.Effect<HotRoutes.HotResponse, WireError.NotFound> => {
    const asset = assets.get(request.path)
    if (asset === undefined) return WireError.NotFound.of("no such page")
    const encoding = request.headers["accept-encoding"]
    const packed = takesGzip(typeof encoding === "string" ? encoding : undefined) ? asset.packed : undefined
    const { body, etag } = packed ?? asset
    const headers: OutgoingHttpHeaders = {
      "content-type": asset.type,
      ...(asset.packed === undefined ? {} : { vary: "accept-encoding" }),
      ...(packed === undefined ? {} : { "content-encoding": "gzip" }),
      etag,
      // Asked again each time, answered with 304 while it is the same: an upgraded hub is seen at the next load.
      "cache-control": "no-cache",
      "content-security-policy": POLICY,
      "referrer-policy": "no-referrer"
    }
    return Effect.succeed(
      matches(request.headers["if-none-match"], etag)
        ? { status: 304, body: "", headers }
        : { status: 200, body, headers }
    )
  })

/** A route for each file, `GET` and `HEAD`. */
export const make = Effect.map(Page, ({ assets }) =>
  [...assets.keys()].flatMap((path) => [
    HotRoutes.route({ method: "GET", path }, answer(assets)),
    HotRoutes.route({ method: "HEAD", path }, answer(assets))
  ])
)
