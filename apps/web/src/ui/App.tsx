/** The page as a whole. */
import { Component, type ReactNode } from "react"
import type { Model } from "../Model.ts"
import type { Notifications } from "../Notifications.ts"
import { Announcer } from "./Announcer.tsx"
import { DevicesPane } from "./Devices.tsx"
import { Inbox } from "./Inbox.tsx"
import { Metrics } from "./Metrics.tsx"
import { SessionPane } from "./Session.tsx"
import { Sidebar } from "./Sidebar.tsx"
import { Entering } from "./SignIn.tsx"
import { ModelProvider, NotificationsProvider, type Stores, StoresProvider, useModelState } from "./use.ts"

/** A part that cannot be drawn takes nothing else with it. */
class Boundary extends Component<{ readonly children: ReactNode }, { readonly failed: boolean }> {
  override state = { failed: false }
  static getDerivedStateFromError() {
    return { failed: true }
  }
  override render() {
    return this.state.failed ? (
      <section className="blank" role="alert">
        <p>This could not be shown.</p>
        <button type="button" className="primary" onClick={() => this.setState({ failed: false })}>
          Try again
        </button>
      </section>
    ) : (
      this.props.children
    )
  }
}

const Main = () => {
  const { route, open } = useModelState()
  switch (route._tag) {
    case "Approvals":
      return <Inbox />
    case "Metrics":
      return <Metrics />
    case "Session":
      return open === null ? null : <SessionPane open={open} seq={route.seq} />
    case "Devices":
      return <DevicesPane />
    case "List":
      return open !== null ? (
        <SessionPane open={open} seq={null} />
      ) : (
        <section className="blank">
          <p>Choose a session, or begin a new one.</p>
        </section>
      )
  }
}

const Shell = ({ cancel }: { readonly cancel: () => void }) => {
  const { route, open, admitted } = useModelState()
  if (!admitted) return <Entering cancel={cancel} />
  return (
    <div className={route._tag === "List" ? "shell" : "shell open"}>
      <button type="button" className="skip" onClick={() => document.getElementById("main")?.focus()}>
        Skip to the session
      </button>
      <Announcer />
      <Sidebar />
      <main id="main" tabIndex={-1}>
        <Boundary key={`${route._tag}/${open?.id ?? ""}`}>
          <Main />
        </Boundary>
      </main>
    </div>
  )
}

export const App = ({
  model,
  notifications,
  stores,
  cancel
}: {
  readonly model: Model
  readonly notifications: Notifications
  readonly stores: Stores
  /** Gives up getting in. */
  readonly cancel: () => void
}) => (
  <ModelProvider value={model}>
    <NotificationsProvider value={notifications}>
      <StoresProvider value={stores}>
        <Shell cancel={cancel} />
      </StoresProvider>
    </NotificationsProvider>
  </ModelProvider>
)
