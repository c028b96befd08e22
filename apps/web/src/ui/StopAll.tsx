/** All turns that run, stopped with one button. */
import { CircleStop } from "lucide-react"
import { useState } from "react"
import { Dialog } from "./Dialog.tsx"
import { Actions, useChange } from "./SessionDialogs.tsx"
import { useModel, useModelState } from "./use.ts"

const StopDialog = ({ count, close }: { readonly count: number; readonly close: () => void }) => {
  const model = useModel()
  const [busy, setBusy] = useState(false)
  const [problem, apply] = useChange(close)
  return (
    <Dialog title="Stop all sessions?" close={close}>
      <p>
        {count === 1 ? "One of the listed sessions is" : `${count} of the listed sessions are`} working. Every
        turn on this hub ends, and what waits is taken back; the sessions stay.
      </p>
      {problem}
      <Actions cancel={close}>
        <button
          type="button"
          className="danger"
          disabled={busy}
          onClick={() => {
            setBusy(true)
            void apply(model.stopAll()).then(() => setBusy(false))
          }}
        >
          {busy ? "Stopping…" : "Stop all"}
        </button>
      </Actions>
    </Dialog>
  )
}

export const StopAll = () => {
  const { sessions } = useModelState()
  const [asking, setAsking] = useState(false)
  const count = sessions.filter(
    ({ archived_at, status }) => archived_at == null && (status === "running" || status === "requires_action")
  ).length
  if (count === 0 && !asking) return null
  return (
    <>
      <button type="button" className="quiet stop-all" onClick={() => setAsking(true)}>
        <CircleStop size={15} aria-hidden="true" />
        Stop all
      </button>
      {asking ? <StopDialog count={count} close={() => setAsking(false)} /> : null}
    </>
  )
}
