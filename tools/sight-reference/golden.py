#!/usr/bin/env python3
"""Writes a golden of large pictures as goldens/mm has it: what transformers makes of two pictures of 1,120 and 560 soft tokens.

    golden.py MODEL MMPROJ OUT [--check]

MODEL and MMPROJ are GGUF files of the kind of 12B (an encoder-free projector); shapes and weights come from them alone. OUT.json and
OUT.safetensors are written, or, with --check, computed anew and compared. Attention has the masks of transformers' `generate`: soft
tokens of a picture see each other both ways on sliding layers.
"""
import argparse
import json
import os
import sys

import numpy as np
import torch
from safetensors.torch import load_file, save_file

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "demo-model"))
# Pictures in soft tokens: columns and rows of 48 pixels each, the whole budgets of 1,120 and 560.
PICTURES = [(28, 40), (20, 28)]
SIDE, ANSWER = 48, 8
# Ids before, between and behind the pictures, and of a second turn.
HEAD, BETWEEN, TAIL, NEXT = [2, 801, 644], [517, 33, 901], [1203, 77, 390, 1500, 18], [611, 402, 1777, 95]
BOUND = 1e-3


def pixels(columns, rows):
    """[height, width, 3] uint8: each soft token's own colour, and noise."""
    y, x, c = np.meshgrid(*(np.arange(n, dtype=np.uint32) for n in (rows * SIDE, columns * SIDE, 3)), indexing="ij")
    noise = ((x * 73856093 ^ y * 19349663 ^ c * 83492791) * np.uint32(2654435761)) >> 25
    return (((x // SIDE * 37 + y // SIDE * 59 + c * 101) & 127) + noise).astype(np.uint8)


def patches(picture):
    """[rows, 6912] by y, x, channel, and the (x, y) of each."""
    rows, columns = picture.shape[0] // SIDE, picture.shape[1] // SIDE
    cut = picture.reshape(rows, SIDE, columns, SIDE, 3).transpose(0, 2, 1, 3, 4).reshape(rows * columns, -1)
    y, x = np.divmod(np.arange(rows * columns), columns)
    return torch.from_numpy(cut.astype(np.float32) / 255), torch.from_numpy(np.stack([x, y], -1))


def model(path, projector):
    """transformers' classes filled from the two files, and the ids of a picture's marks and placeholder."""
    import gguf
    from export_gguf import text_tensors
    from from_gguf import fill, read
    from transformers import Gemma4UnifiedConfig, Gemma4UnifiedForConditionalGeneration, Gemma4UnifiedTextConfig, Gemma4UnifiedVisionConfig

    fields, tensors, eyes = gguf.GGUFReader(path).fields, read(path), read(projector)
    get = lambda key: fields["gemma4." + key].contents()
    pieces = fields["tokenizer.ggml.tokens"].contents()
    begin, end, placeholder, video, sound = (pieces.index(piece) for piece in ("<|image>", "<image|>", "<|image|>", "<|video|>", "<|audio|>"))
    text = Gemma4UnifiedTextConfig(
        vocab_size=len(pieces), hidden_size=get("embedding_length"), intermediate_size=get("feed_forward_length"),
        num_hidden_layers=get("block_count"), num_attention_heads=get("attention.head_count"), num_key_value_heads=get("attention.head_count_kv"),
        num_global_key_value_heads=get("attention.head_count_kv"), head_dim=get("attention.key_length_swa"),
        global_head_dim=get("attention.key_length"), sliding_window=get("attention.sliding_window"),
        final_logit_softcapping=get("final_logit_softcapping"), rms_norm_eps=get("attention.layer_norm_rms_epsilon"),
        max_position_embeddings=get("context_length"), attention_k_eq_v="blk.3.attn_v.weight" not in tensors,
        layer_types=["sliding_attention" if sliding else "full_attention" for sliding in get("attention.sliding_window_pattern")],
        rope_parameters={"sliding_attention": {"rope_type": "default", "rope_theta": get("rope.freq_base_swa")},
                         "full_attention": {"rope_type": "proportional", "rope_theta": get("rope.freq_base"),
                                            "partial_rotary_factor": float((tensors["rope_freqs.weight"] < 2).mean())}})
    dim = eyes["mm.input_projection.weight"].shape[1]
    sight = Gemma4UnifiedVisionConfig(mm_embed_dim=dim, output_proj_dims=dim, mm_posemb_size=eyes["v.position_embd.weight"].shape[1])
    config = Gemma4UnifiedConfig(text_config=text, vision_config=sight, image_token_id=placeholder, video_token_id=video,
                                  audio_token_id=sound, boi_token_id=begin, eoi_token_id=end)
    config._attn_implementation = "eager"
    made = Gemma4UnifiedForConditionalGeneration(config)
    made.set_attn_implementation("eager")
    fill(made.model.language_model, lambda state: text_tensors({"model." + name: v for name, v in state.items()}), tensors)
    see = made.model.embed_vision
    channels_last = lambda v: v.reshape(-1, 3, SIDE * SIDE).swapaxes(1, 2).reshape(*v.shape[:-1], -1)
    stored = {"patch_ln1.weight": channels_last(eyes["v.patch_norm.1.weight"]), "patch_ln1.bias": channels_last(eyes["v.patch_norm.1.bias"]),
              "patch_dense.weight": channels_last(eyes["v.patch_embd.weight"]), "patch_dense.bias": eyes["v.patch_embd.bias"],
              "patch_ln2.weight": eyes["v.patch_norm.2.weight"], "patch_ln2.bias": eyes["v.patch_norm.2.bias"],
              "pos_embedding": eyes["v.position_embd.weight"].swapaxes(0, 1), "pos_norm.weight": eyes["v.patch_norm.3.weight"],
              "pos_norm.bias": eyes["v.patch_norm.3.bias"], "multimodal_embedder.embedding_projection.weight": eyes["mm.input_projection.weight"]}
    see.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(v)).reshape(see.state_dict()[name].shape) for name, v in stored.items()})
    return made.eval().requires_grad_(False), (begin, end, placeholder)


