// The Workers KV part of Cloudflare's API, in your own Worker: no limit of 1,200 requests in five minutes.
//
//   /kv/[accounts/{account}/]storage/kv/namespaces/{namespace}/...   over the KV binding of that name
//   /do/[accounts/{account}/]storage/kv/namespaces/{namespace}/...   over SQLite Durable Objects, one per thread:
//                                                                    a bulk write to a thread is whole or not at all,
//                                                                    and seen by everyone once it is answered
//
// ... is keys, values/{key}, metadata/{key}, bulk, bulk/get, bulk/delete. Requests and answers look as in the API.

import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";

const MIB = 1024 * 1024;
const LIMITS = {
  keyBytes: 512,
  valueBytes: 25 * MIB,
  metadataBytes: 1024,
  bulkKeys: 10_000,
  bulkBytes: 50_000_000, // the API takes 100 MB; a Worker has 128 MB of memory for the body and what is made of it
  getKeys: 100,
  getBytes: 25 * MIB,
  listKeys: [10, 1000],
  ttl: 60, // seconds
};
const CHUNK = MIB; // a row of a Durable Object holds 2 MB
const CALL = 28 * MIB; // a call of a Durable Object takes 32 MiB
const PARALLEL = 32; // Durable Objects that one page of a listing may ask
const KV_CALLS = 900; // KV takes 1,000 calls per invocation of a Worker

// Requests

export default {
  async fetch(request, env, ctx) {
    try {
      await authenticate(request, env);
      return await route(request, env, ctx);
    } catch (error) {
      // An answer before the end of a body may be lost with the connection.
      if (!request.bodyUsed) await request.body?.pipeTo(new WritableStream());
      if (error instanceof Refusal) return error.answer();
      console.error(error.stack);
      return new Refusal(500, 10001, "The gateway failed; its log has the reason.").answer();
    }
  },
};

async function authenticate(request, env) {
  if (!env.API_TOKEN) throw new Refusal(500, 10001, "The gateway has no API_TOKEN: wrangler secret put API_TOKEN");
  const [, token] = /^Bearer +(\S+)$/i.exec(request.headers.get("authorization") ?? "") ?? [];
  if (!token) throw new Refusal(401, 10000, "Authentication error: the Authorization header has no bearer token");
  // Digests are of one length, and compared in constant time: how long it takes says nothing about the token.
  const [sent, right] = await Promise.all(
    [token, env.API_TOKEN].map((text) => crypto.subtle.digest("SHA-256", bytes(text))),
  );
  if (!crypto.subtle.timingSafeEqual(sent, right)) throw new Refusal(401, 10000, "Authentication error: wrong token");
}

const PATH = new RegExp(
  "^/(kv|do)(?:/accounts/([^/]+))?/storage/kv/namespaces/([^/]+)" +
    "/(keys|bulk|bulk/get|bulk/delete|(values|metadata)/(.+))$",
);

const ROUTES = {
  "GET keys": listKeys,
  "PUT bulk": bulkPut,
  "POST bulk/get": bulkGet,
  "POST bulk/delete": bulkDelete,
  "GET values": getValue,
  "PUT values": putValue,
  "DELETE values": deleteValue,
  "GET metadata": getMetadata,
};

async function route(request, env, ctx) {
  const url = new URL(request.url);
  const [, mode, account, namespace, call, one, key] = PATH.exec(url.pathname) ?? [];
  const handler = ROUTES[`${request.method} ${one ?? call}`];
  if (!handler) throw new Refusal(404, 7003, `Could not route ${request.method} ${url.pathname.slice(0, 200)}`);
  if (env.ACCOUNT_ID && account !== env.ACCOUNT_ID)
    throw new Refusal(403, 10000, "Authentication error: another account");
  const store = mode === "kv" ? kvStore(env, ctx, decode(namespace)) : doStore(env, decode(namespace));
  return handler(store, request, url, key === undefined ? undefined : checkedKey(decode(key)));
}

function kvStore(env, ctx, namespace) {
  const binding = Object.hasOwn(env, namespace) ? env[namespace] : undefined;
  if (binding?.constructor?.name !== "KvNamespace")
    throw new Refusal(404, 10013, "namespace not found: no KV binding has this name");
  return new KVStore(binding, namespace, ctx);
}

