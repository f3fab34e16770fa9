"""Tensors and metadata of a drafter of Gemma 4 (`gemma4-assistant`) for a text model of one size, matrices in Q8_0."""
from gguf_file import key

# Width, heads, width of the feed-forward: of the drafters of models with per-layer embeddings, and of the others, which are wider.
NARROW, WIDE = (256, 4, 1024), (1024, 16, 8192)
PATTERN = [True, True, True, False]


def make(c, vocabulary):
    d, heads, ffn = NARROW if c['P'] else WIDE
    heads = max(heads, *(c['kv'](not sliding) for sliding in PATTERN))
    matrix = lambda name, cols, rows: (name + '.weight', (cols, rows), 'q8_0', cols)
    ones = lambda name, cols: (name + '.weight', (cols,), '1', 0)
    tensors = [('token_embd.weight', (d, vocabulary), 'q8_0', 1), ones('output_norm', d), ('rope_freqs.weight', (256,), 'rope', 0),
               matrix('nextn.pre_projection', 2 * c['d'], d), matrix('nextn.post_projection', d, c['d'])]
    for i, sliding in enumerate(PATTERN):
        b, head = f'blk.{i}.', 256 if sliding else 512
        tensors += [ones(b + name, d) for name in ('attn_norm', 'post_attention_norm', 'ffn_norm', 'post_ffw_norm')]
        tensors += [ones(b + 'attn_q_norm', head), matrix(b + 'attn_q', d, heads * head), matrix(b + 'attn_output', heads * head, d),
                    matrix(b + 'ffn_gate', d, ffn), matrix(b + 'ffn_up', d, ffn), matrix(b + 'ffn_down', ffn, d), ones(b + 'layer_output_scale', 1)]
    layers = len(PATTERN)
    keys = [('block_count', 'u32', layers), ('context_length', 'u32', c['ctx']), ('embedding_length', 'u32', d), ('embedding_length_out', 'u32', c['d']),
            ('feed_forward_length', 'u32', ffn), ('nextn_predict_layers', 'u32', layers), ('attention.head_count', 'u32', heads),
            ('attention.head_count_kv', '[i32]', [c['kv'](not sliding) for sliding in PATTERN]), ('attention.key_length', 'u32', 512),
            ('attention.key_length_swa', 'u32', 256), ('attention.sliding_window', 'u32', c['W']), ('attention.sliding_window_pattern', '[bool]', PATTERN),
            ('attention.layer_norm_rms_epsilon', 'f32', 1e-6), ('rope.freq_base', 'f32', 1e6), ('rope.freq_base_swa', 'f32', 1e4)]
    return [key('gemma4-assistant.' + k, t, v) for k, t, v in keys], tensors
