"""Makes tests/data-golden/optimizer: what PyTorch and transformers compute with optimisers, losses and schedules.

    pip install torch transformers safetensors pytorch_optimizer
    python tests/golden/make_optimizer_golden.py tests/data-golden/model tests/data-golden/optimizer

The network is the `llama` of make_model_golden.py, from the same weights and on the same tokens. NAME.safetensors has the
weights after ten steps, NAME.json the settings and the numbers of each step.

- muon: torch.optim.Muon (its scale "original") for the matrices inside the blocks and torch.optim.AdamW for the rest. torch
  iterates in bfloat16; here its own code runs in float32, since bfloat16 has but three digits to compare. muon-rms is the
  same with the scale "match_rms_adamw". The published formula of Jordan's repository is written out below and must agree.
- lion: written from the algorithm in the paper (Chen et al. 2023); torch has none.
- adafactor: torch.optim.Adafactor.
- sgd: torch.optim.SGD with momentum and decay.
- groups: torch.optim.AdamW with a rate and a decay for each part.
- soap.json: pytorch_optimizer.SOAP, which follows the authors' code, on single matrices and given gradients. The eigenvectors of
  the first step are only determined up to signs where the gradient has full rank on that side; where it has not, those that
  it took are given. Weights after steps 2, 5, 8, 11 and 14.
- penalty: AdamW on the loss plus z times the squared logarithm of the normaliser, and torch's average of the weights.
- schedules.json: get_wsd_schedule and get_inverse_sqrt_schedule of transformers, after the warm-up.
"""

import json
import math
import sys
from pathlib import Path
from unittest.mock import patch

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from make_model_golden import ADAMW, CLIP, FLOOR, STEPS, VOCAB, WARMUP, llama_like, share

real_to = torch.Tensor.to


def single(tensor, *args, **kwargs):
    """`Tensor.to` that keeps float32 where bfloat16 is asked for."""
    if kwargs.get("dtype") == torch.bfloat16:
        kwargs["dtype"] = torch.float32
    return real_to(tensor, *args, **kwargs)


