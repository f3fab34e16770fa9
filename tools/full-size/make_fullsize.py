#!/usr/bin/env python3
"""Writes a Gemma 4 GGUF of full size with random weights, for measuring speed and memory.

    make_fullsize.py OUT.gguf [--size e2b|e4b|12b|26b|31b] [--ple bf16|q8_0|q4_k] [--layers N] [--all TYPE]
                     [--towers] [--tower-type f16|bf16|f32|q8_0] [--tower-blocks N]
    make_fullsize.py OUT.gguf --mmproj [--size SIZE] [--width N] ...
    make_fullsize.py OUT.gguf --drafter [--size SIZE]

Shapes, metadata and the mix of types (that of Q4_K_M) are the true model's; weights are random valid blocks of about the true
scale, so that the text which it makes is noise while every byte is read as it would be. `--towers` puts those that see and hear
into the file, as Ollama's are; `--mmproj` writes them alone, as llama.cpp does, `--drafter` a drafter for the model. Needs numpy; writes up to 20 GB at disk speed.
"""
import argparse

import drafter
import towers
from gguf_file import TYPES, key, write

VOCABULARY = 262144
# Layers, width, width of the feed-forward, heads, heads of keys (of global layers or others), window, layers that share keys, width of
# per-layer embeddings, which layers are global, whether their keys are their values, context.
SIZES = dict(
    e2b=dict(L=35, d=1536, ffn=lambda i: 6144 if i < 15 else 12288, H=8, kv=lambda g: 1, W=512, shared=20, P=256,
             glob=lambda i: i % 5 == 4, kv_eq=False, ctx=131072),
    e4b=dict(L=42, d=2560, ffn=lambda i: 10240, H=8, kv=lambda g: 2, W=512, shared=18, P=256,
             glob=lambda i: i % 6 == 5, kv_eq=False, ctx=131072),
    **{'12b': dict(L=48, d=3840, ffn=lambda i: 15360, H=16, kv=lambda g: 1 if g else 8, W=1024, shared=0, P=0,
                   glob=lambda i: i % 6 == 5, kv_eq=True, ctx=262144),
       '26b': dict(L=30, d=2816, ffn=lambda i: 2112, H=16, kv=lambda g: 2 if g else 8, W=1024, shared=0, P=0,
                   glob=lambda i: i % 6 == 5, kv_eq=True, ctx=262144, experts=(128, 8, 704)),
       '31b': dict(L=60, d=5376, ffn=lambda i: 21504, H=32, kv=lambda g: 4 if g else 16, W=1024, shared=0, P=0,
                   glob=lambda i: i % 6 == 5, kv_eq=True, ctx=262144)})
SPECIAL = {0: '<pad>', 1: '<eos>', 2: '<bos>', 3: '<unk>', 4: '<mask>', 46: '<|tool>', 47: '<tool|>', 48: '<|tool_call>',
           49: '<tool_call|>', 50: '<|tool_response>', 51: '<tool_response|>', 52: '<|"|>', 98: '<|think|>', 100: '<|channel>',
           101: '<channel|>', 105: '<|turn>', 106: '<turn|>', 255999: '<|image>', 256000: '<|audio>', 258880: '<|image|>',
           258881: '<|audio|>', 258882: '<image|>', 258883: '<audio|>', 258884: '<|video|>'}


def vocabulary():
    """Tokens, their types and merges: special tokens where the true ones are, letters and their pairs, and made-up words."""
    tokens, types = [f'▁w{i}' for i in range(VOCABULARY)], [1] * VOCABULARY
    for i in range(32):
        tokens[107 + i] = '\n' * (i + 1)
    for i in range(256):
        tokens[238 + i], types[238 + i] = f'<0x{i:02X}>', 6
    letters = 'abcdefghijklmnopqrstuvwxyz'
    for i, char in enumerate('▁' + letters + letters.upper() + '0123456789.,!?:;\'"()-'):
        tokens[500 + i] = char
    pairs = [a + b for a in letters for b in letters]
    tokens[1000:1000 + len(pairs)] = pairs
    for i, name in SPECIAL.items():
        # The marks of media stand twice: before a medium, and for each of its soft tokens.
        tokens[i], types[i] = name, 3
    return tokens, types, [f'{pair[0]} {pair[1]}' for pair in pairs]


