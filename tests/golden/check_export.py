"""Checks folders of `exp export` with Hugging Face transformers.

    exp export RUN.STAGE --to DIR
    exp logprobs RUN.STAGE < lines.txt > ours.json     (one line of text a line)
    python check_export.py DIR lines.txt ours.json

Prints the largest difference between log-probabilities of the same tokens, and fails above 1e-4. Run by hand with
transformers 4.57 and 5.23 and torch 2.15; no test depends on it. Networks with experts, written as Mixtral, Qwen 3 MoE (every
second block) and OLMoE after 60 steps each: at most 9.6e-07 apart in both versions.

    EMBERLAB_EXPORTED=DIR cargo test --test train what_is_exported
    python check_export.py DIR

Prints the largest differences of logits, of the loss, of its gradients weight by weight, and of losses, gradient norms and
weights over ten AdamW steps, of every family; all of them from the folders that Emberlab wrote of its own random weights. Fails
above 1e-4 of logits and 2e-5 of the others (norms: 1e-4 of themselves). Run by hand with transformers 5.24 and torch 2.15: of
thirteen networks of ten families logits were at most 2.5e-06 apart, gradients 2.1e-07, losses over ten steps 1.9e-06, norms
3.4e-07 of themselves, balances 3.0e-08 and weights after ten steps 2.7e-06.
"""
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer


def load(folder):
    model, report = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"], report
    return model.eval()


def lines_agree(folder, lines, ours):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = load(folder)
    ours = [json.loads(line) for line in open(ours)]
    worst = 0.0
    for text, line in zip(open(lines).read().splitlines(), ours, strict=True):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert ids == line["ids"], (text, ids, line["ids"])
        whole = torch.tensor([[tokenizer.bos_token_id, *ids]])
        with torch.no_grad():
            logs = model(whole).logits[0].log_softmax(-1)
        for place, (token, log) in enumerate(zip(ids, line["logprobs"], strict=True)):
            worst = max(worst, abs(logs[place, token].item() - log))
    print(f"{folder}: {len(ours)} lines, largest difference {worst:.2e}")
    assert worst < 1e-4


def moves(name, value):
    """All of a weight but what shifts keys: that changes no softmax, and Adam makes steps of the rounding of its gradient."""
    if name.endswith("k_proj.bias"):
        return value[:0]
    if name.endswith("attn.c_attn.bias"):
        queries, _, values = value.chunk(3)
        return torch.cat([queries, values])
    return value


def furthest(pairs):
    return max((ours - theirs).abs().max().item() for ours, theirs in pairs if ours.numel())


def named(model):
    return {name: value.detach() for name, value in model.named_parameters()}


def steps_agree(folder):
    facts = json.loads((folder / "facts.json").read_text())
    model = load(folder / "before")
    tokens = torch.tensor(facts["tokens"])
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    coefficient = getattr(model.config, "router_aux_loss_coef", None)

    def loss_of():
        logits = model(inputs).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        # The balance of experts, of each sequence by itself; Emberlab has learnt from it.
        parts = [model(row[None], output_router_logits=True).aux_loss for row in inputs] if coefficient else [torch.zeros(())]
        return logits, loss, (coefficient or 0.0) * sum(parts) / len(parts)

    logits, loss, balance = loss_of()
    of_logits = (logits - load_file(folder / "logits.safetensors")["logits"]).abs().max().item()
    (loss + balance).backward()
    slopes = named(load(folder / "gradient"))
    of_slopes = furthest([(slopes.pop(name), p.grad) for name, p in model.named_parameters()])
    assert not slopes
    of_loss = abs(loss.item() - facts["losses"][0])

    settings = facts["steps"]["optimizer"]
    decay = settings["weight_decay"]
    groups = [
        dict(params=[p for p in model.parameters() if p.dim() >= 2], weight_decay=decay),
        dict(params=[p for p in model.parameters() if p.dim() < 2], weight_decay=0.0),
    ]
    betas = (settings["beta1"], settings["beta2"])
    optimizer = torch.optim.AdamW(groups, lr=settings["lr"], betas=betas, eps=settings["epsilon"])
    of_losses = of_balances = of_norms = 0.0
    for number, rate in enumerate(facts["rates"]):
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        _, loss, balance = loss_of()
        (loss + balance).backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), facts["steps"]["clip"]).item()
        optimizer.step()
        of_losses = max(of_losses, abs(loss.item() - facts["losses"][number]))
        of_balances = max(of_balances, abs(balance.item() - facts["balances"][number]))
        of_norms = max(of_norms, abs(norm / facts["grad_norms"][number] - 1))
    after = named(load(folder / "after"))
    of_weights = furthest([(moves(name, after[name]), moves(name, value)) for name, value in named(model).items()])
    kind = model.config.model_type
    print(f"{folder.name} ({kind}): logits {of_logits:.1e}, loss {of_loss:.1e}, gradients {of_slopes:.1e}; over {len(facts['rates'])} "
          f"steps: losses {of_losses:.1e}, balances {of_balances:.1e}, norms {of_norms:.1e}, weights {of_weights:.1e}")
    assert of_logits < 1e-4 and of_norms < 1e-4
    assert max(of_loss, of_slopes, of_losses, of_balances, of_weights) < 2e-5


if __name__ == "__main__":
    if len(sys.argv) == 2:
        for folder in sorted(Path(sys.argv[1]).iterdir()):
            steps_agree(folder)
    else:
        lines_agree(*sys.argv[1:])