def jordan(grad, momentum, beta=0.95, steps=5):
    """muon_update of github.com/KellerJordan/Muon, in float32."""
    momentum.lerp_(grad, 1 - beta)
    x = grad.lerp(momentum, beta)
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = x.size(0) > x.size(1)
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    x = x.T if tall else x
    return x * max(1, grad.size(0) / grad.size(1)) ** 0.5


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of Chen et al. 2023."""

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                beta1, beta2 = group["betas"]
                update = (beta1 * m + (1 - beta1) * p.grad).sign()
                p -= group["lr"] * (update + group["weight_decay"] * p)
                m.copy_(beta2 * m + (1 - beta2) * p.grad)


def parts(model):
    found = dict(embedding=[], hidden=[], head=[], vectors=[])
    for name, p in model.named_parameters():
        part = "vectors" if p.dim() < 2 else "embedding" if "embed" in name else "head" if "lm_head" in name else "hidden"
        found[part].append(p)
    return found


def groups(model, decay, settings=None):
    """A group for each part; without settings, only vectors differ: they do not decay."""
    settings = settings or {"vectors": dict(rate=1.0, decay=0.0)}
    out = []
    for part, params in parts(model).items():
        one = settings.get(part, dict(rate=1.0, decay=1.0))
        for p in params:
            # What does not learn has no part in the gradient's norm.
            p.requires_grad_(one["rate"] != 0.0)
        out.append(dict(params=params, weight_decay=decay * one["decay"], rate=one["rate"]))
    return out


def run(name, make, settings, start, facts, folder, z=0.0, ema=None):
    torch.manual_seed(20)
    model, _, names = llama_like("Llama")()
    with torch.no_grad():
        for key, p in model.named_parameters():
            p.copy_(start[f"before/{key}"])
    tokens = torch.tensor(facts["tokens"])
    inputs, targets = tokens[:, :-1], tokens[:, 1:].reshape(-1)
    optimizers = make(model)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(ema)) if ema else None
    losses, penalties, norms = [], [], []
    for step in range(STEPS):
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group.get("peak", optimizer.defaults["lr"]) * group.get("rate", 1.0) * share(step)
            optimizer.zero_grad()
        logits = model(inputs).logits.reshape(-1, VOCAB)
        loss = torch.nn.functional.cross_entropy(logits, targets)
        penalty = z * torch.logsumexp(logits, 1).square().mean()
        (loss + penalty).backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP).item())
        with patch.object(torch.Tensor, "to", single):
            for optimizer in optimizers:
                optimizer.step()
        if average:
            average.update_parameters(model)
        losses.append(loss.item()), penalties.append(penalty.item())
    after = names(average.module if average else model)
    save_file({key: value.contiguous() for key, value in after.items()}, folder / f"{name}.safetensors")
    out = dict(torch=torch.__version__, losses=losses, penalties=penalties, grad_norms=norms, clip=CLIP, warmup=WARMUP,
               floor=FLOOR, z_loss=z, ema=ema, **settings)
    (folder / f"{name}.json").write_text(json.dumps(out) + "\n")
    print(name, losses[0], losses[-1])


def adamw_spec(lr=ADAMW["lr"], decay=0.1):
    return {"is": "adamw", "lr": lr, "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8, "weight_decay": decay}


def muon(adjust):
    def make(model):
        found = parts(model)
        hidden = torch.optim.Muon(found["hidden"], lr=0.02, weight_decay=0.05, momentum=0.95, nesterov=True,
                                  adjust_lr_fn=adjust)
        rest = [group for group in groups(model, 0.1) if group["params"][0] is not found["hidden"][0]]
        return [hidden, torch.optim.AdamW(rest, lr=3e-3, betas=(0.9, 0.95), eps=1e-8)]
    return make


def check_muon():
    """torch's Muon in float32 is the published formula."""
    for shape in [(6, 10), (10, 6), (8, 8)]:
        p = torch.nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(1)))
        q, momentum = p.detach().clone(), torch.zeros(shape)
        optimizer = torch.optim.Muon([p], lr=0.02, weight_decay=0.0)
        for i in range(3):
            p.grad = torch.randn(shape, generator=torch.Generator().manual_seed(2 + i))
            q -= 0.02 * jordan(p.grad, momentum)
            with patch.object(torch.Tensor, "to", single):
                optimizer.step()
        assert torch.allclose(p, q, atol=1e-6), (p - q).abs().max()


def soap(folder, steps=14):
    """SOAP on matrices of (rows, columns, longest side that is turned)."""
    from pytorch_optimizer import SOAP
    cases = dict(square=(8, 8, 8), wide=(6, 10, 10), tall=(10, 6, 10), right=(12, 5, 8), left=(5, 12, 8), neither=(12, 9, 8))
    # Nine digits are all that float32 has.
    numbers = lambda tensor: [float(f"{x:.9g}") for x in tensor.flatten().tolist()]
    settings = dict(lr=0.01, betas=(0.9, 0.95), shampoo_beta=0.8, weight_decay=0.1, precondition_frequency=3, eps=1e-8)
    out = {}
    for seed, (name, (rows, columns, most)) in enumerate(cases.items()):
        generator = torch.Generator().manual_seed(seed)
        draw = lambda: torch.randn(rows, columns, generator=generator)
        p, mean = torch.nn.Parameter(draw()), 0.5 * draw()
        optimizer = SOAP([p], max_precondition_dim=most, **settings)
        before, gradients, weights, bases = p.detach().clone(), [], [], None
        for step in range(steps):
            # Singular values apart, and not all of one size.
            gradients.append((mean + draw()) * torch.linspace(2.0, 0.5, columns))
            p.grad = gradients[-1].clone()
            optimizer.step()
            if step % 3 == 1:
                weights.append(p.detach().clone())
            if step == 0:
                bases = [numbers(q) if len(q) else None for q in optimizer.state[p]["Q"]]
        flat = lambda tensors: [numbers(t) for t in tensors]
        out[name] = dict(rows=rows, columns=columns, max_precond_dim=most, before=numbers(before),
                         gradients=flat(gradients), bases=bases, weights=flat(weights))
    spec = {"is": "soap", "lr": 0.01, "beta1": 0.9, "beta2": 0.95, "shampoo_beta": 0.8, "epsilon": 1e-8, "weight_decay": 0.1,
            "precondition_frequency": 3, "max_precond_dim": 0}
    import importlib.metadata
    version = importlib.metadata.version("pytorch_optimizer")
    (folder / "soap.json").write_text(json.dumps(dict(torch=torch.__version__, pytorch_optimizer=version, optimizer=spec,
                                                      cases=out)) + "\n")


