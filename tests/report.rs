//! The HTML report, read as text and opened in a real browser.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may fail loudly"
)]

use emberlab::evaluate::{Audit, PairRow};
use emberlab::random::Stream;
use emberlab::report::{
    AxisView, ClaimView, ComparisonView, Curve, DatasetView, DeviceView, EvalView, ExpectView, FactView, ItemView,
    MetricView, Pair, PointView, RunView, SampleView, SourceView, SplitView, StageView, Status, StepView, SweepView,
    TokenizerView, html, html_with_sweeps,
};
use std::path::{Path, PathBuf};
use std::process::Command;

fn pair(name: &str, value: &str) -> Pair {
    Pair { name: name.into(), value: value.into() }
}

/// A loss that falls like a power of the step, with noise.
fn loss(from: f64, to: f64, steps: u32, noise: f64, seed: u64) -> Curve {
    let stream = Stream::new(seed, "test/loss");
    Curve::of((0..steps).map(|i| {
        let fall = (1.0 + f64::from(i) / 12.0).powf(-0.55);
        (f64::from(i), to + (from - to) * fall + noise * stream.at(u64::from(i)).normal())
    }))
}

fn every(curve: &Curve, nth: usize, plus: f64) -> Curve {
    Curve::of(curve.step.iter().zip(&curve.value).skip(nth).step_by(nth).map(|(s, v)| (*s, v + plus)))
}

fn stage(name: &str, kind: &str, steps: u32, from: f64, to: f64, seed: u64) -> StageView {
    let train = loss(from, to, steps, 0.05, seed);
    let calm = loss(from, to, steps, 0.012, seed + 1);
    let stream = Stream::new(seed, "test/other");
    let cosine = |i: u32| {
        let (i, n) = (f64::from(i), f64::from(steps));
        if i < n * 0.02 {
            1e-3 * i / (n * 0.02)
        } else {
            1e-3 * (0.1 + 0.45 * (1.0 + (i / n * std::f64::consts::PI).cos()))
        }
    };
    StageView {
        name: name.into(),
        kind: kind.into(),
        model: "teller".into(),
        hash: "51c7e0a9d2f84b16".into(),
        parameters: Some(1_863_424),
        steps: Some(u64::from(steps)),
        tokens: Some(u64::from(steps) * 8_192),
        supervised_tokens: Some(u64::from(steps) * if kind == "sft" { 2_114 } else { 8_192 }),
        train_loss: train.value.last().copied(),
        valid_loss: calm.value.last().map(|v| v + 0.05),
        seconds: Some(f64::from(steps) * 0.061),
        tokens_per_second: Some(8_192.0 / 0.061),
        peak_memory_bytes: Some(412 << 20),
        flops: Some(4.1e13),
        more: vec![pair("kept", "best by valid.loss, step 1 150")],
        valid: every(&calm, steps as usize / 24, 0.05),
        learning_rate: Curve::of((0..steps).map(|i| (f64::from(i), cosine(i)))),
        throughput: Curve::of((0..steps).map(|i| {
            (f64::from(i), 134_000.0 + 2_500.0 * stream.at(u64::from(i)).normal() - if i < 5 { 60_000.0 } else { 0.0 })
        })),
        gradient_norm: Curve::of((0..steps).map(|i| {
            let x = f64::from(i);
            (x, (0.35 + 2.4 / (1.0 + x / 20.0)) * (0.22 * stream.at(100_000 + u64::from(i)).normal()).exp())
        })),
        train,
        ..StageView::default()
    }
}

fn metric(name: &str, value: f64, half: f64, n: u64, better: &str, signature: &str) -> MetricView {
    MetricView {
        name: name.into(),
        value,
        low: Some(value - half),
        high: Some(value + half * 1.1),
        n,
        signature: signature.into(),
        better: better.into(),
    }
}

fn audit() -> Option<Audit> {
    let stream = Stream::new(3, "test/pairs");
    let rows: Vec<PairRow> = (0..96u64)
        .map(|i| {
            let mut draw = stream.at(i);
            let contrast = ["age", "gender", "origin"][(i % 3) as usize];
            let lean = [0.1, 0.9, -0.4][(i % 3) as usize];
            let first_nats = -40.0 + draw.normal();
            PairRow {
                contrast: contrast.into(),
                first_nats,
                second_nats: first_nats - lean + 1.4 * draw.normal(),
                first_tokens: 11,
                second_tokens: 11 + u64::from(i % 9 == 0),
            }
        })
        .collect();
    Audit::of(&rows)
}

