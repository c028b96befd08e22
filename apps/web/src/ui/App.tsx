/** The page as a whole. */
import { Component, type ReactNode } from "react"
import type { Model } from "../Model.ts"
import { Inbox } from "./Inbox.tsx"
import { Metrics } from "./Metrics.tsx"
import { SessionPane } from "./Session.tsx"
import { Sidebar } from "./Sidebar.tsx"
import { Provider, useModelState } from "./use.ts"

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
    case "List":
      return (
        <section className="blank">
          <p>Choose a session, or begin a new one.</p>
        </section>
      )
  }
}

const Shell = () => {
  const { route, open } = useModelState()
  return (
    <div className={route._tag === "List" ? "shell" : "shell open"}>
      <button type="button" className="skip" onClick={() => document.getElementById("main")?.focus()}>
        Skip to the session
      </button>
      <Sidebar />
      <main id="main" tabIndex={-1}>
        <Boundary key={`${route._tag}/${open?.id ?? ""}`}>
          <Main />
        </Boundary>
      </main>
    </div>
  )
}

export const App = ({ model }: { readonly model: Model }) => (
  <Provider value={model}>
    <Shell />
  </Provider>
)
