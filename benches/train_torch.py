"""The shapes of train.rs in PyTorch on the CPU: the same layers, batch, sequence, optimiser and clipping, random tokens.

    python benches/train_torch.py SHAPE [STEPS [THREADS [compile] [bf16]]]

SHAPE is the beginning of a name of train.rs: `12M`, `50M`, `quickstart`, `shakespeare`, and `mixture`, which is the Mixtral of
`transformers` with its balance loss. With `bf16` the forward pass runs under `torch.autocast`, as `precision = mixed_bf16` does.
"""

import resource
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

# Layers, width, heads, sequence, vocabulary, batch, whether Llama or GPT-2.
SHAPES = {
    "shakespeare": (4, 128, 4, 64, 65, 12, False),
    "quickstart": (4, 128, 4, 128, 1024, 16, True),
    "12M": (6, 384, 6, 256, 4096, 4, True),
    "50M": (9, 640, 10, 512, 8192, 2, True),
    "mixture": (4, 256, 8, 128, 4096, 16, True),
}


class RmsNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return F.rms_norm(x, self.gain.shape, self.gain, 1e-5)


class Block(nn.Module):
    def __init__(self, width, heads, hidden, llama):
        super().__init__()
        norm = RmsNorm if llama else (lambda size: nn.LayerNorm(size, bias=False))
        self.heads, self.llama = heads, llama
        self.attention_norm, self.mlp_norm = norm(width), norm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 2 * hidden if llama else hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x, cos, sin):
        batch, time_, width = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(batch, time_, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        if self.llama:
            def turn(t):
                left, right = t.chunk(2, -1)
                return t * cos + torch.cat((-right, left), -1) * sin
            q, k = turn(q), turn(k)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(batch, time_, width)
        x = x + self.out(y)
        y = self.up(self.mlp_norm(x))
        if self.llama:
            gate, up = y.chunk(2, -1)
            y = F.silu(gate) * up
        else:
            y = F.gelu(y, approximate="tanh")
        return x + self.down(y)


class Model(nn.Module):
    def __init__(self, layers, width, heads, context, vocab, llama):
        super().__init__()
        hidden = (width * 8 // 3 + 31) // 32 * 32 if llama else 4 * width
        self.embedding = nn.Embedding(vocab, width)
        self.positions = None if llama else nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads, hidden, llama) for _ in range(layers))
        self.norm = RmsNorm(width) if llama else nn.LayerNorm(width, bias=False)
        size = width // heads
        rates = 10_000 ** (-torch.arange(0, size, 2) / size)
        angles = torch.outer(torch.arange(context), torch.cat((rates, rates)))
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, 0, 0.02)

    def forward(self, ids, targets):
        x = self.embedding(ids)
        if self.positions is not None:
            x = x + self.positions.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits = self.norm(x) @ self.embedding.weight.t()
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


class Mixture(nn.Module):
    """Two of eight experts of 512, as `transformers` computes them by default."""

    def __init__(self, layers, width, heads, context, vocab, _):
        super().__init__()
        from transformers import MixtralConfig, MixtralForCausalLM

        self.model = MixtralForCausalLM(MixtralConfig(
            vocab_size=vocab, hidden_size=width, intermediate_size=512, num_hidden_layers=layers, num_attention_heads=heads,
            num_key_value_heads=heads, max_position_embeddings=context, num_local_experts=8, num_experts_per_tok=2,
            router_aux_loss_coef=0.02, output_router_logits=True, use_cache=False, pad_token_id=None,
        ))

    def forward(self, ids, targets):
        out = self.model(ids)
        return F.cross_entropy(out.logits.flatten(0, 1), targets.flatten()) + 0.02 * out.aux_loss


def main():
    shape = sys.argv[1]
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    torch.set_num_threads(int(sys.argv[3]) if len(sys.argv) > 3 else 2)
    compiled, half = "compile" in sys.argv[4:], "bf16" in sys.argv[4:]
    torch.manual_seed(1)
    layers, width, heads, context, vocab, batch, llama = SHAPES[shape]
    model = (Mixture if shape == "mixture" else Model)(layers, width, heads, context, vocab, llama)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, betas=(0.9, 0.95), weight_decay=0.1)
    forward = torch.compile(model) if compiled else model
    rates = []
    for step in range(steps + 3):
        ids, targets = torch.randint(vocab, (2, batch, context))
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = forward(ids, targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()
        if step >= 3:
            rates.append(batch * context / (time.perf_counter() - began))
    rates.sort()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{shape}, torch {torch.__version__}{' compiled' if compiled else ''}{' bf16' if half else ''}, {torch.get_num_threads()} threads: "
          f"median {rates[len(rates) // 2]:.0f}, best {rates[-1]:.0f} tokens/s, peak {peak} MB, "
          f"{sum(p.numel() for p in model.parameters())} parameters")


main()
