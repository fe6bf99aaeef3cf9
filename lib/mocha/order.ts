import { type Mode, type Phase, phaseOf } from '../modes';
import { type Suite, type Test, cloneSuite, makeHolder } from './mocha-private';

export interface OrderOptions {
  readonly modeOf: (node: Suite | Test) => Mode;
  /** Whether a mixed suite is divided among the phases of its tests, or goes whole to the last of them. */
  readonly splits: (suite: Suite) => boolean;
  /** The order of siblings inside a phase. */
  readonly arrange: <Node extends Suite | Test>(siblings: readonly Node[]) => Node[];
}

/** One suite, divided: its part of each phase. A suite with nothing to run is in no phase. */
type Divided = { readonly parts: ReadonlyMap<Phase, Suite> } | { readonly idle: Suite };

/**
 * Sorts the tree by phase, once, before anything has run. A mixed suite becomes one suite per phase, each with all of
 * its hooks, so that afterwards every suite but the root holds one kind of tests. Inside a phase the order stays.
 * Pending tests never cause a split. Returns the phase of each suite below the root.
 */
export function reorder(root: Suite, options: OrderOptions): ReadonlyMap<Suite, Phase> {
  const order = new Order(options);
  order.sortRoot(root);
  return order.phases;
}

/** Takes tests out of the tree. A suite that is empty then runs no hooks. */
export function leaveOut(suite: Suite, isLeftOut: (test: Test) => boolean): void {
  suite.tests = suite.tests.filter((test) => !isLeftOut(test));
  for (const child of suite.suites) leaveOut(child, isLeftOut);
}

class Order {
  readonly phases = new Map<Suite, Phase>();

  constructor(private readonly options: OrderOptions) {}

  sortRoot(root: Suite): void {
    const tests = root.tests;
    const children = root.suites.map((suite) => this.#divide(suite));
    const used = this.#usedPhases(tests, children);
    if (used.length === 0) return this.#settle(root, 1);
    root.suites = [];
    for (const phase of used) {
      const own = this.#testsFor(phase, used, tests);
      const suites = this.#suitesFor(phase, used, children);
      // Mocha runs a suite's own tests before its child suites: later ones need a suite of their own.
      if (phase === used[0]) root.tests = this.options.arrange(own);
      else if (own.length > 0) root.suites.push(this.#fill(makeHolder(root), phase, own, []));
      root.suites.push(...this.options.arrange(suites));
      for (const suite of suites) suite.parent = root;
    }
  }

  #divide(suite: Suite): Divided {
    if (!this.options.splits(suite)) return this.#keepWhole(suite);
    const { tests } = suite;
    const children = suite.suites.map((child) => this.#divide(child));
    const used = this.#usedPhases(tests, children);
    if (used.length === 0) return { idle: suite };
    const parts = new Map<Phase, Suite>();
    for (const phase of used) {
      const part = phase === used[0] ? suite : cloneSuite(suite);
      parts.set(phase, part);
    }
    for (const [phase, part] of parts) {
      this.#fill(part, phase, this.#testsFor(phase, used, tests), this.#suitesFor(phase, used, children));
    }
    return { parts };
  }

  /** All of it in the last phase it has tests of, in the order it was written in. */
  #keepWhole(suite: Suite): Divided {
    const phases = new Set<Phase>();
    suite.eachTest((test) => test.isPending() || phases.add(this.#phaseOfTest(test)));
    if (phases.size === 0) return { idle: suite };
    const last = [...phases].sort().at(-1)!;
    this.#settle(suite, last);
    return { parts: new Map([[last, suite]]) };
  }

  #fill(part: Suite, phase: Phase, tests: readonly Test[], suites: readonly Suite[]): Suite {
    part.tests = this.options.arrange(tests);
    part.suites = this.options.arrange(suites);
    for (const child of [...part.tests, ...part.suites]) child.parent = part;
    this.phases.set(part, phase);
    return part;
  }

  /** Everything in this suite belongs to one phase, or has nothing to run. */
  #settle(suite: Suite, phase: Phase): void {
    this.phases.set(suite, phase);
    suite.tests = this.options.arrange(suite.tests);
    suite.suites = this.options.arrange(suite.suites);
    for (const child of suite.suites) this.#settle(child, phase);
  }

  #usedPhases(tests: readonly Test[], children: readonly Divided[]): Phase[] {
    const used = new Set<Phase>();
    for (const test of tests) if (!test.isPending()) used.add(this.#phaseOfTest(test));
    for (const child of children) if ('parts' in child) for (const phase of child.parts.keys()) used.add(phase);
    return [...used].sort();
  }

  /** Pending tests stay with the first part. */
  #testsFor(phase: Phase, used: readonly Phase[], tests: readonly Test[]): Test[] {
    return tests.filter((test) => (test.isPending() ? phase === used[0] : phase === this.#phaseOfTest(test)));
  }

  /** A suite with nothing to run goes where its mode belongs, if anything runs there: its `before` hooks do run. */
  #suitesFor(phase: Phase, used: readonly Phase[], children: readonly Divided[]): Suite[] {
    return children.flatMap((child) => {
      if ('parts' in child) return child.parts.get(phase) ?? [];
      const wanted = phaseOf(this.options.modeOf(child.idle));
      if (phase !== (used.includes(wanted) ? wanted : used[0])) return [];
      this.#settle(child.idle, phase);
      return child.idle;
    });
  }

  #phaseOfTest(test: Test): Phase {
    return phaseOf(this.options.modeOf(test));
  }
}
