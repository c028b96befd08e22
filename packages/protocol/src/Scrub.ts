/**
 * Addresses without the secrets in them: whoever stores, shows or logs an address of others passes it through here. The
 * user of a web address goes too, as tokens stand there; the user of another one (`ssh://git@host`) is part of the address.
 */

const USER_INFO = /\b([a-z][a-z0-9+.-]*)(:(?:\\?\/){2})([^\s/?#"'`<>\\]*)@/gi

/** The text with every address in it scrubbed; a JSON text stays one. */
export const scrub = (text: string): string =>
  text.replace(USER_INFO, (_, scheme: string, slashes: string, user: string) => {
    const [name = ""] = user.split(":", 1)
    return /^https?$/i.test(scheme) || name === "" ? `${scheme}${slashes}` : `${scheme}${slashes}${name}@`
  })

const scrubSource = (source: unknown): unknown =>
  typeof source === "object" && source !== null && "url" in source && typeof source.url === "string"
    ? { ...source, url: scrub(source.url) }
    : source

/**
 * A session's context with the addresses of its repositories scrubbed. What else stands in it, servers and what opens them,
 * is for the agent and stays.
 */
export const scrubSources = <C extends { readonly sources?: unknown }>(context: C): C =>
  Array.isArray(context.sources) ? { ...context, sources: context.sources.map(scrubSource) } : context