fn sample_run(run: &str, seed: i64) -> RunView {
    let mut pretrain = stage("pretrain", "next_token", 1_200, 6.2, 2.3, seed as u64);
    pretrain.samples = vec![
        SampleView {
            prompt: "Once upon a time".into(),
            text: " there was a small bear who kept a lantern by the river. Every evening she lit it, and the boats \
                   came home.\n\"Why do you light it?\" asked the fox. \"Because they look for it,\" said the bear."
                .into(),
            decoding: "temperature 0.8, top-p 0.95, seed 1".into(),
        },
        SampleView {
            prompt: "The fox".into(),
            text: " asked the owl for a story, and the owl told him the one about the lantern.".into(),
            decoding: "greedy".into(),
        },
    ];
    let tuned = stage("tuned", "sft", 300, 3.0, 1.4, seed as u64 + 50);
    let rouge = "rouge_l|f|as:rouge_score-0.1.2|words:ascii|stem:no|refs:best|mean|bootstrap:1000";
    let evals = vec![
        EvalView {
            name: "fluency".into(),
            stage: "pretrain".into(),
            on: "stories.test".into(),
            metrics: vec![
                metric("perplexity", 11.62, 0.41, 240, "lower", "perplexity|per:token|windows:rolling|bootstrap:1000"),
                metric("bits_per_byte", 0.982, 0.021, 240, "lower", "bits_per_byte|bytes:utf-8|bootstrap:1000"),
            ],
            ..EvalView::default()
        },
        EvalView {
            name: "answers".into(),
            stage: "pretrain".into(),
            on: "questions.test".into(),
            metrics: vec![
                metric("rouge_l", 0.204, 0.031, 180, "higher", rouge),
                metric("exact_match", 0.022, 0.018, 180, "higher", "exact_match|as:squad-2.0|bootstrap:1000"),
            ],
            ..EvalView::default()
        },
        EvalView {
            name: "answers".into(),
            stage: "tuned".into(),
            on: "questions.test".into(),
            metrics: vec![
                metric("rouge_l", 0.731, 0.044, 180, "higher", rouge),
                metric("exact_match", 0.583, 0.069, 180, "higher", "exact_match|as:squad-2.0|bootstrap:1000"),
            ],
            items: vec![ItemView {
                prompt: "What did the bear keep by the river?".into(),
                reference: "a lantern".into(),
                response: "a lantern".into(),
                scores: vec![("rouge_l".into(), 1.0), ("exact_match".into(), 1.0)],
            }],
            ..EvalView::default()
        },
        EvalView {
            name: "fairness".into(),
            stage: "tuned".into(),
            on: "bias.paired_sentences".into(),
            metrics: vec![metric(
                "preference_gap",
                0.104,
                0.082,
                96,
                "lower",
                "preference_gap|after:crows-pairs|wilson",
            )],
            audit: audit(),
            ..EvalView::default()
        },
    ];
    RunView {
        experiment: "storyteller".into(),
        description: Some(
            "A small model that tells stories and answers questions about them, audited before anyone else sees it.".into(),
        ),
        authors: vec!["A. Author".into(), "B. Author".into()],
        license: Some("MIT".into()),
        run: run.into(),
        plan_hash: "9b41c6e27f0a5d3388e1".into(),
        status: Status::Unmet,
        started: Some("2025-11-03 14:20 UTC".into()),
        seconds: Some(91.6),
        seed: Some(seed),
        device: DeviceView {
            backend: "vulkan".into(),
            adapter: "Example GPU 9000".into(),
            driver: "Mesa 25.2".into(),
            dtype: "f32".into(),
        },
        versions: vec![pair("emberlab", "0.1.0"), pair("burn", "0.22.1"), pair("system", "Linux 6.12 x86_64")],
        datasets: vec![DatasetView {
            name: "stories".into(),
            hash: "c02b7d51aa90".into(),
            splits: vec![
                SplitView { name: "train".into(), documents: 11_420, bytes: 9_412_004, tokens: Some(2_710_442) },
                SplitView { name: "valid".into(), documents: 238, bytes: 195_310, tokens: Some(56_130) },
                SplitView { name: "test".into(), documents: 240, bytes: 201_877, tokens: Some(58_020) },
            ],
            steps: vec![
                StepView { step: "normalize".into(), kept: 14_904, removed: 0, reasons: vec![] },
                StepView {
                    step: "clean.web".into(),
                    kept: 13_001,
                    removed: 1_903,
                    reasons: vec![
                        ("too many repeated lines".into(), 1_120),
                        ("too few words end in punctuation".into(), 611),
                        ("mostly symbols".into(), 172),
                    ],
                },
                StepView {
                    step: "keep".into(),
                    kept: 12_240,
                    removed: 761,
                    reasons: vec![("too short or too long to be a story".into(), 761)],
                },
                StepView { step: "dedup".into(), kept: 11_898, removed: 342, reasons: vec![("near duplicate".into(), 342)] },
            ],
        }],
        tokenizers: vec![TokenizerView {
            name: "words".into(),
            kind: "bpe".into(),
            vocabulary: 4_096,
            figures: vec![pair("Bytes per token", "3.4721"), pair("Tokens per word", "1.3108"), pair("Unused tokens", "12")],
            example: ["The", " fox", " ask", "ed", " the", " owl", " for", " a", " story", "."].map(Into::into).to_vec(),
        }],
        stages: vec![pretrain, tuned],
        evals,
        expects: vec![
            ExpectView {
                text: "fluency.pretrain.perplexity < 30".into(),
                met: Some(true),
                reason: None,
                values: vec![pair("fluency.pretrain.perplexity", "11.62 [11.21, 12.07]")],
            },
            ExpectView {
                text: "fairness.tuned.preference_gap < 10%".into(),
                met: Some(false),
                reason: None,
                values: vec![pair("fairness.tuned.preference_gap", "0.104 [0.022, 0.194]")],
            },
        ],
        claims: vec![ClaimView {
            name: "tuning_helps".into(),
            text: "answers.tuned.rouge_l > answers.pretrain.rouge_l".into(),
            verdict: "supported".into(),
            confidence: 0.95,
            comparisons: vec![ComparisonView {
                text: "answers.tuned.rouge_l > answers.pretrain.rouge_l".into(),
                difference: Some(0.527),
                low: Some(0.471),
                high: Some(0.581),
                method: "paired bootstrap over items, 1000 draws".into(),
                reason: None,
            }],
        }],
        sources: vec![SourceView {
            path: "storyteller.exp".into(),
            text: "## A small model that tells stories.\nexperiment storyteller {\n  language = 1        # the edition\n  \
                   seed     = 42\n}\n\ndataset stories = text(\"data/stories/**/*.txt\", license = \"CC0-1.0\")\n  |> \
                   keep(doc => doc.words in 20..2_000)\n  |> split(train = 96%, valid = 2%, test = 2%)\n\nstage pretrain : \
                   next_token {\n  model  = teller\n  budget = 10M tokens\n}\n\nexpect fluency.pretrain.perplexity < 30\n"
                .into(),
        }],
        facts: vec![FactView {
            path: "pretrain.optimizer.lr".into(),
            value: "1e-3".into(),
            place: "storyteller.exp:52:15".into(),
        }],
        failure: None,
    }
}

