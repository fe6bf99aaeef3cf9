// What `mocha --require mocha-rewind/register` loads.
import { loadConfig } from './config';
import { pluginFor } from './plugin';

export const { mochaHooks, mochaGlobalTeardown } = pluginFor('mocha-rewind/register', () => loadConfig());
