// The API: plain node:http, one table of routes.
import { type IncomingMessage, type Server, createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { db } from './db';
import { type OrderLine, cancelOrder, findOrder, placeOrder } from './orders';
import { may } from './permissions';
import { addToQueue } from './queue';
import { OutOfStock, UnknownProduct, stockOf } from './stock';
import { EmailTaken, createUser, findUser } from './users';
import { badEmail, badOrder } from './validation';

class HttpError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

interface Request {
  /** What stands for `:id` in the route. */
  readonly id: string;
  readonly body: Record<string, unknown>;
  /** Id of the user who asks. (A real shop would look into a session.) */
  readonly userId: number;
}

type Answer = readonly [status: number, body?: unknown];

const ROUTES: Record<string, (request: Request) => Promise<Answer>> = {
  async 'POST /users'({ body }) {
    const problem = badEmail(body.email);
    if (problem) throw new HttpError(400, problem);
    return [201, await createUser({ email: String(body.email), name: String(body.name) })];
  },

  async 'GET /users/:id'({ id }) {
    return [200, orNotFound(await findUser(Number(id)))];
  },

  async 'POST /orders'({ body, userId }) {
    const problem = badOrder(body.lines);
    if (problem) throw new HttpError(400, problem);
    if (!(await findUser(userId))) throw new HttpError(401, 'who are you?');
    const order = await placeOrder({ userId, lines: body.lines as OrderLine[] });
    await addToQueue('pack', { order: order.id });
    return [201, order];
  },

  async 'GET /orders/:id'({ id, userId }) {
    const order = orNotFound(await findOrder(Number(id)));
    if (order.userId !== userId) await demand(userId, 'orders.read');
    return [200, order];
  },

  async 'DELETE /orders/:id'({ id, userId }) {
    await demand(userId, 'orders.cancel');
    if (!(await cancelOrder(Number(id)))) throw new HttpError(404, 'not found');
    return [204];
  },

  async 'GET /products/:id/stock'({ id }) {
    return [200, { stock: await stockOf(id) }];
  },

  async 'PUT /products/:id/price'({ id, body, userId }) {
    await demand(userId, 'products.edit');
    const changed = await db('products').where({ sku: id }).update({ price_cents: body.cents });
    if (changed === 0) throw new HttpError(404, 'not found');
    return [204];
  },
};

function orNotFound<T>(found: T | undefined): T {
  if (found === undefined) throw new HttpError(404, 'not found');
  return found;
}

async function demand(userId: number, permission: string): Promise<void> {
  if (!(await may(userId, permission))) throw new HttpError(403, `this needs the permission ${permission}`);
}

export function createShopServer(): Server {
  return createServer((message, response) => {
    void answer(message).then(([status, body]) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(body === undefined ? undefined : JSON.stringify(body));
    });
  });
}

async function answer(message: IncomingMessage): Promise<Answer> {
  const asked = `${message.method} ${message.url}`;
  try {
    for (const [route, respond] of Object.entries(ROUTES)) {
      const match = new RegExp(`^${route.replace(':id', '(?<id>[\\w-]+)')}$`).exec(asked);
      if (!match) continue;
      const body = /^P/.test(asked) ? ((await json(message)) as Record<string, unknown>) : {};
      return await respond({ id: match.groups?.id ?? '', body, userId: Number(message.headers['x-user-id'] ?? 0) });
    }
    return [404, { error: 'not found' }];
  } catch (error) {
    return [statusOf(error), { error: (error as Error).message }];
  }
}

function statusOf(error: unknown): number {
  if (error instanceof HttpError) return error.status;
  if (error instanceof EmailTaken || error instanceof OutOfStock) return 409;
  if (error instanceof UnknownProduct) return 404;
  return 500;
}
