/** A map of at most `capacity` entries: beyond, the one that was set longest ago goes. */
export class BoundedMap<K, V> extends Map<K, V> {
  readonly capacity: number

  constructor(capacity: number) {
    super()
    this.capacity = capacity
  }

  override set(key: K, value: V): this {
    this.delete(key)
    super.set(key, value)
    if (this.size > this.capacity) {
      const [oldest] = this.keys()
      this.delete(oldest as K)
    }
    return this
  }
}
