"""Checks a folder of `exp export` with Hugging Face transformers.

    exp export RUN.STAGE --to DIR
    exp logprobs RUN.STAGE < lines.txt > ours.json     (one line of text a line)
    python check_export.py DIR lines.txt ours.json

Prints the largest difference between log-probabilities of the same tokens, and fails above 1e-4. Run by hand with
transformers 4.57 and 5.23 and torch 2.15; no test depends on it. Networks with experts, written as Mixtral, Qwen 3 MoE (every
second block) and OLMoE after 60 steps each: at most 9.6e-07 apart in both versions.
"""
import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, lines, ours = sys.argv[1:4]
tokenizer = AutoTokenizer.from_pretrained(folder)
model, report = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"], report
model.eval()
ours = [json.loads(line) for line in open(ours)]
worst = 0.0
for text, line in zip(open(lines).read().splitlines(), ours, strict=True):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert ids == line["ids"], (text, ids, line["ids"])
    whole = torch.tensor([[tokenizer.bos_token_id, *ids]])
    with torch.no_grad():
        logs = model(whole).logits[0].log_softmax(-1)
    for place, (token, log) in enumerate(zip(ids, line["logprobs"], strict=True)):
        worst = max(worst, abs(logs[place, token].item() - log))
print(f"{folder}: {len(ours)} lines, largest difference {worst:.2e}")
assert worst < 1e-4
