// V8 inside node, as a worker that speaks PROTOCOL.md by itself.
//
// Standard output is never used. Functions with floats are called through a shim module that takes
// and gives them as integers of their bits, because JavaScript may change the bits of a NaN.

import { createHash } from "node:crypto";
import fs from "node:fs";

const PROTOCOL = 1;
const PAGE = 65536;
const MOST_DETAILS = 64;
// node's hashes take no more than 2 GiB at once.
const HASHED_AT_ONCE = 2 ** 30;
const RETURNED = 1;
const STATUS = {
  unreachable: 16,
  memory: 17,
  divide: 18,
  overflow: 19,
  table: 22,
  unknown: 24,
  host: 26,
  stack: 48,
  exhaustedMemory: 50,
  instantiate: 65,
  entry: 66,
};
// What V8 says of a trap. "float unrepresentable" is an overflow or a NaN, "null function or
// function signature mismatch" one of two more: both stay unknown, which matches every trap.
const TRAPS = [
  ["unreachable", STATUS.unreachable],
  ["memory access out of bounds", STATUS.memory],
  ["data segment", STATUS.memory],
  ["divide by zero", STATUS.divide],
  ["remainder by zero", STATUS.divide],
  ["divide result unrepresentable", STATUS.overflow],
  ["table index is out of bounds", STATUS.table],
  ["table access out of bounds", STATUS.table],
  ["table initializer", STATUS.table],
  ["table index", STATUS.table],
  ["element segment", STATUS.table],
];
const CAPABILITIES = [
  "hosts",
  "hosts:grow",
  "level:state",
  "proposal:mutable-global",
  "proposal:sign-extension",
  "proposal:saturating-conversion",
  "proposal:bulk-memory",
  "proposal:multi-value",
  "proposal:reference-types",
  "proposal:simd",
];

class Stop extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

class Refused extends Error {
  constructor(stage, rule, text) {
    super(text);
    this.stage = stage;
    this.rule = rule;
  }
}

function stopOf(error) {
  const text = `${error?.name}: ${error?.message}`;
  if (error instanceof Stop) return error;
  if (error instanceof WebAssembly.LinkError) return new Stop(STATUS.instantiate, text);
  if (error instanceof RangeError) {
    const stack = text.includes("call stack");
    return new Stop(stack ? STATUS.stack : STATUS.exhaustedMemory, text);
  }
  if (error instanceof WebAssembly.RuntimeError) {
    const found = TRAPS.find(([phrase]) => text.includes(phrase));
    return new Stop(found ? found[1] : STATUS.unknown, text);
  }
  throw error;
}

// ------------------------------------------------------------------------------------ frames

function readExactly(descriptor, size) {
  const data = Buffer.alloc(size);
  let done = 0;
  while (done < size) {
    const count = fs.readSync(descriptor, data, done, size - done, null);
    if (count === 0) return null;
    done += count;
  }
  return data;
}

function readFrame(descriptor) {
  const prefix = readExactly(descriptor, 4);
  const raw = prefix && readExactly(descriptor, prefix.readUInt32LE(0));
  if (!raw) return null;
  const header = JSON.parse(raw.toString("utf8"));
  const blobs = [];
  for (const size of header.blobs ?? []) {
    const blob = readExactly(descriptor, size);
    if (!blob) return null;
    blobs.push(blob);
  }
  return { header, blobs };
}

function writeFrame(descriptor, header, blobs) {
  if (blobs.length) header.blobs = blobs.map((blob) => blob.length);
  const raw = Buffer.from(JSON.stringify(header), "utf8");
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32LE(raw.length);
  const data = Buffer.concat([prefix, raw, ...blobs]);
  let done = 0;
  while (done < data.length) done += fs.writeSync(descriptor, data, done);
}

// ----------------------------------------------------------------------------------- modules

