#!/usr/bin/env python3
"""Writes the checkpoint as one float16 GGUF in the layout of Ollama's blobs, towers included where they are trained.

    export_gguf.py CHECKPOINT OUT.gguf [--check]      --check reads the file back and compares every tensor

Matrices F16, vectors and scalars F32. Quantise it with `rullama quantize`.
"""
import argparse
import os
import struct

import numpy as np

from model import CONFIG, read
from tokenizer import Encoder

CODES = {"u32": 4, "i32": 5, "f32": 6, "bool": 7, "str": 8, "arr": 9}


def gstr(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


def scalar(kind, v):
    return gstr(v) if kind == "str" else struct.pack({"u32": "<I", "i32": "<i", "f32": "<f", "bool": "<?"}[kind], v)


def entry(key, kind, v):
    if isinstance(v, (list, tuple, np.ndarray)):
        return gstr(key) + struct.pack("<IIQ", CODES["arr"], CODES[kind], len(v)) + b"".join(scalar(kind, x) for x in v)
    return gstr(key) + struct.pack("<I", CODES[kind]) + scalar(kind, v)


def metadata(vision, audio):
    c, A, e = CONFIG["text"], "gemma4.", Encoder()
    n = c["num_hidden_layers"]
    own = n - c["num_kv_shared_layers"]
    m = [("general.architecture", "str", "gemma4"), ("general.type", "str", "model"), ("general.name", "str", CONFIG["name"]), ("general.license", "str", "mit OR apache-2.0"),
         ("general.file_type", "u32", 1), ("general.quantization_version", "u32", 2), ("general.alignment", "u32", 32),
         (A + "block_count", "u32", n), (A + "context_length", "u32", c["max_position_embeddings"]), (A + "embedding_length", "u32", c["hidden_size"]),
         (A + "feed_forward_length", "i32", [c["intermediate_size"] * (2 if c["use_double_wide_mlp"] and i >= own else 1) for i in range(n)]),
         (A + "attention.head_count", "u32", c["num_attention_heads"]), (A + "attention.head_count_kv", "i32", [c["num_key_value_heads"]] * n),
         (A + "attention.key_length", "u32", c["global_head_dim"]), (A + "attention.value_length", "u32", c["global_head_dim"]),
         (A + "attention.key_length_swa", "u32", c["head_dim"]), (A + "attention.value_length_swa", "u32", c["head_dim"]),
         (A + "attention.layer_norm_rms_epsilon", "f32", c["rms_norm_eps"]), (A + "attention.sliding_window", "u32", c["sliding_window"]),
         (A + "attention.sliding_window_pattern", "bool", [(i + 1) % c["global_every"] != 0 for i in range(n)]), (A + "attention.shared_kv_layers", "u32", c["num_kv_shared_layers"]),
         (A + "rope.freq_base", "f32", c["rope_theta_global"]), (A + "rope.freq_base_swa", "f32", c["rope_theta_sliding"]),
         (A + "rope.dimension_count", "u32", c["global_head_dim"]), (A + "rope.dimension_count_swa", "u32", c["head_dim"]),
         (A + "final_logit_softcapping", "f32", c["final_logit_softcapping"]), (A + "embedding_length_per_layer_input", "u32", c["hidden_size_per_layer_input"])]
    if vision:
        v = CONFIG["vision"]
        m += [(A + "vision.block_count", "u32", v["num_hidden_layers"]), (A + "vision.embedding_length", "u32", v["hidden_size"]), (A + "vision.feed_forward_length", "u32", v["intermediate_size"]),
              (A + "vision.attention.head_count", "u32", v["num_attention_heads"]), (A + "vision.attention.layer_norm_epsilon", "f32", 1e-6), (A + "vision.patch_size", "u32", v["patch_size"]),
              (A + "vision.num_channels", "u32", 3), (A + "vision.projector.scale_factor", "u32", v["pooling_kernel_size"]),
              (A + "vision.image_max_pixels", "u32", v["image_max_pixels"])]
    if audio:
        u = CONFIG["audio"]
        m += [(A + "audio.block_count", "u32", u["num_hidden_layers"]), (A + "audio.embedding_length", "u32", u["hidden_size"]), (A + "audio.feed_forward_length", "u32", 4 * u["hidden_size"]),
              (A + "audio.attention.head_count", "u32", u["num_attention_heads"]), (A + "audio.attention.layer_norm_epsilon", "f32", 1e-6), (A + "audio.conv_kernel_size", "u32", u["conv_kernel_size"]),
              (A + "audio.num_mel_bins", "u32", 128)]
    m += [("tokenizer.ggml.model", "str", "gemma4"), ("tokenizer.ggml.pre", "str", "gemma4"), ("tokenizer.ggml.tokens", "str", e.tokens), ("tokenizer.ggml.scores", "f32", [-1000.0] * len(e.tokens)),
          ("tokenizer.ggml.token_type", "i32", e.types), ("tokenizer.ggml.merges", "str", e.merges), ("tokenizer.ggml.bos_token_id", "u32", 2), ("tokenizer.ggml.eos_token_id", "u32", 1),
          ("tokenizer.ggml.eos_token_ids", "i32", [1, 106, 50]), ("tokenizer.ggml.eot_token_id", "u32", 106), ("tokenizer.ggml.unknown_token_id", "u32", 3), ("tokenizer.ggml.padding_token_id", "u32", 0),
          ("tokenizer.ggml.mask_token_id", "u32", 4), ("tokenizer.ggml.add_bos_token", "bool", False), ("tokenizer.ggml.add_space_prefix", "bool", False)]
    return b"".join(entry(*x) for x in m), len(m)


TEXT = {"input_layernorm.weight": "attn_norm.weight", "self_attn.q_proj.weight": "attn_q.weight", "self_attn.k_proj.weight": "attn_k.weight", "self_attn.v_proj.weight": "attn_v.weight",
        "self_attn.q_norm.weight": "attn_q_norm.weight", "self_attn.k_norm.weight": "attn_k_norm.weight", "self_attn.o_proj.weight": "attn_output.weight",
        "post_attention_layernorm.weight": "post_attention_norm.weight", "pre_feedforward_layernorm.weight": "ffn_norm.weight", "mlp.gate_proj.weight": "ffn_gate.weight", "mlp.up_proj.weight": "ffn_up.weight",
        "mlp.down_proj.weight": "ffn_down.weight", "post_feedforward_layernorm.weight": "post_ffw_norm.weight", "per_layer_input_gate.weight": "inp_gate.weight", "per_layer_projection.weight": "proj.weight",
        "post_per_layer_input_norm.weight": "post_norm.weight", "layer_scalar": "layer_output_scale.weight"}
WHOLE = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "model.embed_tokens_per_layer.weight": "per_layer_token_embd.weight",
         "model.per_layer_model_projection.weight": "per_layer_model_proj.weight", "model.per_layer_projection_norm.weight": "per_layer_proj_norm.weight"}