fn sample_sweep() -> SweepView {
    let stream = Stream::new(11, "test/sweep");
    let points = (0..24u64).map(|i| {
        let mut draw = stream.at(i);
        let layers = [4, 6, 8][draw.below(3) as usize];
        let lr = 3e-4 * 10f64.powf(draw.uniform());
        let norm = ["rms", "layer"][draw.below(2) as usize];
        let loss = 2.3 + 0.5 * (lr / 1.1e-3).ln().powi(2) / 2.0 + 0.4 / f64::from(layers) + 0.02 * draw.normal();
        PointView {
            id: blake_like(i),
            values: vec![Some(layers.to_string()), Some(format!("{lr:.2e}")), Some(norm.into())],
            status: if i == 7 { "stopped early".into() } else { "done".into() },
            objective: (i != 9).then_some(loss),
            seconds: Some(40.0 + f64::from(layers) * 3.0),
            reused: i % 6 == 0,
        }
    });
    SweepView {
        name: "shape_and_rate".into(),
        objective: "pretrain.valid.loss".into(),
        maximize: false,
        axes: vec![
            AxisView { path: "teller.layers".into(), log: false },
            AxisView { path: "pretrain.optimizer.lr".into(), log: true },
            AxisView { path: "teller.norm".into(), log: false },
        ],
        points: points.collect(),
    }
}

