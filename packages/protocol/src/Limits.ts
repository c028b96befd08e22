/**
 * What is taken of others, and what is given at once. Each limit names the answer of whoever exceeds it; the hub's options
 * (`HubConfig`) hold those that its owner may change.
 */

/** Levels of objects and arrays within one another, in every JSON text that comes in. Beyond: 400. */
export const JSON_DEPTH = 256

/**
 * Levels of a payload that is read back from the log. What was stored before there was a limit at the doors is left out
 * beyond; SQLite reads no JSON that is deeper.
 */
export const STORED_DEPTH = 1000

/** Bytes of payloads that are read of a log at once, and that an answer holds; a larger event comes alone. More: the next page. */
export const PAGE_BYTES = 4 * 1024 * 1024

/** The same for whoever follows a log: many do at once, and each holds a page while it writes. */
export const FOLLOW_BYTES = 1024 * 1024

/** Bytes of a session's context, and of its tags: they are kept with its row and stand in every list. Beyond: 413. */
export const CONTEXT_BYTES = 256 * 1024

/** Characters of an identifier in a path. Beyond: 400. */
export const PATH_ID_CHARACTERS = 128

/** Sessions by key whose messages one connection is told. Beyond: `INVALID_REQUEST`. */
export const MESSAGE_KEYS = 1000

/** Characters of a key of the gateway. Beyond: `INVALID_REQUEST`. */
export const KEY_CHARACTERS = 512

/** Subscriptions to pushes of one device. Beyond: the oldest give way. */
export const PUSH_SUBSCRIPTIONS = 10

/** Time in which the headers of a request must arrive, in milliseconds. Beyond: 408. */
export const HEADERS_MILLIS = 20_000

/** Bytes a second, at least, at which the body of a request must arrive. Slower: 408. */
export const BODY_BYTES_PER_SECOND = 256
