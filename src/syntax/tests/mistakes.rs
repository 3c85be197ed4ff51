//! Each mistake people make is one problem, on the right line, with an edit that repairs it where there is one.

use super::*;

/// Wraps the lines of a block, so that the mistake stands on line 2.
fn block(fields: &str) -> String {
    format!("model m {{\n{fields}\n}}\n")
}

/// `text` has exactly the problem `expected`, and its fix, if it has one, leads to text without problems.
#[track_caller]
fn one(text: &str, expected: &str) {
    assert_eq!(problems(text), [expected], "in\n{text}");
    let after = fixed(text);
    if after != text {
        assert_eq!(problems(&after), Vec::<String>::new(), "after the fix of\n{text}\nnamely\n{after}");
    }
}

/// The same, and the fixed text is `after`.
#[track_caller]
fn repaired(text: &str, expected: &str, after: &str) {
    one(text, expected);
    assert_eq!(fixed(text), after);
}

#[track_caller]
fn field(text: &str, expected: &str, after: &str) {
    repaired(&block(text), expected, &block(after));
}

#[test]
fn wrong_assignment() {
    field("  depth == 3", "E0105 2:9 a field is set with `=`, not `==`", "  depth = 3");
    field("  depth: 3", "E0105 2:8 a field is set with `=`, not `:`", "  depth = 3");
    field("  depth := 3", "E0105 2:9 a field is set with `=`, not `:=`", "  depth = 3");
    field("  depth => 3", "E0111 2:9 a field is set with `=`, not `=>`", "  depth = 3");
    field("  depth 3", "E0101 2:8 `=` is missing", "  depth = 3");
    field("  opt = adamw(lr: 1e-3)", "E0105 2:17 an argument is set with `=`, not `:`", "  opt = adamw(lr = 1e-3)");
    field(
        "  a = if x = 3 then 1 else 2",
        "E0105 2:12 `=` sets a field; values are compared with `==`",
        "  a = if x == 3 then 1 else 2",
    );
    repaired("expect a.b = 3\n", "E0105 1:12 `=` sets a field; values are compared with `==`", "expect a.b == 3\n");
    repaired("let x == 3\n", "E0105 1:7 a field is set with `=`, not `==`", "let x = 3\n");
}

#[test]
fn lists_in_parentheses() {
    field("  betas = (0.9, 0.95)", "E0111 2:11 several values in a row are a list", "  betas = [0.9, 0.95]");
    field("  a = f(b = (1, (2), 3))", "E0111 2:13 several values in a row are a list", "  a = f(b = [1, (2), 3])");
    assert_eq!(problems("let f = (a, b) => a\n"), Vec::<String>::new());
}

#[test]
fn axes_and_a_field_on_one_line() {
    repaired(
        "sweep s { over { a.b in [1] } minimize = a.c }\n",
        "E0117 1:31 two fields on one line",
        "sweep s { over { a.b in [1] }, minimize = a.c }\n",
    );
    repaired(
        "sweep s {\n  over { a.b in [1] } where = a.b > 0\n  minimize = a.c\n}\n",
        "E0117 2:23 two fields on one line",
        "sweep s {\n  over { a.b in [1] }, where = a.b > 0\n  minimize = a.c\n}\n",
    );
}

#[test]
fn missing_value() {
    one(&block("  depth ="), "E0104 2:10 expected a value after `=`");
    one(&block("  depth = 3 +"), "E0101 2:14 expected a value after `+`");
    one(&block("  width =\n  depth = 3"), "E0104 2:10 expected a value after `=`");
    one("let x =\n", "E0104 1:8 expected a value after `=`");
    assert_eq!(problems(&block("  depth = ]")), ["E0103 2:11 `]` closes nothing"]);
    one(&block("  depth = f(a, , b)"), "E0101 2:16 a comma without anything before it");
}

#[test]
fn missing_comma() {
    field("  a = [1 2, 3]", "E0106 2:9 a comma is missing", "  a = [1, 2, 3]");
    field("  a = f(x = 1 y = 2)", "E0106 2:14 a comma is missing", "  a = f(x = 1, y = 2)");
    field("  a = f(b c)", "E0106 2:10 a comma is missing", "  a = f(b, c)");
    field("  a = [\"x\" \"y\"]", "E0106 2:11 a comma is missing", "  a = [\"x\", \"y\"]");
    field("  a = 1 b = 2", "E0117 2:9 two fields on one line", "  a = 1, b = 2");
    field("  a = x b = 2", "E0117 2:9 two fields on one line", "  a = x, b = 2");
}