def text_tensors(state):
    """{GGUF name: array} of the text part; `state` is transformers' state dict."""
    c, out = CONFIG["text"], {}
    half = c["global_head_dim"] // 2
    factors = np.full(half, 1e30, np.float32)
    factors[:int(half * c["partial_rotary_factor"])] = 1
    for name, v in state.items():
        if name in WHOLE:
            out[WHOLE[name]] = v.numpy()
            if name == "model.norm.weight":
                out["rope_freqs.weight"] = factors
            continue
        _, _, i, rest = name.split(".", 3)
        out[f"blk.{i}.{TEXT[rest]}"] = v.numpy()
    return out


VISION = {"input_layernorm": "ln1", "self_attn.q_proj.linear": "attn_q", "self_attn.k_proj.linear": "attn_k", "self_attn.v_proj.linear": "attn_v", "self_attn.o_proj.linear": "attn_out", "self_attn.q_norm": "attn_q_norm",
          "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "attn_post_norm", "pre_feedforward_layernorm": "ln2", "mlp.gate_proj.linear": "ffn_gate", "mlp.up_proj.linear": "ffn_up",
          "mlp.down_proj.linear": "ffn_down", "post_feedforward_layernorm": "ffn_post_norm"}
AUDIO = {"feed_forward1.pre_layer_norm": "ffn_norm", "feed_forward1.ffw_layer_1.linear": "ffn_up", "feed_forward1.ffw_layer_2.linear": "ffn_down", "feed_forward1.post_layer_norm": "ffn_post_norm",
         "feed_forward2.pre_layer_norm": "ffn_norm_1", "feed_forward2.ffw_layer_1.linear": "ffn_up_1", "feed_forward2.ffw_layer_2.linear": "ffn_down_1", "feed_forward2.post_layer_norm": "ffn_post_norm_1",
         "self_attn.q_proj.linear": "attn_q", "self_attn.k_proj.linear": "attn_k", "self_attn.v_proj.linear": "attn_v", "self_attn.post.linear": "attn_out", "self_attn.relative_k_proj": "linear_pos",
         "norm_pre_attn": "ln1", "norm_post_attn": "ln2", "norm_out": "layer_pre_norm", "lconv1d.pre_layer_norm": "conv_norm", "lconv1d.linear_start.linear": "conv_pw1", "lconv1d.linear_end.linear": "conv_pw2",
         "lconv1d.depthwise_conv1d": "conv_dw", "lconv1d.conv_norm": "norm_conv"}
CLAMPS = ("input_min", "input_max", "output_min", "output_max")


def _block(prefix, table, i, rest, v, out):
    """One tensor of a tower block: a weight, or a clamp of a clippable linear (only finite bounds are written)."""
    base, _, leaf = rest.rpartition(".")
    if leaf in CLAMPS:
        if np.isfinite(v).all():
            out[f"{prefix}.{i}.{table[base + '.linear']}.{leaf}"] = v.reshape(1)
        return
    out[f"{prefix}.{i}.{table[base]}.weight"] = v


