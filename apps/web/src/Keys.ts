/**
 * Which keys count. A key that an input method takes is no key of this page, and a letter is a shortcut only where nobody
 * can be typing it: alone, by its place on the keyboard, and outside of every text field.
 */

/** What `keyCode` is while an input method holds the key; all that Safari tells of the Enter that ends a composition. */
const PROCESS = 229

/** Whether the key belongs to an input method: it composes, chooses among candidates, or ends a composition. */
export const isComposing = (key: KeyboardEvent): boolean =>
  key.isComposing || key.keyCode === PROCESS || key.key === "Process" || key.key === "Dead"

/** Whether any modifier is held; AltGr (and Option, which types letters on a Mac) among them. */
export const isModified = (key: KeyboardEvent): boolean =>
  key.altKey || key.ctrlKey || key.metaKey || key.shiftKey || key.getModifierState("AltGraph")

/** Inputs that take no text. */
const wordless = new Set("button checkbox color file image radio range reset submit".split(" "))

/** Whether what has the focus takes text, so that every key may be a part of it. */
export const isTextField = (target: EventTarget | null): boolean =>
  target instanceof HTMLInputElement
    ? !wordless.has(target.type)
    : target instanceof HTMLElement &&
      (target.isContentEditable ||
        target instanceof HTMLTextAreaElement ||
        target instanceof HTMLSelectElement)

/** The place on the keyboard that was pressed as a shortcut; null where the key is, or may be, anything else. */
export const shortcut = (key: KeyboardEvent): string | null =>
  isComposing(key) || isModified(key) || key.repeat || isTextField(key.target) ? null : key.code

/** Whether Enter was meant: Alt and AltGr with it are left to the keyboard, Shift begins a new line. */
export const isEnter = (key: KeyboardEvent): boolean =>
  key.key === "Enter" &&
  !isComposing(key) &&
  !key.altKey &&
  !key.shiftKey &&
  !key.getModifierState("AltGraph")

/** Whether Escape was meant, and not for an input method. */
export const isEscape = (key: KeyboardEvent): boolean =>
  key.key === "Escape" && !isComposing(key) && !isModified(key)

/** Whether the end of what is read is meant: End, or what a Mac has for it. */
export const isEnd = (key: KeyboardEvent): boolean =>
  !isComposing(key) &&
  !isTextField(key.target) &&
  !key.altKey &&
  !key.shiftKey &&
  (key.key === "End" || (key.key === "ArrowDown" && key.metaKey))

/**
 * Keeps the keys of input methods from all of the page: no handler sees them, no form is submitted by the Enter that ends a
 * composition, and no dialog is closed by the Escape that gives one up. Answers how to end it.
 */
export const guard = (page: Window): (() => void) => {
  const onKey = (event: KeyboardEvent): void => {
    if (!isComposing(event)) return
    event.stopImmediatePropagation()
    if (event.key === "Enter" || event.key === "Escape") event.preventDefault()
  }
  page.addEventListener("keydown", onKey, { capture: true })
  return () => page.removeEventListener("keydown", onKey, { capture: true })
}
