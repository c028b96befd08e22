/** Where the keyboard is after what it was in has gone. */
import { type RefObject, useEffect, useRef } from "react"
import * as Keys from "../Keys.ts"

/**
 * Keeps the focus among the cards of `list`: when the one that has it goes, the one in its place gets it, and `last` when
 * there is none, or when somebody is writing: what they go on to type is no answer to another card.
 */
export const useFocusAmong = (
  list: RefObject<HTMLElement | null>,
  ids: ReadonlyArray<string>,
  last: () => HTMLElement | null
): void => {
  const held = useRef<{ readonly id: string; readonly at: number; readonly writing: boolean } | null>(null)
  useEffect(() => {
    const element = list.current
    const before = held.current
    if (before !== null && !ids.includes(before.id)) {
      held.current = null
      const lost = document.activeElement === null || document.activeElement === document.body
      const next = element?.querySelectorAll<HTMLElement>("article")[Math.min(before.at, ids.length - 1)]
      if (lost) ((before.writing ? undefined : next) ?? last())?.focus()
    }
    if (element === null) return
    const remember = (event: FocusEvent): void => {
      const cards = [...element.querySelectorAll("article")]
      const at = cards.findIndex((card) => event.target instanceof Node && card.contains(event.target))
      const id = ids[at]
      held.current = id === undefined ? null : { id, at, writing: Keys.isTextField(event.target) }
    }
    const forget = (event: FocusEvent): void => {
      // A card that is taken away loses the focus to nothing; a person takes it elsewhere.
      if (event.relatedTarget instanceof Node && !element.contains(event.relatedTarget)) held.current = null
    }
    element.addEventListener("focusin", remember)
    element.addEventListener("focusout", forget)
    return () => {
      element.removeEventListener("focusin", remember)
      element.removeEventListener("focusout", forget)
    }
  })
}
