/**
 * How the page's JSX becomes elements. A browser's translation puts elements of its own in the place of text, and React goes
 * on to change, or to take away, text that is not in the document any more: labels freeze, and parts of the page fail. So
 * every text that stands beside something else gets an element to itself, which React replaces the contents of; and what is
 * code is not translated.
 */
import { createElement, type ElementType, type Key, type ReactNode } from "react"
import * as React from "react/jsx-runtime"

export { Fragment } from "react"
export type { JSX } from "react/jsx-runtime"

type Props = { readonly [name: string]: unknown; readonly children?: unknown }

/** The element of a text. */
const TEXT = "span"

/** Elements that hold text and nothing else. */
const bare = new Set<unknown>(["option", "textarea", "title", "text", "style", "script"])
/** Elements whose text is the same in every language. */
const verbatim = new Set<unknown>(["code", "kbd", "pre", "samp"])

const isWords = (child: unknown): child is string | number =>
  typeof child === "number" || (typeof child === "string" && child.trim() !== "")

const isText = (child: unknown): child is string | number =>
  typeof child === "number" || typeof child === "string"

/** Texts that follow each other are one; all else stays in its place. */
const wrapped = (children: ReadonlyArray<unknown>, keyed: boolean): ReadonlyArray<unknown> =>
  children.map((child, n) => {
    if (Array.isArray(child)) return wrapped(child, true)
    if (!isText(child)) return child
    if (isText(children[n - 1])) return null
    const end = children.findIndex((other, m) => m > n && !isText(other))
    const text = children.slice(n, end < 0 ? undefined : end).join("")
    return isWords(text) ? createElement(TEXT, keyed ? { key: `t${n}` } : null, text) : text
  })

/** A text that is alone has the element around it to itself. */
const apart = (children: ReadonlyArray<unknown>, keyed: boolean): unknown => {
  const [only] = children
  return children.length !== 1
    ? wrapped(children, keyed)
    : Array.isArray(only)
      ? apart(only, true)
      : isWords(only)
        ? only
        : children
}

const prepared = (type: unknown, props: Props, isStatic: boolean): Props => {
  const { children } = props
  const mayHold = (typeof type === "string" || type === React.Fragment) && !bare.has(type)
  const isVerbatim = verbatim.has(type) && props["translate"] === undefined
  if (!isVerbatim && !(mayHold && Array.isArray(children))) return props
  return {
    ...props,
    ...(isVerbatim ? { translate: "no" } : {}),
    ...(mayHold && Array.isArray(children) ? { children: apart(children, !isStatic) } : {})
  }
}

/** One child, or a list whose members have keys of their own. */
export const jsx = (type: ElementType, props: Props, key?: Key): ReactNode =>
  React.jsx(type, prepared(type, props, false), key)

/** Children whose places are those of the source. */
export const jsxs = (type: ElementType, props: Props, key?: Key): ReactNode =>
  React.jsxs(type, prepared(type, props, true), key)