const TYPE_NAMES = { 0x7f: "i32", 0x7e: "i64", 0x7d: "f32", 0x7c: "f64" };
const TYPE_CODES = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c };
const INTEGER = { i32: "i32", i64: "i64", f32: "i32", f64: "i64" };

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }
  byte() {
    return this.bytes[this.at++];
  }
  number() {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
  }
  text() {
    const size = this.number();
    this.at += size;
    return Buffer.from(this.bytes.subarray(this.at - size, this.at)).toString("utf8");
  }
  many(read) {
    return Array.from({ length: this.number() }, () => read());
  }
  valueType() {
    const code = this.byte();
    if (code === 0x63 || code === 0x64) this.number();
    return TYPE_NAMES[code] ?? "other";
  }
  limits() {
    const flag = this.byte();
    this.number();
    if (flag & 1) this.number();
  }
}

// Types of the imported functions and of the exported functions and globals, which the JavaScript
// API does not tell. The module was validated before. Types beyond functions (structs and the like) end the reading.
function interfaceOf(bytes) {
  const reader = new Reader(bytes);
  const types = [];
  const functions = [];
  const globals = [];
  const found = new Map();
  const imports = [];
  const imported = () => {
    const [module, name] = [reader.text(), reader.text()];
    const kind = reader.byte();
    imports.push({ module, name, kind });
    if (kind === 0) {
      functions.push(reader.number());
      Object.assign(imports.at(-1), types[functions.at(-1)]);
    } else if (kind === 1) {
      reader.valueType();
      reader.limits();
    } else if (kind === 2) reader.limits();
    else if (kind === 3) {
      globals.push({ type: reader.valueType(), mutable: reader.byte() });
    } else throw new Refused("compile", "unsupported", `import of kind ${kind}`);
  };
  const global = () => {
    globals.push({ type: reader.valueType(), mutable: reader.byte() });
    skipConstant(reader);
  };
  const type = () => {
    if (reader.byte() !== 0x60) throw new Refused("compile", "unsupported", "not a function type");
    const parameters = reader.many(() => reader.valueType());
    types.push({ parameters, results: reader.many(() => reader.valueType()) });
  };
  const exported = () => {
    const name = reader.text();
    const kind = reader.byte();
    const index = reader.number();
    if (kind === 0) found.set(name, { kind: "function", ...types[functions[index]] });
    else if (kind === 2) found.set(name, { kind: "memory" });
    else if (kind === 3) found.set(name, { kind: "global", ...globals[index] });
  };
  const sections = {
    1: type,
    2: imported,
    3: () => functions.push(reader.number()),
    6: global,
    7: exported,
  };
  reader.at = 8;
  while (reader.at < bytes.length) {
    const number = reader.byte();
    const end = reader.number() + reader.at;
    if (sections[number]) reader.many(sections[number]);
    reader.at = end;
  }
  return { types: found, imports };
}

function skipConstant(reader) {
  for (;;) {
    const operator = reader.byte();
    if (operator === 0x0b) return;
    if (operator === 0x43) reader.at += 4;
    else if (operator === 0x44) reader.at += 8;
    else if (operator === 0xfd) {
      reader.number();
      reader.at += 16;
    } else if ([0x41, 0x42, 0x23, 0xd2, 0xd0].includes(operator)) reader.number();
  }
}

// ------------------------------------------------------------------------------------- shims

function section(number, body) {
  return [number, ...leb(body.length), ...body];
}

function leb(number) {
  const out = [];
  do {
    const byte = number & 0x7f;
    number >>>= 7;
    out.push(byte | (number ? 0x80 : 0));
  } while (number);
  return out;
}

function functionType(parameters, results) {
  const side = (types) => [...leb(types.length), ...types.map((name) => TYPE_CODES[name])];
  return [0x60, ...side(parameters), ...side(results)];
}

function assemble(...sections) {
  return new WebAssembly.Module(Uint8Array.from([0, 97, 115, 109, 1, 0, 0, 0, ...sections.flat()]));
}

const INWARD = { f32: [0xbe], f64: [0xbf] };
const OUTWARD = { f32: [0xbc], f64: [0xbd] };