function doStore(env, namespace) {
  const known = (env.DO_NAMESPACES ?? "").split(",").map((name) => name.trim());
  const covers = (name) => (name.endsWith("*") ? namespace.startsWith(name.slice(0, -1)) : namespace === name);
  if (!known.some(covers)) throw new Refusal(404, 10013, "namespace not found: DO_NAMESPACES does not name it");
  return new DOStore(env.SHARDS, namespace);
}

// Calls

async function listKeys(store, _request, url) {
  const limit = Number(url.searchParams.get("limit") ?? 1000);
  const [least, most] = LIMITS.listKeys;
  if (!Number.isInteger(limit) || limit < least || limit > most)
    throw invalid(`limit: a whole number from ${least} to ${most} is needed`);
  const page = await store.list(url.searchParams.get("prefix") ?? "", limit, url.searchParams.get("cursor") ?? "");
  return success(page.keys, { result_info: { count: page.keys.length, cursor: page.cursor } });
}

async function bulkPut(store, request) {
  const pairs = new Map();
  checkedArray(await body(request), LIMITS.bulkKeys).forEach((raw, at) => {
    const pair = checkedPair(raw, at);
    const other = pairs.get(pair.key)?.raw;
    if (other && JSON.stringify(other) !== JSON.stringify(raw))
      throw invalid(`received duplicate key with different values or expiration parameters: "${pair.key}"`);
    pairs.set(pair.key, { pair, raw });
  });
  return bulkAnswer(await store.put([...pairs.values()].map(({ pair }) => pair)), pairs.size);
}

async function bulkGet(store, request) {
  const { keys, type = "text", withMetadata = false } = (await body(request)) ?? {};
  if (checkedArray(keys, LIMITS.getKeys).length === 0) throw invalid("You must request a minimum of 1 key");
  const found = await store.getText([...new Set(keys.map((key) => checkedKey(key)))]);
  const shown = ({ value, metadata, expiration }) => {
    const parsed = type === "json" ? json(value) : value;
    return withMetadata ? { value: parsed, metadata: metadata ?? null, ...(expiration && { expiration }) } : parsed;
  };
  return success({ values: Object.fromEntries([...found].map(([key, entry]) => [key, entry && shown(entry)])) });
}

async function bulkDelete(store, request) {
  const keys = checkedArray(await body(request), LIMITS.bulkKeys).map((key) => checkedKey(key));
  return bulkAnswer(await store.delete([...new Set(keys)]), new Set(keys).size);
}

async function getValue(store, _request, _url, key) {
  const entry = await store.get(key);
  if (!entry) throw new Refusal(404, 10009, "key not found");
  return new Response(entry.value, {
    headers: {
      "content-type": "application/octet-stream",
      ...(entry.expiration && { expiration: String(entry.expiration) }),
    },
  });
}

async function getMetadata(store, _request, _url, key) {
  const entry = await store.get(key);
  if (!entry) throw new Refusal(404, 10009, "key not found");
  return success(entry.metadata ?? null);
}

async function putValue(store, request, url, key) {
  const type = request.headers.get("content-type") ?? "";
  const multipart = type.startsWith("multipart/form-data");
  const sent = await limited(request, multipart ? LIMITS.bulkBytes : LIMITS.valueBytes, multipart ? "Body" : "Value");
  const form = multipart ? await new Response(sent, { headers: { "content-type": type } }).formData() : undefined;
  const value = form ? form.get("value") : sent;
  const metadata = form?.has("metadata") ? json(form.get("metadata")) : undefined;
  const number = (name) => (url.searchParams.has(name) ? Number(url.searchParams.get(name)) : undefined);
  if (value === null) throw invalid("value: the form has none");
  const failed = await store.put([
    {
      key,
      value: checkedValue(value instanceof Blob ? new Uint8Array(await value.arrayBuffer()) : bytes(value)),
      metadata: checkedMetadata(metadata),
      expiration: checkedExpiration(number("expiration"), number("expiration_ttl")),
    },
  ]);
  if (failed.length) throw new Refusal(503, 10001, "The write failed; the gateway's log has the reason.");
  return success({});
}

async function deleteValue(store, _request, _url, key) {
  if ((await store.delete([key])).length)
    throw new Refusal(503, 10001, "The deletion failed; the gateway's log has the reason.");
  return success({});
}

// Checks: everything is looked at before anything is stored