def schedules(folder):
    def shares(make, steps):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule = make(optimizer)
        out = []
        for _ in range(steps):
            out.append(schedule.get_last_lr()[0])
            optimizer.step(), schedule.step()
        return out

    out = {}
    for decay in ["linear", "1-sqrt", "cosine"]:
        out[f"wsd {decay}"] = shares(lambda o: transformers.get_wsd_schedule(
            o, num_warmup_steps=4, num_decay_steps=8, num_training_steps=40, decay_type=decay, min_lr_ratio=0.1), 40)
    out["inverse_sqrt"] = shares(lambda o: transformers.get_inverse_sqrt_schedule(o, num_warmup_steps=4), 40)
    out["inverse_sqrt 10"] = shares(lambda o: transformers.get_inverse_sqrt_schedule(o, 4, timescale=10), 40)
    (folder / "schedules.json").write_text(json.dumps(out) + "\n")


if __name__ == "__main__":
    models, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    check_muon()
    schedules(folder)
    soap(folder)
    given = (load_file(models / "llama.safetensors"), json.loads((models / "llama.json").read_text()), folder)
    for name, adjust, scale in [("muon", "original", "shape"), ("muon-rms", "match_rms_adamw", "rms")]:
        spec = {"is": "muon", "lr": 0.02, "momentum": 0.95, "nesterov": True, "iterations": 5, "scale": scale,
                "weight_decay": 0.05, "rest": adamw_spec(lr=3e-3)}
        run(name, muon(adjust), dict(optimizer=spec), *given)
    run("lion", lambda m: [Lion(groups(m, 1.0), dict(lr=3e-4, betas=(0.9, 0.99)))],
        dict(optimizer={"is": "lion", "lr": 3e-4, "beta1": 0.9, "beta2": 0.99, "weight_decay": 1.0}), *given)
    run("adafactor", lambda m: [torch.optim.Adafactor(groups(m, 0.1), lr=0.01)],
        dict(optimizer={"is": "adafactor", "lr": 0.01, "decay_rate": 0.8, "threshold": 1.0, "min_scale": 1e-3,
                        "weight_decay": 0.1}), *given)
    run("sgd", lambda m: [torch.optim.SGD(groups(m, 0.1), lr=0.1, momentum=0.9)],
        dict(optimizer={"is": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}), *given)
    different = dict(embedding=dict(rate=3.0, decay=0.0), hidden=dict(rate=1.0, decay=2.0), head=dict(rate=0.0, decay=1.0),
                     vectors=dict(rate=0.5, decay=1.0))
    run("groups", lambda m: [torch.optim.AdamW(groups(m, 0.1, different), **ADAMW)],
        dict(optimizer=adamw_spec(), groups=different), *given)
    run("penalty", lambda m: [torch.optim.AdamW(groups(m, 0.1), **ADAMW)], dict(optimizer=adamw_spec()), *given,
        z=0.01, ema=0.8)
