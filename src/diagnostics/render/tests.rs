//! Each snapshot shows the source and what is said about it.

use super::*;
use crate::diagnostics::{Code, Edit, Fix, Problem};
use crate::source::{FileId, Sources, Span};

/// The files, and then each format of what is said about them. `⟦…⟧` in a file marks a span, in order of appearance.
struct Case {
    sources: Sources,
    spans: Vec<Span>,
}

impl Case {
    fn new(files: &[(&str, &str)]) -> Case {
        let mut case = Case { sources: Sources::default(), spans: Vec::new() };
        for (path, marked) in files {
            let mut text = String::new();
            let mut start = 0;
            let id = FileId(case.sources.iter().count() as u32);
            for c in marked.chars() {
                match c {
                    '⟦' => start = text.len(),
                    '⟧' => case.spans.push(Span::new(id, start, text.len())),
                    _ => text.push(c),
                }
            }
            case.sources.add(*path, text);
        }
        case
    }

    fn render(&self, format: Format, problems: &[&Problem]) -> String {
        render(format, problems, &self.sources, Style::default())
    }

    /// Source and message together.
    fn picture(&self, problem: &Problem) -> String {
        let mut out = String::new();
        for file in self.sources.iter() {
            out.push_str(&format!("---- {} ----\n{}\n", file.path, file.text.trim_end()));
        }
        out.push_str("---- says ----\n");
        out.push_str(&self.render(Format::Human, &[problem]));
        out
    }
}

fn two_files() -> (Case, Problem) {
    let case = Case::new(&[
        ("tiny.exp", "experiment tiny {}\n\nmodel teller : decoder {\n  heads = 6\n  width = ⟦1_024⟧\n}\n"),
        ("std/models/decoder.exp", "schema decoder is model {\n  check(⟦width % heads == 0⟧)\n}\n"),
    ]);
    let problem = Problem::new(Code::E0402, case.spans[0], "the heads must share the width equally")
        .label("`width` is 1024")
        .also(case.spans[1], "required here")
        .note("1024 % 6 == 0\n     │    │\n     4    false")
        .help("the nearest widths are 1020 and 1026")
        .fix("make it 1020", case.spans[0], "1_020");
    (case, problem)
}

fn misspelt() -> (Case, Problem) {
    let case = Case::new(&[("tiny.exp", "model teller : decoder {\n  ⟦layrs⟧ = 4\n}\n")]);
    let problem = Problem::new(Code::E0301, case.spans[0], "`decoder` has no field `layrs`")
        .label("unknown field")
        .fix("write `layers`", case.spans[0], "layers");
    (case, problem)
}

#[test]
fn a_misspelt_field() {
    let (case, problem) = misspelt();
    insta::assert_snapshot!(case.picture(&problem));
}

#[test]
fn labels_in_two_files() {
    let (case, problem) = two_files();
    insta::assert_snapshot!(case.picture(&problem));
}

#[test]
fn an_override_is_a_file_like_any_other() {
    let case = Case::new(&[
        ("--set", "teller.layers=⟦0⟧"),
        ("std/models/decoder.exp", "schema decoder is model {\n  layers : Int in ⟦1..=512⟧\n}\n"),
    ]);
    let problem = Problem::new(Code::E0401, case.spans[0], "`layers` is 0, outside 1..=512")
        .label("given by --set")
        .also(case.spans[1], "allowed range");
    insta::assert_snapshot!(case.picture(&problem));
}

#[test]
fn several_fixes_and_places_on_one_line() {
    let case = Case::new(&[("a.exp", "let x = ⟦tokns⟧ + ⟦1 step⟧\n")]);
    let mut problem = Problem::new(Code::E0201, case.spans[0], "nothing is called `tokns`")
        .label("unknown name")
        .also(case.spans[1], "steps")
        .fix("write `tokens`", case.spans[0], "tokens")
        .fix("write `token`", case.spans[0], "token");
    problem
        .fixes
        .push(Fix { title: "remove it".into(), edits: vec![Edit { span: case.spans[0], new_text: "".into() }] });
    insta::assert_snapshot!(case.picture(&problem));
}

#[test]
fn a_label_over_several_lines() {
    let case = Case::new(&[("a.exp", "let list = ⟦[\n  1,\n  2\n]⟧\nlet b = 1\n")]);
    let problem = Problem::new(Code::E0304, case.spans[0], "a number was expected").label("this is a list");
    insta::assert_snapshot!(case.picture(&problem));
}

#[test]
fn an_empty_file_and_the_end_of_a_file() {
    let case = Case::new(&[("empty.exp", "⟦⟧"), ("open.exp", "model m {\n⟦⟧")]);
    let nothing = Problem::new(Code::E0107, case.spans[0], "the file is empty").label("here");
    let open = Problem::new(Code::E0102, case.spans[1], "`{` is never closed").label("expected `}`");
    let shown = case.render(Format::Human, &[&nothing, &open]);
    insta::assert_snapshot!(shown);
}