#[test]
fn python() {
    field("  a = True", "E0111 2:7 `True` is written `true`", "  a = true");
    field("  a = None", "E0111 2:7 `None` is written `none`", "  a = none");
    field("  a = x && y", "E0111 2:9 `&&` is written `and`", "  a = x and y");
    field("  a = x||y", "E0111 2:8 `||` is written `or`", "  a = x or y");
    field("  a = !x", "E0111 2:7 `!` is written `not`", "  a = not x");
    field("  a = 'text'", "E0111 2:7 text stands in double quotes", "  a = \"text\"");
    field("  a = f\"x {y}\"", "E0111 2:7 text has no prefix `f`", "  a = \"x {y}\"");
    field(
        "  a = 1 if x else 2",
        "E0111 2:9 `a if c else b` is written `if c then a else b`",
        "  a = if x then 1 else 2",
    );
    field(
        "  a = f(1 if x else 2, b)",
        "E0111 2:11 `a if c else b` is written `if c then a else b`",
        "  a = f(if x then 1 else 2, b)",
    );
    field(
        "  a = \"{% if x %}a{% endif %}\"",
        "E0111 2:8 `{` opens a hole in a text that is not raw",
        "  a = r\"{% if x %}a{% endif %}\"",
    );
    field(
        "  a = f(jinja = \"\"\"\n    {{ m }} and \"so\"\n    \"\"\")",
        "E0111 3:5 `{` opens a hole in a text that is not raw",
        "  a = f(jinja = r\"\"\"\n    {{ m }} and \"so\"\n    \"\"\")",
    );
    // A raw text would have another content, or end elsewhere.
    one(&block("  a = \"{{ m }}\\n\""), "E0111 2:8 `{` opens a hole in a text that is not raw");
    field("  a = x ? 1 : 2", "E0111 2:9 `c ? a : b` is written `if c then a else b`", "  a = if x then 1 else 2");
    field("  a = keep(lambda x: x.words)", "E0111 2:12 `lambda x: …` is written `x => …`", "  a = keep(x => x.words)");
    field("  a = keep(x -> x.words)", "E0111 2:14 `->` is written `=>`", "  a = keep(x => x.words)");
    field(
        "  a = if x then 1 elif y then 2 else 3",
        "E0111 2:19 `elif` is written `else if`",
        "  a = if x then 1 else if y then 2 else 3",
    );
    field("  a = x is none", "E0111 2:9 values are compared with `==`", "  a = x == none");
    field("  a = x is not none", "E0111 2:9 values are compared with `!=`", "  a = x != none");
    one(&block("  a = f(**options)"), "E0111 2:9 arguments cannot be unpacked");
    one(&block("  a = {lr: 1}"), "E0111 2:7 a value is not written in braces");
    one("def f(x):\n  return x\n", "E0111 1:1 `def` is not a word of this language");
    one("class Foo:\n  x = 3\n", "E0111 1:1 `class` is not a word of this language");
    repaired("import std.data\n", "E0111 1:1 `import` is not a word of this language", "use std.data\n");
    repaired(
        "from std.data import clean, web\n",
        "E0111 1:1 `from … import …` is Python",
        "use std.data { clean, web }\n",
    );
    field("  a = 2^10", "E0111 2:8 `^` is written `**`", "  a = 2**10");
    field("  a = x === y", "E0111 2:9 `===` is written `==`", "  a = x == y");
    field("  a = x <> y", "E0111 2:9 `<>` is written `!=`", "  a = x != y");
    one(&block("  a = if x { 1 } else { 2 }"), "E0111 2:12 the condition of an `if` is followed by `then`");
    one(&block("  a = if x then 1"), "E0101 2:18 this `if` has no `else`");
}

#[test]
fn several_mistakes_in_one_field_are_all_told() {
    let text = block("  a == f('x', b: True)");
    assert_eq!(
        problems(&text),
        [
            "E0105 2:5 a field is set with `=`, not `==`",
            "E0111 2:10 text stands in double quotes",
            "E0105 2:16 an argument is set with `=`, not `:`",
            "E0111 2:18 `True` is written `true`",
        ]
    );
    assert_eq!(fixed(&text), block("  a = f(\"x\", b = true)"));
}

