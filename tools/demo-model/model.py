"""The demo model as transformers' Gemma 4 classes, built from config.json, and its checkpoint files."""
import json
import os

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import Gemma4ForCausalLM, Gemma4TextConfig

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = json.load(open(os.path.join(HERE, "config.json")))


def text_config(c=CONFIG["text"]):
    layers = ["full_attention" if (i + 1) % c["global_every"] == 0 else "sliding_attention" for i in range(c["num_hidden_layers"])]
    same = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "global_head_dim",
            "hidden_size_per_layer_input", "num_kv_shared_layers", "use_double_wide_mlp", "sliding_window", "final_logit_softcapping", "rms_norm_eps", "max_position_embeddings")
    return Gemma4TextConfig(
        **{k: c[k] for k in same}, vocab_size_per_layer_input=c["vocab_size"], layer_types=layers, enable_moe_block=False, tie_word_embeddings=True,
        rope_parameters={"sliding_attention": {"rope_type": "default", "rope_theta": c["rope_theta_sliding"]},
                         "full_attention": {"rope_type": "proportional", "partial_rotary_factor": c["partial_rotary_factor"], "rope_theta": c["rope_theta_global"]}},
        attn_implementation="sdpa")


def build(seed=0):
    """A fresh model. Query and key norms start so that scores have unit variance (the scale in the score is 1)."""
    torch.manual_seed(seed)
    model = Gemma4ForCausalLM(text_config())
    for layer in model.model.layers:
        a = layer.self_attn
        for norm in (a.q_norm, getattr(a, "k_norm", None)):
            if norm is not None:
                torch.nn.init.constant_(norm.weight, a.head_dim ** -0.25)
        scale = layer.layer_scalar.detach().clone()
        del layer.layer_scalar
        layer.layer_scalar = torch.nn.Parameter(scale.reshape(1))
    return model


def hidden(model, embeds, per_layer, positions, masks):
    """Final hidden states [batch, tokens, dim] of transformers' layers.

    The same steps as `Gemma4TextModel.forward`, which cannot be given the embeddings of soft tokens under
    torch.compile. `per_layer` [batch, tokens, layers, P] are the rows of the per-layer table.
    """
    m = model.model
    per_layer = m.project_per_layer_inputs(embeds, per_layer)
    rotary = {t: m.rotary_emb(embeds, positions, t) for t in ("sliding_attention", "full_attention")}
    shared, h = {}, embeds
    for i, layer in enumerate(m.layers):
        kind = m.config.layer_types[i]
        h = layer(h, per_layer[:, :, i, :], shared_kv_states=shared, position_embeddings=rotary[kind], attention_mask=masks[kind], position_ids=positions)
    return m.norm(h)


def softcapped(model, h):
    cap = model.config.final_logit_softcapping
    return cap * torch.tanh(model.lm_head(h) / cap)


def per_layer_rows(model, ids):
    c = model.config
    return model.model.embed_tokens_per_layer(ids).reshape(*ids.shape, c.num_hidden_layers, c.hidden_size_per_layer_input)


def masks_of(start, window, dtype):
    """Additive masks [batch, 1, tokens, tokens] of packed rows: causal, inside one conversation, and inside the window."""
    t = start.shape[1]
    at = torch.arange(t, device=start.device)
    back = at[:, None] - at[None, :]
    same = (start[:, :, None] == start[:, None, :]) & (back >= 0)
    off = torch.full((), float("-inf"), dtype=dtype, device=start.device)
    on = torch.zeros((), dtype=dtype, device=start.device)
    return {"full_attention": torch.where(same, on, off)[:, None], "sliding_attention": torch.where(same & (back < window), on, off)[:, None]}


def rounded(model):
    """Rounds every matrix to float16 values in place; vectors and scalars stay float32."""
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.copy_(p.half().float())
    return model


def save(state, folder, stem, limit=15 << 20):
    """Writes tensors to `stem`-N.safetensors files of at most `limit` bytes; matrices in float16."""
    os.makedirs(folder, exist_ok=True)
    part, size, n = {}, 0, 0
    for k, v in state.items():
        v = v.detach().cpu()
        v = (v.half() if v.dim() > 1 else v.float()).contiguous()
        if part and size + v.nbytes > limit:
            save_file(part, os.path.join(folder, f"{stem}-{n}.safetensors"))
            part, size, n = {}, 0, n + 1
        part[k] = v
        size += v.nbytes
    save_file(part, os.path.join(folder, f"{stem}-{n}.safetensors"))


def read(folder, stem):
    state = {}
    for name in sorted(os.listdir(folder)):
        if name.startswith(stem + "-") and name.endswith(".safetensors"):
            with safe_open(os.path.join(folder, name), "pt") as f:
                state |= {k: f.get_tensor(k).float() for k in f.keys()}
    if not state:
        raise FileNotFoundError(f"no {stem}-N.safetensors in {folder}: run train.py first")
    return state


def load(folder):
    model = build()
    missing, extra = model.load_state_dict(read(folder, "text"), strict=False)
    if extra or [m for m in missing if m != "lm_head.weight"]:
        raise ValueError(f"checkpoint does not fit config.json: missing {missing}, extra {extra}")
    model.tie_weights()
    return model.eval()
