/**
 * Runs before each file of tests. Files share a process, and `layer(…)((it) => …)` of @effect/vitest puts its own
 * `it.effect` and `it.scoped` into the one `it` that all of them import: each file begins with the original ones.
 */
import { effect, it, prop, scoped } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"

Object.assign(it, { effect, prop, scoped })

/** Generated cases of the properties that name no number of their own; see `vitest.config.ts` for the others. */
FastCheck.configureGlobal({ numRuns: 100 * Number(process.env["CAUSEWAY_TEST_RUNS"] ?? 1) })
