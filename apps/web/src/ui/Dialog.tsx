import { X } from "lucide-react"
import { type ReactNode, useEffect, useId, useRef } from "react"

/** A modal dialog: the browser keeps the focus in it, Escape closes it, and then the focus is where it was. */
export const Dialog = ({
  title,
  close,
  children
}: {
  readonly title: string
  readonly close: () => void
  readonly children: ReactNode
}) => {
  const element = useRef<HTMLDialogElement>(null)
  const heading = useId()
  useEffect(() => {
    const before = document.activeElement
    const dialog = element.current
    if (dialog !== null && !dialog.open) dialog.showModal()
    return () => {
      // A dialog that is taken away leaves the focus nowhere, unless something else has taken it.
      const lost = document.activeElement === null || document.activeElement === document.body
      if (lost && before instanceof HTMLElement && before.isConnected) before.focus()
    }
  }, [])
  return (
    <dialog ref={element} aria-labelledby={heading} onClose={close}>
      <div className="head">
        <h2 id={heading}>{title}</h2>
        <button type="button" className="icon" aria-label="Close" onClick={close}>
          <X size={17} aria-hidden="true" />
        </button>
      </div>
      {children}
    </dialog>
  )
}
