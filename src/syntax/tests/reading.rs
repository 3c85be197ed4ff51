//! What well-formed text means.

use super::*;

/// The value of `let x = …`.
fn value(text: &str) -> String {
    let module = module(&format!("let x = {text}\n"));
    let ItemKind::Let(item) = &module.items[0].kind else { panic!("no let") };
    show(&item.value)
}

/// An expression with brackets around everything that has parts.
fn show(e: &ast::Expr) -> String {
    match &*e.kind {
        ExprKind::None => "none".into(),
        ExprKind::Bool(b) => b.to_string(),
        ExprKind::Number(n) => {
            let part = |p: &Option<ast::Name>| p.as_ref().map_or(String::new(), |n| format!("·{}", n.value));
            format!("{}{}{}", n.digits, part(&n.multiplier), part(&n.unit))
        }
        ExprKind::Text(parts) => {
            let part = |p: &TextPart| match p {
                TextPart::Plain(t) => format!("{t:?}"),
                TextPart::Hole(e) => show(e),
            };
            format!("text({})", parts.iter().map(part).collect::<Vec<_>>().join(" "))
        }
        ExprKind::Name(n) => n.to_string(),
        ExprKind::Field(b, n) => format!("{}.{}", show(b), n.value),
        ExprKind::Index(b, i) => format!("{}[{}]", show(b), show(i)),
        ExprKind::Call(f, args) => {
            let arg = |a: &ast::Arg| match &a.name {
                Some(n) => format!("{}={}", n.value, show(&a.value)),
                None => show(&a.value),
            };
            format!("{}({})", show(f), args.iter().map(arg).collect::<Vec<_>>().join(", "))
        }
        ExprKind::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        ExprKind::Comprehension { element, name, list, condition } => format!(
            "[{} for {} in {}{}]",
            show(element),
            name.value,
            show(list),
            condition.as_ref().map_or(String::new(), |c| format!(" if {}", show(c)))
        ),
        ExprKind::If { condition, then, otherwise } => {
            format!("(if {} then {} else {})", show(condition), show(then), show(otherwise))
        }
        ExprKind::Lambda(names, body) => {
            format!("({} => {})", names.iter().map(|n| n.to_string_value()).collect::<Vec<_>>().join(","), show(body))
        }
        ExprKind::Unary(op, e) => format!("({:?} {})", op.value, show(e)),
        ExprKind::Binary(op, a, b) => format!("({} {} {})", show(a), op.symbol(), show(b)),
        ExprKind::Range { low, high, inclusive } => {
            format!("({}{}{})", show(low), if *inclusive { "..=" } else { ".." }, show(high))
        }
        ExprKind::Pipe(a, b) => format!("({} |> {})", show(a), show(b)),
        ExprKind::Paren(e) => format!("<{}>", show(e)),
        ExprKind::Error => "error".into(),
    }
}

trait Value {
    fn to_string_value(&self) -> String;
}

impl Value for ast::Name {
    fn to_string_value(&self) -> String {
        self.value.to_string()
    }
}

#[test]
fn operators_bind_as_the_page_says() {
    for (text, tree) in [
        ("a + b * c", "(a + (b * c))"),
        ("a - b - c", "((a - b) - c)"),
        ("a ** b ** c", "(a ** (b ** c))"),
        ("-a ** b", "(Minus (a ** b))"),
        ("2 ** -1", "(2 ** (Minus 1))"),
        ("not a == b", "(Not (a == b))"),
        ("a or b and not c", "(a or (b and (Not c)))"),
        ("a in 20..2_000", "(a in (20..2_000))"),
        ("a not in [1, 2,]", "(a not in [1, 2])"),
        ("a + 1..=b * 2", "((a + 1)..=(b * 2))"),
        ("x => y => x + y", "(x => (y => (x + y)))"),
        ("(a, b) => a", "(a,b => a)"),
        ("(a) => a", "(a => a)"),
        ("() => 1", "( => 1)"),
        ("if a then b else if c then d else e", "(if a then b else (if c then d else e))"),
        ("if a then b else c |> f()", "(if a then b else (c |> f()))"),
        ("a |> f(x) |> g.h(y = 1)", "((a |> f(x)) |> g.h(y=1))"),
        ("a.b(c)[d].e", "a.b(c)[d].e"),
        ("[x + 1 for x in xs if x > 2]", "[(x + 1) for x in xs if (x > 2)]"),
        ("a % b", "(a % b)"),
        ("(a)", "<a>"),
        ("a\n  |> f()\n\n  # why\n  |> g()", "((a |> f()) |> g())"),
        ("(a\n  + b)", "<(a + b)>"),
        ("[\n  1, # one\n  2,\n]", "[1, 2]"),
        (
            "f(doc => doc.words in 20..2_000, because = \"x\")",
            "f((doc => (doc.words in (20..2_000))), because=text(\"x\"))",
        ),
        ("model.width + stage", "(model.width + stage)"),
    ] {
        assert_eq!(value(text), tree, "{text}");
    }
}