// A function like `inner`, with floats as integers of their bits; the other way round when flipped.
function throughShim(inner, parameters, results, flipped = false) {
  const integers = (types) => types.map((name) => INTEGER[name]);
  const [inward, outward] = flipped ? [OUTWARD, INWARD] : [INWARD, OUTWARD];
  const given = flipped ? integers(results) : results;
  const code = [...leb(results.length), ...given.flatMap((name) => [1, TYPE_CODES[name]])];
  parameters.forEach((name, index) => code.push(0x20, ...leb(index), ...(inward[name] ?? [])));
  code.push(0x10, 0);
  const base = parameters.length;
  for (let index = results.length - 1; index >= 0; index -= 1) code.push(0x21, ...leb(base + index));
  results.forEach((name, index) => {
    code.push(0x20, ...leb(base + index), ...(outward[name] ?? []));
  });
  code.push(0x0b);
  const types = [
    functionType(parameters, results),
    functionType(integers(parameters), integers(results)),
  ];
  const [inside, outside] = flipped ? types.reverse() : types;
  const module = assemble(
    section(1, [2, ...inside, ...outside]),
    section(2, [1, 1, 0x6d, 1, 0x66, 0, 0]),
    section(3, [1, 1]),
    section(7, [1, 1, 0x66, 0, 1]),
    section(10, [1, ...leb(code.length), ...code]),
  );
  return new WebAssembly.Instance(module, { m: { f: inner } }).exports.f;
}

// The bits of a float global, read inside WebAssembly.
function globalThroughShim(global, type, mutable) {
  const code = [0, 0x23, 0, ...OUTWARD[type], 0x0b];
  const module = assemble(
    section(1, [1, ...functionType([], [INTEGER[type]])]),
    section(2, [1, 1, 0x6d, 1, 0x66, 3, TYPE_CODES[type], mutable]),
    section(3, [1, 0]),
    section(7, [1, 1, 0x66, 0, 0]),
    section(10, [1, ...leb(code.length), ...code]),
  );
  return new WebAssembly.Instance(module, { m: { f: global } }).exports.f();
}

function toBits(value, type) {
  return INTEGER[type] === "i64" ? BigInt.asUintN(64, value) : BigInt(value >>> 0);
}

function fromBits(bits, type) {
  return INTEGER[type] === "i64" ? bits : Number(BigInt.asIntN(32, bits));
}

// --------------------------------------------------------------------------------- host calls

// What a worker says and hears while a host function runs (PROTOCOL.md, "Host calls").
class Conversation {
  constructor(commands, replies) {
    this.commands = commands;
    this.replies = replies;
    this.postponed = [];
    this.id = null;
    this.row = null;
    this.session = null;
  }

  nextCommand() {
    return this.postponed.shift() ?? readFrame(this.commands);
  }

  // The import object of a module; functions are those that `load` was told of.
  imports(described) {
    const found = {};
    for (const { module, name, parameters, results } of described) {
      const answer = (...values) => this.call(module, name, parameters, results, values);
      const floats = [...parameters, ...results].some((type) => INTEGER[type] !== type);
      found[module] ??= {};
      found[module][name] = floats ? throughShim(answer, parameters, results, true) : answer;
    }
    return found;
  }

  call(module, name, parameters, results, values) {
    // A guest that has used up the stack must stop before the conversation begins, not within it.
    headroom(500);
    const bits = parameters.map((type, index) => toBits(values[index], type));
    const header = { id: this.id, turn: "host_call", module, name, row: this.row };
    writeFrame(this.replies, header, [packed(bits)]);
    let trapped = null;
    for (;;) {
      const { header: turn, blobs } = this.nextTurn();
      if (turn.turn === "host_return") {
        const found = results.map((type, index) => fromBits(wordAt(blobs[0], index), type));
        return found.length > 1 ? found : found[0];
      }
      if (turn.turn === "host_trap") {
        throw trapped?.status >= STATUS.stack ? trapped : new Stop(STATUS.host, turn.text);
      }
      const reply = { id: this.id, turn: turn.turn };
      let out = [];
      try {
        out = this[turn.turn](turn, blobs);
        reply.ok = true;
      } catch (error) {
        if (error instanceof Stop) {
          trapped = error;
          const text = error.message.slice(0, 200);
          reply.error = { stage: "trap", rule: `status-${error.status}`, text };
        } else if (error instanceof Refused) {
          reply.error = { stage: error.stage, rule: error.rule, text: error.message };
        } else throw error;
      }
      writeFrame(this.replies, reply, out);
    }
  }

