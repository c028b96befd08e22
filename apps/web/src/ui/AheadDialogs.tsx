/** What an agent may do without asking, decided ahead of its questions; and the session gone on with in a new one. */
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import { type FormEvent, useId, useState } from "react"
import * as State from "../State.ts"
import * as Text from "../Text.ts"
import { Dialog } from "./Dialog.tsx"
import { ModeField, ModelField, useSure } from "./fields.tsx"
import { Actions, useChange } from "./SessionDialogs.tsx"
import { useModel, useModelState, useNow } from "./use.ts"

/** For how long everything may be allowed, in minutes. */
const TIMES = [
  ["15", "For 15 minutes"],
  ["60", "For 1 hour"]
] as const

/** When the skipping ends, as a person reads it. */
const endOf = (until: number | null | undefined): string =>
  until == null
    ? "until somebody turns it off"
    : `until ${new Date(until).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}`

/** What is allowed ahead in this session, in the header; nothing where everything is asked for. */
export const Ahead = ({ open, change }: { readonly open: State.Open; readonly change: () => void }) => {
  const { settings } = State.about(useModelState(), open)
  const now = useNow(5_000)
  const skips = AgentSettings.skipsPermissions(settings, now)
  if (!skips && settings.auto_accept_edits !== true) return null
  return (
    <button
      type="button"
      className={skips ? "fact warn" : "fact"}
      title="Allowed without asking: change it"
      onClick={change}
    >
      {skips ? `Everything allowed ${endOf(settings.skip_permissions_until)}` : "Edits allowed"}
    </button>
  )
}

export const AheadDialog = ({ open, close }: { readonly open: State.Open; readonly close: () => void }) => {
  const model = useModel()
  const id = useId()
  const { environment, settings } = State.about(useModelState(), open)
  const now = useNow(5_000)
  const skips = AgentSettings.skipsPermissions(settings, now)
  const allowed = environment?.offers.notAllowed ?? []
  const [edits, setEdits] = useState(settings.auto_accept_edits === true)
  /** "": stays as it is. */
  const [everything, setEverything] = useState("")
  const skipsNext = everything !== "" && everything !== "off"
  const { isSettled, question } = useSure(skipsNext ? "bypassPermissions" : "")
  const [problem, apply] = useChange(close)
  const submit = (event: FormEvent): void => {
    event.preventDefault()
    if (!isSettled) return
    void apply(
      model.settings(open.id, {
        ...(edits === (settings.auto_accept_edits === true) ? {} : { auto_accept_edits: edits }),
        ...(everything === "" ? {} : { skip_permissions: skipsNext }),
        ...(skipsNext ? { skip_permissions_for_ms: Number(everything) * 60_000 } : {})
      })
    )
  }
  const refused = allowed.includes("bypassPermissions")
  return (
    <Dialog title="Allowed without asking" close={close}>
      <form className="fields" onSubmit={submit}>
        <label className="check" htmlFor={`${id}-edits`}>
          <input
            id={`${id}-edits`}
            type="checkbox"
            checked={edits}
            disabled={!edits && allowed.includes("acceptEdits")}
            onChange={(event) => setEdits(event.target.checked)}
          />
          Edits of files
        </label>
        <label htmlFor={`${id}-all`}>Everything</label>
        <select
          id={`${id}-all`}
          value={everything}
          aria-describedby={`${id}-now`}
          onChange={(event) => setEverything(event.target.value)}
        >
          <option value="">{skips ? "As it is now" : "Ask each time"}</option>
          {skips ? <option value="off">Ask again from now on</option> : null}
          {TIMES.map(([minutes, words]) => (
            <option key={minutes} value={minutes} disabled={refused}>
              {refused ? `${words} (not allowed on this machine)` : words}
            </option>
          ))}
        </select>
        <p className="note" id={`${id}-now`}>
          {skips
            ? `Everything is allowed ${endOf(settings.skip_permissions_until)}.`
            : "What is allowed is decided where the agent runs, and told in the transcript."}
        </p>
        {question}
        {problem}
        <Actions cancel={close}>
          <button type="submit" className="primary" disabled={!isSettled}>
            Done
          </button>
        </Actions>
      </form>
    </Dialog>
  )
}

export const ContinueDialog = ({
  open,
  close
}: {
  readonly open: State.Open
  readonly close: () => void
}) => {
  const model = useModel()
  const id = useId()
  const about = State.about(useModelState(), open)
  const [message, setMessage] = useState("")
  const [title, setTitle] = useState("")
  const [name, setName] = useState("")
  const [mode, setMode] = useState("")
  const [prompt, setPrompt] = useState("")
  const [busy, setBusy] = useState(false)
  const { isSettled, question } = useSure(mode)
  const [problem, apply] = useChange(close)
  const submit = (event: FormEvent): void => {
    event.preventDefault()
    if (!isSettled || message.trim() === "") return
    setBusy(true)
    void apply(
      model.goOn(open.id, {
        message,
        title: title.trim(),
        model: name.trim(),
        permissionMode: mode,
        appendSystemPrompt: prompt.trim()
      })
    ).then(() => setBusy(false))
  }
  return (
    <Dialog title="Continue in a new session" close={close}>
      <form className="fields" onSubmit={submit}>
        <p className="note">
          The conversation is taken over, and this session stays as it is. A turn that is going on is stopped.
        </p>
        <label htmlFor={`${id}-message`}>Message</label>
        <textarea
          id={`${id}-message`}
          rows={3}
          required
          value={message}
          onChange={(event) => setMessage(event.target.value)}
        />
        <label htmlFor={`${id}-title`}>Title (optional)</label>
        <input
          id={`${id}-title`}
          value={title}
          maxLength={200}
          placeholder={Text.line(about.title ?? "", 120)}
          onChange={(event) => setTitle(event.target.value)}
        />
        <div className="two">
          <div>
            <ModelField
              id={`${id}-model`}
              label="Model (optional)"
              placeholder="As it is"
              value={name}
              set={setName}
            />
          </div>
          <div>
            <ModeField
              id={`${id}-mode`}
              notAllowed={about.environment?.offers.notAllowed ?? []}
              others={[["", "As they are"]]}
              value={mode}
              set={setMode}
            />
          </div>
        </div>
        {question}
        <label htmlFor={`${id}-prompt`}>Added to the system prompt (optional)</label>
        <textarea
          id={`${id}-prompt`}
          rows={2}
          value={prompt}
          onChange={(event) => setPrompt(event.target.value)}
        />
        {problem}
        <Actions cancel={close}>
          <button type="submit" className="primary" disabled={busy || !isSettled || message.trim() === ""}>
            Continue
          </button>
        </Actions>
      </form>
    </Dialog>
  )
}
