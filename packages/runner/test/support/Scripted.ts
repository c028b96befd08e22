/** The scripted agent for tests: bundled once, with its own directories. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { rolldown } from "rolldown"
import type { AgentSessions } from "../../src/Agent.ts"
import * as Sessions from "../../src/AgentSessions.ts"
import * as Drivers from "../../src/Drivers.ts"
import type { Supervision } from "../../src/Supervision.ts"

const make = async (): Promise<string> => {
  const file = join(mkdtempSync(join(tmpdir(), "causeway-scripted-")), "agent.mjs")
  const build = await rolldown({
    input: fileURLToPath(new URL("../../../../apps/scripted-agent/src/main.ts", import.meta.url)),
    platform: "node",
    resolve: { conditionNames: ["source"] }
  })
  await build.write({ file, format: "esm", codeSplitting: false })
  await build.close()
  process.once("exit", () => rmSync(join(file, ".."), { recursive: true, force: true }))
  return file
}

let made: Promise<string> | undefined

/** Where its bundle is; made at the first call of this process. */
export const bundle = (): Promise<string> => {
  made ??= make()
  return made
}

/** A directory of its own that goes with the scope. */
export const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "causeway-runner-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

export const layer = (
  options: Partial<Drivers.DriversOptions>,
  supervision: Partial<Supervision> = {}
): Layer.Layer<AgentSessions> =>
  Layer.unwrapScoped(
    Effect.map(directory, (scriptedDirectory) =>
      Layer.provide(
        Sessions.layerWith(supervision),
        Drivers.layer({ environment: process.env, scriptedDirectory, ...options })
      )
    )
  )