  nextTurn() {
    for (;;) {
      const frame = readFrame(this.commands);
      if (!frame) process.exit(0);
      if (frame.header.to === this.id) return frame;
      this.postponed.push(frame);
    }
  }

  window(address, size) {
    const memory = this.session?.exported;
    if (!memory) throw new Refused("memory", "none", "there is no memory, or not yet");
    if (address < 0 || size < 0 || address + size > memory.buffer.byteLength) {
      const text = `${address}+${size} beyond memory of ${memory.buffer.byteLength} bytes`;
      throw new Refused("memory", "out-of-bounds", text);
    }
    return new Uint8Array(memory.buffer, address, size);
  }

  peek(turn) {
    return [Buffer.from(this.window(turn.address, turn.size))];
  }

  poke(turn, blobs) {
    this.window(turn.address, blobs[0].length).set(blobs[0]);
    return [];
  }

  grow(turn) {
    this.window(0, 0);
    try {
      return [packed([BigInt(this.session.exported.grow(turn.pages))])];
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return [packed([0xffffffffn])];
    }
  }

  reenter(turn, blobs) {
    if (!this.session) throw new Refused("entry", "none", "the instance is not open yet");
    const { parameters, results } = turn;
    let entry;
    try {
      entry = this.session.bind(turn.export, parameters, results);
    } catch (error) {
      if (!(error instanceof Stop)) throw error;
      throw new Refused("entry", "none", error.message);
    }
    const values = parameters.map((type, index) => fromBits(wordAt(blobs[0], index), type));
    let outcome = this.session.call(entry, ...values);
    if (results.length === 1) outcome = [outcome];
    return [packed(results.map((type, index) => toBits(outcome[index], type)))];
  }
}

// Whether a function that the controller told of is the one that a module imports.
function fits(given, wanted) {
  const type = ({ parameters, results }) => JSON.stringify([parameters, results]);
  const same = given.module === wanted.module && given.name === wanted.name;
  return wanted.kind === 0 && same && type(given) === type(wanted);
}

// Throws RangeError unless there is room for this many calls on the stack.
function headroom(calls) {
  return calls === 0 ? 0 : 1 + headroom(calls - 1);
}

function packed(bits) {
  const data = Buffer.alloc(8 * bits.length);
  bits.forEach((word, index) => data.writeBigUInt64LE(word, 8 * index));
  return data;
}

function wordAt(blob, index) {
  return blob.readBigUInt64LE(8 * index);
}

// ---------------------------------------------------------------------------------- sessions

class Session {
  // With `instance` an instance that is open already is called in another way.
  constructor(loaded, plan, instance = null) {
    const { conversation } = loaded;
    this.types = loaded.types;
    conversation.session = null;
    this.instance = instance ?? Session.opened(loaded);
    this.plan = plan;
    // What a host sees of the instance from now on.
    const exported = this.types.get(plan.memory ?? null)?.kind === "memory";
    this.exported = exported ? this.instance.exports[plan.memory] : null;
    conversation.session = this;
    this.results = plan.results ?? [];
    if (instance === null) {
      for (const name of plan.initialize ?? []) this.call(this.bind(name, [], []));
    }
    this.sizeIn = plan.input?.size_bytes ?? 0;
    this.sizeOut = plan.output?.size_bytes ?? 0;
    this.byResult = this.sizeOut > 0 && plan.output.place.type === "result";
    this.made = (plan.arguments ?? []).map((item) => (item.type === "made" ? this.make(item) : 0));
    this.atIn = this.sizeIn ? this.place(plan.input) : 0;
    this.atOut = this.sizeOut && !this.byResult ? this.place(plan.output) : 0;
    this.prepareArguments();
    this.entry = this.bind(plan.entry, this.parameters, this.results);
    this.memory = null;
    if (plan.memory !== null && plan.memory !== undefined) {
      if (this.types.get(plan.memory)?.kind !== "memory") {
        throw new Stop(STATUS.entry, `no exported memory ${plan.memory}`);
      }
      this.memory = this.instance.exports[plan.memory];
    }
    if (this.sizeIn || this.sizeOut) {
      if (!this.memory) throw new Stop(STATUS.entry, "the module exports no memory for its buffers");
      this.inside(this.atIn, this.sizeIn);
      this.inside(this.atOut, this.sizeOut);
    }
  }

