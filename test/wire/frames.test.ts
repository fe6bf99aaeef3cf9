import assert from 'node:assert/strict';
import fc from 'fast-check';
import { errorResponse, frames, noticeResponse, parameters, parameterTypes, readFields } from '../../lib/wire';
import { isFatal } from '../../lib/wire/error-response';
import { FrameCutter } from '../../lib/wire/frame-cutter';
import { readRequest, type BindRequest, type ParseRequest } from '../../lib/wire/request';

const { frame, ProtocolError } = frames;
const cut = (chunks: readonly Buffer[], startup = false): string[] => {
  const found: string[] = [];
  const cutter: FrameCutter = new FrameCutter((type, chunk, start, end) => {
    cutter.startup = false;
    found.push(`${type}:${chunk.toString('hex', start, end)}`);
  }, startup);
  for (const chunk of chunks) cutter.push(chunk);
  return found;
};

describe('frames', () => {
  it('are the same wherever the bytes are cut', () => {
    const content = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes));
    const message = fc.tuple(fc.integer({ min: 1, max: 255 }), content).map(([type, bytes]) => frame(type, bytes));
    const startup = content.map((bytes) =>
      Buffer.concat([frames.int32(bytes.length + 8), frames.int32(3 << 16), bytes]),
    );
    fc.assert(
      fc.property(
        startup,
        fc.array(message),
        fc.infiniteStream(fc.integer({ min: 1, max: 20 })),
        (first, rest, sizes) => {
          const whole = Buffer.concat([first, ...rest]);
          const chunks: Buffer[] = [];
          for (let at = 0; at < whole.length; at += chunks.at(-1)?.length ?? 1)
            chunks.push(whole.subarray(at, at + (sizes.next().value as number)));
          const expected = [first, ...rest].map((bytes, i) => `${i === 0 ? 0 : bytes[0]}:${bytes.toString('hex')}`);
          assert.deepEqual(cut(chunks, true), expected);
        },
      ),
    );
  });

  it('that go over many chunks are joined once', () => {
    const large = frame(0x44, Buffer.alloc(1 << 20));
    const { concat } = Buffer;
    let joined = 0;
    Buffer.concat = (list, size) => {
      const bytes = concat(list, size);
      joined += bytes.length;
      return bytes;
    };
    try {
      const chunks = Array.from({ length: 1 << 10 }, (_, i) => large.subarray(i << 10, (i + 1) << 10));
      assert.equal(cut([...chunks, large.subarray(1 << 20)]).length, 1);
    } finally {
      Buffer.concat = concat;
    }
    assert.ok(joined <= large.length + 5, `${joined} bytes were copied`);
  });

  it('of an absurd length are refused before they are kept', () => {
    for (const length of [-1, 3, 0x40000000, 0x7fffffff]) {
      const head = Buffer.concat([Buffer.from('Q'), frames.int32(length)]);
      assert.throws(() => cut([head]), new ProtocolError('invalid message length'));
    }
    for (const length of [7, 10_001])
      assert.throws(() => cut([frames.int32(length)], true), new ProtocolError('invalid length of startup packet'));
  });

  it('carry every field of an error, both ways', () => {
    const fields = {
      ...{ severity: 'FATAL', code: '22012', message: 'no: ü', detail: 'd', hint: 'h', position: '3' },
      ...{ internalPosition: '4', internalQuery: 'q', where: 'w', schema: 's', table: 't', column: 'c' },
      ...{ dataType: 'int', constraint: 'k', file: 'f.c', line: '7', routine: 'r' },
    };
    assert.deepEqual(readFields(errorResponse(fields)), fields);
    assert.equal(readFields(errorResponse({ code: 'A', message: 'b' })).severity, 'ERROR');
    assert.equal(readFields(noticeResponse({ code: 'A', message: 'b' })).severity, 'NOTICE');
    assert.deepEqual(
      [isFatal(errorResponse(fields)), isFatal(errorResponse({ code: 'A', message: 'VFATAL' }))],
      [true, false],
    );
  });

  it('give the raw parameters of a Bind, and the types of a Parse', () => {
    const counts = (...values: number[]): Buffer => Buffer.concat(values.map((value) => Buffer.from([0, value])));
    const value = (text: string): Buffer => Buffer.concat([frames.int32(text.length), Buffer.from(text)]);
    const parametersOf = (formats: Buffer): unknown => {
      const rest = [formats, counts(3), value('one'), frames.int32(-1), value(''), counts(0)];
      return parameters(readRequest(0x42, frame(0x42, 'p', 's', ...rest)) as BindRequest);
    };
    const given = (...binary: boolean[]): unknown =>
      [Buffer.from('one'), null, Buffer.alloc(0)].map((bytes, i) => ({ value: bytes, binary: binary[i] }));
    assert.deepEqual(parametersOf(counts(0)), given(false, false, false));
    assert.deepEqual(parametersOf(counts(1, 1)), given(true, true, true));
    assert.deepEqual(parametersOf(counts(3, 0, 1, 0)), given(false, true, false));
    const types = Buffer.concat([counts(2), frames.int32(23), frames.int32(0)]);
    assert.deepEqual(parameterTypes(readRequest(0x50, frame(0x50, 'n', 'select', types)) as ParseRequest), [23, 0]);
  });

  it('that end too early are refused', () => {
    for (const broken of [
      frame(0x51, Buffer.from('no zero')),
      frame(0x50, 'name', Buffer.from('no zero')),
      frame(0x45, 'portal', Buffer.alloc(3)),
      frame(0x44, Buffer.from('X'), 'name'),
    ])
      assert.throws(() => readRequest(broken[0] as number, broken), ProtocolError);
    const bind = readRequest(0x42, frame(0x42, '', '', Buffer.from([0, 0, 0, 1, 0, 0, 0, 9, 1]))) as BindRequest;
    assert.throws(() => parameters(bind), ProtocolError);
  });
});
