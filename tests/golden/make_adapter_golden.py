"""Makes tests/data-golden/adapter: what PEFT computes with LoRA, rsLoRA and DoRA.

    pip install torch transformers peft safetensors
    python tests/golden/make_adapter_golden.py tests/data-golden/model tests/data-golden/adapter

The network is the `llama` of make_model_golden.py, from the same weights and on the same tokens. All linear layers of its
blocks are adapted, from adapters that change what it computes; ten AdamW steps train nothing else. NAME.safetensors has the
adapters before and after, under the names that PEFT saves them with, and the adapted matrices with the
adapters of the end worked in; NAME.json has the settings and the numbers of each step.
"""

import copy
import json
import sys
from pathlib import Path

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

from make_model_golden import ADAMW, CLIP, FLOOR, STEPS, VOCAB, WARMUP, llama_like, share

RANK, ALPHA, DECAY = 3, 5.0, 0.1
ON = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "o_proj", "gate": "gate_proj", "up": "up_proj",
      "down": "down_proj"}


def adapters(model):
    return {name: value.detach().clone() for name, value in get_peft_model_state_dict(model).items()}


def run(name, stabilized, magnitude, tensors, facts, folder):
    base, _, _ = llama_like("Llama")()
    base.load_state_dict({k.removeprefix("before/"): v for k, v in tensors.items() if k.startswith("before/")})
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=list(ON.values()), use_rslora=stabilized,
                        use_dora=magnitude, lora_dropout=0.0, bias="none", task_type="CAUSAL_LM")
    model = get_peft_model(base, config)
    generator = torch.Generator().manual_seed(31)
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    with torch.no_grad():
        for _, p in trained:
            noise = torch.randn(p.shape, generator=generator)
            p.copy_(p * (1 + 0.1 * noise) if p.dim() == 1 else 0.15 * noise)
    out = {f"before/{key}": value for key, value in adapters(model).items()}
    tokens = torch.tensor(facts["tokens"])
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    matrices = [p for _, p in trained if p.dim() >= 2]
    vectors = [p for _, p in trained if p.dim() < 2]
    groups = [dict(params=matrices, weight_decay=DECAY), dict(params=vectors, weight_decay=0.0)]
    optimizer = torch.optim.AdamW([group for group in groups if group["params"]], **ADAMW)
    losses, norms = [], []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = ADAMW["lr"] * share(step)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(input_ids=inputs).logits.reshape(-1, VOCAB), targets.reshape(-1))
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_([p for _, p in trained], CLIP).item())
        optimizer.step()
        losses.append(loss.item())
    out.update({f"after/{key}": value for key, value in adapters(model).items()})
    merged = copy.deepcopy(model).merge_and_unload()
    out.update({f"merged/{key}": value.detach().clone() for key, value in merged.named_parameters() if "_proj" in key})
    save_file({key: value.contiguous() for key, value in out.items()}, folder / f"{name}.safetensors")
    adapter = {"is": "lora", "rank": RANK, "alpha": ALPHA, "on": list(ON), "rank_stabilized": stabilized,
               "magnitude": magnitude}
    told = dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__, adapter=adapter,
                losses=losses, grad_norms=norms, clip=CLIP, warmup=WARMUP, floor=FLOOR,
                optimizer={"is": "adamw", "lr": ADAMW["lr"], "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8,
                           "weight_decay": DECAY})
    (folder / f"{name}.json").write_text(json.dumps(told) + "\n")
    print(name, losses[0], losses[-1], norms[0], len(out), [k for k in out if "magnitude" in k][:1])


if __name__ == "__main__":
    models, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    given = (load_file(models / "llama.safetensors"), json.loads((models / "llama.json").read_text()), folder)
    run("lora", False, False, *given)
    run("rslora", True, False, *given)
    run("dora", False, True, *given)
