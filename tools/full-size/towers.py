"""Tensors and metadata of Gemma 4's towers, in the dialects of Ollama (inside the model's file) and llama.cpp (`mmproj`)."""
from gguf_file import key

# Blocks, width, width of the feed-forward, values of a head; whether linears are clipped and outputs standardised.
VISION = dict(
    small=dict(blocks=16, dim=768, ffn=3072, head=64, clipped=True, standardised=False),
    large=dict(blocks=27, dim=1152, ffn=4304, head=72, clipped=False, standardised=True))
HEARING = dict(blocks=12, dim=1024, ffn=4096, head=128, heads=8, output=1536, bins=128, channels=(128, 32), taps=5)
# What each size has: a transformer for pictures (or none: patches as they are), a conformer for sounds, samples as they are.
SIZES = dict(e2b=('small', 'conformer'), e4b=('small', 'conformer'), **{
    '12b': (None, 'samples'), '26b': ('large', None), '31b': ('large', None)})
PATCH, POOL, PLACES = 16, 3, 10240
BOUND = 60.0


def names(mmproj):
    """Names of the conformer's tensors that the dialects do not share."""
    if mmproj:
        return dict(input='a.input_projection', output='a.pre_encode.out', relative='attn_k_rel', before='attn_pre_norm',
                    behind='attn_post_norm', block='ln2')
    return dict(input='a.pre_encode.out', output='mm.a.fc', relative='linear_pos', before='ln1', behind='ln2', block='layer_pre_norm')


def linear(name, cols, rows, kind, clipped=False):
    # Rows of whole blocks have the wanted type.
    found = [(f'{name}.weight', (cols, rows), kind if kind in ('f32', 'bf16') or cols % 32 == 0 else 'f16', cols)]
    if clipped:
        found += [(f'{name}.{side}_{end}', (1,), bound, 0) for side in ('input', 'output') for end, bound in (('min', -BOUND), ('max', BOUND))]
    return found


def norm(name, cols):
    return [(f'{name}.weight', (cols,), '1', 0)]


def transformer(c, dim, kind):
    D, F, m = c['dim'], c['ffn'], c['head']
    found = [('v.patch_embd.weight', (PATCH, PATCH, 3, D), 'f16' if kind == 'q8_0' else kind, 3 * PATCH * PATCH),
             ('v.position_embd.weight', (D, PLACES, 2), 'f32', 64)]
    for i in range(c['blocks']):
        b = f'v.blk.{i}.'
        found += norm(b + 'ln1', D) + norm(b + 'attn_q_norm', m) + norm(b + 'attn_k_norm', m) + norm(b + 'attn_post_norm', D)
        found += norm(b + 'ln2', D) + norm(b + 'ffn_post_norm', D)
        for name, cols, rows in [('attn_q', D, D), ('attn_k', D, D), ('attn_v', D, D), ('attn_out', D, D),
                                 ('ffn_gate', D, F), ('ffn_up', D, F), ('ffn_down', F, D)]:
            found += linear(b + name, cols, rows, kind, c['clipped'])
    if c['standardised']:
        found += [('v.std_bias', (D,), '0', 0), ('v.std_scale', (D,), '1', 0)]
    return found + linear('mm.input_projection', D, dim, kind)


def patches(dim, kind):
    values = 3 * (PATCH * POOL) ** 2
    found = linear('v.patch_embd', values, dim, kind) + [('v.patch_embd.bias', (dim,), '0', 0), ('v.position_embd.weight', (dim, 1120, 2), 'f32', 64)]
    for i, cols in [(1, values), (2, dim), (3, dim)]:
        found += norm(f'v.patch_norm.{i}', cols) + [(f'v.patch_norm.{i}.bias', (cols,), '0', 0)]
    return found + linear('mm.input_projection', dim, dim, kind)


def conformer(blocks, dim, kind, mmproj):
    c, n = HEARING, names(mmproj)
    D, F = c['dim'], c['ffn']
    found, channels = [], 1
    for i, to in enumerate(c['channels']):
        found += [(f'a.conv1d.{i}.weight', (3, 3, channels, to), 'f32', 9 * channels)] + norm(f'a.conv1d.{i}.norm', to)
        channels = to
    found += linear(n['input'], c['bins'] // 4 * channels, D, kind)
    for i in range(blocks):
        b = f'a.blk.{i}.'
        for name in ['ffn_norm', 'ffn_post_norm', 'ffn_norm_1', 'ffn_post_norm_1', 'conv_norm', 'norm_conv', n['before'], n['behind'], n['block']]:
            found += norm(b + name, D)
        for name, cols, rows in [('attn_q', D, D), ('attn_k', D, D), ('attn_v', D, D), ('attn_out', D, D), ('ffn_up', D, F), ('ffn_down', F, D),
                                 ('ffn_up_1', D, F), ('ffn_down_1', F, D), ('conv_pw1', D, 2 * D), ('conv_pw2', D, D)]:
            found += linear(b + name, cols, rows, kind, True)
        found += linear(b + n['relative'], D, D, kind)
        found += [(b + 'per_dim_scale.weight', (c['head'],), '1', 0), (b + 'conv_dw.weight', (c['taps'], D), 'f32', c['taps'])]
    found += linear(n['output'], D, c['output'], kind) + [(n['output'] + '.bias', (c['output'],), '0', 0)]
    return found + linear('mm.a.input_projection', c['output'], dim, kind)


def make(size, dim, kind='f16', mmproj=False, blocks=None):
    """Metadata and tensors of a size's towers for a text model of width `dim`, with fewer `blocks` where wanted."""
    seen, heard = SIZES[size]
    prefix = 'clip.' if mmproj else 'gemma4.'
    keys, tensors = [], []
    if mmproj:
        keys += [key('clip.has_vision_encoder', 'bool', True), key('clip.has_audio_encoder', 'bool', heard is not None),
                 key('clip.vision.projector_type', 'str', 'gemma4v' if seen else 'gemma4uv')]
        keys += [key('clip.audio.projector_type', 'str', dict(conformer='gemma4a', samples='gemma4ua')[heard])] if heard else []
    v = prefix + 'vision.'
    keys += [key(v + 'patch_size', 'u32', PATCH), key(v + 'projector.scale_factor', 'u32', POOL), key(v + 'num_channels', 'u32', 3)]
    if seen:
        c = dict(VISION[seen], blocks=blocks or VISION[seen]['blocks'])
        keys += [key(v + 'block_count', 'u32', c['blocks']), key(v + 'embedding_length', 'u32', c['dim']), key(v + 'feed_forward_length', 'u32', c['ffn']),
                 key(v + 'attention.head_count', 'u32', c['dim'] // c['head']), key(v + 'attention.layer_norm_epsilon', 'f32', 1e-6)]
        tensors += transformer(c, dim, kind)
    else:
        tensors += patches(dim, kind)
    if heard == 'conformer':
        c, a = HEARING, prefix + 'audio.'
        count = blocks or c['blocks']
        keys += [key(a + 'block_count', 'u32', count), key(a + 'embedding_length', 'u32', c['dim']), key(a + 'feed_forward_length', 'u32', c['ffn']),
                 key(a + 'attention.head_count', 'u32', c['heads']), key(a + 'attention.layer_norm_epsilon', 'f32', 1e-6),
                 key(a + 'conv_kernel_size', 'u32', c['taps']), key(a + 'num_mel_bins', 'u32', c['bins'])]
        tensors += conformer(count, dim, kind, mmproj)
    elif heard == 'samples':
        tensors += linear('mm.a.input_projection', 640, dim, kind)
    return keys, tensors