#[test]
fn characters_that_steer_a_terminal_are_shown() {
    let case = Case::new(&[("a\u{1b}[2J.exp", "let a = \"\u{1b}[31m\u{202e}\"\t⟦é\u{7}日本⟧\r\n")]);
    let problem = Problem::new(Code::E0101, case.spans[0], "unexpected `\u{1b}[2J`").label("\u{9b}here").note("\u{8}");
    for format in [Format::Human, Format::Concise] {
        let shown = case.render(format, &[&problem]);
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
        assert!(!shown.contains('\u{202e}'));
    }
    insta::assert_snapshot!(case.render(Format::Human, &[&problem]));
}

#[test]
fn a_line_of_megabytes_is_cut_around_the_label() {
    let long = format!("let a = \"{}\" + ⟦wrng⟧ + \"{}\"\n", "x".repeat(3_000_000), "é".repeat(3_000_000));
    let case = Case::new(&[("long.exp", &long)]);
    let problem = Problem::new(Code::E0201, case.spans[0], "nothing is called `wrng`").label("unknown name");
    let shown = case.render(Format::Human, &[&problem]);
    assert!(shown.len() < 2_000, "{} bytes", shown.len());
    insta::assert_snapshot!(shown);
}

#[test]
fn no_picture_is_wider_than_the_terminal() {
    let (case, problem) = two_files();
    for width in [1, 40, 60, 100] {
        let shown = render(Format::Human, &[&problem], &case.sources, Style { width, color: false });
        let widest = shown.lines().map(text::width).max().unwrap_or(0);
        assert!(widest <= width.max(40), "{widest} columns of {width}:\n{shown}");
    }
}

#[test]
fn any_span_can_be_drawn() {
    // Spans that do not fit their file are bugs of ours; they must still not take the tool down.
    let text = "aé\r\n\n\tb\u{7}日\nlast";
    let mut sources = Sources::default();
    sources.add("a.exp", text);
    sources.add("b.exp", "");
    for file in 0..3 {
        for start in 0..text.len() + 3 {
            for end in start..text.len() + 4 {
                let span = Span::new(FileId(file), start, end);
                let problem = Problem::new(Code::E0101, span, "m").label("l").also(Span::new(FileId(0), 1, 2), "o");
                for format in [Format::Human, Format::Concise, Format::Json, Format::Sarif, Format::Github] {
                    assert!(!render(format, &[&problem], &sources, Style { width: 50, color: true }).is_empty());
                }
            }
        }
    }
}

#[test]
fn concise_is_a_line_each() {
    let ((case, problem), (other, misspelt)) = (two_files(), misspelt());
    let shown = case.render(Format::Concise, &[&problem]) + &other.render(Format::Concise, &[&misspelt]);
    insta::assert_snapshot!(shown);
}

#[test]
fn json_is_an_interface() {
    let (case, problem) = two_files();
    insta::assert_snapshot!(case.render(Format::Json, &[&problem]));
}

#[test]
fn columns_are_characters() {
    let case = Case::new(&[("a.exp", "let é = ⟦日本⟧\n")]);
    let problem = Problem::new(Code::E0201, case.spans[0], "m");
    let json = document(&[&problem], &case.sources);
    let label = &json["problems"][0]["labels"][0];
    assert_eq!((&label["column"], &label["end_column"]), (&9.into(), &11.into()));
}

#[test]
fn sarif_has_rules_results_and_fixes() {
    let (case, problem) = two_files();
    let shown = case.render(Format::Sarif, &[&problem]);
    let mut log: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let rule = &mut log["runs"][0]["tool"]["driver"]["rules"][0];
    assert_eq!(rule["help"]["markdown"], Code::E0402.explanation());
    // The long explanation has its own test.
    rule["help"] = "…".into();
    insta::assert_snapshot!(format!("{log:#}"));
}

#[test]
fn github_commands_are_escaped() {
    let case = Case::new(&[("a,b:c%.exp", "⟦x⟧\n")]);
    let problem = Problem::new(Code::E0101, case.spans[0], "100% wrong\nsecond line");
    assert_eq!(
        case.render(Format::Github, &[&problem]),
        "::error file=a%2Cb%3Ac%25.exp,line=1,endLine=1,col=1,endColumn=2,title=E0101%3A unexpected text\
         ::100%25 wrong%0Asecond line\n"
    );
}

#[test]
fn colours_only_when_asked_for() {
    let (case, problem) = misspelt();
    let plain = render(Format::Human, &[&problem], &case.sources, Style { width: 80, color: false });
    let colored = render(Format::Human, &[&problem], &case.sources, Style { width: 80, color: true });
    assert!(!plain.contains('\u{1b}'));
    assert!(colored.contains("\u{1b}["));
    assert_eq!(anstream::adapter::strip_str(&colored).to_string(), plain);
}

#[test]
fn the_summary_counts() {
    let (_, error) = misspelt();
    let mut warning = error.clone();
    warning.severity = Severity::Warning;
    assert_eq!(summary(&[]), "no problems");
    assert_eq!(summary(&[&error]), "1 problem (1 error)");
    assert_eq!(summary(&[&warning, &warning]), "2 problems (2 warnings)");
    assert_eq!(summary(&[&error, &warning, &error]), "3 problems (2 errors, 1 warning)");
}