#[test]
fn numbers_carry_multipliers_and_units() {
    for (text, parts) in [
        ("2_000", "2_000"),
        ("1e-3", "1e-3"),
        ("3.5e+4", "3.5e+4"),
        ("1.5h", "1.5·h"),
        ("10M tokens", "10·M·tokens"),
        ("10Mtokens", "10·M·tokens"),
        ("10Mtok", "10·M·tok"),
        ("3Tokens", "3·Tokens"),
        ("40 GiB", "40·GiB"),
        ("40GiB", "40·GiB"),
        ("4 Ki", "4·Ki"),
        ("4Ki tokens", "4·Ki·tokens"),
        ("3B tokens", "3·B·tokens"),
        ("3B", "3·B"),
        ("3 B", "3·B"),
        ("5min", "5·min"),
        ("5MB", "5·MB"),
        ("16k", "16·k"),
        ("96%", "96·%"),
        ("$5", "5·$"),
        ("$5M", "5·M·$"),
        ("1e18 flops", "1e18·flops"),
        ("3 epocs", "3·epocs"),
        ("5 tokens == a", "(5·tokens == a)"),
        ("1..=3", "(1..=3)"),
        ("1 .. 3", "(1..3)"),
        ("5 tokens .. 9 tokens", "(5·tokens..9·tokens)"),
        ("7 % 3", "(7 % 3)"),
    ] {
        assert_eq!(value(text), parts, "{text}");
    }
}

