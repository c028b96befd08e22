import * as HttpApi from "@effect/platform/HttpApi"
import { describe, expect, it } from "@effect/vitest"
import type * as Context from "effect/Context"
import { CausewayApi, ColdApi } from "../src/http/Api.ts"
import * as CodeSessions from "../src/http/CodeSessions.ts"
import * as Endpoint from "../src/http/Endpoint.ts"
import * as Environments from "../src/http/Environments.ts"
import { EnvironmentId, SessionId } from "../src/Ids.ts"

interface Any {
  readonly method: string
  readonly path: string
  readonly annotations: Context.Context<never>
}

const endpointsOf = (api: Parameters<typeof HttpApi.reflect>[0]) => {
  const found: Array<Any> = []
  HttpApi.reflect(api, { onGroup: () => undefined, onEndpoint: ({ endpoint }) => found.push(endpoint) })
  return found
}
const nameOf = ({ method, path }: Any) => `${method} ${path}`

describe("endpoints", () => {
  it("are hot exactly where the platform's server does not answer them", () => {
    const all = endpointsOf(CausewayApi as never)
    const cold = endpointsOf(ColdApi as never).map(nameOf)
    expect(cold.length).toBeGreaterThan(10)
    expect(
      all
        .filter((endpoint) => !Endpoint.isHot(endpoint))
        .map(nameOf)
        .sort()
    ).toEqual([...cold].sort())
  })

  it("have an address, without what is not given", () => {
    expect(
      Endpoint.urlOf("http://hub", CodeSessions.workerStream, {
        path: { id: SessionId.make("cse_1") },
        query: { from_sequence_num: 3, block_ms: undefined }
      })
    ).toBe("http://hub/v1/code/sessions/cse_1/worker/events/stream?from_sequence_num=3")
    expect(Endpoint.urlOf("http://hub/base", Environments.list, { query: { cursor: "a b&c" } })).toBe(
      "http://hub/base/v1/environments?cursor=a+b%26c"
    )
    expect(
      Endpoint.urlOf("http://hub", Environments.get, { path: { environmentId: EnvironmentId.make("e") } })
    ).toBe("http://hub/v1/environments/e")
  })
})
