/** What all pages beside a session's look like: the way back, a heading, and what goes with it. */
import { ChevronLeft } from "lucide-react"
import type { ReactNode, Ref } from "react"
import * as Route from "../Route.ts"

export const Back = () => (
  <a className="icon back" href={Route.toList} aria-label="Sessions">
    <ChevronLeft size={20} aria-hidden="true" />
  </a>
)

export const Page = ({
  name,
  heading,
  beside,
  children
}: {
  readonly name: string
  readonly heading?: Ref<HTMLHeadingElement>
  /** Stands in the line of the heading. */
  readonly beside?: ReactNode
  readonly children: ReactNode
}) => (
  <section className="page" aria-label={name}>
    <header>
      <div className="line">
        <Back />
        <h1 className="title" ref={heading} tabIndex={-1}>
          {name}
        </h1>
        {beside}
      </div>
    </header>
    {children}
  </section>
)

/** What went wrong, told at once. */
export const Problem = ({ text }: { readonly text: string | null }) =>
  text === null ? null : (
    <p className="note bad" role="alert">
      {text}
    </p>
  )
