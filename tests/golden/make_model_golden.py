"""Makes the files of tests/data-golden/model: what PyTorch and transformers compute for small networks.

The published families are those of transformers; `free` is a combination that no family has, written here in PyTorch.

    pip install torch transformers safetensors
    python tests/golden/make_model_golden.py tests/data-golden/model

For each network: NAME.safetensors has the weights (under Emberlab's names, matrices [out, in]), the logits of the first
batch and the weights after ten AdamW steps; NAME.json has the configuration, the tokens, and the losses, gradient norms
and learning rates of the ten steps. Of networks with experts it also has what their routers' balance adds to the loss, and the
gradients and steps are those of both together. The versions are in the JSON.
"""

import json
import sys
import types
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

STEPS, ROWS, TIME, VOCAB, WIDTH, LAYERS = 10, 4, 12, 48, 24, 2
ADAMW = dict(lr=2e-3, betas=(0.9, 0.95), eps=1e-8)
DECAY, CLIP, WARMUP, FLOOR = 0.1, 1.0, 3, 0.1


DEFAULT = dict(
    layers=LAYERS, heads=4, kv_heads=2, width=WIDTH, head_dim=6, hidden=40, context=16, vocab=VOCAB, norm="rms",
    norm_place="before", norm_epsilon=1e-6, qk_norm="absent", position="rotary", rope_theta=10000.0, rope_scaling=None,
    nope_every=None, window=None, global_every=None, activation="swiglu", experts=None, bias=False, qkv_bias=False, logit_cap=None,
    tied=False, dropout=0.0, init_std=0.02, init_scaled=True,
)


def gpt2():
    config = transformers.GPT2Config(
        vocab_size=VOCAB, n_positions=16, n_embd=WIDTH, n_layer=LAYERS, n_head=3, activation_function="gelu_new",
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )
    spec = dict(
        DEFAULT, heads=3, kv_heads=3, head_dim=8, hidden=4 * WIDTH, norm="layer", norm_epsilon=1e-5,
        position="learned", activation="gelu", bias=True, qkv_bias=True, tied=True,
    )
    return transformers.GPT2LMHeadModel(config), spec, gpt2_names


def llama_like(family, config=None, scaling=None, **changes):
    """A family whose names are ours; `config` are its own settings, `changes` ours."""
    def make():
        spec = dict(DEFAULT, **changes)
        theirs = dict(
            vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=spec["hidden"], num_hidden_layers=LAYERS, num_attention_heads=4,
            num_key_value_heads=spec["kv_heads"], head_dim=spec["head_dim"], max_position_embeddings=16,
            rms_norm_eps=1e-6, tie_word_embeddings=spec["tied"],
            rope_parameters=dict(dict(rope_type="default"), **(scaling or {}), rope_theta=spec["rope_theta"]),
            pad_token_id=None, attn_implementation="eager", **(config or {}),
        )
        model = getattr(transformers, family + "ForCausalLM")(getattr(transformers, family + "Config")(**theirs))
        return model, spec, llama_names
    return make


