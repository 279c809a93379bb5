// A small NFSv3 client (RFC 1813, RFC 5531) for tests: what a kernel would do to write, read and remove a file.
// The kernel here has none; the server, and all behind it, is the real one.
import { connect } from "node:net";

const NFS = 100003;
const MOUNT = 100005;
const VERSION = 3;
const PROC = { GETATTR: 1, LOOKUP: 3, READ: 6, WRITE: 7, CREATE: 8, MKDIR: 9, REMOVE: 12, RENAME: 14, COMMIT: 21 };
const NFS3_OK = 0;
const NFS3ERR_NOENT = 2;
const NFS3ERR_JUKEBOX = 10008;
const UNSTABLE = 0;
const WAIT_MS = 20_000;
const CHUNK = 256 * 1024;

class Writer {
  parts = [];
  u32(value) {
    const part = Buffer.alloc(4);
    part.writeUInt32BE(value >>> 0);
    this.parts.push(part);
    return this;
  }
  u64(value) {
    const part = Buffer.alloc(8);
    part.writeBigUInt64BE(BigInt(value));
    this.parts.push(part);
    return this;
  }
  opaque(bytes) {
    this.u32(bytes.length);
    this.parts.push(bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4));
    return this;
  }
  text(text) {
    return this.opaque(Buffer.from(text));
  }
  bytes() {
    return Buffer.concat(this.parts);
  }
}

class Reader {
  constructor(bytes) {
    this.rest = bytes;
  }
  take(count) {
    const part = this.rest.subarray(0, count);
    this.rest = this.rest.subarray(count);
    return part;
  }
  u32() {
    return this.take(4).readUInt32BE();
  }
  u64() {
    return Number(this.take(8).readBigUInt64BE());
  }
  opaque() {
    const length = this.u32();
    const part = this.take(length);
    this.take((4 - (length % 4)) % 4);
    return part;
  }
  skipAttributes() {
    if (this.u32() === 1) this.take(84);
  }
  skipWcc() {
    if (this.u32() === 1) this.take(24);
    this.skipAttributes();
  }
}

/** Mounts `export` at the server on `port` and gives a client that works below its root. */
export async function nfsMount(port, exportPath) {
  const line = await open(port);
  const answer = await line.call(MOUNT, 1, new Writer().text(exportPath).bytes());
  const status = answer.u32();
  if (status !== 0) throw new Error(`MNT ${exportPath}: ${status}`);
  return new Client(line, Buffer.from(answer.opaque()));
}

async function open(port) {
  const socket = connect(port, "127.0.0.1");
  await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  const waiting = new Map();
  let buffer = Buffer.alloc(0);
  let xid = 1;
  socket.on("data", (data) => {
    buffer = Buffer.concat([buffer, data]);
    while (buffer.length >= 4) {
      const length = buffer.readUInt32BE() & 0x7fffffff;
      if (buffer.length < 4 + length) return;
      const record = buffer.subarray(4, 4 + length);
      buffer = buffer.subarray(4 + length);
      waiting.get(record.readUInt32BE())?.(record);
    }
  });
  const fail = () => waiting.forEach((give) => give(null));
  socket.on("close", fail).on("error", fail);
  return {
    close: () => socket.destroy(),
    call(program, procedure, body) {
      const id = (xid += 1);
      // AUTH_SYS: stamp, machine, uid, gid, no further groups.
      const credentials = new Writer().u32(0).text("test").u32(process.getuid()).u32(process.getgid()).u32(0).bytes();
      const head = new Writer().u32(id).u32(0).u32(2).u32(program).u32(VERSION).u32(procedure);
      head.u32(1).opaque(credentials).u32(0).u32(0);
      const record = Buffer.concat([head.bytes(), body]);
      socket.write(Buffer.concat([new Writer().u32((0x80000000 | record.length) >>> 0).bytes(), record]));
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`no answer to procedure ${procedure}`)), WAIT_MS);
        waiting.set(id, (answer) => {
          clearTimeout(timer);
          waiting.delete(id);
          if (!answer) return reject(new Error("the server closed the connection"));
          const reader = new Reader(answer);
          reader.u32(); // xid
          if (reader.u32() !== 1 || reader.u32() !== 0) return reject(new Error("the call was refused"));
          reader.u32(); // verifier's flavor
          reader.opaque();
          if (reader.u32() !== 0) return reject(new Error("the call was not accepted"));
          resolve(reader);
        });
      });
    },
  };
}

