/** The sessions that one goes on from and is gone on from in. */
import { GitFork } from "lucide-react"
import * as Route from "../Route.ts"
import * as State from "../State.ts"
import * as Text from "../Text.ts"
import { useModelState } from "./use.ts"

const Link = ({ id }: { readonly id: string }) => {
  const title = State.listed(useModelState(), id)?.title
  return (
    <a href={Route.toSession(id)}>
      <bdi>{Text.line(title ?? "another session", 80)}</bdi>
    </a>
  )
}

export const Lineage = ({ open: { links } }: { readonly open: State.Open }) => {
  if (links.from === null && links.into.length === 0) return null
  return (
    <div className="line facts lineage">
      <GitFork size={13} aria-hidden="true" />
      {links.from === null ? null : (
        <span>
          continued from <Link id={links.from} />
        </span>
      )}
      {links.into.length === 0 ? null : (
        <span>
          continued in{" "}
          {links.into.map((id, n) => (
            <span key={id}>
              {n === 0 ? "" : ", "}
              <Link id={id} />
            </span>
          ))}
        </span>
      )}
    </div>
  )
}
