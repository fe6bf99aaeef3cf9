import type { Admission } from '../sandbox';
import type { Restored } from '../snapshot';
import type { Scope } from '../scope';
import type { ManagedDatabase } from './managed-database';

/** What one mode means for one database. One implementation per mode, in a file of its own. */
export interface ModeStrategy {
  /** Where a checkout goes while a scope of this mode is the current one. */
  admit(database: ManagedDatabase, scope: Scope): Admission;
  /** Makes the database right for the scope before any code of it runs. */
  arrive(database: ManagedDatabase, scope: Scope): Promise<void>;
  /** After the last `before` hook of a suite of this mode. */
  prepared?(database: ManagedDatabase, scope: Scope): Promise<void>;
  /** After the last hook of a suite of this mode. */
  closing?(database: ManagedDatabase, scope: Scope): Promise<void>;
  /** After the last hook of a test. */
  depart(database: ManagedDatabase, scope: Scope): Promise<Restored | undefined>;
}
