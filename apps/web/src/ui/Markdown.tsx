// biome-ignore-all lint/suspicious/noArrayIndexKey: parts of one text or call never move.
// biome-ignore-all lint/a11y/noNoninteractiveTabindex: what scrolls is scrolled by keyboard, too.
// biome-ignore-all lint/a11y/useSemanticElements: the element that the rule names says something else.
/**
 * Markdown as elements. The text is read into tokens and every token becomes an element that is named here: nothing is ever
 * parsed as HTML, raw HTML is shown as the text it is, and nothing is loaded from elsewhere (an image becomes a link).
 */
import { lexer, type Token, type Tokens } from "marked"
import { memo, type ReactNode, useMemo } from "react"
import * as Text from "../Text.ts"
import { Code, Long } from "./Code.tsx"

/** Texts above this length, in UTF-16 units, are shown as they are. */
const MAX = 200_000
/** Levels of nesting that are drawn. */
const DEPTH = 24

/** The address, where following it runs nothing: http, https and mailto. */
export const safeHref = (href: string): string | undefined => {
  try {
    const { protocol } = new URL(href)
    return protocol === "https:" || protocol === "http:" || protocol === "mailto:" ? href : undefined
  } catch {
    return undefined
  }
}

const entities: { readonly [name: string]: string } = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" }
const unescape = (text: string): string =>
  text.replace(/&(amp|lt|gt|quot|#39);/g, (whole, name: string) => entities[name] ?? whole)

const link = (href: string, key: number, children: ReactNode): ReactNode => {
  const safe = safeHref(href)
  return safe === undefined ? (
    <span key={key}>{children}</span>
  ) : (
    <a key={key} href={safe} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  )
}

const inline = (tokens: ReadonlyArray<Token> | undefined, depth: number): ReactNode =>
  tokens === undefined || depth > DEPTH
    ? (tokens ?? []).map((token) => token.raw).join("")
    : tokens.map((token, key) => {
        const inner = "tokens" in token ? token.tokens : undefined
        switch (token.type) {
          case "strong":
            return <strong key={key}>{inline(inner, depth + 1)}</strong>
          case "em":
            return <em key={key}>{inline(inner, depth + 1)}</em>
          case "del":
            return <del key={key}>{inline(inner, depth + 1)}</del>
          case "codespan":
            return <code key={key}>{unescape((token as Tokens.Codespan).text)}</code>
          case "br":
            return <br key={key} />
          case "link":
            return link((token as Tokens.Link).href, key, inline(inner, depth + 1))
          case "image": {
            const { href, text } = token as Tokens.Image
            return link(href, key, `[image: ${text === "" ? href : text}]`)
          }
          case "escape":
            return unescape((token as Tokens.Escape).text)
          case "text":
            return inner === undefined ? unescape((token as Tokens.Text).text) : inline(inner, depth + 1)
          case "checkbox":
            return null
          default:
            return token.raw
        }
      })

const heading = (level: number, key: number, children: ReactNode): ReactNode => (
  // Headings of a message stand below those of the page.
  <div key={key} className={`h h${level}`} role="heading" aria-level={level <= 2 ? 3 : 4}>
    {children}
  </div>
)

const blocks = (tokens: ReadonlyArray<Token>, depth: number): ReactNode =>
  depth > DEPTH
    ? tokens.map((token) => token.raw).join("")
    : tokens.map((token, key) => {
        switch (token.type) {
          case "space":
          case "def":
            return null
          case "hr":
            return <hr key={key} />
          case "heading": {
            const { depth: level, tokens: inner } = token as Tokens.Heading
            return heading(level, key, inline(inner, depth + 1))
          }
          case "paragraph":
            return <p key={key}>{inline((token as Tokens.Paragraph).tokens, depth + 1)}</p>
          case "code": {
            const { text, lang } = token as Tokens.Code
            return <Code key={key} text={text} language={lang ?? ""} />
          }
          case "blockquote":
            return <blockquote key={key}>{blocks((token as Tokens.Blockquote).tokens, depth + 1)}</blockquote>
          case "list": {
            const { ordered, start, items } = token as Tokens.List
            const inner = items.map((item, n) => (
              <li key={n} className={item.task ? "task" : undefined}>
                {item.task ? <span aria-hidden="true">{item.checked === true ? "☑ " : "☐ "}</span> : null}
                {blocks(item.tokens, depth + 1)}
              </li>
            ))
            return ordered ? (
              <ol key={key} start={typeof start === "number" ? start : 1}>
                {inner}
              </ol>
            ) : (
              <ul key={key}>{inner}</ul>
            )
          }
          case "table": {
            const { header, rows } = token as Tokens.Table
            return (
              <div key={key} className="table" tabIndex={0} role="region" aria-label="Table">
                <table>
                  <thead>
                    <tr>
                      {header.map((cell, n) => (
                        <th key={n}>{inline(cell.tokens, depth + 1)}</th>
                      ))}
                    </tr>
                  </thead>
                  <tbody>
                    {rows.map((row, r) => (
                      <tr key={r}>
                        {row.map((cell, n) => (
                          <td key={n}>{inline(cell.tokens, depth + 1)}</td>
                        ))}
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            )
          }
          case "text": {
            const { tokens: inner, text } = token as Tokens.Text
            return <span key={key}>{inner === undefined ? unescape(text) : inline(inner, depth + 1)}</span>
          }
          default:
            return <p key={key}>{token.raw}</p>
        }
      })

const read = (text: string): ReadonlyArray<Token> | undefined => {
  if (text.length > MAX) return undefined
  try {
    return lexer(text, { gfm: true, breaks: false })
  } catch {
    // Nested deeper than the stack: it is shown as it is.
    return undefined
  }
}

export const Markdown = memo(({ text }: { readonly text: string }) => {
  const tokens = useMemo(() => read(Text.clean(text)), [text])
  return (
    <div className="text md" dir="auto">
      {tokens === undefined ? <Long text={text} className="plain" scrolls={false} /> : blocks(tokens, 0)}
    </div>
  )
})
