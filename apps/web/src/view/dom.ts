/** Building the page. Whatever people or agents wrote enters it as text nodes; nothing is ever parsed as HTML. */

type Child = Node | string | null | undefined | false

type Props = {
  readonly class?: string
  readonly on?: { readonly [event: string]: (event: Event) => void }
  /** Attributes; `true` for one without a value, `false` and null for none. */
  readonly attrs?: { readonly [name: string]: string | number | boolean | null }
}

export const h = <K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: ReadonlyArray<Child>
): HTMLElementTagNameMap[K] => {
  const element = document.createElement(tag)
  if (props.class !== undefined) element.className = props.class
  for (const [name, value] of Object.entries(props.attrs ?? {})) {
    if (value === false || value === null) continue
    element.setAttribute(name, value === true ? "" : String(value))
  }
  for (const [event, handler] of Object.entries(props.on ?? {})) element.addEventListener(event, handler)
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) element.append(child)
  }
  return element
}

/** Sets a text without touching the document where it is the same. */
export const setText = (element: Element, text: string): void => {
  if (element.textContent !== text) element.textContent = text
}

/** Shows or hides. */
export const setShown = (element: HTMLElement, shown: boolean): void => {
  if (element.hidden === shown) element.hidden = !shown
}

/**
 * Keeps the children of `parent` in step with a list. A child is built again only when its item is another one; those
 * that stay keep their focus, their selection and what was typed into them.
 */
export const list = <A>(
  parent: Element,
  keyOf: (item: A) => string,
  build: (item: A) => Element
): ((items: ReadonlyArray<A>) => void) => {
  let known = new Map<string, { readonly item: A; readonly element: Element }>()
  return (items) => {
    const next = new Map<string, { readonly item: A; readonly element: Element }>()
    for (const item of items) {
      const key = keyOf(item)
      const before = known.get(key)
      next.set(key, before !== undefined && before.item === item ? before : { item, element: build(item) })
    }
    for (const [key, { element }] of known) {
      if (next.get(key)?.element !== element) element.remove()
    }
    let at = parent.firstElementChild
    for (const { element } of next.values()) {
      if (element === at) at = at.nextElementSibling
      else parent.insertBefore(element, at)
    }
    known = next
  }
}

/** Longest text that is put into the page at once, in UTF-16 units; more is behind a button. */
const LONG = 20_000

/** A text as it is, of any length. */
export const longText = (text: string, className: string): HTMLElement => {
  if (text.length <= LONG) return h("div", { class: className }, text)
  const shown = h("div", { class: className }, text.slice(0, LONG))
  const more = h(
    "button",
    {
      class: "quiet",
      attrs: { type: "button" },
      on: {
        click: () => {
          shown.textContent = text
          more.remove()
        }
      }
    },
    `Show all ${text.length.toLocaleString()} characters`
  )
  return h("div", {}, shown, more)
}
