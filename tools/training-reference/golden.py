#!/usr/bin/env python3
"""Writes a golden of training as goldens/grad has them: losses, gradients and steps of AdamW by torch, from a GGUF file alone.

    golden.py MODEL OUT [--tokens 50] [--targets 12] [--rank 2] [--steps 20] [--like GOLDEN]

OUT.json and OUT.safetensors are written. LoRA is PEFT's (y = W x + s B A x, s = alpha / rank = 2) on the seven projections of every layer, A
normal over the root of its inputs, B 0.05 normal. --like computes another golden (without its ending) anew and says how far it is off.
"""
import argparse
import json
import os
import sys

import torch
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "demo-model"))
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ADAMW = {"lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01}


def base(path):
    """The text model of a GGUF file, its shapes from the file's metadata."""
    import gguf
    from export_gguf import text_tensors
    from from_gguf import fill, read
    from transformers import Gemma4ForCausalLM, Gemma4TextConfig

    fields = gguf.GGUFReader(path).fields
    get = lambda key: fields["gemma4." + key].contents()
    tensors = read(path)
    feed, heads_kv = get("feed_forward_length"), get("attention.head_count_kv")
    config = Gemma4TextConfig(
        vocab_size=tensors["token_embd.weight"].shape[0], vocab_size_per_layer_input=tensors["token_embd.weight"].shape[0],
        hidden_size=get("embedding_length"), intermediate_size=min(feed), use_double_wide_mlp=max(feed) > min(feed),
        num_hidden_layers=get("block_count"), num_attention_heads=get("attention.head_count"),
        num_key_value_heads=heads_kv if isinstance(heads_kv, int) else heads_kv[0],
        head_dim=get("attention.key_length_swa"), global_head_dim=get("attention.key_length"),
        hidden_size_per_layer_input=get("embedding_length_per_layer_input"), num_kv_shared_layers=get("attention.shared_kv_layers"),
        sliding_window=get("attention.sliding_window"), final_logit_softcapping=get("final_logit_softcapping"),
        rms_norm_eps=get("attention.layer_norm_rms_epsilon"), max_position_embeddings=get("context_length"),
        layer_types=["sliding_attention" if sliding else "full_attention" for sliding in get("attention.sliding_window_pattern")],
        rope_parameters={"sliding_attention": {"rope_type": "default", "rope_theta": get("rope.freq_base_swa")},
                         "full_attention": {"rope_type": "proportional", "rope_theta": get("rope.freq_base"),
                                            "partial_rotary_factor": float((tensors["rope_freqs.weight"] < 2).mean())}},
        enable_moe_block=False, tie_word_embeddings=True, attn_implementation="eager")
    model = Gemma4ForCausalLM(config)
    for layer in model.model.layers:
        scale = layer.layer_scalar.detach().clone()
        del layer.layer_scalar
        layer.layer_scalar = torch.nn.Parameter(scale.reshape(1))
    return fill(model, text_tensors, tensors)


class Trained:
    """A model with its matrices by the goldens' names."""

    def __init__(self, path, about, init):
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(r=about["rank"], lora_alpha=about["alpha"], target_modules=about["target_modules"], bias="none")
        self.model = get_peft_model(base(path), config)
        self.matrices = {}
        for name, p in self.model.named_parameters():
            if "lora_" in name:
                layer, _, module, half = name[name.index("layers."):].removesuffix(".default.weight").rsplit(".", 3)
                self.matrices[f"{layer}.{module}.{half}"] = p
        with torch.no_grad():
            for name, p in self.matrices.items():
                p.copy_(init(name, p))
        self.rows = [(torch.tensor([s["ids"]]), torch.tensor(s["target_mask"], dtype=torch.bool)) for s in about["sequences"]]
        self.targets = sum(int(mask.sum()) for _, mask in self.rows)

    def loss(self, backward=True):
        """The loss, and for each sequence `-ln p` of each token but the first; adds to the gradients."""
        total, all_ce = 0.0, []
        for ids, mask in self.rows:
            logits = self.model(input_ids=ids).logits[0, :-1]
            ce = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none") * mask[1:]
            part = ce.sum() / self.targets
            if backward:
                part.backward()
            total += part.item()
            all_ce.append(ce.tolist())
        return total, all_ce


def make(given):
    random = torch.Generator().manual_seed(9010)
    ids = [2] + torch.randint(300, 2000, (given.tokens - 1,), generator=random).tolist()
    mask = [int(i >= given.tokens - given.targets) for i in range(given.tokens)]
    about = {"model": os.path.basename(given.model), "rank": given.rank, "alpha": 2 * given.rank, "target_modules": MODULES, "init_seed": 9010,
             "sequences": [{"ids": ids, "target_mask": mask}], "targets": given.targets}

    def init(name, p):
        values = torch.randn(p.shape, generator=random)
        return values / p.shape[1] ** 0.5 if name.endswith("lora_A") else 0.05 * values

    trained = Trained(given.model, about, init)
    tensors = {f"init.{name}": p.detach().clone() for name, p in trained.matrices.items()}
    optimizer = torch.optim.AdamW(trained.matrices.values(), **ADAMW)
    curve = []
    for step in range(given.steps):
        optimizer.zero_grad()
        loss, ce = trained.loss()
        curve.append(loss)
        if step == 0:
            about |= {"loss": loss, "per_token_ce": ce}
            tensors |= {f"grad.{name}": p.grad.clone() for name, p in trained.matrices.items()}
        optimizer.step()
    curve.append(trained.loss(backward=False)[0])
    moved = {name: (p.detach() - tensors[f"init.{name}"]).norm().item() for name, p in trained.matrices.items()}
    tensors |= {f"after{given.steps}.{name}": p.detach().clone() for name, p in trained.matrices.items() if name.startswith("layers.0.")}
    about |= {"loss_curve": curve, "adamw": ADAMW, "after_steps": given.steps, "moved_norms": moved}
    with open(given.out + ".json", "w", encoding="utf-8") as f:
        f.write(json.dumps(about) + "\n")
    save_file(tensors, given.out + ".safetensors")
    print(f"loss {curve[0]:.5f} to {curve[-1]:.5f}")


def check(given):
    about = json.load(open(given.like + ".json", encoding="utf-8"))
    tensors = load_file(given.like + ".safetensors")
    about["target_modules"] = MODULES
    trained = Trained(given.model, about, lambda name, _: tensors[f"init.{name}"])
    loss, _ = trained.loss()
    off = max(((p.grad - tensors[f"grad.{n}"]).norm() / tensors[f"grad.{n}"].norm()).item() for n, p in trained.matrices.items())
    print(f"{given.like}: loss off by {abs(loss - about['loss']):.1e}, gradients by at most {off:.1e} of their norms")
    if abs(loss - about["loss"]) > 1e-4 or off > 1e-4:
        sys.exit(1)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("model", metavar="MODEL")
    arguments.add_argument("out", metavar="OUT", nargs="?")
    for name, default in [("tokens", 50), ("targets", 12), ("rank", 2), ("steps", 20)]:
        arguments.add_argument(f"--{name}", type=int, default=default)
    arguments.add_argument("--like", metavar="GOLDEN")
    given = arguments.parse_args()
    torch.use_deterministic_algorithms(True)
    if given.like:
        check(given)
    if given.out:
        make(given)


if __name__ == "__main__":
    main()
