/** SQLite, which the hub and every bridge keep their data in. */
import * as Database from "@causeway/store/Database"
import * as Effect from "effect/Effect"
import { Failure } from "./Failure.ts"

/** That its binding can be loaded: asked before anything that needs it, so that one sentence says what to do. */
export const loaded: Effect.Effect<string, Failure> = Effect.mapError(
  Database.binding,
  ({ detail }) =>
    new Failure({
      // The loader's own words go on for many lines.
      message: `the SQLite binding (better-sqlite3) cannot be loaded: ${detail.split("\n")[0] ?? ""}`,
      next: `run \`npm rebuild better-sqlite3\` with this Node (${process.version}), or \`npm ci\``
    })
)
