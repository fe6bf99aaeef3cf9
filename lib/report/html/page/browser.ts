/**
 * The little of the DOM that the page's script uses. Not TypeScript's own `dom` library: its hundreds of globals (`name`,
 * `event`, `status`) would then be in scope for the whole package.
 */
export interface PageElement {
  readonly dataset: Record<string, string | undefined>;
  readonly style: { setProperty(name: string, value: string): void };
  readonly clientWidth: number;
  readonly clientHeight: number;
  className: string;
  textContent: string;
  title: string;
  type: string;
  hidden: boolean;
  value: string;
  append(...children: (PageElement | string)[]): void;
  replaceChildren(...children: (PageElement | string)[]): void;
  setAttribute(name: string, value: string): void;
  getAttribute(name: string): string | null;
  removeAttribute(name: string): void;
  querySelectorAll(selector: string): Iterable<PageElement>;
  addEventListener<E extends PageEvent>(
    type: string,
    listener: (event: E) => void,
    options?: { readonly passive: boolean },
  ): void;
  getBoundingClientRect(): { readonly left: number; readonly top: number; readonly width: number };
  scrollIntoView(options?: { readonly block?: 'start' | 'nearest' }): void;
}

export interface PageCanvas extends PageElement {
  width: number;
  height: number;
  getContext(kind: '2d'): Pen;
}

export interface Pen {
  fillStyle: string;
  strokeStyle: string;
  font: string;
  textBaseline: string;
  textAlign: string;
  globalAlpha: number;
  lineWidth: number;
  setTransform(a: number, b: number, c: number, d: number, e: number, f: number): void;
  clearRect(x: number, y: number, width: number, height: number): void;
  fillRect(x: number, y: number, width: number, height: number): void;
  strokeRect(x: number, y: number, width: number, height: number): void;
  fillText(text: string, x: number, y: number): void;
  measureText(text: string): { readonly width: number };
}

export interface PageEvent {
  readonly key: string;
  readonly clientX: number;
  readonly clientY: number;
  readonly deltaX: number;
  readonly deltaY: number;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  preventDefault(): void;
}

export interface Browser {
  readonly document: {
    readonly documentElement: PageElement;
    readonly body: PageElement;
    createElement(tag: string): PageElement;
    querySelector(selector: string): PageElement | null;
  };
  readonly devicePixelRatio: number;
  getComputedStyle(element: PageElement): { getPropertyValue(name: string): string };
  matchMedia(query: string): { addEventListener(type: 'change', listener: () => void): void };
  addEventListener(type: string, listener: (event: PageEvent) => void): void;
  requestAnimationFrame(callback: () => void): void;
  readonly IntersectionObserver: new (
    callback: (entries: readonly { readonly isIntersecting: boolean }[]) => void,
    options: { readonly rootMargin: string },
  ) => { observe(element: PageElement): void };
}