#[test]
fn comments_of_other_languages() {
    field("  a = 1 // note", "E0111 2:9 comments start with `#`", "  a = 1 # note");
    field("  a = 1 /* note */", "E0111 2:9 comments start with `#`", "  a = 1 # note");
    field("  // note\n  a = 1", "E0111 2:3 comments start with `#`", "  # note\n  a = 1");
    repaired("// note\nlet x = 1\n", "E0111 1:1 comments start with `#`", "# note\nlet x = 1\n");
    field("  a = 1;", "E0111 2:8 nothing ends with `;`", "  a = 1");
    field("  a = 1; b = 2", "E0111 2:8 nothing ends with `;`", "  a = 1, b = 2");
}

#[test]
fn yaml() {
    one("seed: 42\nlicense: MIT\n", "E0111 1:1 `key: value` on the top level is YAML");
    one("model m {\n  a = 1\n}\n\nseed: 42\n", "E0111 5:1 `key: value` on the top level is YAML");
    one("- a\n- b\n", "E0111 1:1 `- item` is YAML");
    one("---\nlet x = 1\n", "E0111 1:1 this is not a YAML document");
    one(&block("  - a"), "E0111 2:3 `- item` is YAML");
    field("  \"depth\" = 3", "E0111 2:3 names have no quotes", "  depth = 3");
}

#[test]
fn hcl() {
    repaired("model \"m\" {\n  a = 1\n}\n", "E0111 1:7 names have no quotes", "model m {\n  a = 1\n}\n");
    one("resource \"m\" \"n\" {\n  a = 1\n}\n", "E0111 1:1 `resource` is not a word of this language");
    one(&block("  a = <<EOF\n  some text\n  EOF\n  b = 1"), "E0111 2:7 text of several lines stands in `\"\"\"`");
    one(&block("  optimizer {\n    lr = 1\n  }"), "E0111 2:13 a field is not opened with a brace");
}

#[test]
fn brackets() {
    one("model m {\n  a = f(1\n  b = 2\n}\n", "E0102 2:8 `(` is never closed");
    one("model m {\n  a = f(\n    x = 1,\n    y = 2\n  b = 2\n}\n", "E0102 2:8 `(` is never closed");
    one("model m {\n  a = [1, 2\n  b = 2\n}\n", "E0102 2:7 `[` is never closed");
    one("model m {\n  a = f(1))\n  b = 2\n}\n", "E0103 2:11 `)` closes nothing");
    one("model m {\n  a = f(1]\n  b = 2\n}\n", "E0102 2:10 `(` is closed by `]`");
    one("model m {\n  a = 1\n\nmodel n {\n  b = 2\n}\n", "E0102 1:9 `{` is never closed");
    one("model m {\n  a = 1\n}\n}\n\nmodel n {\n  b = 2\n}\n", "E0103 4:1 `}` closes nothing");
    one("model m {\n  a = 1 }\n  b = 2\n}\n", "E0103 2:9 this `}` closes the block too early");
    one("model m : decoder\n  a = 1\n  b = 2\n}\n", "E0101 1:18 `{` is missing");
    one("sweep s {\n  over {\n    a.b in [1, 2]\n  search = grid\n}\n", "E0102 2:8 `{` is never closed");
    one("model m {\n  a = \"text\n  b = 2\n}\n", "E0109 2:7 this text does not end on its line");
    one("dataset d = text(\"a.txt)\n  |> clean()\n", "E0109 1:18 this text does not end on its line");
}

#[test]
fn wrong_section() {
    one("seed = 42\n", "E0116 1:1 a field cannot stand on the top level");
    let text = "model m {\n  a = 1\n}\nlayers = 3\nheads = 4\n";
    assert_eq!(problems(text), ["E0116 4:1 a field cannot stand on the top level"]);
    one("model m {\n  a = 1\n  let x = 2\n  b = 3\n}\n", "E0116 3:3 `let` cannot stand inside `model`");
    one(
        "stage s {\n  a = 1\n  model m {\n    x = 1\n  }\n  b = 3\n}\nlet y = 1\n",
        "E0116 3:3 `model` cannot stand inside `stage`",
    );
    repaired("modle m {\n  a = 1\n}\n", "E0107 1:1 `modle` is no kind of item", "model m {\n  a = 1\n}\n");
    repaired("datset d = text(\"x\")\n", "E0107 1:1 `datset` is no kind of item", "dataset d = text(\"x\")\n");
    one("let x = 1\n  + 2\n", "E0101 2:3 a line cannot start with `+`");
    one("let x = 1\namends \"base.exp\"\n", "E0116 2:1 `amends` must be the first item of the file");
}

