"""Writes text.json: what the reference implementations give for our own texts.

    python -m venv venv && venv/bin/pip install rouge-score==0.1.2 nltk transformers==4.57.1 torch
    venv/bin/python tests/golden/metrics/oracle.py > tests/golden/metrics/text.json

With a path to lines of JSON (`references`, `prediction`) as its argument it judges those instead, so that texts whose
licence forbids a copy here can be compared on the spot.
"""

import importlib.metadata as metadata
import json
import random
import sys

from rouge_score import rouge_scorer
from transformers.data.metrics import squad_metrics

TRICKY = [
    ([""], ""),
    ([""], "a word"),
    (["a word"], ""),
    (["..."], "!?"),
    (["the"], "a"),
    (["The."], ""),
    (["   "], "\t\n"),
    (["The cat sat on the mat."], "the cat sat on the mat"),
    (["The cat sat on the mat."], "On the mat, a cat was sitting."),
    (["cat cat cat cat"], "cat cat"),
    (["cat cat"], "cat cat cat cat"),
    (["a b c d e f"], "f e d c b a"),
    (["1,234.50 dollars"], "1234.50 dollars"),
    (["In 1999 there were 12 of them"], "there were 12 in 1999"),
    (["3.14159"], "3.14159"),
    (["café naïve Zürich"], "cafe naive Zurich"),
    (["Straße ΑΣ İstanbul ſ Kelvin K"], "strasse ας istanbul s kelvin k"),
    (["日本語 の 文"], "日本語 の 文"),
    (["日本語の文"], "日本語"),
    (["emoji 🙂 party 🎉"], "emoji party"),
    (["नमस्ते a दुनिया the"], "नमस्ते दुनिया"),
    (["a\u0301 b"], "a b"),
    (["an\u00a0apple\u2003tree"], "apple tree"),
    (["sep\u001carated\u001fwords"], "sep arated words"),
    (["_a_ a_b the_"], "a b the"),
    (["don't can't it's"], "dont cant its"),
    (["state-of-the-art"], "state of the art"),
    (["the theatre of another era"], "theatre of other era"),
    (["A"], "a"),
    (["x"], "X"),
    (["running runner ran runs easily"], "run runs running easy"),
    (["flies dying skies tying news innings"], "fly die sky tie news inning"),
    (["generalizations oscillators conditional rational"], "generalization oscillator conditions ration"),
    (["first line\nsecond line"], "second line\nfirst line"),
    (["a b c d\ne f g h\na b"], "a c\nb d\na b c\nh g f"),
    (["the dog barked\nthe dog ran\nthe dog slept"], "the dog slept\nthe dog barked"),
    (["\n\nblank\n\nlines\n"], "blank\n\nlines"),
    (["one two three", "three two one"], "one two three four"),
    (["wrong", "right answer", "right answer indeed"], "the right answer"),
    (["", "yes"], "yes"),
    (["", ""], ""),
    (["no", "nope", "not at all"], "yes"),
    (["x" * 300], "x" * 300),
    (["word " * 200], "word " * 150),
    (["tab\tseparated\tvalues"], "tab separated values"),
    (["CRLF line\r\nnext"], "crlf line\nnext"),
    (["(brackets) [and] {braces}"], "brackets and braces"),
    (["50% off $5 & more #1 @home"], "50 off 5 more 1 home"),
    (["½ ² ① Ⅳ"], "1/2 2 1 IV"),
    (["“quoted” ‘text’ – dash"], "quoted text dash"),
]

VOCABULARY = (
    "the a an of river river's rivers flows flowing flowed gently towards sea Sea, stones stone; old older oldest "
    "bridge bridges carried travellers travelling 12 1,000 3.5 twice again never generally happily national nation "
    "relational relate hopeful hopefulness electricity electrical adjustment adoption café naïve 東京 — ... ! and but"
).split(" ")


def random_cases(n):
    draw = random.Random(20240501)
    for _ in range(n):
        text = lambda most: "".join(
            w + draw.choice([" ", " ", " ", " ", "  ", "\n", ". ", ".\n"])
            for w in (draw.choice(VOCABULARY) for _ in range(draw.randrange(most)))
        )
        prediction = text(30)
        references = [text(30) for _ in range(draw.choice([1, 1, 1, 2, 3]))]
        if draw.random() < 0.3:
            words = references[0].split(" ")
            draw.shuffle(words)
            prediction = " ".join(words[: draw.randrange(len(words)) + 1])
        yield references, prediction


def judge(references, prediction):
    row = {"references": references, "prediction": prediction}
    for stem in (False, True):
        scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=stem)
        best = scorer.score_multi(references, prediction)
        for name, score in best.items():
            row[f"{name}{':stem' if stem else ''}"] = [score.precision, score.recall, score.fmeasure]
    row["token_f1"] = float(max(squad_metrics.compute_f1(r, prediction) for r in references))
    row["exact_match"] = float(max(squad_metrics.compute_exact(r, prediction) for r in references))
    return row


def main():
    if len(sys.argv) > 1:
        rows = (json.loads(line) for line in open(sys.argv[1], encoding="utf-8"))
        cases = [(row["references"], row["prediction"]) for row in rows]
    else:
        cases = TRICKY + list(random_cases(150))
    oracle = {p: metadata.version(p) for p in ("rouge-score", "nltk", "transformers")}
    oracle["python"] = sys.version.split()[0]
    print('{"oracle":', json.dumps(oracle), ', "cases": [')
    print(",\n".join(json.dumps(judge(*case)) for case in cases))
    print("]}")


main()
