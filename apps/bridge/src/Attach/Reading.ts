/** Reading back in the transcript: the view moves, and pages of the log are asked for at its ends. */
import * as SessionView from "@causeway/transcript/View/SessionView"
import * as Model from "./Model.ts"
import * as Scroll from "./Scroll.ts"

/** Asks for the events that a reader who goes there gets next. */
const page = (model: Model.Model, kind: SessionView.Direction): Model.Step => [
  { ...model, paging: kind },
  [{ _tag: "Page", kind, ...SessionView.range(model.view, kind) }]
]

/** The first row of the first block, where there is one. */
const firstRow = (model: Model.Model): Scroll.Anchor => {
  const first = Model.blocks(model)[0]
  return first === undefined ? null : { id: first.id, row: 0 }
}

export const scroll = (model: Model.Model, by: number): Model.Step => {
  const { columns } = model.size
  const moved = Scroll.move(Model.blocks(model), model.anchor, by, columns, Model.transcriptRows(model))
  const next = { ...model, anchor: moved.anchor }
  if (model.paging !== null) return [next, Model.none]
  const { after, atEnd } = model.view.window
  if (moved.reached === "top" && after > 0) return page(next, "older")
  return moved.reached === "end" && !atEnd ? page(model, "newer") : [next, Model.none]
}

export const toEnd = (model: Model.Model): Model.Step => {
  if (model.view.window.atEnd) return [{ ...model, anchor: null }, Model.none]
  return model.paging === null ? page(model, "end") : [model, Model.none]
}

export const toTop = (model: Model.Model): Model.Step => {
  if (model.paging !== null) return [model, Model.none]
  return model.view.window.after === 0
    ? [{ ...model, anchor: firstRow(model) }, Model.none]
    : page(model, "top")
}

/** A page has come. One that nobody waits for any more (another session was opened) has nothing to join. */
export const paged = (
  before: Model.Model,
  { after, frames, kind }: Extract<Model.Message, { readonly _tag: "Paged" }>
): Model.Step => {
  if (before.paging !== kind) return [before, Model.none]
  const model: Model.Model = {
    ...before,
    paging: null,
    view: SessionView.paged(before.view, kind, after, frames),
    anchor:
      kind === "end"
        ? null
        : kind === "older"
          ? // The row that was at the top stays there.
            (before.anchor ?? firstRow(before))
          : before.anchor
  }
  if (kind === "top") return [{ ...model, anchor: firstRow(model) }, Model.none]
  // Who follows the end gets what has come while the page was read.
  const isBehind = model.anchor === null && !model.view.window.atEnd && frames.length > 0
  return isBehind ? page(model, "newer") : [model, Model.none]
}