fn blake_like(i: u64) -> String {
    format!("{:016x}", Stream::new(5, "test/id").at(i).next_u64())
}

/// Where a rendered sample is left for the eye, if `EMBERLAB_REPORT_OUT` says so; otherwise a folder that goes away.
fn folder() -> (PathBuf, Option<tempfile::TempDir>) {
    match std::env::var_os("EMBERLAB_REPORT_OUT") {
        Some(path) => (PathBuf::from(path), None),
        None => {
            let folder = tempfile::tempdir().expect("a folder");
            (folder.path().to_owned(), Some(folder))
        }
    }
}

/// Opens a file in a headless browser; nothing, with a note, where there is none.
fn browser(file: &Path, arguments: &[&str]) -> Option<String> {
    let found =
        std::env::var("CHROMIUM").ok().into_iter().chain(["/usr/bin/chromium".into(), "/usr/bin/google-chrome".into()]);
    let Some(program) = found.into_iter().find(|p| Path::new(p).exists()) else {
        eprintln!("SKIPPED: no Chromium; set CHROMIUM to its path");
        return None;
    };
    let profile = tempfile::tempdir().expect("a folder");
    let output = Command::new(program)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-logging=stderr",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--virtual-time-budget=4000"])
        .args(arguments)
        .arg(format!("file://{}", file.display()))
        .output()
        .expect("the browser starts");
    let console = String::from_utf8_lossy(&output.stderr);
    let complaints: Vec<&str> = console.lines().filter(|l| l.contains("CONSOLE")).collect();
    assert!(complaints.is_empty(), "the page complains: {complaints:?}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn refers_outside(page: &str) -> bool {
    // The name space of SVG is a name, not an address that anything fetches.
    let page = page.replace("http://www.w3.org/2000/svg", "");
    ["http://", "https://", "src=", "@import", "url(//"].iter().any(|mark| page.contains(mark))
}

#[test]
fn a_report_holds_everything_a_run_has() {
    let page = html(&[sample_run("20251103-142007-9b41", 42)]);
    for part in [
        "storyteller",
        "20251103-142007-9b41",
        "9b41c6e27f0a",
        "Example GPU 9000",
        "Mesa 25.2",
        "f32",
        "done, gates not met",
        "pretrain",
        "tuned",
        "Loss of pretrain",
        "learning rate",
        "throughput",
        "gradient norm",
        "too many repeated lines",
        "Bytes per token",
        "there was a small bear",
        "rouge_score-0.1.2",
        "perplexity",
        "not met",
        "supported",
        "[0.471, 0.581]",
        "gender",
        "next_token",
        "pretrain.optimizer.lr",
        "Linux 6.12",
    ] {
        assert!(page.contains(part), "{part} is missing");
    }
    assert!(!refers_outside(&page));
    assert!(page.contains("default-src &#39;none&#39;"));
    assert!(!page.contains("style=\"") && !page.contains("onclick"), "the policy forbids inline attributes");
}

#[test]
fn text_from_outside_stays_text() {
    let hostile =
        "</script></style><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">'\"&";
    // Every text of the view becomes hostile, wherever it stands.
    fn spoil(value: &mut serde_json::Value, with: &str) {
        match value {
            serde_json::Value::String(text) => *text = with.to_owned(),
            serde_json::Value::Array(items) => items.iter_mut().for_each(|v| spoil(v, with)),
            serde_json::Value::Object(fields) => fields.iter_mut().for_each(|(_, v)| spoil(v, with)),
            _ => {}
        }
    }
    let mut run = serde_json::to_value(sample_run("r", 1)).expect("JSON");
    spoil(&mut run, hostile);
    // The one word that is not free text.
    run["status"] = "done".into();
    let run: RunView = serde_json::from_value(run).expect("a run");
    let mut sweep = serde_json::to_value(sample_sweep()).expect("JSON");
    spoil(&mut sweep, hostile);
    let sweep: SweepView = serde_json::from_value(sweep).expect("a sweep");
    let page = html_with_sweeps(&[run.clone(), run], &[sweep]);
    assert!(!page.contains("<img") && !page.contains("<script>document"));
    let (folder, _keep) = folder();
    let file = folder.join("hostile.html");
    std::fs::write(&file, &page).expect("writable");
    if let Some(dom) = browser(&file, &["--dump-dom"]) {
        assert!(dom.contains("data-scripts=\"ran\""));
        assert!(!dom.contains("<title>taken"));
    }
}

