// A small bot for Node, without a dependency:  node examples/bot.mjs [SOCKET]
//
// It buys at the market, rests a bid far below, moves it, takes it off, and compares what the events
// told with what the daemon lists. A lost connection is no reason to worry: the same call is sent
// again under the same cl_ord_id, and finds the order it made before.

import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { createInterface } from "node:readline";

const path = process.argv[2] ?? process.env.BROKERD_SOCKET ?? "var/brokerd.sock";
const symbol = "BTCUSDT";
const run = `node-${randomBytes(4).toString("hex")}`;
const FINAL = new Set(["filled", "canceled", "rejected", "expired"]);
const TRIES = 5;

class Refused extends Error {}

class Broker {
  #socket = null;
  #waiting = new Map(); // id -> {resolve, reject}
  #lastId = 0;
  #afterSeq = undefined;
  told = new Map(); // cl_ord_id -> {ord_status, cum_qty}, as the events said last
  onEvent = () => {};

  /** Call a method; without an answer, connect again and repeat it. */
  async call(method, params = {}) {
    for (let tries = 1; ; tries++) {
      try {
        if (!this.#socket) await this.#connect();
        return await this.#ask(method, params);
      } catch (error) {
        if (error instanceof Refused || tries === TRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100 * tries));
      }
    }
  }

  close() {
    this.#socket?.destroy();
  }

  async #connect() {
    const socket = connect(path);
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    this.#socket = socket;
    socket.on("error", () => {}); // "close" follows
    socket.on("close", () => this.#lost());
    createInterface({ input: socket }).on("line", (line) => this.#take(JSON.parse(line)));
    // From now on, or behind the last event seen: no gap and no repeat.
    const { seq } = await this.#ask("events.subscribe", { group: { run }, after_seq: this.#afterSeq });
    this.#afterSeq ??= seq;
  }

  #ask(method, params) {
    const id = ++this.#lastId;
    this.#socket.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`);
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  #take({ id, result, error, method, params }) {
    if (method === "event") {
      this.#afterSeq = params.seq;
      this.told.set(params.cl_ord_id, params);
      this.onEvent();
    } else if (this.#waiting.has(id)) {
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      error ? reject(new Refused(`${error.code}: ${error.message}`)) : resolve(result);
    }
  }

  #lost() {
    this.#socket = null;
    for (const { reject } of this.#waiting.values()) reject(new Error("the connection is lost"));
    this.#waiting.clear();
  }
}

const broker = new Broker();
const order = { symbol, side: "buy", qty: "0.01", group: { run }, wait: "venue" };
const bought = await broker.call("order.submit", { ...order, cl_ord_id: `${run}-1`, ord_type: "market" });

// The daemon notes the market when an order arrives. Prices stay text: no float is ever sent.
const far = Math.trunc(Number(bought.arrival.bid_px)) - 1000;
const bid = { ...order, cl_ord_id: `${run}-2`, ord_type: "limit", px: `${far}` };
await broker.call("order.submit", bid);
await broker.call("order.replace", { cl_ord_id: `${run}-2`, px: `${far + 1}` });
await broker.call("order.cancel", { cl_ord_id: `${run}-2` });

const isDone = (id) => FINAL.has(broker.told.get(id)?.ord_status);
while (![1, 2].every((no) => isDone(`${run}-${no}`))) {
  await new Promise((resolve) => (broker.onEvent = resolve));
}

let differ = 0;
const { orders } = await broker.call("order.list", { group: { run } });
for (const { cl_ord_id, ord_status, cum_qty, avg_px } of orders) {
  const told = broker.told.get(cl_ord_id);
  differ += told.ord_status !== ord_status || told.cum_qty !== cum_qty;
  console.log(`${cl_ord_id} ${ord_status} ${cum_qty} ${avg_px ?? "-"}`);
}
broker.close();
process.exitCode = differ || orders.length !== 2 ? 1 : 0;
