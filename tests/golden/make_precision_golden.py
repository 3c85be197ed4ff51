"""Makes tests/data-golden/precision: the golden `llama` network with matrix products of bf16 and f16.

Two oracles. `ours` is the scheme that Emberlab documents, written in PyTorch with explicit rounding: what goes into a product
is rounded, the product is summed in f32 and rounded once, everything else is f32. `autocast` is `torch.autocast` over the
network of transformers, which rounds in other places besides; its loss and the norm of its gradient must be as near.

    pip install torch transformers safetensors
    HF_HUB_OFFLINE=1 python tests/golden/make_precision_golden.py tests/data-golden
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parent))
import make_model_golden as base

FORMATS = {"mixed_bf16": torch.bfloat16, "mixed_f16": torch.float16}


class Product(torch.autograd.Function):
    """a @ b in a format of 16 bits, forward and back; with no format in f32."""

    @staticmethod
    def forward(ctx, a, b, kind):
        def rounded(x):
            return x if kind is None else x.to(kind).float()
        a, b = rounded(a), rounded(b)
        ctx.save_for_backward(a, b)
        ctx.rounded = rounded
        return rounded(a @ b)

    @staticmethod
    def backward(ctx, y):
        (a, b), rounded = ctx.saved_tensors, ctx.rounded
        y = rounded(y)
        return rounded(y @ b.transpose(-1, -2)), rounded(a.transpose(-1, -2) @ y), None


class Mixture(torch.autograd.Function):
    """softmax(scores) @ values. The way back takes the softmax's sum from output and gradient (Dao et al. 2022)."""

    @staticmethod
    def forward(ctx, scores, values, kind):
        def rounded(x):
            return x if kind is None else x.to(kind).float()
        rows, kv, count, _ = values.shape
        shares, values = scores.softmax(-1).reshape(rows, kv, -1, count), rounded(values)
        y = rounded(rounded(shares) @ values)
        ctx.save_for_backward(shares, values, y)
        ctx.rounded, ctx.shape = rounded, scores.shape
        return y

    @staticmethod
    def backward(ctx, g):
        (shares, values, y), rounded = ctx.saved_tensors, ctx.rounded
        g = rounded(g)
        along = (g * y).sum(-1, keepdim=True)
        scores = (rounded(g @ values.transpose(-1, -2)) - along) * shares
        return scores.reshape(ctx.shape), rounded(rounded(shares).transpose(-1, -2) @ g), None


def logits(weights, spec, ids, kind):
    rows, time = ids.shape
    heads, kv, dim = spec["heads"], spec["kv_heads"], spec["head_dim"]

    def linear(x, name):
        flat = x.reshape(-1, x.shape[-1])
        return Product.apply(flat, weights[name + ".weight"].T, kind).reshape(*x.shape[:-1], -1)

    def norm(x, name):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + spec["norm_epsilon"]) * weights[name + ".weight"]

    rates = spec["rope_theta"] ** (-torch.arange(0, dim, 2).float() / dim)
    angles = torch.cat([torch.arange(time)[:, None] * rates] * 2, dim=1)

    def turn(x):
        one, two = x.chunk(2, dim=-1)
        return x * angles.cos() + torch.cat([-two, one], dim=-1) * angles.sin()

    x = weights["model.embed_tokens.weight"][ids]
    mask = torch.full((time, time), -1e9).triu(1)
    for layer in range(spec["layers"]):
        at = f"model.layers.{layer}."
        y = norm(x, at + "input_layernorm")
        # Queries, keys and values are one product, so their input's gradient is rounded once.
        joined = torch.cat([weights[f"{at}self_attn.{name}_proj.weight"] for name in "qkv"])
        flat = Product.apply(y.reshape(-1, y.shape[-1]), joined.T, kind).reshape(rows, time, heads + 2 * kv, dim)
        q, k, v = flat.transpose(1, 2).split([heads, kv, kv], dim=1)
        # Heads that share a key are more rows of one product.
        q = (turn(q) / dim**0.5).reshape(rows, kv, heads // kv * time, dim)
        scores = Product.apply(q, turn(k).transpose(2, 3), kind).reshape(rows, heads, time, time) + mask
        y = Mixture.apply(scores, v, kind).reshape(rows, heads, time, dim)
        x = x + linear(y.transpose(1, 2).reshape(rows, time, heads * dim), at + "self_attn.o_proj")
        y = norm(x, at + "post_attention_layernorm")
        joined = torch.cat([weights[f"{at}mlp.{name}_proj.weight"] for name in ("gate", "up")])
        gate, up = Product.apply(y.reshape(-1, y.shape[-1]), joined.T, kind).reshape(rows, time, -1).chunk(2, dim=-1)
        x = x + linear(torch.nn.functional.silu(gate) * up, at + "mlp.down_proj")
    return linear(norm(x, "model.norm"), "lm_head")


def main(folder):
    facts = json.loads((folder / "model/llama.json").read_text())
    stored = load_file(folder / "model/llama.safetensors")
    spec, tokens = facts["model"], torch.tensor(facts["tokens"])
    inputs, targets = tokens[:, :-1], tokens[:, 1:].reshape(-1)
    start = {k.removeprefix("before/"): v for k, v in stored.items() if k.startswith("before/")}

    def loss_of(y):
        return torch.nn.functional.cross_entropy(y.float().reshape(-1, y.shape[-1]), targets)

    def ours(kind):
        weights = {k: v.clone().requires_grad_() for k, v in start.items()}
        y = logits(weights, spec, inputs, kind)
        loss = loss_of(y)
        loss.backward()
        return y.detach(), loss.item(), {k: v.grad for k, v in weights.items()}

    def norm(gradients):
        return torch.sqrt(sum(g.double().square().sum() for g in gradients.values())).item()

    def apart(a, b):
        return norm({k: a[k] - b[k] for k in a}) / norm(b)

    plain, loss, exact = ours(None)
    assert (plain - stored["logits"]).abs().max() < 1e-5, "it is the network of transformers"
    assert apart(exact, {k: stored["gradient/" + k] for k in exact}) < 1e-5
    out, tensors = dict(torch=torch.__version__, transformers=transformers.__version__, loss=loss), {}
    for name, kind in FORMATS.items():
        _, loss, gradients = ours(kind)
        model, _, names = base.llama_like("Llama")()
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                parameter.copy_(start[key])
        with torch.autocast("cpu", dtype=kind):
            theirs = model(inputs).logits
        other = loss_of(theirs)
        other.backward()
        others = {k: p.grad.clone() for k, p in model.named_parameters()}
        out[name] = dict(
            loss=loss, norm=norm(gradients), autocast_loss=other.item(), autocast_norm=norm(others),
            from_f32=apart(gradients, exact), autocast_from_f32=apart(others, exact), from_autocast=apart(gradients, others),
        )
        tensors.update({f"{name}/{k}": v for k, v in gradients.items()})
        print(name, out[name])
    (folder / "precision").mkdir(exist_ok=True)
    file = folder / "precision/llama.safetensors"
    save_file({k: v.contiguous() for k, v in tensors.items()}, file)
    file.chmod(0o644)
    (folder / "precision/llama.json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
