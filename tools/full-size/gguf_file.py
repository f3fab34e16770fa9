"""GGUF files of random weights: valid blocks of every type, metadata, and a writer that needs little memory."""
import struct

import numpy as np

# Number in the file, weights and bytes of a block.
TYPES = dict(f32=(0, 1, 4), f16=(1, 1, 2), q4_0=(2, 32, 18), q5_0=(6, 32, 22), q8_0=(8, 32, 34), q4_k=(12, 256, 144),
             q5_k=(13, 256, 176), q6_k=(14, 256, 210), bf16=(30, 1, 2))
KINDS = dict(u32=4, i32=5, f32=6, bool=7, str=8, arr=9)
ARRAYS = dict(u32='<u4', i32='<i4', f32='<f4', bool='?')
ALIGNMENT = 32
# Bytes of random weights that are made; longer tensors repeat them.
MADE = 32 << 20

rng = np.random.default_rng(4)


def half(x):
    return np.frombuffer(np.float16(x).tobytes(), np.uint8)


def blocks(kind, count, fan_in):
    """`count` blocks as bytes; weights have a standard deviation of about 1 / sqrt(fan_in)."""
    s = fan_in ** -0.5
    size = TYPES[kind][2]
    if kind in ('f32', 'f16', 'bf16'):
        values = rng.standard_normal(count, np.float32) * np.float32(s)
        if kind == 'bf16':
            return (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()
        return values.astype(dict(f32='<f4', f16='<f2')[kind]).tobytes()
    b = rng.integers(0, 256, (count, size), dtype=np.uint8)
    if kind == 'q4_0':
        b[:, 0:2] = half(s / 4.6)
    elif kind == 'q5_0':
        b[:, 0:2] = half(s / 9.2)
    elif kind == 'q8_0':
        b[:, 0:2] = half(s / 73)
    elif kind == 'q4_k':
        b[:, 0:2], b[:, 2:4] = half(s / 147), half(7.5 * s / 147)
    elif kind == 'q5_k':
        b[:, 0:2], b[:, 2:4] = half(s / 295), half(15.5 * s / 295)
    elif kind == 'q6_k':
        b[:, 192:208] = rng.integers(-64, 64, (count, 16)).astype(np.int8).view(np.uint8)
        b[:, 208:210] = half(s / 683)
    return b.tobytes()


def text(s):
    b = s.encode()
    return struct.pack('<Q', len(b)) + b


def array(kind, values):
    body = b''.join(map(text, values)) if kind == 'str' else np.asarray(values, ARRAYS[kind]).tobytes()
    return struct.pack('<IQ', KINDS[kind], len(values)) + body


def key(name, kind, value):
    """A field of the metadata; of kind `[kind]` a list."""
    if kind.startswith('['):
        kind, value = 'arr', array(kind[1:-1], value)
    pack = dict(u32='<I', i32='<i', f32='<f', bool='<?')
    body = struct.pack(pack[kind], value) if kind in pack else text(value) if kind == 'str' else value
    return text(name) + struct.pack('<I', KINDS[kind]) + body


def filled(kind, count):
    """Values that are no random weights: ones, zeros, a bound, rotation factors."""
    if kind == 'rope':
        return np.array([1.0] * 64 + [1e30] * 192, '<f4').tobytes()
    return np.full(count, float(kind), '<f4').tobytes()


def write(path, keys, tensors):
    """Writes a file of tensors `(name, dims, type, fan_in)`; a type that is a number or `rope` fills an f32 tensor."""
    info, offset, plan = b'', 0, []
    for name, dims, kind, fan_in in tensors:
        code, together, size = TYPES.get(kind, TYPES['f32'])
        count = int(np.prod([int(x) for x in dims]))
        assert int(dims[0]) % together == 0, (name, dims, kind)
        info += text(name) + struct.pack(f'<I{len(dims)}QIQ', len(dims), *dims, code, offset)
        plan.append((kind, count, count // together * size, fan_in))
        offset = -(-(offset + plan[-1][2]) // ALIGNMENT) * ALIGNMENT
    head = b'GGUF' + struct.pack('<IQQ', 3, len(tensors), len(keys)) + b''.join(keys) + info
    head += b'\0' * (-len(head) % ALIGNMENT)
    made = {}
    with open(path, 'wb') as file:
        file.write(head)
        for kind, count, size, fan_in in plan:
            if kind in TYPES:
                if (kind, fan_in) not in made:
                    made[kind, fan_in] = blocks(kind, max(1, min(MADE, size * 64) // TYPES[kind][2]), fan_in)
                body = made[kind, fan_in]
                for at in range(0, size, len(body)):
                    file.write(body[:min(len(body), size - at)])
            else:
                file.write(filled(kind, count))
            file.write(b'\0' * (-size % ALIGNMENT))
    print(f'{path}: {len(tensors)} tensors, {(len(head) + offset) / 1e9:.2f} GB')
