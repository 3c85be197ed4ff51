"""Makes tests/data-golden/adapter: what PEFT computes with LoRA, rsLoRA and DoRA.

    pip install torch transformers peft safetensors
    python tests/golden/make_adapter_golden.py tests/data-golden/model tests/data-golden/adapter

The network is the `llama` of make_model_golden.py, from the same weights and on the same tokens. All linear layers of its
blocks are adapted, from adapters that change what it computes; ten AdamW steps train nothing else. NAME.safetensors has the
adapters before and after and the gradients of the first step, under the names that PEFT saves adapters with, and the adapted
matrices with the adapters of the end worked in; NAME.json has the settings and the numbers of each step.

`valued-*` are adapters of `valued`, whose value embeddings are added to what its adapted projection gives, and stay as they are;
`mixtral-*` are adapters of the attention of `mixtral`, whose experts stay as they are and are balanced as ever.
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

from make_model_golden import ADAMW, CLIP, FLOOR, STEPS, VOCAB, WARMUP, balance, llama_like, mixture, share

RANK, ALPHA, DECAY = 3, 5.0, 0.1
ON = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "o_proj", "gate": "gate_proj", "up": "up_proj",
      "down": "down_proj"}


ATTENTION = ["query", "key", "value", "output"]


def adapters(model):
    return {name: value.detach().clone() for name, value in get_peft_model_state_dict(model).items()}


def packed(weights):
    """The experts of a block in one tensor, as transformers 5 holds them."""
    experts = {}
    for name in [name for name in weights if ".mlp.experts." in name]:
        at, _, rest = name.partition(".mlp.experts.")
        expert, part, _ = rest.split(".")
        experts.setdefault(at, {})[int(expert), part] = weights.pop(name)
    for at, held in experts.items():
        numbers = sorted({number for number, _ in held})
        both = [torch.cat([held[number, "gate_proj"], held[number, "up_proj"]]) for number in numbers]
        weights[f"{at}.mlp.experts.gate_up_proj"] = torch.stack(both)
        weights[f"{at}.mlp.experts.down_proj"] = torch.stack([held[number, "down_proj"] for number in numbers])
    return weights


def add_values(model, values, inputs):
    """What tables of values add to the projections, adapted or not: frozen, as all that is no adapter."""
    for name, table in values.items():
        if not name.endswith("value_embed.weight"):
            continue
        at = name.removesuffix("value_embed.weight")
        gate = values[at + "value_gate.weight"]

        def added(_, given, out, table=table, gate=gate):
            gates = 2 * torch.sigmoid(given[0][..., : gate.shape[1]] @ gate.T)
            return out + (table[inputs].unflatten(-1, (len(gate), -1)) * gates[..., None]).flatten(-2)

        model.get_submodule(f"base_model.model.{at}v_proj").register_forward_hook(added)


def run(name, network, stabilized, magnitude, models, folder, on=tuple(ON)):
    facts = json.loads((models / f"{network}.json").read_text())
    weights = load_file(models / f"{network}.safetensors")
    weights = {k.removeprefix("before/"): v for k, v in weights.items() if k.startswith("before/")}
    values = {k: weights.pop(k) for k in list(weights) if ".value_" in k}
    base, spec, _ = (mixture("Mixtral") if network == "mixtral" else llama_like("Llama"))()
    base.load_state_dict(packed(weights))
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=[ON[part] for part in on], use_rslora=stabilized,
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
    add_values(model, values, inputs)

    def loss_of():
        return torch.nn.functional.cross_entropy(model(input_ids=inputs).logits.reshape(-1, VOCAB), targets.reshape(-1))

    # The gradients under the names of the adapters: the same renaming, of adapters that have them for their weights.
    (loss_of() + balance(model, spec, inputs)).backward()
    with torch.no_grad():
        held = {p: p.clone() for _, p in trained}
        for _, p in trained:
            p.copy_(p.grad)
        out.update({f"gradient/{key}": value for key, value in adapters(model).items()})
        for _, p in trained:
            p.copy_(held[p])
    matrices = [p for _, p in trained if p.dim() >= 2]
    vectors = [p for _, p in trained if p.dim() < 2]
    groups = [dict(params=matrices, weight_decay=DECAY), dict(params=vectors, weight_decay=0.0)]
    optimizer = torch.optim.AdamW([group for group in groups if group["params"]], **ADAMW)
    losses, norms = [], []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = ADAMW["lr"] * share(step)
        optimizer.zero_grad()
        loss = loss_of()
        (loss + balance(model, spec, inputs)).backward()
        norms.append(torch.nn.utils.clip_grad_norm_([p for _, p in trained], CLIP).item())
        optimizer.step()
        losses.append(loss.item())
    out.update({f"after/{key}": value for key, value in adapters(model).items()})
    merged = copy.deepcopy(model).merge_and_unload()
    out.update({f"merged/{key}": value.detach().clone() for key, value in merged.named_parameters() if "_proj.weight" in key})
    save_file({key: value.contiguous() for key, value in out.items()}, folder / f"{name}.safetensors")
    adapter = {"is": "lora", "rank": RANK, "alpha": ALPHA, "on": list(on), "rank_stabilized": stabilized,
               "magnitude": magnitude}
    told = dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__, network=network, adapter=adapter,
                losses=losses, grad_norms=norms, clip=CLIP, warmup=WARMUP, floor=FLOOR,
                optimizer={"is": "adamw", "lr": ADAMW["lr"], "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8,
                           "weight_decay": DECAY})
    (folder / f"{name}.json").write_text(json.dumps(told) + "\n")
    print(name, losses[0], losses[-1], norms[0], len(out), [k for k in out if "magnitude" in k][:1])


if __name__ == "__main__":
    models, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    run("lora", "llama", False, False, models, folder)
    run("rslora", "llama", True, False, models, folder)
    run("dora", "llama", False, True, models, folder)
    run("valued-lora", "valued", False, False, models, folder)
    run("valued-rslora", "valued", True, False, models, folder)
    run("valued-dora", "valued", False, True, models, folder)
    run("mixtral-lora", "mixtral", False, False, models, folder, ATTENTION)
    run("mixtral-dora", "mixtral", False, True, models, folder, ATTENTION)
