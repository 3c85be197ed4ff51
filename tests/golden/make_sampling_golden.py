"""Writes tests/data-golden/model/sampling.json: what transformers' logits processors make of a distribution.

Run in an environment with torch and transformers (made with transformers 5.23.0 and torch 2.15.0):
    python tests/golden/make_sampling_golden.py
"""

import itertools
import json
import pathlib

import torch
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel

torch.manual_seed(5)
# Only its way to build the list of processors is used, so that their order is that of `generate`.
model = GPT2LMHeadModel(GPT2Config(vocab_size=40, n_positions=8, n_embd=8, n_layer=1, n_head=1))
cases = []
temperatures = [1.0, 0.7, 1.8]
filters = [(None, None, None), (5, None, None), (None, 0.9, None), (None, None, 0.1), (12, 0.8, None),
           (None, 0.95, 0.05), (20, 0.9, 0.2), (1, None, None), (None, 0.01, None), (None, None, 1.0)]
for number, (temperature, (top_k, top_p, min_p), penalty) in enumerate(
        itertools.product(temperatures, filters, [1.0, 1.3, 0.8])):
    logits = (torch.randn(40) * 3).to(torch.float32)
    seen = torch.randint(0, 40, (6,))
    config = GenerationConfig(do_sample=True, temperature=temperature, top_k=top_k or 0, top_p=top_p or 1.0,
                              min_p=min_p, repetition_penalty=penalty)
    processors = model._get_logits_processor(config, input_ids_seq_length=6, device="cpu", logits_processor=[])
    scores = processors(seen[None], logits[None].clone())
    probabilities = torch.softmax(scores.double(), dim=-1)[0]
    kept = [(i, p) for i, p in enumerate(probabilities.tolist()) if torch.isfinite(scores[0, i])]
    cases.append({"logits": logits.tolist(), "seen": seen.tolist(), "temperature": temperature, "top_k": top_k,
                  "top_p": top_p, "min_p": min_p, "repetition_penalty": penalty, "kept": kept})
folder = pathlib.Path(__file__).parent.parent / "data-golden" / "model"
(folder / "sampling.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
