import { ChevronRight } from "lucide-react"
import { type ReactNode, useState } from "react"

/** Something that is folded until it is asked for; what is inside is not built before. */
export const Fold = ({
  className,
  summary,
  open = false,
  children
}: {
  readonly className: string
  readonly summary: ReactNode
  readonly open?: boolean
  readonly children: () => ReactNode
}) => {
  const [isOpen, setOpen] = useState(open)
  return (
    <details className={className} open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <ChevronRight className="chevron" size={14} aria-hidden="true" />
        {summary}
      </summary>
      {isOpen ? <div className="inside">{children()}</div> : null}
    </details>
  )
}