function checkedPair(raw, at) {
  if (typeof raw?.value !== "string") throw invalid(`${at}.value: a string is needed`);
  return {
    key: checkedKey(raw.key),
    value: checkedValue(raw.base64 ? fromBase64(raw.value) : bytes(raw.value)),
    metadata: checkedMetadata(raw.metadata),
    expiration: checkedExpiration(raw.expiration, raw.expiration_ttl),
  };
}

function checkedKey(key) {
  if (typeof key !== "string" || key === "") throw invalid("Key names must not be empty");
  if (key === "." || key === "..") throw invalid(`Illegal key name "${key}". Please use a different name.`);
  const size = bytes(key).length;
  if (size > LIMITS.keyBytes)
    throw new Refusal(414, 10001, `UTF-8 encoded length of ${size} exceeds key length limit of ${LIMITS.keyBytes}.`);
  return key;
}

function checkedValue(value) {
  const size = value.byteLength;
  if (size > LIMITS.valueBytes)
    throw new Refusal(413, 10001, `Value length of ${size} exceeds limit of ${LIMITS.valueBytes}.`);
  return value;
}

function checkedMetadata(metadata) {
  if (metadata === undefined || metadata === null) return null;
  const text = JSON.stringify(metadata);
  const size = bytes(text).length;
  if (size > LIMITS.metadataBytes)
    throw new Refusal(413, 10001, `Metadata length of ${size} exceeds limit of ${LIMITS.metadataBytes}.`);
  return text;
}

function checkedExpiration(expiration, ttl) {
  if ([expiration, ttl].some((each) => each !== undefined && !Number.isSafeInteger(each)))
    throw invalid("expiration: whole seconds are needed");
  if (ttl !== undefined && ttl < LIMITS.ttl) throw invalid(`expiration_ttl: ${ttl} is less than ${LIMITS.ttl}`);
  if (ttl !== undefined) return now() + ttl;
  if (expiration !== undefined && expiration < now() + LIMITS.ttl)
    throw invalid(
      `Invalid expiration of ${expiration}. Expiration times must be at least ${LIMITS.ttl} seconds in the future.`,
    );
  return expiration ?? null;
}

function checkedArray(found, most) {
  if (!Array.isArray(found)) throw invalid("Invalid input: an array is needed");
  if (found.length > most) throw invalid(`Too big: ${found.length} items; at most ${most} are taken`);
  return found;
}

// The binding of Workers KV

class KVStore {
  constructor(kv, namespace, ctx) {
    Object.assign(this, { kv, namespace, ctx });
  }

  async list(prefix, limit, cursor) {
    const page = await this.kv.list({ prefix, limit, ...(cursor && { cursor }) });
    const keys = page.keys.map(({ name, expiration, metadata }) => ({
      name,
      ...(expiration && { expiration }),
      ...(metadata != null && { metadata }),
    }));
    return { keys, cursor: page.list_complete ? "" : page.cursor };
  }

  async get(key) {
    const { value, metadata } = await this.kv.getWithMetadata(key, "arrayBuffer");
    return value && { value, metadata };
  }

  async getText(keys) {
    try {
      const found = await this.kv.getWithMetadata(keys, "text");
      return new Map(keys.map((key) => [key, found.get(key)?.value == null ? null : found.get(key)]));
    } catch (error) {
      if (/\b413\b/.test(error.message)) throw tooMuch();
      throw error;
    }
  }

  // The keys that were not written.
  async put(pairs) {
    if (pairs.length > KV_CALLS) return this.#sliced("put", [...slices(pairs, KV_CALLS)]);
    return failures(pairs, ({ key, value, metadata, expiration }) =>
      this.kv.put(key, value, {
        ...(metadata && { metadata: JSON.parse(metadata) }),
        ...(expiration && { expiration }),
      }),
    );
  }

  async delete(keys) {
    const items = keys.map((key) => ({ key }));
    if (keys.length > KV_CALLS)
      return this.#sliced(
        "delete",
        [...slices(items, KV_CALLS)].map((some) => some.map(({ key }) => key)),
      );
    return failures(items, ({ key }) => this.kv.delete(key));
  }

  async #sliced(call, slices) {
    const failed = await Promise.all(slices.map((some) => this.ctx.exports.Slice[call](this.namespace, some)));
    return failed.flat();
  }
}

