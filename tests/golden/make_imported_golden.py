"""Makes tests/data-golden/imported: what transformers computes when it trains the folders of tests/data-golden/import.

    pip install torch transformers safetensors
    python tests/golden/make_imported_golden.py tests/data-golden/import tests/data-golden/imported

Each folder is loaded in float32, as whoever tunes a published network loads it, and trained without dropout for ten AdamW steps
on one batch, with the settings of make_model_golden.py. NAME.safetensors has the logits of the first row, the gradients of the
first step and the weights after the last, under Emberlab's names; of matrices with a row for each token every eighth row. NAME.json
has the tokens, losses, gradient norms and rates, and for every gradient and weight the sum and the Euclidean norm of all of
it. Networks with experts learn from their balance, each sequence by itself, where their configuration sets
`output_router_logits`, which is set for those in BALANCED.
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

from make_model_golden import (
    ADAMW, CLIP, DECAY, FLOOR, ROWS, STEPS, TIME, WARMUP, balance, gpt2_names, llama_names, mixture_names, share,
)

KEPT = 8
# `mixtral-together` has the weights of `mixtral` in another layout, and is held against the same numbers.
FOLDERS = [
    "gpt2", "gpt2-old", "llama-shards", "llama-chat", "llama-rescaled", "mistral", "qwen2", "qwen3-yarn", "olmo2", "smollm3",
    "mixtral", "qwen3_moe", "olmoe",
]
BALANCED = ["qwen3_moe", "olmoe"]


def names_of(config):
    if config.model_type == "gpt2":
        return gpt2_names
    return mixture_names if getattr(config, "router_aux_loss_coef", None) is not None else llama_names


def make(name, models, folder):
    set_too = dict(output_router_logits=True) if name in BALANCED else {}
    model = transformers.AutoModelForCausalLM.from_pretrained(
        models / name, dtype=torch.float32, attn_implementation="eager", **set_too
    ).eval()
    config, names = model.config, names_of(model.config)
    coefficient = config.router_aux_loss_coef if getattr(config, "output_router_logits", False) else None
    spec = dict(experts=None if coefficient is None else dict(balance=coefficient, z_loss=None))
    vocab = config.vocab_size
    tokens = torch.randint(0, vocab, (ROWS, TIME + 1), generator=torch.Generator().manual_seed(23))
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    tensors, sums = {}, {}

    def keep(when):
        for key, value in names(model).items():
            key = f"{when}/{key}"
            sums[key] = [value.double().sum().item(), value.double().norm().item()]
            tensors[key] = value[::KEPT] if value.dim() == 2 and len(value) >= vocab else value

    def loss_of():
        return torch.nn.functional.cross_entropy(model(inputs).logits.reshape(-1, vocab), targets.reshape(-1))

    tensors["logits"] = model(inputs[:1]).logits[0].detach().clone()
    (loss_of() + balance(model, spec, inputs)).backward()
    # The gradients under the names of the weights: the same renaming, of a network that has them for its weights.
    with torch.no_grad():
        weights = {p: p.clone() for p in model.parameters()}
        for p in model.parameters():
            p.copy_(p.grad)
        keep("gradient")
        for p in model.parameters():
            p.copy_(weights[p])
    groups = [
        dict(params=[p for p in model.parameters() if p.dim() >= 2], weight_decay=DECAY),
        dict(params=[p for p in model.parameters() if p.dim() < 2], weight_decay=0.0),
    ]
    optimizer = torch.optim.AdamW(groups, **ADAMW)
    losses, norms, rates, balances = [], [], [], []
    for step in range(STEPS):
        rate = ADAMW["lr"] * share(step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss, held = loss_of(), balance(model, spec, inputs)
        (loss + held).backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP).item())
        optimizer.step()
        losses.append(loss.item()), balances.append(held.item()), rates.append(rate)
    keep("after")
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / f"{name}.safetensors")
    facts = dict(
        torch=torch.__version__, transformers=transformers.__version__, every=KEPT, tokens=tokens.tolist(), losses=losses,
        grad_norms=norms, rates=rates, balances=balances if coefficient is not None else [],
        optimizer=dict(lr=ADAMW["lr"], beta1=0.9, beta2=0.95, epsilon=1e-8, weight_decay=DECAY),
        clip=CLIP, warmup=WARMUP, floor=FLOOR, sums=sums,
    )
    (folder / f"{name}.json").write_text(json.dumps(facts) + "\n")
    print(name, losses[0], losses[-1], norms[0], balances[0])


if __name__ == "__main__":
    models, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for name in FOLDERS:
        make(name, models, folder)
