/** V8 looks at a load of a property itself once it has seen so many of it; 16 were enough, whatever its flags are. */
const loads = 256;

/**
 * Has V8 find the methods of strings quickly again. ioredis has a class that extends String, for which V8 turns `String.prototype` into a
 * dictionary, so that it can be changed cheaply until it is used. It is turned back when a property of it is looked for on an object, and
 * a text is none: from then on each call of a method of any text in the process looked it up by its name, 500 in the place of 100 ns for
 * 46 times `charCodeAt`. So one is looked for on an object here. To be called once the class is there; does nothing else.
 */
export function settleStringMethods(): void {
  const text: object = Object('');
  for (let count = 0; count < loads; count += 1) inheritedOf(text);
}

/** A function, since what V8 has seen of a load is kept with the function that it is in. */
function inheritedOf(text: object): unknown {
  return text.constructor;
}
