/** The highlighter and its languages; loaded when the first code is shown. */
import bash from "highlight.js/lib/languages/bash"
import css from "highlight.js/lib/languages/css"
import diff from "highlight.js/lib/languages/diff"
import go from "highlight.js/lib/languages/go"
import json from "highlight.js/lib/languages/json"
import markdown from "highlight.js/lib/languages/markdown"
import python from "highlight.js/lib/languages/python"
import rust from "highlight.js/lib/languages/rust"
import sql from "highlight.js/lib/languages/sql"
import typescript from "highlight.js/lib/languages/typescript"
import xml from "highlight.js/lib/languages/xml"
import yaml from "highlight.js/lib/languages/yaml"
import { createLowlight } from "lowlight"

const low = createLowlight({ bash, css, diff, go, json, markdown, python, rust, sql, typescript, xml, yaml })
low.registerAlias({
  typescript: ["ts", "tsx", "js", "jsx", "javascript", "mjs"],
  bash: ["sh", "shell", "zsh", "console"]
})
low.registerAlias({ xml: ["html", "svg"], python: ["py"], rust: ["rs"], yaml: ["yml"], markdown: ["md"] })

/** A stretch of code of one kind; `className` is empty for plain text. */
export interface Span {
  readonly text: string
  readonly className: string
}

type Root = ReturnType<typeof low.highlight>

const flat = (
  nodes: Root["children"] | Extract<Root["children"][number], { type: "element" }>["children"],
  className: string,
  out: Array<Span>
): void => {
  for (const node of nodes) {
    if (node.type === "text") out.push({ text: node.value, className })
    else if (node.type === "element") {
      const own = node.properties["className"]
      flat(node.children, Array.isArray(own) ? own.join(" ") : className, out)
    }
  }
}

/** The code in stretches; undefined for a language that is not known here. */
export const highlight = (text: string, language: string): ReadonlyArray<Span> | undefined => {
  if (!low.registered(language)) return undefined
  const out: Array<Span> = []
  flat(low.highlight(language, text).children, "", out)
  return out
}