#[test]
fn texts() {
    for (text, parts) in [
        (r#""""#, "text()"),
        (r#""a\n\t\\\"\{\}\u{e9}""#, r#"text("a\n\t\\\"{}é")"#),
        (r#""a {b + 1} c""#, r#"text("a " (b + 1) " c")"#),
        (r#""{f("x", [1, 2])}""#, r#"text(f(text("x"), [1, 2]))"#),
        (r#"r"\d{2,3}""#, r#"text("\\d{2,3}")"#),
        ("\"\"\"one\"\"\"", r#"text("one")"#),
        ("\"\"\"\n    one\n      two {x}\n\n    three\n    \"\"\"", r#"text("one\n  two " x "\n\nthree\n")"#),
        ("\"\"\"\n    one\"\"\"", r#"text("one")"#),
        ("r\"\"\"\n  {% if x %}\"y\"{% endif %}\n  \"\"\"", r#"text("{% if x %}\"y\"{% endif %}\n")"#),
        ("\"# no comment\"", r##"text("# no comment")"##),
    ] {
        assert_eq!(value(text), parts, "{text}");
    }
}

#[test]
fn words_with_one_meaning_are_names_elsewhere() {
    let words = "of on by is from as one over check rest final with when amends experiment dataset tokenizer model stage eval review sweep";
    for word in words.split(' ') {
        let text = format!("eval e {{ {word} = 1 }}\neval f {{\n  {word}.a += [x.{word}]\n}}\n");
        assert_eq!(module(&text).items.len(), 2, "{word}");
        let text = format!("schema s {{\n  {word} : Int = 3\n  rest {word} : {word}?\n}}\n");
        let module = module(&text);
        let ItemKind::Schema(schema) = &module.items[0].kind else { panic!("no schema") };
        assert!(matches!(&schema.members[1], Member::Field(f) if f.is_rest), "{word}");
    }
}

#[test]
fn every_item_reads() {
    let text = r#"
## A variant.
amends "base.exp"

use std.data.clean
use std.optim as o { adamw, sgd }
use "./f.exp" as f { a,
  b }
param size : one of [tiny, small] = tiny
param rate : Ratio
let x : Int = 3
fn f(a : Int, b : List[Int] = [1], c = 2) : Int = a + c
fn g() = 1
schema s is model {
  final rest a : (Int, Text) => Bool | none_type
  b : Map[Int in 1..=3]? = none
  check(a > b, because = "so",
    hint = "do")
}
dataset d = text("x") |> clean()
dataset e : mixture { parts = [d] }
tokenizer t : bpe { vocab = 4_096 }
model m from llama.tiny : decoder {}
stage p {
  a.b.c = 1
  d += [2]
}
eval v { of = p, on = d.test, }
review r {}
expect v.p.loss < 3
claim c = a > b with confidence = 95%, seeds = 3
sweep w {
  over {
    m.layers in [1, 2] when m.heads > 3
    experiment.seed in 1..=3
  }
  search = grid
}
"#;
    let module = module(text);
    assert_eq!(module.items.len(), 19);
    assert!(module.amends.is_some());
    assert_eq!(module.docs.map(|d| d.text.to_string()), Some("A variant.".into()));
}

#[test]
fn documentation_belongs_to_what_it_stands_by() {
    let text = "## About the file.\n\n## About x.\n## More.\nlet x = 1\nlet y = 2  ## About y.\n           ## And on.\nmodel m {\n  a = 1   ## About a.\n  ## About b.\n  b = f(\n    1,\n  )       ## Behind b.\n}\n";
    let module = module(text);
    let doc = |d: &Option<ast::Docs>| d.as_ref().map_or(String::new(), |d| d.text.to_string());
    assert_eq!(doc(&module.docs), "About the file.");
    assert_eq!(doc(&module.items[0].docs), "About x.\nMore.");
    assert_eq!(doc(&module.items[1].docs), "About y.\nAnd on.");
    let ItemKind::Decl(decl) = &module.items[2].kind else { panic!("no decl") };
    assert_eq!(doc(&decl.fields[0].docs), "About a.");
    assert_eq!(doc(&decl.fields[1].docs), "About b.\nBehind b.");
}

#[test]
fn broken_pieces_leave_their_neighbours() {
    let parsed = parse(&file("let a = 1\nlet b = = 2\nmodel c oops {\n  x = 1\n}\nlet d = 4\n"));
    let lost: Vec<&str> = parsed.lost.iter().map(|n| &*n.value).collect();
    assert_eq!(lost, ["b", "c"]);
    assert_eq!(parsed.module.items.len(), 4);
    let parsed = parse(&file("model m {\n  a = 1\n  b = = 2\n  c = 3\n}\n"));
    let ItemKind::Decl(decl) = &parsed.module.items[0].kind else { panic!("no decl") };
    assert_eq!(decl.fields.len(), 3);
    assert!(matches!(&*decl.fields[1].value.kind, ExprKind::Error));
}

#[test]
fn overrides() {
    let (expr, problems) = parse_expr(&file("adamw(lr = 3e-4)"));
    assert!(problems.is_empty());
    assert_eq!(show(&expr), "adamw(lr=3e-4)");
    let (expr, problems) = parse_expr(&file("8 +"));
    assert_eq!(problems.len(), 1);
    assert_eq!(show(&expr), "error");
    let path = |text: &str| parse_path(text).map(|p| p.join("/"));
    assert_eq!(path("experiment.seed"), Some("experiment/seed".into()));
    assert_eq!(path("teller.optimizer.lr"), Some("teller/optimizer/lr".into()));
    assert_eq!(path("a..b"), None);
    assert_eq!(path(""), None);
    assert_eq!(path("let.x"), None);
}
