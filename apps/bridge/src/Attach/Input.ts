/** Keys: what a person types, asks for and answers. */
import * as SessionView from "@causeway/transcript/View/SessionView"
import * as Composer from "./Composer.ts"
import type { Key } from "./Keys.ts"
import * as Model from "./Model.ts"
import { none, type Step, say } from "./Model.ts"
import * as Panel from "./Panel.ts"
import * as PanelRows from "./PanelRows.ts"
import { scroll, toEnd, toTop } from "./Reading.ts"

/** The panel and the focus that go with the approvals. */
export const follow = (model: Model.Model): Model.Model => {
  const approval = Model.currentApproval(model)
  if (approval === undefined) {
    return model.panel === null && model.focus === "composer"
      ? model
      : { ...model, panel: null, focus: "composer" }
  }
  if (model.panel?.requestId === approval.requestId) return model
  const calm = model.composer.text === "" && model.now - model.typedAt >= Model.CALM_MILLIS
  return {
    ...model,
    panel: Panel.open(approval.requestId),
    focus: calm || (model.panel !== null && model.focus === "panel") ? "panel" : "composer"
  }
}

const submit = (model: Model.Model, uuid: string): Step => {
  const { composer } = model
  if (Composer.continues(composer)) return [{ ...model, composer: Composer.continueLine(composer) }, none]
  const text = composer.text.trimEnd()
  if (text.trim() === "") return [model, none]
  const own: Model.Sent = { uuid, text, stage: "sending", reason: null }
  const next = {
    ...model,
    composer: Composer.sent(composer),
    sent: [...model.sent, own].slice(-Model.SENT_MAX),
    notice: null,
    // What was typed has been sent; the next key may be for a panel.
    typedAt: 0
  }
  const [shown, commands] = toEnd(next)
  return [shown, [...commands, { _tag: "Send", uuid, text }]]
}

const resend = (model: Model.Model): Step => {
  const unknown = model.sent.filter((each) => each.stage === "unknown")
  if (unknown.length === 0) return [say(model, "every message has an answer from the hub"), none]
  const again = new Set(unknown.map((each) => each.uuid))
  return [
    {
      ...model,
      sent: model.sent.map((each) =>
        again.has(each.uuid) ? { ...each, stage: "sending", reason: null } : each
      )
    },
    unknown.map(({ uuid, text }) => ({ _tag: "Send", uuid, text }))
  ]
}

const stop = (model: Model.Model, uuid: string): Step =>
  SessionView.isRunning(model.view)
    ? [say(model, "asking the agent to stop…"), [{ _tag: "Interrupt", uuid }]]
    : [{ ...model, notice: null }, none]

const leave = (model: Model.Model): Step => [say({ ...model, detached: true }, "leaving…"), none]

const inPicker = (model: Model.Model, picker: Model.Picker, key: Key): Step => {
  const sessions = picker.sessions ?? []
  const select = (selected: number): Step => [
    {
      ...model,
      picker: { ...picker, selected: Math.max(0, Math.min(sessions.length - 1, selected)) }
    },
    none
  ]
  const name = key._tag === "Named" ? key.name : key._tag === "Text" ? key.text : ""
  switch (name) {
    case "up":
    case "k":
      return select(picker.selected - 1)
    case "down":
    case "j":
      return select(picker.selected + 1)
    case "page-up":
      return select(picker.selected - model.size.rows)
    case "page-down":
      return select(picker.selected + model.size.rows)
    case "home":
      return select(0)
    case "end":
      return select(sessions.length - 1)
    case "r":
      return [{ ...model, picker: { ...picker, error: null } }, [{ _tag: "List" }]]
    case "enter": {
      const session = sessions[picker.selected]
      return session === undefined ? [model, none] : [model, [{ _tag: "Open", session }]]
    }
    case "q":
    case "escape":
      return leave(model)
    default:
      return [model, none]
  }
}

