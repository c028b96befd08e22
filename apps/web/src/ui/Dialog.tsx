import { X } from "lucide-react"
import { type ReactNode, useEffect, useId, useRef } from "react"

/** A modal dialog: the browser keeps the focus in it, and Escape closes it. */
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
    const dialog = element.current
    if (dialog !== null && !dialog.open) dialog.showModal()
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