def text_tensors(c, L, ple, every):
    d, H, P = c['d'], c['H'], c['P']
    better = lambda i: i < L // 8 or i >= 7 * L // 8 or (i - L // 8) % 3 == 2
    fitting = lambda kind, cols: every or (kind if cols % TYPES[kind][1] == 0 else ('q5_0' if kind == 'q4_k' else 'q8_0'))
    matrix = lambda name, cols, rows, kind='q4_k': (name + '.weight', (cols, rows), fitting(kind, cols), cols)
    ones = lambda name, cols: (name + '.weight', (cols,), '1', 0)
    found = [('token_embd.weight', (d, VOCABULARY), every or 'q6_k', 1), ones('output_norm', d), ('rope_freqs.weight', (256,), 'rope', 0)]
    if P:
        found += [('per_layer_token_embd.weight', (P * L, VOCABULARY), ple, P), matrix('per_layer_model_proj', d, P * L), ones('per_layer_proj_norm', P)]
    for i in range(L):
        of_all, F, b = c['glob'](i), c['ffn'](i), f'blk.{i}.'
        head, kv_heads = 512 if of_all else 256, c['kv'](of_all)
        found += [ones(b + 'attn_norm', d), matrix(b + 'attn_q', d, H * head), ones(b + 'attn_q_norm', head)]
        if i < L - c['shared']:
            found += [matrix(b + 'attn_k', d, kv_heads * head), ones(b + 'attn_k_norm', head)]
            if not (of_all and c['kv_eq']):
                found += [matrix(b + 'attn_v', d, kv_heads * head, 'q6_k' if better(i) else 'q4_k')]
        found += [matrix(b + 'attn_output', H * head, d), ones(b + 'post_attention_norm', d), ones(b + 'ffn_norm', d), matrix(b + 'ffn_gate', d, F),
                  matrix(b + 'ffn_up', d, F), matrix(b + 'ffn_down', F, d, 'q6_k' if better(i) else 'q4_k'), ones(b + 'post_ffw_norm', d),
                  ones(b + 'layer_output_scale', 1)]
        if P:
            found += [matrix(b + 'inp_gate', d, P), matrix(b + 'proj', P, d), ones(b + 'post_norm', d)]
        if 'experts' in c:
            E, _, f = c['experts']
            found += [(b + 'ffn_gate_inp.weight', (d, E), 'f32', d), (b + 'ffn_gate_inp.scale', (d,), '1', 0),
                      (b + 'ffn_gate_up_exps.weight', (d, 2 * f, E), fitting('q4_k', d), d),
                      (b + 'ffn_down_exps.weight', (f, d, E), fitting('q8_0' if better(i) else 'q5_0', f), f), (b + 'ffn_down_exps.scale', (E,), '1', 0),
                      ones(b + 'pre_ffw_norm_2', d), ones(b + 'post_ffw_norm_1', d), ones(b + 'post_ffw_norm_2', d)]
    return found


def text_keys(c, L):
    tokens, types, merges = vocabulary()
    of_all = [c['glob'](i) for i in range(L)]
    model = [('block_count', 'u32', L), ('context_length', 'u32', c['ctx']), ('embedding_length', 'u32', c['d']),
             ('feed_forward_length', '[i32]', [c['ffn'](i) for i in range(L)]), ('attention.head_count', 'u32', c['H']),
             ('attention.head_count_kv', '[i32]', [c['kv'](g) for g in of_all]), ('attention.key_length', 'u32', 512), ('attention.value_length', 'u32', 512),
             ('attention.key_length_swa', 'u32', 256), ('attention.value_length_swa', 'u32', 256), ('attention.layer_norm_rms_epsilon', 'f32', 1e-6),
             ('attention.sliding_window', 'u32', c['W']), ('attention.sliding_window_pattern', '[bool]', [not g for g in of_all]),
             ('attention.shared_kv_layers', 'u32', c['shared']), ('rope.freq_base', 'f32', 1e6), ('rope.freq_base_swa', 'f32', 1e4),
             ('rope.dimension_count', 'u32', 512), ('rope.dimension_count_swa', 'u32', 256), ('final_logit_softcapping', 'f32', 30.0),
             ('embedding_length_per_layer_input', 'u32', c['P'])]
    if 'experts' in c:
        model += zip(['expert_count', 'expert_used_count', 'expert_feed_forward_length'], ['u32'] * 3, c['experts'])
    tokenizer = [('model', 'str', 'gemma4'), ('pre', 'str', 'gemma4'), ('tokens', '[str]', tokens), ('scores', '[f32]', [-1000.0] * VOCABULARY),
                 ('token_type', '[i32]', types), ('merges', '[str]', merges), ('bos_token_id', 'u32', 2), ('eos_token_id', 'u32', 1),
                 ('eot_token_id', 'u32', 106), ('unknown_token_id', 'u32', 3), ('padding_token_id', 'u32', 0), ('add_bos_token', 'bool', True),
                 ('add_space_prefix', 'bool', False)]
    return [key('gemma4.' + k, t, v) for k, t, v in model] + [key('tokenizer.ggml.' + k, t, v) for k, t, v in tokenizer]


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('out')
    a.add_argument('--size', default='e2b', choices=SIZES)
    a.add_argument('--ple', default='bf16', choices=TYPES)
    a.add_argument('--layers', type=int, help='fewer layers: a multiple of ten keeps a global one whose keys are shared')
    a.add_argument('--all', choices=TYPES, help='one type for every matrix')
    a.add_argument('--towers', action='store_true', help='also those that see and hear, inside of the file')
    a.add_argument('--mmproj', action='store_true', help='the towers alone')
    a.add_argument('--drafter', action='store_true', help='a drafter for the model, alone')
    a.add_argument('--tower-type', default='f16', choices=['f32', 'f16', 'bf16', 'q8_0'])
    a.add_argument('--tower-blocks', type=int, help='fewer blocks')
    a.add_argument('--width', type=int, help="with --mmproj: the text model's width")
    o = a.parse_args()
    c = dict(SIZES[o.size])
    L = o.layers or c['L']
    c['shared'] = c['shared'] * L // c['L']
    general = [key('general.architecture', 'str', 'clip' if o.mmproj else 'gemma4-assistant' if o.drafter else 'gemma4'), key('general.name', 'str', f'gemma4 {o.size} random weights'),
               key('general.file_type', 'u32', 15), key('general.quantization_version', 'u32', 2), key('general.alignment', 'u32', 32)]
    if o.drafter:
        keys, tensors = drafter.make(c, VOCABULARY)
    else:
        keys, tensors = ([], []) if o.mmproj else (text_keys(c, L), text_tensors(c, L, o.ple, o.all))
    if o.towers or o.mmproj:
        more = towers.make(o.size, o.width or c['d'], o.tower_type, o.mmproj, o.tower_blocks)
        keys, tensors = keys + more[0], tensors + more[1]
    write(o.out, general + keys, tensors)


main()
