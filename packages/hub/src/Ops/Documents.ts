/**
 * The API's documents, derived from the definitions that the server implements: the OpenAPI document, and a page that
 * lists it. The page is whole in itself: no script, no request to any other host.
 */
import { createHash } from "node:crypto"
import { CausewayApi } from "@causeway/protocol/http/Api"
import * as OpenApi from "@effect/platform/OpenApi"

/** What the platform would answer to a request that does not decode. This hub answers `BadRequest`. */
const replaced: { readonly [name: string]: string | undefined } = {
  "#/components/schemas/HttpApiDecodeError": "#/components/schemas/BadRequest"
}
const removed = new Set(["HttpApiDecodeError", "Issue", "PropertyKey"])

const isRecord = (value: unknown): value is { readonly [key: string]: unknown } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The document with the error that is answered in the place of the one that is not. */
const asAnswered = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(asAnswered)
  if (!isRecord(value)) return value
  const { $ref } = value
  if (typeof $ref === "string") return { ...value, $ref: replaced[$ref] ?? $ref }
  const entries = Object.entries(value).map(([key, inner]) => [key, asAnswered(inner)] as const)
  const { anyOf } = Object.fromEntries(entries)
  if (!Array.isArray(anyOf)) return Object.fromEntries(entries)
  const distinct = [...new Map(anyOf.map((one: unknown) => [JSON.stringify(one), one])).values()]
  return distinct.length === 1 ? distinct[0] : { ...Object.fromEntries(entries), anyOf: distinct }
}

const make = (): OpenApi.OpenAPISpec => {
  const spec = OpenApi.fromApi(CausewayApi)
  const schemas = Object.fromEntries(
    Object.entries(spec.components.schemas).filter(([name]) => !removed.has(name))
  )
  const paths = asAnswered(spec.paths) as typeof spec.paths
  return { ...spec, paths, components: { ...spec.components, schemas } }
}

let made: OpenApi.OpenAPISpec | undefined

/** All routes in one document. Made when it is first asked for: every start of the program would pay for it otherwise. */
export const openApi = (): OpenApi.OpenAPISpec => {
  made ??= make()
  return made
}

const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;")

const style = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { margin: 0 auto; max-width: 60rem; padding: 1rem }
h2 { margin: 2rem 0 .5rem }
details { border-bottom: 1px solid #8884; padding: .35rem 0 }
summary { cursor: pointer }
code, pre { font: 13px/1.5 ui-monospace, monospace }
pre { overflow: auto; background: #8881; padding: .75rem; border-radius: .4rem }
.method { display: inline-block; min-width: 4.5rem; font-weight: 600; text-transform: uppercase }
`

/** For the page's `Content-Security-Policy`: nothing but this style may be used. */
export const docsPolicy = `default-src 'none'; style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`

const methods = ["get", "put", "post", "patch", "delete"] as const

const json = (value: unknown): string => `<pre>${escape(JSON.stringify(value, null, 2))}</pre>`

const operationHtml = (path: string, method: string, operation: OpenApi.OpenAPISpecOperation): string => {
  const parameters = (operation.parameters ?? [])
    .map(
      (parameter) =>
        `<li><code>${escape(parameter.name)}</code> in ${parameter.in}${parameter.required ? "" : ", optional"}</li>`
    )
    .join("")
  const responses = Object.entries(operation.responses)
    .map(
      ([status, response]) =>
        `<li><code>${status}</code> ${escape(response.description)}${response.content === undefined ? "" : json(response.content)}</li>`
    )
    .join("")
  const body =
    operation.requestBody === undefined ? "" : `<h4>Body</h4>${json(operation.requestBody.content)}`
  return `<details><summary><span class="method">${method}</span> <code>${escape(path)}</code> ${escape(operation.description ?? "")}</summary>${
    parameters === "" ? "" : `<h4>Parameters</h4><ul>${parameters}</ul>`
  }${body}<h4>Answers</h4><ul>${responses}</ul></details>`
}

/** The page that lists the document. */
export const docsPage = (spec: OpenApi.OpenAPISpec): string => {
  const groups = new Map<string, Array<string>>()
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const method of methods) {
      const operation = item[method]
      if (operation === undefined) continue
      const tag = operation.tags[0] ?? "other"
      const known = groups.get(tag)
      const html = operationHtml(path, method, operation)
      if (known === undefined) groups.set(tag, [html])
      else known.push(html)
    }
  }
  const sections = [...groups].map(([tag, items]) => `<h2>${escape(tag)}</h2>${items.join("")}`).join("")
  const schemas = Object.entries(spec.components.schemas)
    .map(
      ([name, schema]) => `<details><summary><code>${escape(name)}</code></summary>${json(schema)}</details>`
    )
    .join("")
  const title = escape(spec.info.title)
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}: API</title><meta name="viewport" content="width=device-width, initial-scale=1"><style>${style}</style></head><body><h1>${title}</h1><p>The same as <a href="openapi.json">/openapi.json</a>, to read.</p>${sections}<h2>Schemas</h2>${schemas}</body></html>`
}
