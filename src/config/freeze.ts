function refuseChange(): never {
  throw new TypeError('the configuration does not change after it was read');
}

/** Freezes a value and all that it holds; maps lose their changing methods, since `Object.freeze` leaves those working. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  if (value instanceof Map) {
    for (const held of value.values()) deepFreeze(held);
    for (const name of ['set', 'delete', 'clear']) Object.defineProperty(value, name, { value: refuseChange });
  }
  Object.freeze(value);
  for (const held of Object.values(value)) deepFreeze(held);
  return value;
}