  static opened(loaded) {
    if (loaded.lacking) {
      // V8 itself takes a JavaScript function for every type.
      const { module, name } = loaded.lacking;
      throw new Stop(STATUS.instantiate, `no host gives the import ${module}.${name}`);
    }
    try {
      return new WebAssembly.Instance(loaded.module, loaded.imports);
    } catch (error) {
      if (error instanceof TypeError) throw new Stop(STATUS.instantiate, error.message);
      throw stopOf(error);
    }
  }

  prepareArguments() {
    this.parameters = [];
    this.values = [];
    this.slots = [];
    for (const argument of this.plan.arguments ?? []) {
      const position = this.parameters.length;
      if (argument.type === "slot") {
        this.parameters.push(argument.value_type);
        this.slots.push([position, argument.index, argument.value_type]);
        this.values.push(0);
      } else if (argument.type === "constant") {
        const [type, digits] = argument.bits.split(":");
        this.parameters.push(type);
        this.values.push(fromBits(BigInt(`0x${digits}`), type));
      } else if (argument.type === "made") {
        this.parameters.push("i32");
        this.values.push(this.made[this.values.length]);
      } else {
        this.parameters.push("i32");
        this.values.push((argument.type === "input-pointer" ? this.atIn : this.atOut) | 0);
      }
    }
  }

  bind(name, parameters, results) {
    const type = this.types.get(name);
    const same = (left, right) => left.length === right.length && left.every((x, i) => x === right[i]);
    if (type?.kind !== "function") throw new Stop(STATUS.entry, `no exported function ${name}`);
    if (!same(type.parameters, parameters) || !same(type.results, results)) {
      throw new Stop(STATUS.entry, `${name} has type ${type.parameters} -> ${type.results}`);
    }
    const inner = this.instance.exports[name];
    const floats = [...parameters, ...results].some((item) => item === "f32" || item === "f64");
    return floats ? throughShim(inner, parameters, results) : inner;
  }

  call(entry, ...values) {
    try {
      return entry(...values);
    } catch (error) {
      throw stopOf(error);
    }
  }

  place(buffer) {
    const { type, name, address } = buffer.place;
    if (type === "address") return address;
    const sized = type === "allocator";
    const entry = this.bind(name, sized ? ["i32"] : [], ["i32"]);
    return this.call(entry, ...(sized ? [buffer.size_bytes] : [])) >>> 0;
  }

  make(argument) {
    const given = (argument.given ?? []).map((text) => text.split(":"));
    const entry = this.bind(argument.export, given.map(([type]) => type), ["i32"]);
    return this.call(entry, ...given.map(([type, digits]) => fromBits(BigInt(`0x${digits}`), type)));
  }

  inside(address, size) {
    if (address + size > this.memory.buffer.byteLength) {
      const text = `buffer ${address}+${size} beyond memory of ${this.memory.buffer.byteLength} bytes`;
      throw new Stop(STATUS.entry, text);
    }
  }

  view(address, size) {
    return new Uint8Array(this.memory.buffer, address, size);
  }

  // One case: takes the input row, returns the output row.
  run(input, output) {
    const slotBytes = input.length - this.sizeIn;
    if (this.sizeIn) this.view(this.atIn, this.sizeIn).set(input.subarray(slotBytes));
    for (const [position, index, type] of this.slots) {
      this.values[position] = fromBits(input.readBigUInt64LE(8 * index), type);
    }
    let outcome = this.call(this.entry, ...this.values);
    if (this.results.length === 1) outcome = [outcome];
    const bits = this.results.map((type, index) => toBits(outcome[index], type));
    if (this.byResult) {
      this.atOut = Number(bits[0] & 0xffffffffn);
      this.inside(this.atOut, this.sizeOut);
    }
    bits.forEach((value, index) => output.writeBigUInt64LE(value, 8 * index));
    if (this.sizeOut) output.set(this.view(this.atOut, this.sizeOut), 8 * bits.length);
  }

