/** What a session is, how it is connected, what it costs, and what can be done with the whole of it. */
import { Archive, ChevronLeft, Download, FolderGit2, Pencil, Pin, PinOff, Settings2 } from "lucide-react"
import { type ReactNode, type RefObject, useMemo } from "react"
import type { Open } from "../Model.ts"
import * as Place from "../Place.ts"
import * as Route from "../Route.ts"
import * as Text from "../Text.ts"
import { ConnectionLine } from "./Connection.tsx"
import { Context } from "./Context.tsx"
import { modes } from "./NewSession.tsx"
import { statusText } from "./Sidebar.tsx"
import { useModel, useModelState } from "./use.ts"

const download = (name: string, text: string): void => {
  const url = URL.createObjectURL(new Blob([text], { type: "application/x-ndjson" }))
  const link = document.createElement("a")
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}

const Action = ({
  name,
  title = name,
  pressed,
  act,
  children
}: {
  readonly name: string
  readonly title?: string
  readonly pressed?: boolean
  readonly act: () => void
  readonly children: ReactNode
}) => (
  <button type="button" className="icon" title={title} aria-label={name} aria-pressed={pressed} onClick={act}>
    {children}
  </button>
)

/** Where the agent works. */
const Where = ({ open }: { readonly open: Open }) => {
  const { sessions, environments } = useModelState()
  const listed = sessions.find((session) => session.id === open.id)
  const environment = environments.find(({ id }) => id === listed?.environmentId)
  const place = Place.of(open.id, open.view.row.workingDirectory, listed, environment)
  if (place === null) return null
  const directory = place.directory === null ? "a worktree that is made when it begins" : place.directory
  const where = `${place.machine === null ? "" : `${place.machine}:`}${directory}`
  return (
    <span className="where" title={Text.exactLine(where, 400)}>
      <FolderGit2 size={13} aria-hidden="true" />
      {place.isWorktree ? <span>worktree</span> : null}
      <span className="path" translate="no">
        <bdi dir="ltr">{Text.exactLine(directory, 200)}</bdi>
      </span>
      {place.branch === null ? null : (
        <bdi className="branch" translate="no" title="Branch">
          {Text.exactLine(place.branch, 120)}
        </bdi>
      )}
    </span>
  )
}

/** What the agent is set to, and how full and how dear its session is. Of a log that is read in part, not all is known. */
const Facts = ({ open, change }: { readonly open: Open; readonly change: () => void }) => {
  const state = useModelState()
  const { row, conversation } = open.view
  const listed = state.sessions.find((session) => session.id === open.id)
  const model = row.model ?? listed?.model ?? null
  const mode = row.permissionMode ?? listed?.permissionMode ?? null
  const used = row.contextTokens ?? listed?.contextTokens ?? null
  const cost = row.totalCostUsd ?? listed?.costUsd ?? null
  const worked = useMemo(
    () =>
      conversation.items.reduce((sum, item) => sum + (item.kind === "turn" ? (item.durationMs ?? 0) : 0), 0),
    [conversation.items]
  )
  return (
    <div className="line facts">
      <ConnectionLine connection={open.connection} since={open.connectionAt} />
      {model === null ? null : (
        <button type="button" className="fact" translate="no" title="Model: change it" onClick={change}>
          <bdi>{Text.exactLine(model, 60)}</bdi>
        </button>
      )}
      {mode === null ? null : (
        <button type="button" className="fact" title="Permissions: change them" onClick={change}>
          {modes.find(([value]) => value === mode)?.[1] ?? Text.exactLine(mode, 60)}
        </button>
      )}
      {used === null ? null : <Context used={used} model={model} />}
      {row.usage === null ? null : (
        <span className="usage" title="Tokens of the last message: read and written">
          {Text.tokens(row.usage.inputTokens + row.usage.cacheReadTokens + row.usage.cacheCreationTokens)} in
          · {Text.tokens(row.usage.outputTokens)} out
        </span>
      )}
      {cost === null ? null : <span>{Text.dollars(cost)}</span>}
      {worked === 0 || open.start > 0 ? null : (
        <span title="Time that the agent has worked">{Text.seconds(worked)}</span>
      )}
      <Where open={open} />
    </div>
  )
}

export const SessionHeader = ({
  open,
  title,
  archived,
  gone,
  heading,
  ask
}: {
  readonly open: Open
  readonly title: string
  readonly archived: boolean
  /** There is no such session: nothing can be done with it. */
  readonly gone: boolean
  readonly heading: RefObject<HTMLHeadingElement | null>
  readonly ask: (dialog: "settings" | "rename" | "archive") => void
}) => {
  const model = useModel()
  const state = useModelState()
  const pinned = state.pinned.has(open.id)
  const hosted = state.sessions.find((session) => session.id === open.id)?.connected === true
  const { row } = open.view
  // A page that was opened without the hub knows nothing of the session, not even that it waits.
  const known = row.lastSeq > 0 || state.sessions.some((session) => session.id === open.id)
  return (
    <header>
      <div className="line">
        <a className="icon back" href={Route.toList} aria-label="Sessions">
          <ChevronLeft size={20} aria-hidden="true" />
        </a>
        <h1 className="title" ref={heading} tabIndex={-1}>
          <bdi>{Text.line(title, 160)}</bdi>
        </h1>
        {known ? (
          <span className={`status pill ${archived ? "archived" : row.status}`}>
            {statusText(row.status, archived, hosted)}
          </span>
        ) : null}
        <span className="grow" />
        <div className="row" role="toolbar" aria-label="Session" hidden={gone}>
          <Action name="Rename" act={() => ask("rename")}>
            <Pencil size={16} aria-hidden="true" />
          </Action>
          <Action name="Pin" title={pinned ? "Unpin" : "Pin"} pressed={pinned} act={() => model.pin(open.id)}>
            {pinned ? <PinOff size={16} aria-hidden="true" /> : <Pin size={16} aria-hidden="true" />}
          </Action>
          <Action name="Model and permissions" act={() => ask("settings")}>
            <Settings2 size={16} aria-hidden="true" />
          </Action>
          <Action
            name="Export the transcript"
            act={() =>
              void model.exportLog(open.id).then((text) => {
                if (text !== null) download(`${open.id}.jsonl`, text)
              })
            }
          >
            <Download size={16} aria-hidden="true" />
          </Action>
          {archived ? null : (
            <Action name="Archive" act={() => ask("archive")}>
              <Archive size={16} aria-hidden="true" />
            </Action>
          )}
        </div>
      </div>
      <Facts open={open} change={() => ask("settings")} />
    </header>
  )
}
