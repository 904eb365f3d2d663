"use strict";
// The vector of a word, to the same bits but the last few as flow/sequence.py: SHA-256 of its UTF-8 bytes and the seed
// start NumPy's default generator (SeedSequence, PCG64), whose standard_normal (a ziggurat of 256 layers) is drawn.
// Sources: FIPS 180-4; O'Neill, PCG, HMC-CS-2014-0905 (2014); Marsaglia and Tsang, The ziggurat method, Journal of
// Statistical Software 5 (2000); NumPy's numpy/random.

const Random = (() => {
  /** UTF-8 as Python's "surrogatepass" writes it: a lone surrogate in three bytes. */
  function utf8(text) {
    const bytes = [];
    for (const character of text) {
      const c = character.codePointAt(0);
      if (c < 0x80) bytes.push(c);
      else if (c < 0x800) bytes.push(0xc0 | (c >> 6), 0x80 | (c & 63));
      else if (c < 0x10000) bytes.push(0xe0 | (c >> 12), 0x80 | ((c >> 6) & 63), 0x80 | (c & 63));
      else bytes.push(0xf0 | (c >> 18), 0x80 | ((c >> 12) & 63), 0x80 | ((c >> 6) & 63), 0x80 | (c & 63));
    }
    return bytes;
  }

  // The first 32 bits of the fractional parts of the square and cube roots of the first primes.
  const primes = [];
  for (let p = 2; primes.length < 64; p++) if (primes.every((q) => p % q)) primes.push(p);
  const fraction = (root) => ((root - Math.floor(root)) * 2 ** 32) >>> 0;
  const ROUNDS = primes.map((p) => fraction(Math.cbrt(p)));
  const START = primes.slice(0, 8).map((p) => fraction(Math.sqrt(p)));

  /** SHA-256 as eight 32-bit words, the most significant first. */
  function sha256(bytes) {
    const padded = [...bytes, 0x80];
    while (padded.length % 64 !== 56) padded.push(0);
    const bits = bytes.length * 8;
    padded.push(0, 0, 0, 0, bits >>> 24, (bits >>> 16) & 255, (bits >>> 8) & 255, bits & 255);
    const turn = (x, k) => (x >>> k) | (x << (32 - k));
    let state = START;
    for (let block = 0; block < padded.length; block += 64) {
      const w = [];
      for (let k = 0; k < 16; k++) {
        const [a, b, c, d] = padded.slice(block + 4 * k, block + 4 * k + 4);
        w.push((a << 24) | (b << 16) | (c << 8) | d);
      }
      for (let k = 16; k < 64; k++) {
        const p = w[k - 15], q = w[k - 2];
        const s0 = turn(p, 7) ^ turn(p, 18) ^ (p >>> 3), s1 = turn(q, 17) ^ turn(q, 19) ^ (q >>> 10);
        w.push((w[k - 16] + s0 + w[k - 7] + s1) | 0);
      }
      let [a, b, c, d, e, f, g, h] = state;
      for (let k = 0; k < 64; k++) {
        const s1 = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25), s0 = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22);
        const t1 = (h + s1 + ((e & f) ^ (~e & g)) + ROUNDS[k] + w[k]) | 0;
        const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        [a, b, c, d, e, f, g, h] = [(t1 + t2) | 0, a, b, c, (d + t1) | 0, e, f, g];
      }
      state = [a, b, c, d, e, f, g, h].map((x, k) => (x + state[k]) >>> 0);
    }
    return state;
  }

  /** A whole number (a BigInt) as 32-bit words, the least significant first; 0 is one word. */
  function words(value) {
    const found = [];
    do {
      found.push(Number(value & 0xffffffffn));
      value >>= 32n;
    } while (value);
    return found;
  }

  /** NumPy's SeedSequence(entropy).generate_state(4, uint64), as BigInts. */
  function seeded(entropy) {
    let constant = 0x43b0d7e5;
    const hashed = (x) => {
      x ^= constant;
      constant = Math.imul(constant, 0x931e8875);
      x = Math.imul(x, constant);
      return x ^ (x >>> 16);
    };
    const mixed = (x, y) => {
      const r = (Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y)) | 0;
      return r ^ (r >>> 16);
    };
    const pool = [0, 1, 2, 3].map((k) => hashed(entropy[k] ?? 0));
    for (let from = 0; from < 4; from++) {
      for (let to = 0; to < 4; to++) if (from !== to) pool[to] = mixed(pool[to], hashed(pool[from]));
    }
    for (const word of entropy.slice(4)) for (let to = 0; to < 4; to++) pool[to] = mixed(pool[to], hashed(word));
    constant = 0x8b51f9dd;
    const out = [];
    for (let k = 0; k < 8; k++) {
      let x = pool[k % 4] ^ constant;
      constant = Math.imul(constant, 0x58f38ded);
      x = Math.imul(x, constant);
      out.push(BigInt((x ^ (x >>> 16)) >>> 0));
    }
    return [0, 2, 4, 6].map((k) => out[k] | (out[k + 1] << 32n));
  }

  const LOW64 = (1n << 64n) - 1n, LOW128 = (1n << 128n) - 1n, MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;

  /** A function that gives PCG64's next 64 bits. */
  function pcg64(entropy) {
    const [s1, s0, i1, i0] = seeded(entropy), increment = ((((i1 << 64n) | i0) << 1n) | 1n) & LOW128;
    const step = (state) => (state * MULTIPLIER + increment) & LOW128;
    let state = step((increment + ((s1 << 64n) | s0)) & LOW128);
    return () => {
      state = step(state);
      const x = ((state >> 64n) ^ state) & LOW64, turns = state >> 122n;
      return ((x >> turns) | (x << (64n - turns))) & LOW64;
    };
  }

  // The layers of the ziggurat: x falls from the tail's start to 0, each layer of the same area.
  const TAIL = 3.6541528853610088, AREA = 0.004928673233974658, bell = (x) => Math.exp(-0.5 * x * x);
  const edge = new Array(256);
  edge[255] = TAIL;
  for (let k = 255; k > 1; k--) edge[k - 1] = Math.sqrt(-2 * Math.log(AREA / edge[k] + bell(edge[k])));
  const width = edge.map((x) => x / 2 ** 52), height = edge.map(bell);
  const sure = edge.map((x, k) => (k > 1 ? (edge[k - 1] / x) * 2 ** 52 : 0));
  width[0] = AREA / bell(TAIL) / 2 ** 52;
  height[0] = 1;
  sure[0] = ((TAIL * bell(TAIL)) / AREA) * 2 ** 52;

  /** One standard normal number. */
  function normal(next) {
    const uniform = () => Number(next() >> 11n) * 2 ** -53;
    for (;;) {
      const bits = next(), layer = Number(bits & 255n), positive = !((bits >> 8n) & 1n);
      const place = Number((bits >> 9n) & ((1n << 52n) - 1n)), x = place * width[layer];
      if (place < sure[layer]) return positive ? x : -x;
      if (layer === 0) {
        for (;;) {
          const a = -Math.log1p(-uniform()) / TAIL, b = -Math.log1p(-uniform());
          if (b + b > a * a) return (BigInt(place) >> 8n) & 1n ? -(TAIL + a) : TAIL + a;
        }
      }
      if ((height[layer - 1] - height[layer]) * uniform() + height[layer] < bell(x)) return positive ? x : -x;
    }
  }

  /** The vector of a token: `size` standard normal numbers that depend on its spelling and the seed (a BigInt) alone. */
  function embed(token, size, seed) {
    const digest = sha256(utf8(token)).reduce((value, word) => (value << 32n) | BigInt(word), 0n);
    const next = pcg64([...words(seed), ...words(digest)]);
    return Float64Array.from({ length: size }, () => normal(next));
  }

  return { embed };
})();