  globalBits(name) {
    const type = this.types.get(name);
    if (type?.kind !== "global" || !INTEGER[type.type]) {
      throw new Stop(STATUS.entry, `no exported number ${name}`);
    }
    const global = this.instance.exports[name];
    const float = OUTWARD[type.type];
    const value = float ? globalThroughShim(global, type.type, type.mutable) : global.value;
    return toBits(value, type.type);
  }
}

// A named instance: it stays until it is dropped, and serves calls of any entry.
class HeldInstance {
  constructor(loaded, plan) {
    this.loaded = loaded;
    this.first = new Session(loaded, plan);
    this.sessions = new Map([[JSON.stringify(plan), this.first]]);
    this.spent = null;
  }

  session(plan) {
    const key = JSON.stringify(plan);
    if (!this.sessions.has(key)) {
      this.sessions.set(key, new Session(this.loaded, plan, this.first.instance));
    }
    return this.sessions.get(key);
  }
}

// ----------------------------------------------------------------------------------- batches

class Batch {
  constructor(arena, header, open, conversation, held = null) {
    const plan = header.call;
    this.conversation = conversation;
    this.held = held;
    this.arena = arena;
    this.at = header.at;
    this.count = header.count;
    this.level = header.level;
    // A held instance serves the whole batch, whatever the policy.
    this.reuse = held === null ? reuseOf(header.policy) : Math.max(1, header.count);
    this.open = open;
    this.globals = plan.globals ?? [];
    const indexes = (plan.arguments ?? []).filter((item) => item.type === "slot");
    const slots = Math.max(0, ...indexes.map((item) => item.index + 1));
    this.input = Buffer.alloc(8 * slots + (plan.input?.size_bytes ?? 0));
    this.output = Buffer.alloc(8 * (plan.results?.length ?? 0) + (plan.output?.size_bytes ?? 0));
    this.word = Buffer.alloc(8);
    this.details = {};
    this.session = null;
  }

  write(name, row, data) {
    if (data.length) fs.writeSync(this.arena, data, 0, data.length, this.at[name] + row * data.length);
  }

  progress(value) {
    this.word.writeBigUInt64LE(BigInt(value));
    this.write("progress", 0, this.word);
  }

  run() {
    let row = 0;
    while (row < this.count) {
      this.progress(row + 1);
      row = this.step(row);
      if (row % this.reuse === 0) this.session = null;
    }
    this.progress(this.count + 1);
  }

  step(row) {
    let opened = this.session !== null;
    try {
      this.conversation.row = row;
      if (!opened) this.session = this.open();
      opened = true;
      this.conversation.session = this.session;
      if (this.input.length) {
        const at = this.at.input + row * this.input.length;
        fs.readSync(this.arena, this.input, 0, this.input.length, at);
      }
      this.session.run(this.input, this.output);
      this.write("output", row, this.output);
      this.observe(row);
      this.write("status", row, Buffer.of(RETURNED));
      return row + 1;
    } catch (error) {
      if (!(error instanceof Stop)) throw error;
      return this.ended(row, opened, error);
    }
  }

  // What fails while an instance is opened fails for every case of that instance.
  ended(row, opened, stop) {
    if (opened && this.session.memory) this.observe(row);
    this.session = null;
    let last = opened ? row + 1 : Math.min(this.count, row - (row % this.reuse) + this.reuse);
    if (this.held !== null) {
      // A held instance is spent by a case that stops: the rest has the same outcome.
      last = this.count;
      if (opened || stop.status !== STATUS.entry) {
        this.held.spent = stop.message.slice(0, 200) || `status ${stop.status}`;
      }
    }
    for (let index = row; index < last; index += 1) {
      this.write("status", index, Buffer.of(stop.status));
      if (Object.keys(this.details).length < MOST_DETAILS) {
        this.details[index] = stop.message.slice(0, 200);
      }
    }
    return last;
  }