def logits(made, ids, soft, placeholder):
    """[n, vocabulary]"""
    ids = torch.tensor([ids])
    seen = ids == placeholder
    embeds = made.get_input_embeddings()(torch.where(seen, 0, ids))
    embeds[seen] = torch.cat(soft)
    positions = torch.arange(ids.shape[1])[None]
    masks = made.create_masks_for_generate(made.config, embeds, None, None, positions, mm_token_type_ids=seen.long())
    return made(inputs_embeds=embeds, attention_mask=masks, position_ids=positions).logits[0]


def greedy(made, ids, soft, placeholder):
    answer = []
    for _ in range(ANSWER):
        answer.append(int(logits(made, ids + answer, soft, placeholder)[-1].argmax()))
    return answer


def make(given):
    made, (begin, end, placeholder) = model(given.model, given.mmproj)
    inputs = [patches(pixels(*size)) for size in PICTURES]
    soft = [made.model.embed_vision(values[None], places[None]).pooler_output[0] for values, places in inputs]
    runs = [[id, 1] for id in HEAD + [begin]] + [[placeholder, len(soft[0])]] + [[id, 1] for id in [end] + BETWEEN + [begin]]
    runs += [[placeholder, len(soft[1])]] + [[id, 1] for id in [end] + TAIL]
    ids = [id for id, count in runs for _ in range(count)]
    all_logits = logits(made, ids, soft, placeholder)
    first = len(HEAD) + 1
    at = [first, first + 600, first + len(soft[0]) - 1, first + len(soft[0]) + 2, len(ids) - len(TAIL) - 40, len(ids) - 1]
    answer = greedy(made, ids, soft, placeholder)
    after = ids + answer + NEXT
    about = {"pictures": PICTURES, "runs": runs, "logits_at": at, "greedy": answer, "next": NEXT,
             "next_greedy": greedy(made, after, soft, placeholder)}
    rows = {f"soft_tokens.{i}": values[[0, len(values) // 2, -1]].clone() for i, values in enumerate(soft)}
    tensors = {**rows, "logits": all_logits[at].clone(), "argmax": all_logits.argmax(-1).int(),
               "next_logits": logits(made, after, soft, placeholder)[-1].clone()}
    return about, tensors


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ["model", "mmproj", "out"]:
        arguments.add_argument(name, metavar=name.upper())
    arguments.add_argument("--check", action="store_true")
    given = arguments.parse_args()
    torch.use_deterministic_algorithms(True)
    about, tensors = make(given)
    if not given.check:
        with open(given.out + ".json", "w", encoding="utf-8") as f:
            f.write(json.dumps(about) + "\n")
        save_file(tensors, given.out + ".safetensors")
        return
    known, stored = json.load(open(given.out + ".json", encoding="utf-8")), load_file(given.out + ".safetensors")
    off = max((tensors[name].float() - stored[name].float()).abs().max().item() for name in stored)
    same = json.loads(json.dumps(about)) == known
    print(f"{given.out}: {'the same' if same else 'other'} ids and answers, values off by at most {off:.1e}")
    sys.exit(0 if same and off <= BOUND else 1)


if __name__ == "__main__":
    main()
