/** The list of sessions, what is looked for among them, and what needs somebody. */
import { Plus, Search, ShieldQuestion } from "lucide-react"
import { useEffect, useState } from "react"
import * as Route from "../Route.ts"
import * as State from "../State.ts"
import { Away } from "./Away.tsx"
import { Expiring } from "./Expiring.tsx"
import { Hits } from "./Hits.tsx"
import { NewSession } from "./NewSession.tsx"
import { SessionGroups } from "./SessionGroups.tsx"
import { SidebarHead } from "./SidebarHead.tsx"
import { StopAll } from "./StopAll.tsx"
import { Unkept } from "./Unkept.tsx"
import { useModel, useModelState } from "./use.ts"

/** Between the last letter and the search, in milliseconds. */
const TYPING_MILLIS = 250

/** Who waits for a person, over all sessions. */
const Approvals = () => {
  const { route, waiting } = useModelState()
  /** Null while it is not known. */
  const count = waiting === null ? null : State.waitingCount(waiting)
  const current = route._tag === "Approvals" ? " current" : ""
  return (
    <a className={`inbox${current}${(count ?? 0) > 0 ? " warn" : ""}`} href={Route.toApprovals}>
      <ShieldQuestion size={16} aria-hidden="true" />
      <span>Approvals</span>
      <span className="badge" title={count === null ? "Not known while the hub is away" : undefined}>
        {count ?? "–"}
      </span>
    </a>
  )
}

export const Sidebar = () => {
  const { list } = useModel()
  const { archived, listProblem, more } = useModelState()
  const [typed, setTyped] = useState("")
  const [beginning, setBeginning] = useState(false)
  const query = typed.trim()

  useEffect(() => {
    const timer = setTimeout(() => void list.search(query, archived), query === "" ? 0 : TYPING_MILLIS)
    return () => clearTimeout(timer)
  }, [query, list, archived])

  return (
    <nav className="sidebar" aria-label="Sessions">
      <SidebarHead />
      <div className="new">
        <button type="button" className="primary" onClick={() => setBeginning(true)}>
          <Plus size={16} aria-hidden="true" />
          New session
        </button>
        <StopAll />
      </div>
      {beginning ? <NewSession close={() => setBeginning(false)} /> : null}
      <label className="search">
        <Search size={15} aria-hidden="true" />
        <span className="hidden">Search sessions</span>
        <input
          type="search"
          placeholder="Search"
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
        />
      </label>
      <Approvals />
      <Expiring />
      <Unkept />
      <Away />
      {listProblem === null ? null : (
        <p className="note bad" role="status">
          {listProblem}
        </p>
      )}
      <div className="groups">
        <SessionGroups words={query.toLowerCase()} />
        {query === "" ? null : <Hits />}
        {more ? (
          <button type="button" className="quiet" onClick={() => list.more()}>
            More sessions
          </button>
        ) : null}
      </div>
    </nav>
  )
}
