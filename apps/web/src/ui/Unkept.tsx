/** What this browser does not keep for the page, and what that means. */
import { useSyncExternalStore } from "react"
import { useStores } from "./use.ts"

export const Unkept = () => {
  const [all, tab] = useStores()
  const problem = useSyncExternalStore(all.subscribe, all.problem)
  const ofTab = useSyncExternalStore(tab.subscribe, tab.problem)
  const now = problem ?? ofTab
  if (now === null) return null
  return (
    <p className="note warn" role="status">
      {now === "blocked"
        ? "This browser keeps nothing for this page: after a reload you sign in again, and what was typed and not sent is gone. Allow cookies and site data here to keep it."
        : "This browser has no room left for this page: what was typed and not sent, pins and settings are gone after a reload. Delete data of other pages to keep them."}
    </p>
  )
}
