// Random trees of suites, and what one run of such a tree tells. Shared by the property test and the process that runs them.

export type HookResult = 'none' | 'passes' | 'fails';
export type Body = 'passes' | 'fails' | 'skips' | 'pending' | 'flaky';
export type Tag = '' | '@rollback' | '@truncate' | '@nodb' | '@schema' | '@dirty' | '@unmanaged';
export type Mark = '' | 'only' | 'skip';

export interface TestNode {
  readonly tag: Tag;
  readonly body: Body;
  readonly mark: Mark;
}

export interface SuiteNode {
  readonly tag: Tag;
  readonly mark: Mark;
  readonly before: HookResult;
  readonly beforeEach: HookResult;
  readonly afterEach: HookResult;
  readonly after: HookResult;
  readonly tests: readonly TestNode[];
  readonly suites: readonly SuiteNode[];
}

export interface Told {
  readonly what: 'before' | 'beforeEach' | 'test' | 'afterEach' | 'after' | 'enter' | 'leave';
  /** Path of the node: `0.2` is the third child suite of the first suite, `0/1` its second test. */
  readonly of: string;
  /** Of `test`: who wrote the rows that it sees. Rows belong to the scope they were written in. */
  readonly sees?: readonly string[];
}

export interface TreeRun {
  readonly told: readonly Told[];
  readonly totals: Record<'tests' | 'passes' | 'pending' | 'failures', number>;
  readonly failures: number;
}

export interface TreeRequest {
  readonly tree: SuiteNode;
  readonly grep: string;
}

export interface TreeAnswer {
  readonly plain: TreeRun;
  readonly plugged: TreeRun;
}

/** The tag that counts for each test, by path; and who may write rows that it sees, outermost first. */
export function eachTest(
  root: SuiteNode,
  visit: (path: string, test: TestNode, tag: Tag, suites: readonly { path: string; node: SuiteNode }[]) => void,
): void {
  const walk = (node: SuiteNode, path: string, tag: Tag, above: readonly { path: string; node: SuiteNode }[]): void => {
    const own = node.tag || tag;
    const suites = [...above, { path, node }];
    node.tests.forEach((test, i) => visit(`${path}/${i}`, test, test.tag || own, suites));
    node.suites.forEach((child, i) => walk(child, path === '' ? String(i) : `${path}.${i}`, own, suites));
  };
  walk(root, '', '', []);
}
