"""Training speed beside PyTorch, in one run: ours, PyTorch eager and, where asked, torch.compile take turns.

    python benches/compare.py [--rounds 3] [--steps 12] [--shapes 12M 50M] [--threads 2] [--compile] [--bf16]

Needs cargo, and torch in the Python that runs it. Prints each figure as it comes, then a table of medians. With --bf16 all
train with matrix products of bf16 (`mixed_bf16`, `torch.autocast`), and ours in f32 takes its turn beside them.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
OURS = ["cargo", "bench", "--locked", "--profile", "dev", "--bench", "train"]
FIGURES = re.compile(r"median (\d+), best \d+ tokens/s, peak (\d+) MB")
SHARE = re.compile(r"(\d+) % of the (\d+) GFLOP/s")


def figures(command, environment):
    ran = subprocess.run(command, cwd=HERE.parent, env=environment, capture_output=True, text=True)
    found = FIGURES.search(ran.stdout)
    if not found:
        sys.exit(f"{' '.join(command)} printed no figure:\n{ran.stdout}{ran.stderr}")
    share = SHARE.search(ran.stdout)
    return int(found[1]), int(found[2]), int(share[1]) if share else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--shapes", nargs="+", default=["12M", "50M"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--features", help="features of the build without the default ones, such as `engine`")
    args = parser.parse_args()
    build = ["--no-default-features", "--features", args.features] if args.features else []
    environment = dict(os.environ, RAYON_NUM_THREADS=str(args.threads))
    subprocess.run([*OURS, *build, "--no-run"], cwd=HERE.parent, env=environment, check=True)
    steps, threads = str(args.steps), str(args.threads)
    print("| shape | program | median tokens/s of each round | ours ÷ it | peak memory | share of sgemm |")
    print("| --- | --- | --- | --- | --- | --- |")
    for shape in args.shapes:
        half, cpu = ["bf16"] if args.bf16 else [], [*OURS, *build, "--", "cpu", steps, shape]
        torch = [sys.executable, str(HERE / "train_torch.py"), shape, steps, threads, *half]
        programs = {"ours": [*cpu, "mixed_bf16"], "ours in f32": cpu} if half else {"ours": cpu}
        programs["torch eager"] = torch
        if args.compile:
            programs["torch.compile"] = [*torch, "compile"]
        taken = {name: [] for name in programs}
        for _ in range(args.rounds):
            for name, command in programs.items():
                taken[name].append(figures(command, environment))
        ours = statistics.median(rate for rate, _, _ in taken["ours"])
        for name, all_ in taken.items():
            rates = ", ".join(f"{rate:,}" for rate, _, _ in all_)
            ratio = "" if name == "ours" else f"{ours / statistics.median(rate for rate, _, _ in all_):.2f}"
            shares = [share for _, _, share in all_ if share]
            share = f"{statistics.median(shares):.0f} %" if shares else ""
            print(f"| {shape} | {name} | {rates} | {ratio} | {max(peak for _, peak, _ in all_):,} MB | {share} |", flush=True)


main()
