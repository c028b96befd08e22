/** The hub's state: its metrics, and the access tokens that open it. */
import * as Params from "@causeway/protocol/Gateway/Params"
import { Tokens } from "@causeway/store/Tokens"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Prometheus from "../../Ops/Prometheus.ts"
import { answer, method } from "../Method.ts"

/** The figures of `/metrics`. JSON has no infinity: it leaves out what is no number, and bounds are labels. */
const metrics = method("causeway.metrics", Params.Empty, () =>
  Effect.map(Metric.snapshot, (pairs) =>
    answer({
      metrics: Prometheus.samples(pairs)
        .map(({ labels, name, value }) => ({
          name,
          labels: Object.fromEntries(labels),
          value: Number(value)
        }))
        .filter(({ value }) => Number.isFinite(value))
    })
  )
)

/** Access tokens that open the organisation or did until they expired, the newest first; never a secret. */
const list = method("causeway.tokens.list", Params.Empty, (_, { organizationId }) =>
  Effect.flatMap(Tokens, (tokens) =>
    Effect.map(tokens.list(organizationId), (all) =>
      answer({
        tokens: all
          .filter((token) => token.revokedAt === undefined)
          .map((token) => ({
            id: token.id,
            name: token.name,
            createdAtMs: token.createdAt,
            expiresAtMs: token.expiresAt ?? null,
            lastUsedAtMs: token.lastUsedAt ?? null
          }))
      })
    )
  )
)

export const methods = [metrics, list]
