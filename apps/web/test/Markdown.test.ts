import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { createElement } from "react"
import { renderToStaticMarkup } from "react-dom/server"
import { Markdown, safeHref } from "../src/index.ts"

const html = (text: string): string => renderToStaticMarkup(createElement(Markdown, { text }))

/** Names of the elements that came to be. */
const elements = (markup: string): ReadonlySet<string> =>
  new Set([...markup.matchAll(/<([a-z0-9]+)/gi)].map((match) => String(match[1]).toLowerCase()))

const allowed = new Set(
  "div p span strong em del code br a pre ul ol li blockquote hr table thead tbody tr th td button svg path rect".split(
    " "
  )
)

const hostile = [
  "<script>alert(1)</script>",
  '<img src=x onerror="alert(1)">',
  "[x](javascript:alert(1))",
  "[x](data:text/html,<script>alert(1)</script>)",
  "![x](https://example.com/track.png)",
  "<a href='javascript:alert(1)'>x</a>",
  '[x](https://a.example/" onmouseover="alert(1))',
  "<svg onload=alert(1)>",
  "`<b>`",
  "```html\n<script>alert(1)</script>\n```",
  "> ".repeat(60),
  "* ".repeat(60),
  "[".repeat(60),
  "| a | b |\n|---|---|\n| <i> | `|` |"
]

describe("Markdown", () => {
  it("draws what people write", () => {
    const markup = html("# Title\n\nSome **bold** `code` and [a link](https://example.com).\n\n- one\n- two")
    expect(markup).toContain("<strong>bold</strong>")
    expect(markup).toContain('href="https://example.com"')
    expect(markup).toContain('rel="noopener noreferrer nofollow"')
    expect(markup.match(/<li>/g)).toHaveLength(2)
  })

  it.prop(
    "makes no element, address or attribute that could run or load anything",
    [
      FastCheck.array(
        FastCheck.oneof(FastCheck.constantFrom(...hostile), FastCheck.string({ maxLength: 12 })),
        { maxLength: 6 }
      )
    ],
    ([parts]) => {
      for (const joint of ["\n\n", " ", "\n"]) {
        const markup = html(parts.join(joint))
        for (const element of elements(markup)) expect(allowed).toContain(element)
        for (const [, href] of markup.matchAll(/ href="([^"]*)"/g)) expect(href).toMatch(/^(https?:|mailto:)/)
        expect(markup).not.toMatch(/<[^>]* (on[a-z]+|src|srcdoc|style|formaction)=/i)
      }
    }
  )

  it("follows only addresses that run nothing", () => {
    for (const href of [
      "javascript:alert(1)",
      "JaVaScRiPt:1",
      "data:text/html,x",
      "vbscript:x",
      "/path",
      "blob:x",
      ""
    ])
      expect(safeHref(href)).toBeUndefined()
    expect(safeHref("https://example.com")).toBe("https://example.com")
  })
})