class Client {
  constructor(line, root) {
    this.line = line;
    this.root = root;
  }
  close() {
    this.line.close();
  }
  /** As a kernel does: asks again while the server says "later". */
  async call(procedure, body, allowed = []) {
    for (const end = Date.now() + WAIT_MS; ; ) {
      const answer = await this.line.call(NFS, procedure, body);
      const status = answer.u32();
      if (status === NFS3_OK || allowed.includes(status)) return { status, answer };
      if (status !== NFS3ERR_JUKEBOX || Date.now() > end) throw Object.assign(new Error(`procedure ${procedure}: NFS status ${status}`), { status });
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }
  async lookup(folder, name) {
    const { status, answer } = await this.call(PROC.LOOKUP, new Writer().opaque(folder).text(name).bytes(), [NFS3ERR_NOENT]);
    return status === NFS3_OK ? Buffer.from(answer.opaque()) : null;
  }
  async folder(path) {
    let at = this.root;
    for (const name of path.split("/").filter(Boolean)) {
      const next = await this.lookup(at, name);
      at = next ?? (await this.made(PROC.MKDIR, new Writer().opaque(at).text(name).bytes(), at, name));
    }
    return at;
  }
  /** Creates with a mode; a file that is there already is cut to nothing. */
  async made(procedure, where, folder, name) {
    const isFile = procedure === PROC.CREATE;
    const sattr = new Writer().u32(1).u32(isFile ? 0o644 : 0o755).u32(0).u32(0);
    if (isFile) sattr.u32(1).u64(0);
    else sattr.u32(0);
    const attributes = sattr.u32(0).u32(0).bytes();
    const how = isFile ? new Writer().u32(0).bytes() : Buffer.alloc(0);
    const { answer } = await this.call(procedure, Buffer.concat([where, how, attributes]));
    return answer.u32() === 1 ? Buffer.from(answer.opaque()) : this.lookup(folder, name);
  }
  /** Writes a whole file as a copy would: CREATE, WRITEs, COMMIT. */
  async write(path, bytes) {
    const cut = path.lastIndexOf("/");
    const folder = await this.folder(cut < 0 ? "" : path.slice(0, cut));
    const name = path.slice(cut + 1);
    const handle = await this.made(PROC.CREATE, new Writer().opaque(folder).text(name).bytes(), folder, name);
    for (let offset = 0; offset < bytes.length; offset += CHUNK) {
      const part = bytes.subarray(offset, offset + CHUNK);
      await this.call(PROC.WRITE, new Writer().opaque(handle).u64(offset).u32(part.length).u32(UNSTABLE).opaque(part).bytes());
    }
    await this.call(PROC.COMMIT, new Writer().opaque(handle).u64(0).u32(0).bytes());
  }
  async read(path) {
    const cut = path.lastIndexOf("/");
    const handle = await this.lookup(await this.folder(cut < 0 ? "" : path.slice(0, cut)), path.slice(cut + 1));
    if (!handle) return null;
    const { answer } = await this.call(PROC.READ, new Writer().opaque(handle).u64(0).u32(CHUNK).bytes());
    answer.skipAttributes();
    answer.u32(); // count
    answer.u32(); // end of file
    return Buffer.from(answer.opaque());
  }
  async remove(path) {
    const cut = path.lastIndexOf("/");
    const folder = await this.folder(cut < 0 ? "" : path.slice(0, cut));
    await this.call(PROC.REMOVE, new Writer().opaque(folder).text(path.slice(cut + 1)).bytes());
  }
}
