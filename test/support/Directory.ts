/** Directories for tests, removed with all that is in them when their scope closes. */
import { mkdtempSync, realpathSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"

/** A new directory whose name begins with `causeway-` and `name`. */
export const temporary = (name: string) =>
  Effect.acquireRelease(
    Effect.sync(() => realpathSync(mkdtempSync(join(tmpdir(), `causeway-${name}-`)))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
