"""The figures of generate.rs, by Hugging Face transformers on the CPU: the same shape, prompts of the same length.

    python benches/generate_transformers.py [THREADS [TOKENS]]
"""

import sys
import time

import torch
import transformers

THREADS = int(sys.argv[1]) if len(sys.argv) > 1 else 2
TOKENS = int(sys.argv[2]) if len(sys.argv) > 2 else 192
TIMES, PROMPT, VOCAB = 5, 32, 4096

torch.set_num_threads(THREADS)
torch.manual_seed(1)
config = transformers.LlamaConfig(
    vocab_size=VOCAB, hidden_size=384, intermediate_size=1024, num_hidden_layers=6, num_attention_heads=6,
    num_key_value_heads=6, max_position_embeddings=256, tie_word_embeddings=True, bos_token_id=None, eos_token_id=None,
    pad_token_id=0)
model = transformers.LlamaForCausalLM(config).eval()
print(f"transformers {transformers.__version__}, torch {torch.__version__}, {torch.get_num_threads()} threads, "
      f"{sum(p.numel() for p in model.parameters())} parameters")
for name, options in [("greedy", dict(do_sample=False)), ("temperature 0.8", dict(do_sample=True, temperature=0.8, top_k=0))]:
    for batch in [1, 16]:
        prompts = torch.randint(1, VOCAB, (batch, PROMPT))
        mask = torch.ones_like(prompts)
        rates = []
        with torch.inference_mode():
            for _ in range(TIMES + 1):
                began = time.perf_counter()
                out = model.generate(prompts, attention_mask=mask, max_new_tokens=TOKENS, min_new_tokens=TOKENS, **options)
                assert out.shape[1] == PROMPT + TOKENS
                rates.append(batch * TOKENS / (time.perf_counter() - began))
        rates = sorted(rates[1:])
        print(f"12M llama, {name}, batch {batch}: median {rates[TIMES // 2]:.0f}, best {rates[-1]:.0f} tokens/s, "
              f"{1e3 * batch / rates[TIMES // 2]:.3f} ms a step")