// A part of a bulk call, in an invocation of its own: KV counts calls per invocation.
export class Slice extends WorkerEntrypoint {
  put(namespace, pairs) {
    return kvStore(this.env, this.ctx, namespace).put(pairs);
  }

  delete(namespace, keys) {
    return kvStore(this.env, this.ctx, namespace).delete(keys);
  }
}

async function failures(items, call) {
  const done = await Promise.allSettled(items.map(call));
  report(done);
  return items.filter((_, at) => done[at].status === "rejected").map(({ key }) => key);
}

function report(done) {
  for (const { reason } of done) if (reason) console.error(reason.stack);
}

// Durable Objects

// Keys of a thread begin with layout, tenant, "t" and the thread, and live in an object of that name. Everything else
// (which threads a run wrote to) lives in the namespace's home object, which also knows the names of the others.
const THREAD = /^[^/]+\/[^/]+\/t\/[^/]+\//;
const HOME = "";
const shardOf = (key) => THREAD.exec(key)?.[0] ?? HOME;

class DOStore {
  constructor(shards, namespace) {
    this.stub = (shard) => shards.getByName(JSON.stringify([namespace, shard]));
    this.home = JSON.stringify([namespace, HOME]);
  }

  async list(prefix, limit, cursor) {
    const from = cursor ? fromCursor(cursor) : "";
    const asked = { prefix, from, limit: limit + 1 };
    const pinned = THREAD.exec(prefix)?.[0];
    if (pinned) return page(await this.stub(pinned).list(asked), limit);

    const { names, next } = await this.stub(HOME).names(prefix, from, PARALLEL);
    const found = await Promise.all([HOME, ...names].map((shard) => this.stub(shard).list(asked)));
    // Beyond `next` there are objects that were not asked.
    const keys = found.flat().filter(({ name }) => !next || before(name, next));
    return page(
      keys.sort((one, other) => (before(one.name, other.name) ? -1 : 1)),
      limit,
      next,
    );
  }

  get(key) {
    return this.stub(shardOf(key)).read(key);
  }

  async getText(keys) {
    const groups = [...Map.groupBy(keys, shardOf)];
    const parts = await Promise.all(groups.map(([shard, keys]) => this.stub(shard).readMany(keys)));
    const size = parts.flat().reduce((sum, entry) => sum + (entry?.size ?? 0), 0);
    if (parts.includes(null) || size > LIMITS.getBytes) throw tooMuch();
    const found = new Map(groups.flatMap(([, keys], group) => keys.map((key, at) => [key, parts[group][at]])));
    return new Map(
      keys.map((key) => [
        key,
        found.get(key) && { ...found.get(key), value: new TextDecoder().decode(found.get(key).value) },
      ]),
    );
  }

  put(pairs) {
    return this.#each(
      pairs,
      ({ key }) => key,
      async (stub, shard, pairs) => {
        for (const some of slices(pairs)) await stub.write(this.home, shard, some);
      },
    );
  }

  delete(keys) {
    return this.#each(
      keys,
      (key) => key,
      (stub, shard, keys) => stub.remove(this.home, shard, keys),
    );
  }

  // The keys of the objects that failed; one thread's trouble is not another's.
  async #each(items, keyOf, call) {
    const groups = [...Map.groupBy(items, (item) => shardOf(keyOf(item)))];
    const done = await Promise.allSettled(groups.map(([shard, items]) => call(this.stub(shard), shard, items)));
    report(done);
    return groups.filter((_, at) => done[at].status === "rejected").flatMap(([, items]) => items.map(keyOf));
  }
}

