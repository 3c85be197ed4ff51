"""Makes tests/data-golden/mup: networks under muP as the authors' package computes them.

    pip install torch transformers safetensors mup
    python tests/golden/make_mup_golden.py tests/data-golden/mup

A Llama (untied, heads that grow: MuReadout, scores scaled by 1/head_dim) three times as wide as its base, and a GPT-2 (tied,
more heads of one size: MuSharedReadout) twice as wide, both of `transformers`; their shapes, initial deviations, readouts and
optimisers are those of `mup` 1.0 (github.com/microsoft/mup). NAME.safetensors has the weights before and the logits;
NAME-OPTIMIZER.safetensors the weights after ten steps of MuAdamW, MuSGD, or MuAdam around Lion; NAME.json and
NAME-OPTIMIZER.json the settings and numbers.
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from mup import MuAdam, MuAdamW, MuReadout, MuSGD, MuSharedReadout, set_base_shapes
from mup import init as mup_init
from safetensors.torch import save_file

from make_model_golden import CLIP, DEFAULT, FLOOR, LAYERS, STEPS, VOCAB, WARMUP, gpt2_names, llama_names, share
from make_optimizer_golden import Lion as PlainLion

ROWS, TIME, DECAY = 4, 12, 0.1


class Lion(PlainLion):
    """With the arguments that `mup` passes on."""

    def __init__(self, params, **kwargs):
        super().__init__(params, kwargs)


def llama(width):
    config = transformers.LlamaConfig(
        vocab_size=VOCAB, hidden_size=width, intermediate_size=width * 5 // 2, num_hidden_layers=LAYERS,
        num_attention_heads=4, num_key_value_heads=2, head_dim=width // 4, max_position_embeddings=16, rms_norm_eps=1e-6,
        rope_parameters=dict(rope_type="default", rope_theta=10000.0), pad_token_id=None, attn_implementation="eager",
    )
    model = transformers.LlamaForCausalLM(config)
    model.lm_head = MuReadout(width, VOCAB, bias=False)
    for layer in model.model.layers:
        layer.self_attn.scaling = (8 // 4) ** 0.5 / (width // 4)
    return model


def gpt2(width):
    config = transformers.GPT2Config(
        vocab_size=VOCAB, n_positions=16, n_embd=width, n_layer=LAYERS, n_head=width // 4, activation_function="gelu_new",
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )
    model = transformers.GPT2LMHeadModel(config)
    model.lm_head = MuSharedReadout(model.transformer.wte.weight, bias=False)
    return model


NETWORKS = {
    "llama": (llama, (8, 16, 24), llama_names, dict(
        DEFAULT, heads=4, kv_heads=2, head_dim=6, hidden=60, mup=dict(base_width=8, base_head_dim=2))),
    "gpt2": (gpt2, (12, 16, 24), gpt2_names, dict(
        DEFAULT, heads=6, kv_heads=6, head_dim=4, hidden=96, norm="layer", norm_epsilon=1e-5, position="learned",
        activation="gelu", bias=True, qkv_bias=True, tied=True, init_scaled=False, mup=dict(base_width=12))),
}


def network(name):
    make, (base, delta, width), names, spec = NETWORKS[name]
    model = make(width)
    set_base_shapes(model, make(base), delta=make(delta))
    return model, names, spec


def deviations(name):
    """Of every matrix, what `mup` draws where the base has 0.02: the mean of many draws."""
    model, names, _ = network(name)
    sums = {}
    for _ in range(50):
        for p in model.parameters():
            if p.dim() >= 2:
                mup_init.normal_(p, std=0.02)
        for key, value in names(model).items():
            if value.dim() >= 2:
                sums[key] = sums.get(key, 0.0) + value.square().mean().item()
    return {key: (value / 50) ** 0.5 for key, value in sums.items()}


def start(name, folder):
    torch.manual_seed(20)
    model, names, spec = network(name)
    generator = torch.Generator().manual_seed(21)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator) * 0.15
            parameter.copy_(noise + (1.0 if parameter.dim() == 1 and parameter.mean() > 0.5 else 0.0))
    tokens = torch.randint(0, VOCAB, (ROWS, TIME + 1), generator=generator)
    tensors = {f"before/{key}": value for key, value in names(model).items()}
    tensors["logits"] = model(tokens[:, :-1]).logits.detach().clone()
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / f"{name}.safetensors")
    facts = dict(torch=torch.__version__, transformers=transformers.__version__, model=spec, tokens=tokens.tolist(),
                 deviations=deviations(name))
    (folder / f"{name}.json").write_text(json.dumps(facts) + "\n")
    return {p: value.detach().clone() for p, value in model.named_parameters()}, tokens


def run(name, kind, optimizer, spec, weights, tokens, folder, clip=CLIP):
    model, names, _ = network(name)
    with torch.no_grad():
        for key, p in model.named_parameters():
            p.copy_(weights[key])
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    made = optimizer([dict(params=matrices, weight_decay=DECAY), dict(params=vectors, weight_decay=0.0)])
    peaks = [group["lr"] for group in made.param_groups]
    inputs, targets = tokens[:, :-1], tokens[:, 1:].reshape(-1)
    losses, norms = [], []
    for step in range(STEPS):
        for group, peak in zip(made.param_groups, peaks):
            group["lr"] = peak * share(step)
        made.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(inputs).logits.reshape(-1, VOCAB), targets)
        loss.backward()
        most = float("inf") if clip is None else clip
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), most).item())
        made.step()
        losses.append(loss.item())
    after = {key: value.contiguous() for key, value in names(model).items()}
    save_file(after, folder / f"{name}-{kind}.safetensors")
    facts = dict(optimizer=spec, losses=losses, grad_norms=norms, clip=clip, warmup=WARMUP, floor=FLOOR)
    (folder / f"{name}-{kind}.json").write_text(json.dumps(facts) + "\n")
    print(name, kind, losses[0], losses[-1])


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    adamw = {"is": "adamw", "lr": 2e-3, "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8, "weight_decay": DECAY}
    sgd = {"is": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": DECAY}
    lion = {"is": "lion", "lr": 3e-4, "beta1": 0.9, "beta2": 0.99, "weight_decay": DECAY}
    for name in NETWORKS:
        given = (*start(name, folder), folder)
        run(name, "adamw", lambda g: MuAdamW(g, lr=2e-3, betas=(0.9, 0.95), eps=1e-8), adamw, *given)
        run(name, "sgd", lambda g: MuSGD(g, lr=0.05, momentum=0.9), sgd, *given, clip=None)
        run(name, "lion", lambda g: MuAdam(g, impl=Lion, lr=3e-4, betas=(0.9, 0.99)), lion, *given)
