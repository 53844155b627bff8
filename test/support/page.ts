import { dashboardHtml } from '../../src/admin/dashboard-html.ts';

type Listener = (event: { preventDefault(): void }) => unknown;

/** As much of an element as the dashboard's script uses. */
export class FakeElement {
  hidden = false;
  value: string | number = '';
  max = 0;
  title = '';
  type = '';
  className = '';
  children: FakeElement[] = [];
  readonly attributes = new Map<string, string>();
  readonly listeners = new Map<string, Listener>();
  readonly #onFocus: (element: FakeElement) => void;
  #text = '';

  constructor(onFocus: (element: FakeElement) => void = () => undefined) {
    this.#onFocus = onFocus;
  }

  get textContent(): string {
    return this.#text + this.children.map((child) => child.textContent).join(' ');
  }

  set textContent(text: string) {
    this.#text = text;
    this.children = [];
  }

  append(...children: FakeElement[]): void {
    this.children.push(...children);
  }

  replaceChildren(...children: FakeElement[]): void {
    this.children = children;
  }

  setAttribute(name: string, value: string): void {
    this.attributes.set(name, value);
  }

  addEventListener(name: string, listener: Listener): void {
    this.listeners.set(name, listener);
  }

  contains(other: unknown): boolean {
    return other instanceof FakeElement && (other === this || this.children.some((child) => child.contains(other)));
  }

  focus(): void {
    this.#onFocus(this);
  }

  blur(): void {}
}

/** A page with the dashboard's elements, whose `fetch` goes to a real admin server on loopback. */
export class FakePage {
  readonly requests: string[] = [];
  readonly session = new Map<string, string>();
  focused: FakeElement | undefined = undefined;
  timers: { readonly callback: () => unknown; readonly delayMs: number }[] = [];
  readonly #elements: ReadonlyMap<string, FakeElement>;
  readonly #port: number;
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(port: number) {
    this.#port = port;
    const tags = [...dashboardHtml.matchAll(/<[a-z0-9]+[^>]* id="([^"]+)"[^>]*>/g)];
    this.#elements = new Map(
      tags.map(([tag, id = '']) => {
        const element = this.#element();
        element.hidden = / hidden[ >]/.test(tag);
        return [id, element];
      }),
    );
  }

  /** What the script finds in its global scope. */
  globals(): object {
    const focused = (): FakeElement | undefined => this.focused;
    return {
      document: {
        hidden: false,
        get activeElement() {
          return focused();
        },
        getElementById: (id: string) => this.#elements.get(id) ?? null,
        createElement: () => this.#element(),
      },
      sessionStorage: {
        getItem: (name: string) => this.session.get(name) ?? null,
        setItem: (name: string, value: string) => this.session.set(name, value),
        removeItem: (name: string) => this.session.delete(name),
      },
      fetch: (path: string, init: RequestInit) => this.#fetch(path, init),
      setTimeout: (callback: () => unknown, delayMs: number) => this.timers.push({ callback, delayMs }),
      URLSearchParams,
      Intl,
    };
  }

  element(id: string): FakeElement {
    const element = this.#elements.get(id);
    if (element === undefined) throw new Error(`no element ${id}`);
    return element;
  }

  text(id: string): string {
    return this.element(id).textContent;
  }

  /** Fires an event at an element and waits for what it sets off. */
  async fire(id: string, event: string): Promise<void> {
    await this.#dispatch(this.element(id), event);
  }

  /** Presses the button with this label, which has the focus then. */
  async press(label: string): Promise<void> {
    const button = this.button(label);
    button.focus();
    await this.#dispatch(button, 'click');
  }

  /** The button with this label. */
  button(label: string): FakeElement {
    const all = (element: FakeElement): FakeElement[] => [element, ...element.children.flatMap(all)];
    const button = [...this.#elements.values()].flatMap(all).find((one) => one.attributes.get('aria-label') === label);
    if (button === undefined) throw new Error(`no button ${label}`);
    return button;
  }

  async runTimers(): Promise<void> {
    const due = this.timers;
    this.timers = [];
    for (const { callback } of due) callback();
    await this.settled();
  }

  /** Resolves when no request is under way any more and what waited for the last one has run. */
  async settled(): Promise<void> {
    // What follows an answer (reading its body, asking the next) takes a few turns of the loop.
    for (let quietTurns = 0; quietTurns < 5; quietTurns += 1) {
      if (this.#underWay.size > 0) quietTurns = 0;
      await Promise.allSettled(this.#underWay);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #element(): FakeElement {
    return new FakeElement((element) => {
      this.focused = element;
    });
  }

  async #dispatch(element: FakeElement, event: string): Promise<void> {
    const listener = element.listeners.get(event);
    if (listener === undefined) throw new Error(`nobody listens to ${event}`);
    listener({ preventDefault: () => undefined });
    await this.settled();
  }

  #fetch(path: string, init: RequestInit): Promise<Response> {
    this.requests.push(path);
    const answer = fetch(`http://127.0.0.1:${this.#port}/${path}`, init).then(
      // The body is there before the page goes on, so that only requests need to be waited for.
      async (response) => new Response(await response.text(), { status: response.status }),
    );
    this.#underWay.add(answer);
    void answer.finally(() => this.#underWay.delete(answer)).catch(() => undefined);
    return answer;
  }
}