export class Shard extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.#create();
  }

  #create() {
    // Keys are bytes, so that they sort as in KV.
    this.sql.exec(
      `CREATE TABLE IF NOT EXISTS entries
       (key BLOB PRIMARY KEY, size INTEGER, metadata TEXT, expiration INTEGER) WITHOUT ROWID`,
    );
    // Without rowid a chunk is one row that is billed; with it, two. An object that was made with it keeps its table.
    this.sql.exec(
      "CREATE TABLE IF NOT EXISTS chunks (key BLOB, at INTEGER, data BLOB, PRIMARY KEY (key, at)) WITHOUT ROWID",
    );
    this.sql.exec("CREATE TABLE IF NOT EXISTS names (name BLOB PRIMARY KEY) WITHOUT ROWID");
    this.known = this.#any(); // to the home object
  }

  // Entries

  list({ prefix, from, limit }) {
    const low = before(prefix, from) ? from : prefix;
    const rows = this.sql.exec(
      `SELECT key, metadata, expiration FROM entries
       WHERE key >= ? AND key < ? AND (expiration IS NULL OR expiration > ?) ORDER BY key LIMIT ?`,
      bytes(low),
      above(prefix),
      now(),
      limit,
    );
    return rows.toArray().map(({ key, metadata, expiration }) => ({
      name: new TextDecoder().decode(key),
      ...(expiration !== null && { expiration }),
      ...(metadata !== null && { metadata: JSON.parse(metadata) }),
    }));
  }

  read(key) {
    const id = bytes(key);
    const [row] = this.#alive(id);
    if (!row) return null;
    const value = new Uint8Array(row.size);
    let end = 0;
    for (const { data } of this.sql.exec("SELECT data FROM chunks WHERE key = ? ORDER BY at", id)) {
      value.set(new Uint8Array(data), end);
      end += data.byteLength;
    }
    return { value, size: row.size, metadata: row.metadata && JSON.parse(row.metadata), expiration: row.expiration };
  }

  // null: more than one answer holds.
  readMany(keys) {
    const size = keys.flatMap((key) => this.#alive(bytes(key))).reduce((sum, row) => sum + row.size, 0);
    return size > LIMITS.getBytes ? null : keys.map((key) => this.read(key));
  }

  async write(home, name, pairs) {
    const store = () => this.ctx.storage.transactionSync(() => pairs.forEach((pair) => this.#store(pair)));
    if (name === HOME || this.known) store();
    else
      await this.ctx.blockConcurrencyWhile(async () => {
        // First the name, then the entries: an object that is known and empty harms nobody.
        await this.#home(home).know(name, true);
        store();
        this.known = true;
      });
    await this.#wake(home, name, Math.min(...pairs.map(({ expiration }) => expiration ?? Infinity)));
  }

  async remove(home, name, keys) {
    this.ctx.storage.transactionSync(() => keys.forEach((key) => this.#drop(bytes(key))));
    await this.#leave(home, name);
  }

  #alive(id) {
    return this.sql
      .exec(
        "SELECT size, metadata, expiration FROM entries WHERE key = ? AND (expiration IS NULL OR expiration > ?)",
        id,
        now(),
      )
      .toArray();
  }

  #store({ key, value, metadata, expiration }) {
    const id = bytes(key);
    this.#drop(id);
    this.sql.exec("INSERT INTO entries VALUES (?, ?, ?, ?)", id, value.byteLength, metadata, expiration);
    for (let at = 0; at < value.byteLength; at += CHUNK) {
      this.sql.exec("INSERT INTO chunks VALUES (?, ?, ?)", id, at, value.slice(at, at + CHUNK));
    }
  }

  #drop(id) {
    this.sql.exec("DELETE FROM entries WHERE key = ?", id);
    this.sql.exec("DELETE FROM chunks WHERE key = ?", id);
  }

  // The end: what has expired goes, and an object without entries costs nothing and is not asked any more.

  async alarm() {
    const { home, name } = await this.ctx.storage.get("self");
    const old = this.sql.exec("SELECT key FROM entries WHERE expiration <= ?", now()).toArray();
    this.ctx.storage.transactionSync(() => old.forEach(({ key }) => this.#drop(key)));
    const { next } = this.sql.exec("SELECT min(expiration) AS next FROM entries").one();
    await this.#wake(home, name, next ?? Infinity);
    await this.#leave(home, name);
  }

  async #wake(home, name, expiration) {
    const due = (expiration + 1) * 1000;
    if (due === Infinity || ((await this.ctx.storage.getAlarm()) ?? Infinity) <= due) return;
    await this.ctx.storage.put("self", { home, name });
    await this.ctx.storage.setAlarm(due);
  }

  #any() {
    return this.sql.exec("SELECT 1 FROM entries LIMIT 1").toArray().length > 0;
  }

  async #leave(home, name) {
    if (name === HOME || this.#any()) return;
    await this.ctx.blockConcurrencyWhile(async () => {
      await this.#home(home).know(name, false);
      await this.ctx.storage.deleteAlarm();
      await this.ctx.storage.deleteAll();
      this.#create();
    });
  }

  // The home object

  #home(home) {
    return this.env.SHARDS.getByName(home);
  }

  know(name, there) {
    const change = there ? "INSERT OR IGNORE INTO names VALUES (?)" : "DELETE FROM names WHERE name = ?";
    this.sql.exec(change, bytes(name));
  }

  // Objects that may hold keys from `from` on, in order, and the first that is not among them.
  names(prefix, from, limit) {
    const low = before(prefix, from) ? (THREAD.exec(from)?.[0] ?? from) : prefix;
    const rows = this.sql.exec(
      "SELECT name FROM names WHERE name >= ? AND name < ? ORDER BY name LIMIT ?",
      bytes(low),
      above(prefix),
      limit + 1,
    );
    const names = rows.toArray().map(({ name }) => new TextDecoder().decode(name));
    return { names: names.slice(0, limit), next: names[limit] };
  }
}

