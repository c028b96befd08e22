/**
 * What an agent reports as running beside its turns: shells, servers and subagents in the background. Source: spec 4 §1.
 *
 * The set as a whole is believed where the agent tells it; an older one is followed by the starts and ends of its tasks.
 */
import type { JsonObject } from "@causeway/protocol/Payload"
import { array, object, string } from "@causeway/transcript/Read"

export interface Tasks {
  /** A `system` line of the agent. */
  readonly line: (json: JsonObject) => void
  /** Whether any task runs that is work; watchers of the agent's own are none. */
  readonly run: () => boolean
  /** The process is gone, and its tasks with it. */
  readonly clear: () => void
}

const ended: ReadonlySet<unknown> = new Set(["completed", "failed", "killed", "stopped", "cancelled"])

export const make = (): Tasks => {
  const running = new Set<string>()
  let whole = false
  return {
    line: (json) => {
      const id = string(json["task_id"])
      switch (json["subtype"]) {
        case "background_tasks_changed":
          whole = true
          running.clear()
          for (const task of array(json["tasks"]).map(object)) {
            if (task["ambient"] !== true) running.add(String(task["task_id"]))
          }
          return
        case "task_started":
          if (!whole && id !== null) running.add(id)
          return
        case "task_notification":
          if (!whole && id !== null) running.delete(id)
          return
        case "task_updated":
          if (!whole && id !== null && ended.has(object(json["patch"])["status"])) running.delete(id)
          return
      }
    },
    run: () => running.size > 0,
    clear: () => running.clear()
  }
}