class Free(torch.nn.Module):
    """Norms on both sides of a sub-layer, ALiBi, a window of 5 in every block but the second, GeGLU, capped logits."""

    def __init__(self, spec):
        super().__init__()
        self.spec = spec
        width, heads, kv, dim, hidden = (spec[k] for k in ("width", "heads", "kv_heads", "head_dim", "hidden"))
        weights = {"model.embed_tokens.weight": (VOCAB, width), "model.norm.weight": (width,), "lm_head.weight": (VOCAB, width)}
        for layer in range(LAYERS):
            at = f"model.layers.{layer}."
            norms = ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm")
            weights.update({f"{at}{name}.weight": (width,) for name in norms})
            for name, rows in (("q", heads * dim), ("k", kv * dim), ("v", kv * dim)):
                weights[f"{at}self_attn.{name}_proj.weight"] = (rows, width)
                weights[f"{at}self_attn.{name}_proj.bias"] = (rows,)
            weights[f"{at}self_attn.o_proj.weight"] = (width, heads * dim)
            for name in ("gate", "up"):
                weights[f"{at}mlp.{name}_proj.weight"] = (hidden, width)
            weights[f"{at}mlp.down_proj.weight"] = (width, hidden)
        self.names = list(weights)
        for name, shape in weights.items():
            start = torch.ones(shape) if "norm" in name else torch.zeros(shape)
            self.register_parameter(name.replace(".", "/"), torch.nn.Parameter(start))

    def weight(self, name):
        return getattr(self, name.replace(".", "/"))

    def norm(self, x, name):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.spec["norm_epsilon"]) * self.weight(name + ".weight")

    def forward(self, ids):
        s, (rows, time) = self.spec, ids.shape
        heads, kv, dim = s["heads"], s["kv_heads"], s["head_dim"]
        slopes = torch.tensor([2.0 ** (-8 * (i + 1) / heads) for i in range(heads)])
        place = torch.arange(time)
        distance = place[:, None] - place[None, :]
        x = self.weight("model.embed_tokens.weight")[ids]
        for layer in range(LAYERS):
            at = f"model.layers.{layer}."
            y = self.norm(x, at + "input_layernorm")
            def project(name, count):
                part = f"{at}self_attn.{name}_proj."
                z = torch.nn.functional.linear(y, self.weight(part + "weight"), self.weight(part + "bias"))
                return z.view(rows, time, count, dim).transpose(1, 2)
            q, k, v = project("q", heads), project("k", kv), project("v", kv)
            k, v = (z.repeat_interleave(heads // kv, dim=1) for z in (k, v))
            scores = q @ k.transpose(2, 3) / dim**0.5 - slopes[None, :, None, None] * distance
            hidden = distance < 0
            if (layer + 1) % s["global_every"]:
                hidden = hidden | (distance >= s["window"])
            y = scores.masked_fill(hidden, float("-inf")).softmax(-1) @ v
            y = y.transpose(1, 2).reshape(rows, time, heads * dim) @ self.weight(at + "self_attn.o_proj.weight").T
            x = x + self.norm(y, at + "post_attention_layernorm")
            y = self.norm(x, at + "pre_feedforward_layernorm")
            gate = torch.nn.functional.gelu(y @ self.weight(at + "mlp.gate_proj.weight").T, approximate="tanh")
            y = (gate * (y @ self.weight(at + "mlp.up_proj.weight").T)) @ self.weight(at + "mlp.down_proj.weight").T
            x = x + self.norm(y, at + "post_feedforward_layernorm")
        logits = self.norm(x, "model.norm") @ self.weight("lm_head.weight").T
        cap = s["logit_cap"]
        return types.SimpleNamespace(logits=cap * torch.tanh(logits / cap))


def free():
    spec = dict(
        DEFAULT, norm_place="both", position="alibi", window=5, global_every=2, activation="geglu", qkv_bias=True,
        logit_cap=3.0,
    )
    def names(model):
        return {name: model.weight(name).detach().clone() for name in model.names}
    return Free(spec), spec, names


def mixture(family, config=None, every=None, renormalize=True, z_loss=None, **changes):
    """A family with experts, four of which a token uses two."""
    hidden = 12 if family == "Qwen3Moe" else None
    spec = dict(
        experts=dict(count=4, active=2, hidden=hidden, renormalize=renormalize, every=every, balance=0.1, z_loss=z_loss), **changes
    )
    if hidden is None:
        spec["hidden"] = 12
    config = dict(config or {}, num_experts_per_tok=2)
    config["num_local_experts" if family == "Mixtral" else "num_experts"] = 4
    make = llama_like(family, config=config, **spec)

    def made():
        model, spec, _ = make()
        return model, spec, mixture_names
    return made


def balance(model, spec, inputs):
    """The balance loss and the z-loss of routers, times their coefficients: the mean over sequences that transformers sees alone."""
    experts = spec["experts"]
    if experts is None:
        return torch.zeros(())
    total = 0.0
    for row in inputs:
        out = model(row[None], output_router_logits=True)
        total = total + experts["balance"] * out.aux_loss
        if experts["z_loss"]:
            logits = torch.stack(out.router_logits)
            total = total + experts["z_loss"] * logits.logsumexp(-1).square().mean()
    return total / len(inputs)


def mixture_names(model):
    """transformers 5 holds the experts of a block in one tensor; files and Emberlab have them one by one."""
    out = {}
    for name, value in llama_names(model).items():
        at, _, part = name.partition(".mlp.experts.")
        for expert, matrix in enumerate(value if part else []):
            pieces = {"gate_proj": matrix}
            if part == "gate_up_proj":
                pieces = dict(zip(("gate_proj", "up_proj"), matrix.chunk(2, dim=0)))
            elif part == "down_proj":
                pieces = {"down_proj": matrix}
            out.update({f"{at}.mlp.experts.{expert}.{key}.weight": piece.contiguous() for key, piece in pieces.items()})
        if not part:
            out[name] = value
    return out


def llama_names(model):
    weights = {name: value.detach().clone() for name, value in model.named_parameters()}
    return weights


def gpt2_names(model):
    out = {}
    for name, value in model.named_parameters():
        value = value.detach().clone()
        parts = name.split(".")
        if name == "transformer.wte.weight":
            out["model.embed_tokens.weight"] = value
        elif name == "transformer.wpe.weight":
            out["model.embed_positions.weight"] = value
        elif parts[1] == "ln_f":
            out[f"model.norm.{parts[2]}"] = value
        else:
            layer, rest, kind = f"model.layers.{parts[2]}", ".".join(parts[3:-1]), parts[-1]
            if kind == "weight" and value.dim() == 2:
                value = value.t().contiguous()  # Conv1D keeps [in, out]
            if rest == "attn.c_attn":
                for part, piece in zip("qkv", value.chunk(3, dim=0)):
                    out[f"{layer}.self_attn.{part}_proj.{kind}"] = piece.contiguous()
            else:
                new = {"ln_1": "input_layernorm", "ln_2": "post_attention_layernorm", "attn.c_proj": "self_attn.o_proj",
                       "mlp.c_fc": "mlp.up_proj", "mlp.c_proj": "mlp.down_proj"}[rest]
                out[f"{layer}.{new}.{kind}"] = value
    return out


def share(step):
    """nanoGPT's warm-up, then transformers' cosine raised to a floor."""
    if step < WARMUP:
        return (step + 1) / (WARMUP + 1)
    progress = torch.tensor((step - WARMUP) / (STEPS - WARMUP), dtype=torch.float64)
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + torch.cos(torch.pi * progress)).item()


def make(name, network, folder):
    torch.manual_seed(20)
    model, spec, names = network()
    generator = torch.Generator().manual_seed(21)
    with torch.no_grad():  # larger than usual, biases and gains too, so that every path matters
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator) * 0.15
            parameter.copy_(noise + (1.0 if parameter.dim() == 1 and parameter.mean() > 0.5 else 0.0))
    tokens = torch.randint(0, VOCAB, (ROWS, TIME + 1), generator=generator)
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    tensors = {f"before/{key}": value for key, value in names(model).items()}
    tensors["logits"] = model(inputs).logits.detach().clone()
    loss = torch.nn.functional.cross_entropy(model(inputs).logits.reshape(-1, VOCAB), targets.reshape(-1))
    (loss + balance(model, spec, inputs)).backward()
    gradients = {p: p.grad.clone() for p in model.parameters()}
    # The gradients under the names of the weights: the same renaming, of a network that has them for its weights.
    with torch.no_grad():
        weights = {p: p.clone() for p in model.parameters()}
        for p in model.parameters():
            p.copy_(gradients[p])
        tensors.update({f"gradient/{key}": value for key, value in names(model).items()})
        for p in model.parameters():
            p.copy_(weights[p])
    model.zero_grad()

    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [dict(params=matrices, weight_decay=DECAY), dict(params=vectors, weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, **ADAMW)
    losses, norms, rates, balances = [], [], [], []
    for step in range(STEPS):
        rate = ADAMW["lr"] * share(step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(inputs).logits.reshape(-1, VOCAB), targets.reshape(-1))
        held = balance(model, spec, inputs)
        (loss + held).backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        balances.append(held.item())
        losses.append(loss.item()), norms.append(norm.item()), rates.append(rate)
    tensors.update({f"after/{key}": value for key, value in names(model).items()})
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / f"{name}.safetensors")
    facts = dict(
        torch=torch.__version__, transformers=transformers.__version__, model=spec, tokens=tokens.tolist(),
        losses=losses, grad_norms=norms, rates=rates,
        optimizer=dict(lr=ADAMW["lr"], beta1=0.9, beta2=0.95, epsilon=1e-8, weight_decay=DECAY),
        clip=CLIP, warmup=WARMUP, floor=FLOOR,
    )
    if spec["experts"]:
        facts["balances"] = balances
    (folder / f"{name}.json").write_text(json.dumps(facts) + "\n")
    print(name, losses[0], losses[-1], norms[0])


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    make("mixtral", mixture("Mixtral"), folder)
    make("qwen3-moe", mixture("Qwen3Moe", config=dict(
        norm_topk_prob=True, moe_intermediate_size=12, decoder_sparse_step=2), every=2, qk_norm="head"), folder)
    make("olmoe", mixture("Olmoe", config=dict(norm_topk_prob=False), renormalize=False, z_loss=0.05, qk_norm="width"), folder)
    make("gpt2", gpt2, folder)
    make("llama", llama_like("Llama"), folder)
    make("llama-tied", llama_like("Llama", tied=True, rope_theta=500000.0, kv_heads=1, head_dim=8), folder)
    llama3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8)
    ours = dict({"is": "rope_llama3"}, factor=8.0, low=1.0, high=4.0, context=8)
    make("llama3", llama_like("Llama", scaling=dict(llama3, rope_type="llama3"), rope_scaling=ours), folder)
    bias = dict(attention_bias=True, mlp_bias=True)
    make("llama-biased", llama_like("Llama", config=bias, bias=True, qkv_bias=True), folder)
    make("mistral", llama_like("Mistral", config=dict(sliding_window=5), window=5), folder)
    make("qwen2", llama_like("Qwen2", config=dict(use_sliding_window=False), qkv_bias=True, tied=True), folder)
    make("qwen3", llama_like("Qwen3", head_dim=10, qk_norm="head"), folder)
    make("olmo2", llama_like("Olmo2", norm_place="after", qk_norm="width"), folder)
    nope = dict(no_rope_layers=[1, 0], use_sliding_window=False)
    make("smollm3", llama_like("SmolLM3", config=nope, nope_every=2, tied=True), folder)
    make("free", free, folder)