// Pages of listings: a cursor is the first key that it may show.

function page(found, limit, next) {
  const keys = found.slice(0, limit);
  if (found.length > limit) return { keys, cursor: toCursor(`${keys.at(-1).name}\0`) };
  return { keys, cursor: next ? toCursor(next) : "" };
}

function toCursor(key) {
  return bytes(key).toBase64({ alphabet: "base64url", omitPadding: true });
}

function fromCursor(cursor) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.fromBase64(cursor, { alphabet: "base64url" }));
  } catch {
    throw invalid("cursor: not one of this gateway");
  }
}

// Small things

class Refusal extends Error {
  constructor(status, code, message, headers = {}) {
    super(message);
    Object.assign(this, { status, code, headers });
  }

  answer() {
    const body = { success: false, errors: [{ code: this.code, message: this.message }], messages: [], result: null };
    return Response.json(body, { status: this.status, headers: this.headers });
  }
}

const invalid = (message) => new Refusal(400, 10001, message);
const tooMuch = () => new Refusal(413, 10001, "Total size of request exceeds the limit of 25MB");

function success(result, more = {}) {
  return Response.json({ success: true, errors: [], messages: [], result, ...more });
}

function bulkAnswer(failed, count) {
  return success({ successful_key_count: count - failed.length, unsuccessful_keys: failed });
}

async function body(request) {
  return json(await (await limited(request, LIMITS.bulkBytes, "Body")).text());
}

// A body, whether it says how long it is or not. It is read to its end, and what is too long is not kept.
async function limited(request, most, what) {
  const parts = [];
  let size = 0;
  for await (const part of request.body ?? []) {
    size += part.byteLength;
    if (size <= most) parts.push(part);
    else parts.length = 0;
  }
  if (size > most) throw new Refusal(413, 10001, `${what} length of ${size} exceeds limit of ${most}.`);
  return new Blob(parts);
}

function json(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid("Invalid input: not JSON");
  }
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    throw invalid("The path is not percent-encoded UTF-8");
  }
}

function fromBase64(text) {
  try {
    return Uint8Array.fromBase64(text);
  } catch {
    throw invalid("Invalid base64 value");
  }
}

// In the order of UTF-8, which is KV's; JavaScript compares UTF-16, where what is beyond U+FFFF comes too early.
function before(one, other) {
  const rank = (unit) => (unit >= 0xe000 ? unit - 0x800 : unit >= 0xd800 ? unit + 0x2000 : unit);
  let at = 0;
  while (at < one.length && one[at] === other[at]) at++;
  return at < other.length && (at === one.length || rank(one.charCodeAt(at)) < rank(other.charCodeAt(at)));
}

// What no key with this prefix reaches: UTF-8 has no byte 0xff.
function above(prefix) {
  return new Uint8Array([...bytes(prefix), 0xff]);
}

// In as many parts as calls of a Durable Object or a Worker need.
function* slices(pairs, most = Infinity) {
  let [some, size] = [[], 0];
  for (const pair of pairs) {
    const more = 2_048 + (pair.value?.byteLength ?? 0);
    if (some.length === most || (some.length && size + more > CALL)) {
      yield some;
      [some, size] = [[], 0];
    }
    some.push(pair);
    size += more;
  }
  yield some;
}

const bytes = (text) => (typeof text === "string" ? new TextEncoder().encode(text) : text);
const now = () => Math.floor(Date.now() / 1000);
