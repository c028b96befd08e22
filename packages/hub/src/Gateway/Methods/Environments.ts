/** Where sessions may run. */

import * as EnvironmentCapabilities from "@causeway/protocol/EnvironmentCapabilities"
import * as EnvironmentFiles from "@causeway/protocol/EnvironmentFiles"
import * as Params from "@causeway/protocol/Gateway/Params"
import { EnvironmentId } from "@causeway/protocol/Ids"
import * as Environments from "@causeway/store/Environments"
import { EnvironmentUnknown } from "@causeway/store/Errors"
import { Overview } from "@causeway/store/Overview"
import { object } from "@causeway/transcript/Read"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { invalid } from "../Failure.ts"
import { answer, method } from "../Method.ts"

const decodeId = Schema.decodeUnknown(EnvironmentId)

const environmentFiles = method(
  "causeway.environments.files",
  Params.EnvironmentFiles,
  ({ environmentId }, { organizationId }) =>
    Effect.flatMap(Environments.Environments, (environments) =>
      // An id that cannot stand in a path names nothing.
      Effect.mapError(decodeId(environmentId), () => new EnvironmentUnknown({ environmentId })).pipe(
        Effect.flatMap((id) => environments.get({ organizationId, environmentId: id })),
        Effect.map(({ metadata }) =>
          // The store keeps the JSON text of an object.
          answer({ files: EnvironmentFiles.fromMetadata(object(JSON.parse(metadata))) })
        ),
        Effect.catchTag("EnvironmentUnknown", () => invalid(`environment not found: ${environmentId}`))
      )
    )
)

const environmentsList = method(
  "causeway.environments.list",
  Params.EnvironmentsList,
  function* (params, { organizationId }) {
    const overview = yield* Overview
    const environments = yield* Environments.Environments
    const now = yield* Clock.currentTimeMillis
    const page = yield* environments
      .list({ organizationId, limit: 1000, archived: params.includeArchived === true ? "all" : "false" })
      .pipe(Effect.catchTag("CursorInvalid", Effect.die))
    const held = yield* overview.heldWork(organizationId, now)
    return answer({
      environments: page.environments.map((each) => ({
        id: each.id,
        name: each.name,
        machineName: each.machineName,
        directory: each.directory,
        branch: each.branch ?? null,
        online: Environments.isOnline(each, now),
        lastSeenAt: each.lastSeenAt ?? null,
        capacity: { max: each.maxSessions, used: held.get(each.id)?.held ?? 0 },
        queued: held.get(each.id)?.queued ?? 0,
        // The store keeps the JSON text of an object.
        offers: EnvironmentCapabilities.fromMetadata(object(JSON.parse(each.metadata))),
        archived: each.archivedAt !== undefined
      }))
    })
  }
)

export const methods = [environmentFiles, environmentsList]