  observe(row) {
    if (this.level === "result") return;
    const { memory } = this.session;
    if (memory && "pages" in this.at) {
      const pages = Buffer.alloc(4);
      pages.writeUInt32LE(memory.buffer.byteLength / PAGE);
      this.write("pages", row, pages);
    }
    if (memory && "memory" in this.at) {
      this.write("memory", row, digestOf(memory.buffer));
    }
    if ("globals" in this.at && this.globals.length) {
      const data = Buffer.alloc(8 * this.globals.length);
      this.globals.forEach((name, index) => {
        data.writeBigUInt64LE(this.session.globalBits(name), 8 * index);
      });
      this.write("globals", row, data);
    }
  }
}

function digestOf(buffer) {
  const hash = createHash("sha256");
  for (let at = 0; at < buffer.byteLength; at += HASHED_AT_ONCE) {
    hash.update(new Uint8Array(buffer, at, Math.min(HASHED_AT_ONCE, buffer.byteLength - at)));
  }
  return hash.digest();
}

function reuseOf(policy) {
  if (policy === "fresh" || policy === "pooled") return 1;
  const match = /^reuse\(([1-9][0-9]{0,8})\)$/.exec(policy);
  if (!match) throw new Refused("protocol", "bad-command", `policy ${policy}`);
  return Number(match[1]);
}

// What is no Stop is a fault of this worker: neither an outcome of the case nor a refusal of the
// command. The worker ends, and `progress` tells at which case.
function runOrExit(batch) {
  try {
    batch.run();
  } catch (error) {
    fs.writeSync(2, `${error?.stack}\n${error?.name}: ${error?.message}\n`);
    process.exit(1);
  }
}

// ---------------------------------------------------------------------------------- commands

function cpuFeatures() {
  for (const line of fs.readFileSync("/proc/cpuinfo", "latin1").split("\n")) {
    if (line.startsWith("flags") || line.startsWith("Features")) {
      const words = line.slice(line.indexOf(":") + 1).trim().split(/\s+/).sort();
      return createHash("sha256").update(words.join(" ")).digest("hex");
    }
  }
  return "unknown: no flags listed";
}

function libraryDigest() {
  const mapped = fs.readFileSync("/proc/self/maps", "latin1").split("\n");
  const shared = mapped.map((line) => line.split(/\s+/)[5]).find((path) => /\/libnode\.so/.test(path));
  return createHash("sha256").update(fs.readFileSync(shared ?? process.execPath)).digest("hex");
}

class Worker {
  constructor(arena, conversation) {
    this.arena = arena;
    this.conversation = conversation;
    this.modules = new Map();
    this.instances = new Map();
  }

  hello() {
    return {
      protocol: PROTOCOL,
      engine: "v8",
      package_version: process.versions.node,
      core_version: `v8@${process.versions.v8}`,
      library_sha256: libraryDigest(),
      interpreter: `node ${process.versions.node}`,
      cpu_features_sha256: cpuFeatures(),
      capabilities: CAPABILITIES,
    };
  }

  load(header, blobs) {
    const settings = Object.keys(header.settings).filter((key) => key !== "compiler");
    if (settings.length || header.cpu !== "native") {
      throw new Refused("compile", "unsupported", "v8 has no settings and no other CPU");
    }
    if (blobs.length !== 1) throw new Refused("protocol", "bad-command", "load takes one blob");
    try {
      const module = new WebAssembly.Module(blobs[0]);
      const { conversation } = this;
      const { types, imports: wanted } = interfaceOf(blobs[0]);
      const described = header.imports ?? [];
      const lacking = wanted.find((item) => !described.some((given) => fits(given, item)));
      const imports = conversation.imports(described);
      this.modules.set(header.module, { module, types, imports, lacking, conversation });
    } catch (error) {
      if (error instanceof RangeError) throw new Refused("compile", "limit", error.message);
      if (!(error instanceof WebAssembly.CompileError)) throw error;
      const text = error.message.toLowerCase();
      const off = text.includes("experimental") || text.includes("enable with");
      const limit = text.includes("exceeds") || text.includes("maximum");
      const rule = off ? "unsupported" : limit ? "limit" : "invalid";
      throw new Refused("compile", rule, error.message);
    }
    return {};
  }

