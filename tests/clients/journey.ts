// Places orders, queries them, cancels one and returns goods of another, by a client whose types are
// generated from the OpenAPI document. Between its steps the test delivers what was written.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import createClient from 'openapi-fetch';
import type { components, paths } from './schema.js';

type NewOrder = components['schemas']['PlaceOrderShape'];
type Order = components['schemas']['OrderAnswer'];

const [baseUrl, token] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });
const input = createInterface({ input: process.stdin });
const answers = input[Symbol.asyncIterator]();

async function delivered(): Promise<void> {
  process.stdout.write('deliver\n');
  await answers.next();
}

const cups: NewOrder = {
  items: [{ sku: 'CUP', quantity: 2, seen: { amount: 1999, currency: 'EUR' } }],
  address: { name: 'Ada', street: 'Square 1', city: 'London', postcode: 'SW1Y', country: 'GB' },
  payment_method: 'tok_visa',
};

async function place(key: string): Promise<string> {
  const { data, error, response } = await client.POST('/api/commands/orders', {
    params: { header: { 'Idempotency-Key': key } },
    body: cups,
  });
  assert.equal(response.status, 202, JSON.stringify(error));
  assert.equal(data?.status, 'PROCESSING');
  return data.order_id;
}

async function find(order_id: string): Promise<Order> {
  const { data, error } = await client.GET('/api/queries/orders/{order_id}', {
    params: { path: { order_id } },
  });
  assert.ok(data, JSON.stringify(error));
  return data;
}

const [kept, called] = [await place('one'), await place('two')];
assert.equal(await place('one'), kept);
const cancelled = await client.POST('/api/commands/orders/{order_id}/cancel', {
  params: { path: { order_id: called }, header: { 'If-Match': '"1"' } },
  body: { reason: 'changed my mind' },
});
assert.equal(cancelled.data?.version, 2);
await delivered();
assert.deepEqual([(await find(kept)).status, (await find(called)).status], ['CONFIRMED', 'CANCELLED']);

const minimal = await client.POST('/api/commands/orders', {
  params: { header: { Prefer: 'return=minimal' } },
  body: cups,
});
assert.deepEqual([minimal.response.status, minimal.error], [204, undefined]);
assert.match(minimal.response.headers.get('Location') ?? '', /^\/api\/queries\/orders\//);

const refused = await client.POST('/api/commands/orders/{order_id}/cancel', {
  params: { path: { order_id: kept } },
  body: { reason: 'too late' },
});
assert.equal(refused.error?.code, 'OrderNotOpen');

const returned = await client.POST('/api/commands/orders/{order_id}/returns', {
  params: { path: { order_id: kept } },
  body: { lines: [{ number: 1, quantity: 1 }], reason: 'one is enough' },
});
assert.ok(returned.data, JSON.stringify(returned.error));
await delivered();
const { data: back } = await client.GET('/api/queries/returns/{return_id}', {
  params: { path: { return_id: returned.data.return_id } },
});
assert.equal(back?.lines[0]?.quantity, 1);
assert.deepEqual([back.status, back.refund.amount], ['REQUESTED', 1999]);

const { data: page } = await client.GET('/api/queries/orders', {
  params: { query: { status: 'CONFIRMED', limit: 10 } },
});
assert.ok(page?.data.some((order) => order.order_id === kept));
// It would keep the process alive.
input.close();