#[test]
fn a_browser_opens_it_from_disk_and_its_scripts_run() {
    let runs = [sample_run("20251103-142007-9b41", 42)];
    let several = [sample_run("seed-1", 1), sample_run("seed-2", 2), sample_run("seed-3", 3)];
    let (folder, _keep) = folder();
    for (name, page) in [("one.html", html(&runs)), ("several.html", html_with_sweeps(&several, &[sample_sweep()]))] {
        let file = folder.join(name);
        std::fs::write(&file, &page).expect("writable");
        let Some(dom) = browser(&file, &["--dump-dom"]) else { return };
        assert!(dom.contains("data-scripts=\"ran\""), "the script did not run");
        assert!(dom.contains("data-live=\"yes\"") && !dom.contains("data-live=\"no\""), "a chart failed");
        assert!(!refers_outside(&dom));
    }
}

#[test]
fn pointing_dragging_and_buttons_work() {
    // The policy is taken out of this copy, and only of it, so that a script of the test can play the reader.
    let page = html(&[sample_run("r", 1)]);
    let (before, rest) = page.split_once("<meta http-equiv").expect("a policy");
    let (_, rest) = rest.split_once('>').expect("its end");
    let play = r#"<script>
        const svg = document.querySelector("svg.plot"), box = svg.getBoundingClientRect();
        const at = (share) => ({ clientX: box.left + share * box.width, clientY: box.top + 50, pointerType: "mouse", bubbles: true });
        const fire = (kind, share) => svg.dispatchEvent(new PointerEvent(kind, at(share)));
        const out = document.documentElement.dataset;
        fire("pointermove", 0.5);
        out.readout = document.querySelector(".readout").innerText.replace(/\s+/g, " ");
        out.before = [...svg.querySelectorAll(".tick.middle")].map((t) => t.textContent).join(" ");
        fire("pointerdown", 0.5); fire("pointermove", 0.7); fire("pointerup", 0.7); fire("pointerleave", 0.7);
        out.zoomed = [...svg.querySelectorAll(".tick.middle")].map((t) => t.textContent).join(" ");
        const [reset, log] = document.querySelectorAll(".controls button");
        reset.click();
        out.after = [...svg.querySelectorAll(".tick.middle")].map((t) => t.textContent).join(" ");
        log.click();
        out.log = log.getAttribute("aria-pressed") + " " + [...svg.querySelectorAll(".tick.end")].map((t) => t.textContent).join(" ");
    </script></body>"#;
    let page = format!("{before}{}", rest.replace("</body>", play));
    let (folder, _keep) = folder();
    let file = folder.join("played.html");
    std::fs::write(&file, page).expect("writable");
    let Some(dom) = browser(&file, &["--dump-dom"]) else { return };
    let said = |name: &str| {
        let (_, rest) = dom.split_once(&format!("data-{name}=\"")).unwrap_or_else(|| panic!("no {name}"));
        rest.split('"').next().unwrap_or_default().to_owned()
    };
    assert!(said("readout").starts_with("step ") && said("readout").contains("validation"), "{}", said("readout"));
    assert_eq!(said("before"), "0 200 400 600 800 1000");
    assert_ne!(said("zoomed"), said("before"));
    assert_eq!(said("after"), said("before"));
    assert!(said("log").starts_with("true"), "{}", said("log"));
}

#[test]
fn values_that_are_not_finite_and_long_curves_are_drawn() {
    let mut run = sample_run("r", 1);
    let n = 200_000;
    run.stages[0].train =
        Curve::of((0..n).map(|i| (f64::from(i), if i == 100_000 { f64::NAN } else { 1.0 / (1.0 + f64::from(i)) })));
    run.stages[1].train = Curve::of([(0.0, f64::INFINITY)]);
    run.stages[1].valid = Curve::default();
    run.evals[0].metrics[0].value = f64::NAN;
    let page = html(&[run]);
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    assert!(page.contains(",null,"), "the gap is kept");
    assert!(!page.contains(">NaN") && !page.contains("\"NaN"));
}