  module(name) {
    const loaded = this.modules.get(name);
    if (!loaded) throw new Refused("protocol", "unknown-module", name);
    return loaded;
  }

  open_instance(header) {
    const loaded = this.module(header.module);
    try {
      this.instances.set(header.instance, new HeldInstance(loaded, header.call));
    } catch (error) {
      if (!(error instanceof Stop)) throw error;
      const stage = error.status === STATUS.entry ? "entry" : "instantiate";
      throw new Refused(stage, "trap", error.message);
    }
    return {};
  }

  held(header) {
    const held = this.instances.get(header.instance);
    if (!held) throw new Refused("protocol", "unknown-instance", String(header.instance));
    return held;
  }

  call(header) {
    const named = (header.instance ?? null) !== null;
    const held = named ? this.held(header) : null;
    if (held && held.spent !== null) throw new Refused("protocol", "spent-instance", held.spent);
    const loaded = held ? held.loaded : this.module(header.module);
    const open = () => (held ? held.session(header.call) : new Session(loaded, header.call));
    const batch = new Batch(this.arena, header, open, this.conversation, held);
    const wanted = ["pages", "memory", "globals", "gas"].filter((name) => name in header.at);
    const missing = {};
    if (wanted.includes("gas")) missing.gas = "the engine has no meter";
    if (!header.call.memory) {
      for (const name of ["memory", "pages"]) {
        if (wanted.includes(name)) missing[name] = "the module exports no memory";
      }
    }
    runOrExit(batch);
    const filled = wanted.filter((name) => !(name in missing)).sort();
    return { filled, not_observed: missing, meter: "", details: batch.details };
  }

  window(header, size) {
    const session = this.held(header).first;
    if (!session.memory) throw new Refused("memory", "none", "the module exports no memory");
    const { address } = header;
    const fits = address >= 0 && size >= 0 && address + size <= session.memory.buffer.byteLength;
    if (!fits) throw new Refused("memory", "out-of-bounds", `${address}+${size}`);
    return session.view(address, size);
  }

  peek(header) {
    const window = Buffer.from(this.window(header, header.size));
    const { memory } = this.held(header).first;
    return { memory_bytes: memory.buffer.byteLength, blobs: [window] };
  }

  poke(header, blobs) {
    if (blobs.length !== 1) throw new Refused("protocol", "bad-command", "poke takes one blob");
    this.window(header, blobs[0].length).set(blobs[0]);
    return {};
  }

  drop(header) {
    if ("instance" in header) this.instances.delete(header.instance);
    else this.modules.delete(header.module);
    return {};
  }
}

const COMMANDS = ["hello", "load", "open_instance", "call", "peek", "poke", "drop"];

function answer(worker, header, blobs) {
  try {
    if (!COMMANDS.includes(header.command)) {
      throw new Refused("protocol", "unknown-command", String(header.command).slice(0, 100));
    }
    return { ok: true, ...worker[header.command](header, blobs) };
  } catch (error) {
    const known = error instanceof Refused;
    const stage = known ? error.stage : "protocol";
    const rule = known ? error.rule : "bad-command";
    return { error: { stage, rule, text: String(error.message).slice(0, 500) } };
  }
}

function main() {
  const [commands, replies, arena] = process.argv.slice(-3).map(Number);
  const conversation = new Conversation(commands, replies);
  const worker = new Worker(arena, conversation);
  for (;;) {
    const frame = conversation.nextCommand();
    if (!frame) return;
    const { header, blobs } = frame;
    conversation.id = header.id;
    conversation.row = null;
    if (header.command === "bye") {
      writeFrame(replies, { id: header.id ?? null, ok: true }, []);
      return;
    }
    const reply = answer(worker, header, blobs);
    const out = reply.blobs ?? [];
    delete reply.blobs;
    writeFrame(replies, { id: header.id ?? null, ...reply }, out);
  }
}

main();