#[test]
fn names() {
    repaired("let for = 3\n", "E0112 1:5 `for` is a keyword and cannot be a name", "let my_for = 3\n");
    repaired("model model {\n}\n", "E0112 1:7 `model` is a keyword and cannot be a name", "model my_model {\n}\n");
    field("  let = 3", "E0112 2:3 `let` is a keyword and cannot be a name", "  my_let = 3");
    repaired("let BigModel = 3\n", "E0113 1:5 `BigModel` is not in snake_case", "let big_model = 3\n");
    one("model {\n  a = 1\n}\n", "E0101 1:7 expected a name after `model`, found `{`");
    repaired("stage pre-train {\n  a = 1\n}\n", "E0101 1:7 a name has no `-`", "stage pre_train {\n  a = 1\n}\n");
    repaired("amends base.exp\n", "E0111 1:8 the path of a file stands in quotes", "amends \"base.exp\"\n");
    one("model m = decoder(layers = 2)\n", "E0111 1:9 a model is declared with braces");
    one("stage oops pretrain {\n  a = 1\n}\n", "E0101 1:12 `pretrain` is not expected here");
}

#[test]
fn numbers_and_texts() {
    field("  a = .5", "E0108 2:7 a number starts with a digit", "  a = 0.5");
    field("  a = 1.", "E0108 2:7 this is not a number", "  a = 1.0");
    one(&block("  a = 1.2.3"), "E0108 2:7 this is not a number");
    one(&block("  a = 0x1f"), "E0108 2:7 this is not a number");
    field("  a = 96 %", "E0108 2:9 `%` stands directly behind its number", "  a = 96%");
    field("  a = \"C:\\dir\"", "E0110 2:10 there is no escape `\\d`", "  a = \"C:\\\\dir\"");
    field("  a = \"a } b\"", "E0110 2:10 `}` closes no hole in this text", "  a = \"a \\} b\"");
    one(&block("  a = \"x {y\""), "E0102 2:10 this `{` opens a hole in the text that nothing closes");
    field("  a = “text”", "E0111 2:7 text stands in double quotes", "  a = \"text\"");
    field("  a =\u{a0}1", "E0101 2:6 the character U+00A0 is no blank here", "  a = 1");
}

#[test]
fn expressions() {
    field("  a = x < y < z", "E0101 2:13 comparisons cannot be chained", "  a = x < y and y < z");
    repaired(
        "dataset d = text(\"x\") |> clean\n",
        "E0101 1:26 a step of a pipeline is a call",
        "dataset d = text(\"x\") |> clean()\n",
    );
    field("  a = f (x)", "E0101 2:8 no blank may stand before `(`", "  a = f(x)");
    one("sweep s {\n  over {\n    a.b = [1]\n  }\n}\n", "E0101 3:9 an axis is written `path in values`");
    one("schema s {\n  a = 3\n}\n", "E0114 2:5 a field of a schema needs a type");
    one("schema s {\n  a : 3\n}\n", "E0114 2:7 expected a type after `:`, found `3`");
    one("schema s {\n  a :\n}\n", "E0114 2:6 expected a type after `:`");
}

#[test]
fn nesting_has_a_limit() {
    for (open, close) in [("(", ")"), ("[", "]"), ("{", "}"), ("f(", ")"), ("\"{", "}\""), ("if ", " then 1 else 2")] {
        let text = format!("let x = {}1{}\n", open.repeat(10_000), close.repeat(10_000));
        let found = problems(&text);
        assert_eq!(found.len(), 1, "{open}: {found:?}");
        assert!(found[0].starts_with("E0003 1:"), "{open}: {found:?}");
    }
    for chain in ["a.", "- ", "not ", "x => ", "if a then b else ", "a + ", "a ** ", "a |> "] {
        let text = format!("let x = {}f()\n", chain.repeat(10_000));
        let found = problems(&text);
        assert_eq!(found.len(), 1, "{chain}: {found:?}");
        assert!(found[0].starts_with("E0003 1:"), "{chain}: {found:?}");
    }
}
