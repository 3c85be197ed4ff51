"""Makes the files of tests/data-golden/model: what PyTorch and transformers compute for small networks.

    pip install torch transformers safetensors
    python tests/golden/make_model_golden.py tests/data-golden/model

For each network: NAME.safetensors has the weights (under Emberlab's names, matrices [out, in]), the logits of the first
batch and the weights after ten AdamW steps; NAME.json has the configuration, the tokens, and the losses, gradient norms
and learning rates of the ten steps. The versions are in the JSON.
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

STEPS, ROWS, TIME, VOCAB, WIDTH, LAYERS = 10, 4, 12, 48, 24, 2
ADAMW = dict(lr=2e-3, betas=(0.9, 0.95), eps=1e-8)
DECAY, CLIP, WARMUP, FLOOR = 0.1, 1.0, 3, 0.1


def gpt2():
    config = transformers.GPT2Config(
        vocab_size=VOCAB, n_positions=16, n_embd=WIDTH, n_layer=LAYERS, n_head=3, activation_function="gelu_new",
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )
    spec = dict(
        layers=LAYERS, heads=3, kv_heads=3, width=WIDTH, head_dim=8, hidden=4 * WIDTH, context=16, vocab=VOCAB,
        norm="layer", norm_epsilon=1e-5, position="learned", rope_theta=10000.0, activation="gelu", bias=True,
        tied=True, dropout=0.0, init_std=0.02, init_scaled=True,
    )
    return transformers.GPT2LMHeadModel(config), spec, gpt2_names


def llama(tied, theta, kv_heads, head_dim):
    def make():
        config = transformers.LlamaConfig(
            vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=40, num_hidden_layers=LAYERS, num_attention_heads=4,
            num_key_value_heads=kv_heads, head_dim=head_dim, max_position_embeddings=16, rms_norm_eps=1e-6,
            tie_word_embeddings=tied, rope_theta=theta, attention_bias=False,
        )
        spec = dict(
            layers=LAYERS, heads=4, kv_heads=kv_heads, width=WIDTH, head_dim=head_dim, hidden=40, context=16, vocab=VOCAB,
            norm="rms", norm_epsilon=1e-6, position="rotary", rope_theta=theta, activation="swiglu", bias=False,
            tied=tied, dropout=0.0, init_std=0.02, init_scaled=True,
        )
        return transformers.LlamaForCausalLM(config), spec, llama_names
    return make


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

    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [dict(params=matrices, weight_decay=DECAY), dict(params=vectors, weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, **ADAMW)
    losses, norms, rates = [], [], []
    for step in range(STEPS):
        rate = ADAMW["lr"] * share(step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(inputs).logits.reshape(-1, VOCAB), targets.reshape(-1))
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        losses.append(loss.item()), norms.append(norm.item()), rates.append(rate)
    tensors.update({f"after/{key}": value for key, value in names(model).items()})
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / f"{name}.safetensors")
    facts = dict(
        torch=torch.__version__, transformers=transformers.__version__, model=spec, tokens=tokens.tolist(),
        losses=losses, grad_norms=norms, rates=rates,
        optimizer=dict(lr=ADAMW["lr"], beta1=0.9, beta2=0.95, epsilon=1e-8, weight_decay=DECAY),
        clip=CLIP, warmup=WARMUP, floor=FLOOR,
    )
    (folder / f"{name}.json").write_text(json.dumps(facts) + "\n")
    print(name, losses[0], losses[-1], norms[0])


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    make("gpt2", gpt2, folder)
    make("llama", llama(tied=False, theta=10000.0, kv_heads=2, head_dim=6), folder)
    make("llama-tied", llama(tied=True, theta=500000.0, kv_heads=1, head_dim=8), folder)
