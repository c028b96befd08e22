// Sessions of a hub and the credentials of both sides, for benchmarks.
export const apiOf = (server) => {
  const call = async (method, path, token, body) => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        "content-type": "application/json",
        "anthropic-beta": "ccr-byoc-2025-07-29"
      },
      ...(body && { body: JSON.stringify(body) })
    })
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return response.json()
  }
  const session = async () => {
    const { id } = await call("POST", "/v1/sessions", server.token, {})
    const { worker_jwt } = await call("POST", `/v1/code/sessions/${id}/bridge`, server.token, {})
    return { id, token: worker_jwt, path: `/v1/session_ingress/session/${id}` }
  }
  return { call, session }
}
