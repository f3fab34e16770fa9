"""Weights of a GGUF file, dequantised, in transformers' classes. Needs the package `gguf`."""
import numpy as np
import torch

from export_gguf import text_tensors
from model import build


def read(path):
    """{name: float32 array}."""
    import gguf
    return {t.name: np.array(gguf.dequantize(t.data, t.tensor_type), np.float32) for t in gguf.GGUFReader(path).tensors}


def fill(module, name_of, tensors):
    """Loads `module` from GGUF tensors; `name_of` are export_gguf's functions, asked for one tensor at a time."""
    state = module.state_dict()
    for name, v in state.items():
        if name == "lm_head.weight":  # tied
            continue
        stored = next(iter(name_of({name: torch.zeros_like(v)})))
        w = torch.from_numpy(tensors[stored])
        if name.endswith("patch_embedder.input_proj.weight"):  # stored (c, y, x)
            w = w.permute(0, 2, 3, 1)
        if name.endswith("per_dim_scale"):  # stored after softplus
            w = torch.log(torch.expm1(w))
        v.copy_(w.reshape(v.shape))
    module.load_state_dict(state)
    return module.eval().requires_grad_(False)


def text_model(tensors):
    return fill(build(), text_tensors, tensors)
