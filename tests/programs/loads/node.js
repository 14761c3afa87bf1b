// SPDX-License-Identifier: BSL-1.0
// Allocates as Node programs do; one line for each section, which depends on what the section computed.
'use strict';
const {createHash, createCipheriv, scryptSync} = require('crypto');
const {promisify} = require('util');
const {pipeline, Readable, Transform} = require('stream');
const {Worker, isMainThread, parentPort, workerData} = require('worker_threads');
const fs = require('fs');
const path = require('path');
const vm = require('vm');
const zlib = require('zlib');

const digest = value => createHash('sha256').update(value).digest('hex').slice(0, 16);

class Chance {
  constructor(seed) { this.state = seed; }
  below(limit) {
    this.state = (Math.imul(this.state, 1103515245) + 12345) & 0x7fffffff;
    return (this.state >> 8) % limit;
  }
}

const words = Array.from({length: 20000}, (_, i) => digest(String(i)).slice(0, 3 + i % 13));

function maps() {
  const chance = new Chance(1), map = new Map();
  for (let step = 0; step < 600000; ++step) {
    const key = words[chance.below(20000)] + chance.below(6);
    if (step % 3 === 2) map.delete(key);
    else map.set(key, (map.get(key) || '') + step % 100);
  }
  return JSON.stringify([...map].sort());
}

function buffers() {
  const chance = new Chance(2), held = [], hash = createHash('sha256');
  for (let step = 0; step < 40000; ++step) {
    const size = step % 500 === 0 ? 4000000 : 1 << chance.below(17);
    const buffer = step % 2 ? Buffer.alloc(size, step & 255) : Buffer.from(words[step % 20000].repeat(1 + size / 64));
    held[chance.below(200)] = buffer;
    if (step % 400 === 0) hash.update(Buffer.concat(held.filter(Boolean)).subarray(0, 100000));
  }
  return hash.digest();
}

function documents() {
  const chance = new Chance(3);
  const tree = depth => depth === 0 ? words[chance.below(20000)] :
      Object.fromEntries(Array.from({length: 9}, () => [words[chance.below(20000)], tree(depth - 1)]));
  const text = JSON.stringify(tree(5));
  const again = JSON.stringify(structuredClone(JSON.parse(text)));
  if (again !== text) throw new Error('JSON does not come back');
  return text;
}

async function compressing() {
  const text = Buffer.from(words.join(' ').repeat(10));
  const codecs = [[zlib.deflate, zlib.inflate], [zlib.gzip, zlib.gunzip], [zlib.brotliCompress, zlib.brotliDecompress]];
  const sums = await Promise.all(Array.from({length: 18}, async (_, i) => {
    const [pack, unpack] = codecs[i % 3].map(promisify);
    const part = text.subarray(i * 1000, i * 1000 + 700000);
    const packed = await pack(part, {params: {[zlib.constants.BROTLI_PARAM_QUALITY]: 5}});
    if (!(await unpack(packed)).equals(part)) throw new Error('it does not unpack');
    return digest(packed);
  }));
  return sums.join();
}

function streaming() {
  const file = path.join(process.cwd(), '..', 'streamed');
  let number = 0;
  const source = Readable.from((function*() { for (let i = 0; i < 60000; ++i) yield words[i % 20000].repeat(9); })());
  const numbered = new Transform({transform: (data, _, done) => done(null, `${number++} ${data}\n`)});
  const cipher = createCipheriv('aes-256-cbc', scryptSync('password', 'salt', 32), Buffer.alloc(16));
  return promisify(pipeline)(source, numbered, zlib.createGzip(), cipher, fs.createWriteStream(file)).then(() => {
    const text = fs.readFileSync(file);
    fs.unlinkSync(file);
    return text;
  });
}

function contexts() {
  const results = [];
  for (let i = 0; i < 40; ++i) {
    const context = vm.createContext({words, out: []});
    vm.runInContext(`for (let i = 0; i < 2000; ++i) out.push(words[i * ${i + 1} % 20000].toUpperCase());`, context);
    results.push(context.out.join(''));
  }
  return results.join();
}

function workers() {
  const ask = number => new Promise((resolve, reject) => {
    const worker = new Worker(__filename, {workerData: number});
    worker.once('error', reject);
    worker.once('message', buffer => worker.once('exit', () => resolve(digest(Buffer.from(buffer)))));
  });
  return Promise.all(Array.from({length: 6}, (_, i) => ask(i))).then(sums => sums.join());
}

function inWorker(number) {
  const chance = new Chance(100 + number), lines = [];
  for (let i = 0; i < 60000; ++i) lines.push(words[chance.below(20000)] + Buffer.alloc(chance.below(300), 65).toString());
  const bytes = new TextEncoder().encode(lines.join('\n'));
  parentPort.postMessage(bytes.buffer, [bytes.buffer]);
}

async function main() {
  for (const section of [maps, buffers, documents, compressing, streaming, contexts, workers]) {
    console.log(section.name, digest(await section()));
  }
  console.log('end', words.length);
}

if (isMainThread) main();
else inWorker(workerData);