def vision_tensors(state):
    c, out = CONFIG["vision"], {}
    p = c["patch_size"]
    for name, v in state.items():
        v = v.numpy()
        if name == "embed_vision.embedding_projection.weight":
            out["mm.input_projection.weight"] = v
        elif name == "vision_tower.patch_embedder.input_proj.weight":  # (y, x, c) -> (c, y, x)
            out["v.patch_embd.weight"] = np.ascontiguousarray(v.reshape(-1, p, p, 3).transpose(0, 3, 1, 2))
        elif name == "vision_tower.patch_embedder.position_embedding_table":
            out["v.position_embd.weight"] = v.astype(np.float32)
        else:
            i, rest = name.removeprefix("vision_tower.encoder.layers.").split(".", 1)
            _block("v.blk", VISION, i, rest, v, out)
    return out


def audio_tensors(state):
    out = {}
    for name, v in state.items():
        v = v.numpy()
        if name == "embed_audio.embedding_projection.weight":
            out["mm.a.input_projection.weight"] = v
            continue
        name = name.removeprefix("audio_tower.")
        if name.startswith("subsample_conv_projection.layer"):
            i = name[len("subsample_conv_projection.layer")]
            out[f"a.conv1d.{i}.{'norm.' if '.norm.' in name else ''}weight"] = v.astype(np.float32)
        elif name == "subsample_conv_projection.input_proj_linear.weight":
            out["a.pre_encode.out.weight"] = v
        elif name.startswith("output_proj."):
            out["mm.a.fc." + name.split(".")[1]] = v
        else:
            i, rest = name.removeprefix("layers.").split(".", 1)
            if rest == "self_attn.per_dim_scale":  # stored after softplus
                out[f"a.blk.{i}.per_dim_scale.weight"] = np.log1p(np.exp(v)).astype(np.float32)
            elif rest == "lconv1d.depthwise_conv1d.weight":
                out[f"a.blk.{i}.conv_dw.weight"] = v.squeeze(1).astype(np.float32)
            else:
                _block("a.blk", AUDIO, i, rest, v, out)
    return out


FLOAT = ("v.position_embd", "a.conv1d", "conv_dw", "per_dim_scale")


def write(path, head, count, tensors):
    info, data, off = b"", [], 0
    for name, v in tensors.items():
        half = v.ndim > 1 and not any(f in name for f in FLOAT)
        raw = np.ascontiguousarray(v.astype("<f2" if half else "<f4")).tobytes()
        info += gstr(name) + struct.pack("<I", v.ndim) + struct.pack(f"<{v.ndim}Q", *v.shape[::-1]) + struct.pack("<IQ", 1 if half else 0, off)
        raw += b"\0" * (-len(raw) % 32)
        data.append(raw)
        off += len(raw)
    top = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), count) + head + info
    with open(path, "wb") as f:
        f.write(top + b"\0" * (-len(top) % 32))
        f.writelines(data)


def reread(path):
    """{name: float32 array} of an F16/F32 GGUF: a reader of its own, to check the writer."""
    b, at = open(path, "rb").read(), 8
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

    def take(fmt):
        nonlocal at
        v = struct.unpack_from("<" + fmt, b, at)
        at += struct.calcsize("<" + fmt)
        return v[0] if len(v) == 1 else v

    def string():
        nonlocal at
        n = take("Q")
        at += n
        return b[at - n:at].decode()

    def skip(kind):
        nonlocal at
        if kind == 8:
            string()
        elif kind == 9:
            inner, n = take("IQ")
            for _ in range(n):
                skip(inner)
        else:
            at += sizes[kind]

    n, kvs = take("QQ")
    for _ in range(kvs):
        string()
        skip(take("I"))
    infos = []
    for _ in range(n):
        name, dims = string(), take("I")
        shape = [take("Q") for _ in range(dims)]
        infos.append((name, shape[::-1], *take("IQ")))
    base = (at + 31) // 32 * 32
    return {name: np.frombuffer(b, "<f2" if kind == 1 else "<f4", int(np.prod(shape)), base + off).reshape(shape).astype(np.float32) for name, shape, kind, off in infos}


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("checkpoint")
    a.add_argument("out")
    a.add_argument("--check", action="store_true")
    o = a.parse_args()
    files = os.listdir(o.checkpoint)
    vision, audio = (any(f.startswith(s) for f in files) for s in ("vision-", "audio-"))
    tensors = text_tensors(read(o.checkpoint, "text"))
    if vision:
        tensors |= vision_tensors(read(o.checkpoint, "vision"))
    if audio:
        tensors |= audio_tensors(read(o.checkpoint, "audio"))
    head, count = metadata(vision, audio)
    write(o.out, head, count, tensors)
    print(f"{o.out}: {len(tensors)} tensors, {os.path.getsize(o.out) / 1e6:.1f} MB, {sum(v.size for v in tensors.values()) / 1e6:.2f} M values")
    if o.check:
        back = reread(o.out)
        assert list(back) == list(tensors), "names differ"
        worst = {k: float(np.abs(back[k] - v.astype(np.float32)).max()) for k, v in tensors.items()}
        bad = {k: w for k, w in worst.items() if w > 0}
        print(f"check: {len(back)} tensors equal" if not bad else f"check: differ {bad}")


if __name__ == "__main__":
    main()
