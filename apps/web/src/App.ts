/** The page: what is shown, what is fetched, and what people do. */
import type { JsonObject } from "@causeway/transcript/Read"
import * as Usage from "@causeway/transcript/Usage"
import * as Api from "./Api.ts"
import type { Frame } from "./Frame.ts"
import * as Outbox from "./Outbox.ts"
import * as Route from "./Route.ts"
import * as SessionView from "./SessionView.ts"
import * as Visible from "./Visible.ts"
import * as ApprovalCard from "./view/ApprovalCard.ts"
import { h, list, setShown, setText } from "./view/dom.ts"
import * as Item from "./view/Item.ts"
import * as SessionList from "./view/SessionList.ts"
import * as Watcher from "./Watcher.ts"

/** How often the list is read while the page is looked at. */
const LIST_MILLIS = 3000
/** Items of a conversation in the page at first, and how many more a press shows. */
const WINDOW = 300

const connectionText = (connection: Watcher.Connection): string => {
  switch (connection._tag) {
    case "connecting":
      return "connecting…"
    case "connected":
      return "connected"
    case "reconnecting":
      return `reconnecting: ${connection.reason}`
    case "ended":
      return connection.reason === "not-found" ? "this session is not there" : "signed out"
  }
}

/** Builds the page into `root` and runs it. `signOut` forgets the token. */
export const start = (root: HTMLElement, token: string, signOut: () => void): void => {
  // --- State ---

  let sessions: ReadonlyArray<Api.Session> = []
  let environments: ReadonlyArray<Api.Environment> = []
  let listProblem: string | null = null
  let pages = 1
  let more = false
  let openId: string | null = null
  let view = SessionView.empty
  /** Frames that wait for the next rendering: one step takes them all, however fast a long log comes in. */
  let arrived: Array<Frame> = []
  let connection: Watcher.Connection = { _tag: "connecting" }
  let watcher: Watcher.Watcher | undefined
  let shownItems = WINDOW
  let stopping = false
  let notice: string | null = null
  const answering = new Map<string, { readonly sending: boolean; readonly problem: string | null }>()
  const words = new Map<string, string>()
  const drafts = new Map<string, string>()

  const api = Api.make(token, () => {
    watcher?.stop()
    signOut()
  })

  const outbox = Outbox.make({
    send: async (entry) => {
      const result = await api.send(entry.session, [
        {
          type: "user",
          uuid: entry.uuid,
          session_id: "",
          parent_tool_use_id: null,
          message: { role: "user", content: entry.text }
        }
      ])
      if (result.ok) return { _tag: "stored", waitingFor: result.value }
      const mayPass =
        result.status === 0 || result.status === 401 || result.status === 429 || result.status >= 500
      return { _tag: mayPass ? "unreachable" : "refused", reason: result.message }
    },
    save: (text) => sessionStorage.setItem("outbox", text),
    load: () => sessionStorage.getItem("outbox"),
    sleep: (millis) => new Promise((resolve) => setTimeout(resolve, millis)),
    onChange: () => schedule(),
    onStored: (entry, waitingFor) => {
      if (entry.session === openId) notice = waitingFor
      void refreshList()
    }
  })

  // --- Elements ---

  const listElement = h("ul", { class: "sessions" })
  const listNote = h("p", { class: "note bad", attrs: { role: "status" } })
  const moreButton = h("button", { class: "quiet", attrs: { type: "button" } }, "More sessions")
  const environmentSelect = h("select", { attrs: { "aria-label": "Where the new session runs" } })
  const newButton = h("button", { class: "primary", attrs: { type: "button" } }, "New session")
  const sidebar = h(
    "nav",
    { attrs: { "aria-label": "Sessions" } },
    h("h1", {}, "Causeway"),
    h("div", { class: "row new" }, environmentSelect, newButton),
    listNote,
    listElement,
    moreButton
  )
  const title = h("h2", { attrs: { tabindex: "-1" } })
  const status = h("span", { class: "status" })
  const facts = h("span", { class: "facts" })
  const connectionElement = h("span", { class: "connection", attrs: { role: "status" } })
  const stopButton = h("button", { class: "danger", attrs: { type: "button" } }, "Stop")
  const earlier = h("button", { class: "quiet", attrs: { type: "button" } }, "Show earlier")
  const truncated = h("p", { class: "note" }, "Older events are not shown here.")
  const items = h("ol", { class: "items", attrs: { role: "log", "aria-label": "Conversation" } })
  const live = h("div", { class: "live", attrs: { "aria-hidden": "true" } })
  const unsent = h("ol", { class: "items unsent" })
  const transcript = h(
    "div",
    { class: "transcript", attrs: { tabindex: "0", "aria-label": "Transcript" } },
    truncated,
    earlier,
    items,
    live,
    unsent
  )
  const cards = h("ul", {
    class: "cards",
    attrs: { "aria-label": "Waiting for your answer", "aria-live": "polite" }
  })
  const noticeElement = h("p", { class: "note", attrs: { role: "status" } })
  const box = h("textarea", {
    attrs: { rows: 2, placeholder: "Message the agent", "aria-label": "Message the agent" }
  })
  const sendButton = h("button", { class: "primary", attrs: { type: "submit" } }, "Send")
  const composer = h("form", { class: "composer" }, box, sendButton)
  const pane = h(
    "section",
    { class: "session" },
    h(
      "header",
      {},
      h("a", { class: "back", attrs: { href: Route.toList } }, "‹ Sessions"),
      title,
      h("div", { class: "row" }, status, facts, connectionElement, stopButton)
    ),
    transcript,
    cards,
    noticeElement,
    composer
  )
  const nothingOpen = h(
    "section",
    { class: "session empty" },
    h("p", {}, "Choose a session, or begin a new one.")
  )
  const shell = h("div", { class: "shell" }, sidebar, h("main", {}, pane, nothingOpen))
  root.replaceChildren(shell)

  // --- Rendering ---

  const showList = list<SessionList.Entry>(listElement, (entry) => entry.session.id, SessionList.build)
  const showItems = list<Visible.Shown>(items, (shown) => shown.item.id, Item.build)
  const showUnsent = list<Outbox.Entry>(
    unsent,
    (entry) => entry.uuid,
    (entry) =>
      h(
        "li",
        {},
        h(
          "div",
          { class: "message user" },
          h("span", { class: "who" }, "You"),
          h("div", { class: "text" }, entry.text),
          entry.state === "failed"
            ? h(
                "div",
                { class: "delivery bad" },
                `not sent: ${entry.reason ?? "refused"} `,
                h(
                  "button",
                  { attrs: { type: "button" }, on: { click: () => outbox.retry(entry.uuid) } },
                  "Try again"
                ),
                " ",
                h(
                  "button",
                  { attrs: { type: "button" }, on: { click: () => outbox.discard(entry.uuid) } },
                  "Discard"
                )
              )
            : h(
                "div",
                { class: "delivery" },
                entry.reason === null ? "sending…" : `not sent yet: ${entry.reason}`
              )
        )
      )
  )
  const showCards = list<ApprovalCard.Card>(
    cards,
    (card) => card.approval.requestId,
    (card) => ApprovalCard.build(card, { answer, words })
  )
  let entries: ReadonlyArray<SessionList.Entry> = []
  let shown = new Map<string, Visible.Shown>()
  let shownCards = new Map<string, ApprovalCard.Card>()

  /** Keeps objects that say the same, so that what they show stays untouched. */
  const renderList = (): void => {
    const before = new Map(entries.map((entry) => [entry.session.id, entry]))
    entries = sessions.map((session) => {
      const entry = {
        session,
        environment: environments.find((environment) => environment.id === session.environmentId),
        current: session.id === openId
      }
      const known = before.get(session.id)
      return known !== undefined && SessionList.same(known, entry) ? known : entry
    })
    showList(entries)
    setText(listNote, listProblem ?? "")
    setShown(listNote, listProblem !== null)
    setShown(moreButton, more)
    const online = environments.filter((environment) => environment.online)
    const options = online.map(
      (environment) => `${environment.id}\n${environment.name} · ${environment.directory}`
    )
    if (environmentSelect.dataset["options"] !== options.join("\n\n")) {
      environmentSelect.dataset["options"] = options.join("\n\n")
      environmentSelect.replaceChildren(
        ...(online.length === 0
          ? [h("option", { attrs: { value: "" } }, "No host is online")]
          : online.map((environment) =>
              h(
                "option",
                { attrs: { value: environment.id } },
                `${environment.name} · ${environment.directory}`
              )
            ))
      )
    }
    newButton.disabled = online.length === 0
    environmentSelect.disabled = online.length === 0
  }

  const renderSession = (): void => {
    setShown(pane, openId !== null)
    setShown(nothingOpen, openId === null)
    shell.classList.toggle("open", openId !== null)
    if (openId === null) return
    const { row } = view
    const listed = sessions.find((session) => session.id === openId)
    const archived = row.archivedAt !== null || listed?.archived === true
    const name = row.title ?? listed?.title ?? "New session"
    setText(title, name)
    document.title = `${row.status === "requires_action" ? "● " : ""}${name} · Causeway`
    setText(status, SessionList.statusText(row.status, archived))
    status.className = `status ${archived ? "archived" : row.status}`
    setText(
      facts,
      [
        row.model,
        row.contextTokens === null
          ? null
          : `${Math.round((100 * row.contextTokens) / Usage.contextLimit(row.model))} % of context`,
        row.totalCostUsd === null ? null : `$${row.totalCostUsd.toFixed(2)}`
      ]
        .filter((fact) => fact !== null)
        .join(" · ")
    )
    setText(connectionElement, connectionText(connection))
    connectionElement.className = `connection ${connection._tag}`
    const busy = row.status === "running" || row.status === "requires_action"
    if (!busy) stopping = false
    setShown(stopButton, busy)
    stopButton.disabled = stopping
    setText(stopButton, stopping ? "Stopping…" : "Stop")

    // What was at the end stays at the end.
    const follow = transcript.scrollHeight - transcript.scrollTop - transcript.clientHeight < 60
    const visible = Visible.of(view.conversation.items, view.deliveries, shownItems)
    const next = new Map<string, Visible.Shown>()
    for (const entry of visible.shown) {
      const known = shown.get(entry.item.id)
      next.set(entry.item.id, known !== undefined && Visible.same(known, entry) ? known : entry)
    }
    shown = next
    showItems([...next.values()])
    setShown(earlier, visible.more)
    setShown(truncated, view.truncated)
    setText(
      live,
      view.live.blocks
        .filter((block) => block.kind === "text")
        .map((block) => block.text)
        .join("\n\n")
    )
    setShown(live, live.textContent !== "")
    showUnsent(
      outbox.entries().filter((entry) => entry.session === openId && !view.conversation.seen.has(entry.uuid))
    )

    const nextCards = new Map<string, ApprovalCard.Card>()
    for (const approval of row.approvals.pending) {
      const id = approval.requestId
      const state = answering.get(id) ?? { sending: false, problem: null }
      const request = view.requests.get(id) ?? { input: approval.input, suggestions: [] }
      const known = shownCards.get(id)
      nextCards.set(
        id,
        known !== undefined &&
          known.approval === approval &&
          known.sending === state.sending &&
          known.problem === state.problem
          ? known
          : { approval, request, ...state }
      )
    }
    shownCards = nextCards
    showCards([...nextCards.values()])
    setShown(cards, nextCards.size > 0)
    setText(noticeElement, notice ?? "")
    setShown(noticeElement, notice !== null)
    setShown(composer, !archived)
    if (follow) transcript.scrollTop = transcript.scrollHeight
  }

  let scheduled = false
  /** How long the last rendering took: a long conversation that comes in fast leaves the page time to breathe. */
  let cost = 0
  const schedule = (): void => {
    if (scheduled) return
    scheduled = true
    // A timer rather than an animation frame: a page in the background keeps its title true.
    setTimeout(
      () => {
        scheduled = false
        const began = performance.now()
        if (arrived.length > 0) {
          view = SessionView.steps(view, arrived)
          arrived = []
        }
        renderList()
        renderSession()
        cost = performance.now() - began
      },
      Math.max(16, Math.min(1000, cost * 2))
    )
  }

  // --- Fetching ---

  let reading = false
  const refreshList = async (): Promise<void> => {
    if (reading) return
    reading = true
    try {
      const places = await api.environments()
      if (places.ok) environments = places.value.data
      const found: Array<Api.Session> = []
      let cursor: string | null = null
      for (let n = 0; n < pages; n++) {
        const page: Api.Result<Api.Page<Api.Session>> = await api.sessions(cursor)
        if (!page.ok) {
          listProblem = page.message
          return
        }
        found.push(...page.value.data)
        cursor = page.value.nextCursor
        if (cursor === null) break
      }
      // A session that moves up between two pages is told twice.
      sessions = [...new Map(found.map((session) => [session.id, session])).values()]
      more = cursor !== null
      listProblem = places.ok ? null : places.message
      const current = sessions.find((session) => session.id === openId)
      if (current !== undefined && current.waitingFor === null) notice = null
    } finally {
      reading = false
      schedule()
    }
  }

  const open = (id: string | null): void => {
    if (id === openId) return
    if (openId !== null) drafts.set(openId, box.value)
    watcher?.stop()
    watcher = undefined
    openId = id
    view = SessionView.empty
    arrived = []
    connection = { _tag: "connecting" }
    shownItems = WINDOW
    stopping = false
    notice = null
    answering.clear()
    box.value = id === null ? "" : (drafts.get(id) ?? "")
    if (id !== null) {
      watcher = Watcher.watch(
        {
          fetch: (url, init) => fetch(url, { ...init, cache: "no-store" }),
          after: (millis, then) => {
            const timer = setTimeout(then, millis)
            return () => clearTimeout(timer)
          },
          random: Math.random
        },
        {
          url: `/v1/code/sessions/${encodeURIComponent(id)}/events/stream`,
          token,
          from: 0,
          onFrames: (frames) => {
            if (id !== openId) return
            for (const frame of frames) arrived.push(frame)
            schedule()
          },
          onConnection: (now) => {
            if (id !== openId) return
            connection = now
            if (now._tag === "ended" && now.reason === "unauthenticated") signOut()
            schedule()
          }
        }
      )
      title.focus({ preventScroll: true })
    }
    schedule()
  }

  // --- What people do ---

  function answer(requestId: string, payload: JsonObject): void {
    const id = openId
    if (id === null) return
    answering.set(requestId, { sending: true, problem: null })
    schedule()
    void api.send(id, [{ ...payload, uuid: Api.uuid() }]).then((result) => {
      if (id !== openId) return
      // The card goes when the log tells that it is settled, here or elsewhere.
      if (!result.ok) answering.set(requestId, { sending: false, problem: result.message })
      else words.delete(requestId)
      schedule()
    })
  }

  composer.addEventListener("submit", (event) => {
    event.preventDefault()
    const text = box.value.trim()
    if (openId === null || text === "") return
    outbox.add({ uuid: Api.uuid(), session: openId, text })
    box.value = ""
    drafts.delete(openId)
    transcript.scrollTop = transcript.scrollHeight
    schedule()
  })
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault()
      composer.requestSubmit()
    }
  })
  stopButton.addEventListener("click", () => {
    const id = openId
    if (id === null) return
    stopping = true
    schedule()
    const uuid = Api.uuid()
    const request = { type: "control_request", uuid, request_id: uuid, request: { subtype: "interrupt" } }
    void api.send(id, [request]).then((result) => {
      if (result.ok || id !== openId) return
      stopping = false
      notice = `not stopped: ${result.message}`
      schedule()
    })
  })
  newButton.addEventListener("click", () => {
    newButton.disabled = true
    void api.createSession(environmentSelect.value).then(async (result) => {
      if (result.ok) {
        location.hash = Route.toSession(result.value.id)
        open(result.value.id)
        renderSession()
        box.focus()
      } else listProblem = result.message
      await refreshList()
    })
  })
  moreButton.addEventListener("click", () => {
    pages++
    void refreshList()
  })
  earlier.addEventListener("click", () => {
    const fromEnd = transcript.scrollHeight - transcript.scrollTop
    shownItems += WINDOW
    renderSession()
    transcript.scrollTop = transcript.scrollHeight - fromEnd
  })
  addEventListener("hashchange", () => open(Route.sessionIn(location.hash)))
  addEventListener("online", () => {
    watcher?.hurry()
    void refreshList()
  })
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState !== "visible") return
    watcher?.hurry()
    void refreshList()
  })

  open(Route.sessionIn(location.hash))
  void refreshList()
  setInterval(() => {
    if (document.visibilityState === "visible") void refreshList()
  }, LIST_MILLIS)
  schedule()
}