const inPanel = (model: Model.Model, key: Key, uuid: string): Step | null => {
  const approval = Model.currentApproval(model)
  if (approval === undefined || model.panel === null) return null
  const { requestId } = approval
  const outcome = Panel.press(model.panel, approval, model.view.requests.open.get(requestId), key)
  if (!outcome.taken) return null
  const next: Model.Model = {
    ...model,
    panel: outcome.panel,
    notice: outcome.hint === null ? null : { text: outcome.hint, tone: "warn" }
  }
  if (outcome.answer === null) {
    const shown = outcome.panel.scroll > model.panel.scroll ? Model.panelShown(next) : undefined
    if (shown === undefined) return [next, none]
    const scroll = Math.min(outcome.panel.scroll, PanelRows.scrollMax(shown))
    return [{ ...next, panel: { ...outcome.panel, scroll } }, none]
  }
  // Whoever has been writing may go on to type: that is no answer to what is asked next.
  const { words } = model.panel
  const after: Model.Model = words === null ? next : { ...next, focus: "composer", typedAt: model.now }
  return [
    follow({ ...after, answering: new Set([...model.answering, requestId]) }),
    [{ _tag: "Answer", requestId, payload: { ...outcome.answer, uuid } }]
  ]
}

const inComposer = (model: Model.Model, key: Key, uuid: string): Step => {
  if (key._tag === "Named" && key.name === "enter") return submit(model, uuid)
  const composer = Panel.edit(model.composer, key)
  return [composer === model.composer ? model : { ...model, composer, typedAt: model.now }, none]
}

const global = (model: Model.Model, name: string): Step | null => {
  const half = Math.max(1, Math.floor(Model.transcriptRows(model) / 2))
  switch (name) {
    case "page-up":
      return scroll(model, -half)
    case "page-down":
      return scroll(model, half)
    case "line-up":
      return scroll(model, -1)
    case "line-down":
      return scroll(model, 1)
    case "top":
      return toTop(model)
    case "bottom":
      return toEnd(model)
    case "end":
      // In an empty composer there is no line to go to the end of.
      return model.composer.text === "" && model.focus === "composer" ? toEnd(model) : null
    case "ctrl-t":
      return [{ ...model, folded: { ...model.folded, thinking: !model.folded.thinking } }, none]
    case "ctrl-o":
      return [{ ...model, folded: { ...model.folded, results: !model.folded.results } }, none]
    case "ctrl-r":
      return resend(model)
    case "ctrl-l":
      return [model, [{ _tag: "Redraw" }]]
    case "tab":
      return Model.currentApproval(model) === undefined
        ? [model, none]
        : [{ ...model, focus: model.focus === "panel" ? "composer" : "panel" }, none]
    default:
      return null
  }
}

/** The state after a key. `uuid`: a fresh one, for what the key may send. */
export const pressed = (before: Model.Model, key: Key, uuid: string): Step => {
  const name = key._tag === "Named" ? key.name : ""
  if (name === "ctrl-c") {
    if (before.leaving) return leave(before)
    return [
      say(
        { ...before, leaving: true, composer: Composer.sent(before.composer) },
        before.sessionId === null ? "Ctrl-C again leaves" : "Ctrl-C again detaches; the agent goes on"
      ),
      none
    ]
  }
  const model: Model.Model = before.leaving ? { ...before, leaving: false, notice: null } : before
  if (name === "ctrl-d" && (model.composer.text === "" || model.focus === "panel")) return leave(model)
  if (model.picker !== null) return inPicker(model, model.picker, key)
  const handled = global(model, name) ?? (model.focus === "panel" ? inPanel(model, key, uuid) : null)
  if (handled !== null) return handled
  if (name === "escape") return stop(model, uuid)
  if (name === "ctrl-d") return [{ ...model, composer: Composer.deleteForward(model.composer) }, none]
  // Keys that mean nothing in the panel are not text for the composer, which does not show the cursor now.
  if (model.focus === "panel") return [say(model, "Tab goes to the composer"), none]
  return inComposer(model, key, uuid)
}
