/** The top of the list: the name, and the way to all else. */
import { Archive, ChartColumn, LogOut, MonitorSmartphone } from "lucide-react"
import * as Route from "../Route.ts"
import { useModel, useModelState } from "./use.ts"

export const SidebarHead = () => {
  const model = useModel()
  const { archived, devices, open, route } = useModelState()
  const asking = devices?.requests.length ?? 0
  return (
    <div className="brand">
      <svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
        <path d="M2 22h28M5 22c0-8 5-12 11-12s11 4 11 12M11 22v-8M16 22V10M21 22v-8" />
      </svg>
      {route._tag === "List" && open === null ? <h1>Causeway</h1> : <p className="name">Causeway</p>}
      <span className="grow" />
      <a
        className={route._tag === "Metrics" ? "icon current" : "icon"}
        href={Route.toMetrics}
        aria-label="Cost and health"
        title="Cost and health"
      >
        <ChartColumn size={17} aria-hidden="true" />
      </a>
      <a
        className={route._tag === "Devices" ? "icon current" : "icon"}
        href={Route.toDevices}
        aria-label={asking === 0 ? "Devices" : `Devices: ${asking} waiting for approval`}
        title="Devices and notifications"
      >
        <MonitorSmartphone size={17} aria-hidden="true" />
        {asking === 0 ? null : <span className="count">{asking}</span>}
      </a>
      <button
        type="button"
        className={archived ? "icon current" : "icon"}
        aria-pressed={archived}
        aria-label="Archived sessions"
        title="Archived sessions"
        onClick={() => model.list.showArchived(!archived)}
      >
        <Archive size={17} aria-hidden="true" />
      </button>
      <button
        type="button"
        className="icon"
        aria-label="Sign out"
        title="Sign out"
        onClick={() => model.signOut()}
      >
        <LogOut size={17} aria-hidden="true" />
      </button>
    </div>
  )
}
