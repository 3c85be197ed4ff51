"""Makes tests/data-golden/import: small models as `transformers` saves them, and what it computes with them.

    python tests/golden/make_import_golden.py

Each folder is a whole model: config, weights, tokenizer. `expected.json` in it holds lines of text, their tokens, and the
log-probabilities of those tokens in float32, each given the tokens before it and the token that begins a text.

gpt2          f32, one file, tied, names with `transformer.`
gpt2-old      f16, names without a prefix, with the mask buffers and the `lm_head.weight` of early checkpoints
llama-shards  f32, three shards with an index, an output matrix of its own, a begin token
llama-chat    bf16, tied, a chat template in tokenizer_config.json, grouped queries, two tokens that end a text
llama-rescaled  bf16, Llama 3's rescaled angles, in the fields of `transformers` 4
mistral       bf16, a head size of its own, a chat template in a file
mistral-kinds  bf16, blocks with and without a window, YaRN with DeepSeek's fields and the first context beside them
qwen2-window  bf16, a window in every second block
mistral-window, qwen2, qwen3-yarn, olmo2, smollm3   bf16, what each family has of its own
mixtral, qwen3_moe, olmoe   bf16, experts one by one; in the second, of every second block
mixtral-together   the experts of a block in one tensor, as `transformers` 5 writes them when told to
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    OlmoeConfig,
    OlmoeForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
    SmolLM3Config,
    SmolLM3ForCausalLM,
)

HERE = Path(__file__).parent.parent / "data-golden" / "import"
LINES = [
    "The owl sat in the old tree and looked at the moon.",
    "A fox ran over the hill; nobody saw it, not even the owl!",
    "Zwölf Füchse: 42 + 17 = 59",
    "tree",
]
TEXT = [
    "The owl sat in the old tree and looked at the moon. The fox ran over the hill and the owl saw it.",
    "Nobody knew where the fox went, but the moon was over the hill and the tree was old.",
    "The fox and the owl were friends. They sat by the tree and looked over the hill at the moon.",
]
CHAT = (
    "{{ bos_token }}{% for message in messages %}[{{ message['role'] }}] {{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)


def tokenizer(specials, begin=None, **named):
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=specials, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    raw.train_from_iterator(TEXT, trainer)
    if begin:
        raw.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", pair=f"{begin} $A {begin} $B", special_tokens=[(begin, raw.token_to_id(begin))]
        )
    return PreTrainedTokenizerFast(tokenizer_object=raw, **named)


def expected(folder):
    """The oracle: the folder as `transformers` itself loads it, computed in float32."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tok = AutoTokenizer.from_pretrained(folder)
    plain = tok("", add_special_tokens=True)["input_ids"]
    start = plain[0] if plain else tok.eos_token_id
    lines = []
    for text in LINES:
        ids = tok(text, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = model(torch.tensor([[start] + ids])).logits[0]
        scores = torch.log_softmax(logits.double(), -1)
        of_tokens = [scores[i, token].item() for i, token in enumerate(ids)]
        lines.append({"text": text, "ids": ids, "logprobs": [round(x, 7) for x in of_tokens]})
    out = {"start": start, "end": tok.eos_token_id, "parameters": model.num_parameters(), "lines": lines}
    if tok.chat_template:
        messages = [{"role": "user", "content": "Who?"}]
        out["chat"] = tok.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    (folder / "expected.json").write_text(json.dumps(out, indent=1, ensure_ascii=False) + "\n")


def fresh(name):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def spread(model):
    """Random weights, larger than initial ones so that every part counts, and biases and gains that are not trivial."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(parameter.mean() * (parameter.dim() == 1) + 0.15 * noise)
    return model


def edit(path, change):
    held = json.loads(path.read_text())
    change(held)
    path.write_text(json.dumps(held, indent=2) + "\n")


def gpt2():
    config = GPT2Config(
        vocab_size=304, n_positions=64, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0
    )
    tok = tokenizer(["<|endoftext|>"], bos_token="<|endoftext|>", eos_token="<|endoftext|>", unk_token="<|endoftext|>")
    folder = fresh("gpt2")
    model = spread(GPT2LMHeadModel(config))
    model.save_pretrained(folder)
    tok.save_pretrained(folder)
    expected(folder)

    old = fresh("gpt2-old")
    for file in folder.iterdir():
        if file.name != "model.safetensors":
            shutil.copy(file, old / file.name)
    weights = load_file(folder / "model.safetensors")
    weights = {name.removeprefix("transformer."): tensor.half().contiguous() for name, tensor in weights.items()}
    for layer in range(2):
        weights[f"h.{layer}.attn.bias"] = torch.tril(torch.ones(1, 1, 64, 64)).to(torch.uint8)
        weights[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    weights["lm_head.weight"] = weights["wte.weight"].clone()
    save_file(weights, old / "model.safetensors", metadata={"format": "pt"})
    expected(old)


LLAMA = dict(vocab_size=304, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64)
NAMED = dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>")
WORDS = ["<unk>", "<s>", "</s>", "<pad>"]


def llama_shards():
    config = LlamaConfig(
        **LLAMA, intermediate_size=48, num_key_value_heads=4, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2
    )
    folder = fresh("llama-shards")
    spread(LlamaForCausalLM(config)).save_pretrained(folder, max_shard_size="60KB")
    tokenizer(WORDS, begin="<s>", **NAMED).save_pretrained(folder)
    expected(folder)


def llama_chat():
    config = LlamaConfig(
        **LLAMA, intermediate_size=64, num_key_value_heads=2, tie_word_embeddings=True, bos_token_id=1, eos_token_id=[2, 4],
        rope_theta=50_000.0, rms_norm_eps=1e-5, pad_token_id=3
    )
    folder = fresh("llama-chat")
    model = spread(LlamaForCausalLM(config)).to(torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer(WORDS + ["<|turn|>"], begin="<s>", **NAMED).save_pretrained(folder)
    edit(folder / "tokenizer_config.json", lambda held: held.update(chat_template=CHAT))
    expected(folder)


def mistral():
    config = MistralConfig(
        **LLAMA, intermediate_size=48, num_key_value_heads=2, head_dim=12, sliding_window=None, bos_token_id=1, eos_token_id=2,
        tie_word_embeddings=False
    )
    folder = fresh("mistral")
    spread(MistralForCausalLM(config)).to(torch.bfloat16).save_pretrained(folder)
    tok = tokenizer(WORDS, begin="<s>", **NAMED)
    tok.chat_template = CHAT
    tok.save_pretrained(folder)
    expected(folder)


def other(name, config, model, **own):
    held = dict(LLAMA, intermediate_size=48, num_key_value_heads=2, bos_token_id=1, eos_token_id=2, pad_token_id=3)
    folder = fresh(name)
    spread(model(config(**{**held, **own}))).to(torch.bfloat16).save_pretrained(folder)
    tokenizer(WORDS, begin="<s>", **NAMED).save_pretrained(folder)
    return folder


def rope_of_4(config):
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = rope


torch.manual_seed(3)
gpt2()
llama_shards()
llama_chat()
mistral()
angles = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
folder = other("llama-rescaled", LlamaConfig, LlamaForCausalLM, rope_parameters=dict(rope_theta=500.0, **angles))
edit(folder / "config.json", rope_of_4)
expected(folder)
expected(other("mistral-window", MistralConfig, MistralForCausalLM, sliding_window=6))
expected(other("qwen2", Qwen2Config, Qwen2ForCausalLM, tie_word_embeddings=True))
kinds = dict(sliding_window=6, layer_types=["sliding_attention", "full_attention"])
expected(other("qwen2-window", Qwen2Config, Qwen2ForCausalLM, use_sliding_window=True, **kinds))
kinds = dict(sliding_window=6, layer_types=["sliding_attention"] * 2 + ["full_attention"], num_hidden_layers=3)
angles = dict(rope_type="yarn", rope_theta=500.0, factor=4.0, mscale=1.0, mscale_all_dim=0.6)
folder = other("mistral-kinds", MistralConfig, MistralForCausalLM, rope_parameters=angles, **kinds)
edit(folder / "config.json", lambda held: held["rope_parameters"].pop("original_max_position_embeddings"))
edit(folder / "config.json", lambda held: held.update(original_max_position_embeddings=16))
expected(folder)
angles = dict(rope_type="yarn", rope_theta=500.0, factor=4.0, original_max_position_embeddings=16)
expected(other("qwen3-yarn", Qwen3Config, Qwen3ForCausalLM, head_dim=16, rope_parameters=angles))
expected(other("olmo2", Olmo2Config, Olmo2ForCausalLM))
moe = dict(num_experts_per_tok=2, num_experts=4, intermediate_size=24)
mixtral = dict(num_experts_per_tok=2, num_local_experts=4, intermediate_size=24)
expected(other("mixtral", MixtralConfig, MixtralForCausalLM, **mixtral))
folder = other("mixtral-together", MixtralConfig, MixtralForCausalLM, **mixtral)
MixtralForCausalLM.from_pretrained(folder).to(torch.bfloat16).save_pretrained(folder, save_original_format=False)
expected(folder)
sparse = dict(moe, moe_intermediate_size=16, decoder_sparse_step=2, norm_topk_prob=True, head_dim=12)
expected(other("qwen3_moe", Qwen3MoeConfig, Qwen3MoeForCausalLM, **sparse))
expected(other("olmoe", OlmoeConfig, OlmoeForCausalLM, **moe))
expected(other("smollm3", SmolLM3Config, SmolLM3ForCausalLM, num_hidden_layers=4))
for folder in sorted(HERE.iterdir()):
    print(folder.name, sum(file.stat().st_size for file in folder.iterdir()))
