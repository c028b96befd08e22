// biome-ignore-all lint/suspicious/noArrayIndexKey: parts of one text or call never move.
// biome-ignore-all lint/a11y/noNoninteractiveTabindex: what scrolls is scrolled by keyboard, too.
/** Code, output and other text that keeps its lines. */
import * as Ansi from "@causeway/protocol/Ansi"
import { Check, Copy } from "lucide-react"
import { memo, useEffect, useMemo, useState } from "react"
import * as Text from "../Text.ts"
import type { Span } from "./highlight.ts"

type Highlight = typeof import("./highlight.ts").highlight
let loaded: Highlight | undefined
let loading: Promise<void> | undefined

/** Longest text that is put into the page at once, and that is coloured, in UTF-16 units. */
const LONG = 20_000

const useHighlight = (text: string, language: string): ReadonlyArray<Span> | undefined => {
  const wanted = language !== "" && text.length <= LONG
  const [, again] = useState(0)
  useEffect(() => {
    if (!wanted || loaded !== undefined) return
    let mounted = true
    loading ??= import("./highlight.ts").then(
      (module) => {
        loaded = module.highlight
      },
      () => {
        // Colours are not needed; the next code asks again.
        loading = undefined
      }
    )
    void loading.then(() => {
      if (mounted) again((n) => n + 1)
    })
    return () => {
      mounted = false
    }
  }, [wanted])
  return wanted ? loaded?.(text, language) : undefined
}

/** Puts a text on the clipboard; on plain http of another machine there is only the old way. */
export const copy = async (text: string): Promise<boolean> => {
  try {
    if (navigator.clipboard !== undefined) {
      await navigator.clipboard.writeText(text)
      return true
    }
  } catch {
    // Not allowed to this page: the old way may be.
  }
  const focused = document.activeElement
  const field = document.createElement("textarea")
  field.value = text
  field.className = "hidden"
  document.body.append(field)
  field.select()
  const done = document.execCommand("copy")
  field.remove()
  if (focused instanceof HTMLElement) focused.focus()
  return done
}

export const CopyButton = ({ text }: { readonly text: string }) => {
  const [done, setDone] = useState(false)
  return (
    <>
      <button
        type="button"
        className="icon copy"
        aria-label="Copy"
        title="Copy"
        onClick={() => {
          void copy(text).then((copied) => {
            setDone(copied)
            setTimeout(() => setDone(false), 1500)
          })
        }}
      >
        {done ? <Check size={14} aria-hidden="true" /> : <Copy size={14} aria-hidden="true" />}
      </button>
      <span className="hidden" role="status">
        {done ? "Copied" : ""}
      </span>
    </>
  )
}

const channel = (colour: Ansi.Colour): string | undefined =>
  typeof colour !== "number"
    ? `rgb(${colour.join(" ")})`
    : colour < 16
      ? // The theme's.
        undefined
      : colour < 232
        ? `rgb(${[36, 6, 1].map((base) => [0, 95, 135, 175, 215, 255][Math.floor((colour - 16) / base) % 6]).join(" ")})`
        : `rgb(${Array(3)
            .fill(8 + (colour - 232) * 10)
            .join(" ")})`

const classOf = (style: Ansi.Style): string =>
  [
    ...(typeof style.foreground === "number" && style.foreground < 16 ? [`fg${style.foreground}`] : []),
    ...(typeof style.background === "number" && style.background < 16 ? [`bg${style.background}`] : []),
    ...(["bold", "dim", "italic", "underline", "strike", "inverse"] as const).filter((each) => style[each])
  ].join(" ")

/** What a tool wrote, in its colours. */
const Coloured = ({ text }: { readonly text: string }) =>
  Ansi.spans(text).map(({ style, text }, key) => {
    const className = classOf(style)
    const color = style.foreground === undefined ? undefined : channel(style.foreground)
    const backgroundColor = style.background === undefined ? undefined : channel(style.background)
    return className === "" && color === undefined && backgroundColor === undefined ? (
      text
    ) : (
      <span key={key} className={`ansi ${className}`} style={{ color, backgroundColor }}>
        {text}
      </span>
    )
  })

/** A text as it is, of any length; what `scrolls` by itself is reached by keyboard, too. */
export const Long = ({
  text,
  className,
  scrolls = true,
  isOutput = false
}: {
  readonly text: string
  readonly className: string
  readonly scrolls?: boolean
  /** Whether a tool wrote it, with colours. */
  readonly isOutput?: boolean
}) => {
  const [whole, setWhole] = useState(false)
  const part = whole ? text : text.slice(0, LONG)
  const shown = isOutput ? <Coloured text={part} /> : Text.clean(part)
  return (
    <>
      {scrolls ? (
        <pre className={className} dir="auto" tabIndex={0}>
          {shown}
        </pre>
      ) : (
        <div className={className} dir="auto">
          {shown}
        </div>
      )}
      {whole || text.length <= LONG ? null : (
        <button type="button" className="quiet" onClick={() => setWhole(true)}>
          Show all {text.length.toLocaleString()} characters
        </button>
      )}
    </>
  )
}

export const Code = memo(({ text, language }: { readonly text: string; readonly language: string }) => {
  const name = Text.line(language.split(/\s/)[0] ?? "", 24).toLowerCase()
  const shown = useMemo(() => Text.exact(text), [text])
  const spans = useHighlight(shown, name)
  return (
    <div className="codeblock">
      <div className="codebar">
        <span>{name === "" ? "text" : name}</span>
        <CopyButton text={shown} />
      </div>
      {spans === undefined ? (
        <Long text={shown} className="code" />
      ) : (
        <pre className="code" tabIndex={0}>
          {spans.map((span, key) =>
            span.className === "" ? (
              span.text
            ) : (
              <span key={key} className={span.className}>
                {span.text}
              </span>
            )
          )}
        </pre>
      )}
    </div>
  )
})
