"""Checks a folder of `exp export --adapter` with Hugging Face transformers and PEFT.

    exp export RUN.BASE --to BASE           (the stage that the adapters were trained over, or its published folder)
    exp export RUN.STAGE --adapter --to ADAPTER
    exp export RUN.STAGE --to MERGED
    exp logprobs RUN.STAGE < lines.txt > ours.json     (one line of text a line)
    python check_adapter.py BASE ADAPTER MERGED lines.txt ours.json

Prints the largest differences of PEFT's logits from those of the merged network, and of its log-probabilities from those of
`exp logprobs`, and fails above 1e-4. Run by hand with peft 0.21.2, transformers 5.23 and torch 2.15; no test depends on it.
"""
import json
import sys
import warnings

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base_folder, adapter_folder, merged_folder, lines, ours = sys.argv[1:6]
tokenizer = AutoTokenizer.from_pretrained(merged_folder)
base = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32).eval()
merged = AutoModelForCausalLM.from_pretrained(merged_folder, dtype=torch.float32).eval()
plain = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32).eval()
with warnings.catch_warnings():
    warnings.simplefilter("error", UserWarning)  # PEFT only warns of adapters that it does not find, or that it has no place for
    adapted = PeftModel.from_pretrained(base, adapter_folder).eval()
ours = [json.loads(line) for line in open(ours)]
logits_worst = logs_worst = effect = 0.0
for text, line in zip(open(lines).read().splitlines(), ours, strict=True):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert ids == line["ids"], (text, ids, line["ids"])
    whole = torch.tensor([[tokenizer.bos_token_id, *ids]])
    with torch.no_grad():
        logits = adapted(input_ids=whole).logits[0]
        logits_worst = max(logits_worst, (logits - merged(whole).logits[0]).abs().max().item())
        effect = max(effect, (logits - plain(whole).logits[0]).abs().max().item())
    logs = logits.log_softmax(-1)
    for place, (token, log) in enumerate(zip(ids, line["logprobs"], strict=True)):
        logs_worst = max(logs_worst, abs(logs[place, token].item() - log))
print(f"{adapter_folder}: {len(ours)} lines; from merged logits {logits_worst:.2e}, from exp logprobs {logs_worst:.2e}, "
      f"from the base {effect:.2e}")
assert logits_worst < 1e-4 and logs_worst < 1e-4
