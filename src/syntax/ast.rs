//! The tree of a `.exp` file. Every node knows its span; error nodes keep what could not be read.
//!
//! Invariant: the tree says what was written and nothing about what it means.

use crate::source::{Span, Spanned};
use std::sync::Arc;

/// A name as written.
pub type Name = Spanned<Arc<str>>;

/// A whole file.
#[derive(Clone, PartialEq, Debug)]
pub struct Module {
    /// `##` lines at the top that no item follows directly.
    pub docs: Option<Docs>,
    /// `amends "base.exp"`, if the file is a variant of another.
    pub amends: Option<Amends>,
    pub items: Vec<Item>,
    pub span: Span,
}

/// Documentation: the text of `##` lines, without the marks.
#[derive(Clone, PartialEq, Debug)]
pub struct Docs {
    pub text: Arc<str>,
    pub span: Span,
}

/// A comment, for the formatter. `##` lines are among them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Comment {
    pub span: Span,
    /// Whether only blanks stand before it on its line.
    pub own_line: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Amends {
    pub path: Spanned<Arc<str>>,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Item {
    pub docs: Option<Docs>,
    pub kind: ItemKind,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum ItemKind {
    Use(Use),
    Param(Param),
    Let(Let),
    Fn(FnItem),
    Schema(Schema),
    /// `KIND NAME [from BASE] [: VARIANT] { fields }`.
    Decl(Decl),
    /// `dataset NAME = EXPR`.
    Dataset(Let),
    /// `expect CONDITION`.
    Expect(Expr),
    Claim(Claim),
    Sweep(Sweep),
    /// Text that is no item. The problem has been reported.
    Error,
}

/// `use std.data.clean`, `use "./prompts.exp" as prompts`, `use std.optim { adamw }`.
#[derive(Clone, PartialEq, Debug)]
pub struct Use {
    pub source: UseSource,
    /// The names taken out of the module, if a `{ … }` list is given.
    pub names: Option<Vec<Name>>,
    pub alias: Option<Name>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum UseSource {
    /// `std.data.clean`: the dotted names.
    Library(Vec<Name>),
    /// `"./prompts.exp"`.
    File(Spanned<Arc<str>>),
}

/// `param NAME [: TYPE] [= EXPR]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Param {
    pub name: Name,
    pub ty: Option<TypeExpr>,
    pub default: Option<Expr>,
}

/// `let NAME [: TYPE] = EXPR`, and `dataset NAME = EXPR`.
#[derive(Clone, PartialEq, Debug)]
pub struct Let {
    pub name: Name,
    pub ty: Option<TypeExpr>,
    pub value: Expr,
}

/// `fn NAME(p : T = default, …) [: RESULT] = EXPR`.
#[derive(Clone, PartialEq, Debug)]
pub struct FnItem {
    pub name: Name,
    pub params: Vec<Param>,
    pub result: Option<TypeExpr>,
    pub body: Expr,
}

/// `schema NAME [is BASE] { members }`.
#[derive(Clone, PartialEq, Debug)]
pub struct Schema {
    pub name: Name,
    pub base: Option<Name>,
    pub members: Vec<Member>,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Member {
    Field(FieldDecl),
    Check(Check),
    /// The problem has been reported.
    Error(Span),
}

/// `[final] [rest] NAME : TYPE [= DEFAULT]  ## docs`.
#[derive(Clone, PartialEq, Debug)]
pub struct FieldDecl {
    pub docs: Option<Docs>,
    /// May not be amended.
    pub is_final: bool,
    /// Takes all further arguments of a call: positional ones if a list, named ones if a map.
    pub is_rest: bool,
    pub name: Name,
    pub ty: TypeExpr,
    pub default: Option<Expr>,
    pub span: Span,
}

/// `check(CONDITION, because = "…", hint = "…")`.
#[derive(Clone, PartialEq, Debug)]
pub struct Check {
    pub condition: Expr,
    pub because: Option<Expr>,
    pub hint: Option<Expr>,
    pub span: Span,
}

/// The keywords that open a declaration with braces.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Kind {
    Experiment,
    Dataset,
    Tokenizer,
    Model,
    Stage,
    Eval,
    Review,
    Sweep,
}

impl Kind {
    pub const ALL: [Kind; 8] = [
        Kind::Experiment,
        Kind::Dataset,
        Kind::Tokenizer,
        Kind::Model,
        Kind::Stage,
        Kind::Eval,
        Kind::Review,
        Kind::Sweep,
    ];

    /// The keyword, which is also the name of the schema that the variants of this kind extend.
    pub fn keyword(self) -> &'static str {
        match self {
            Kind::Experiment => "experiment",
            Kind::Dataset => "dataset",
            Kind::Tokenizer => "tokenizer",
            Kind::Model => "model",
            Kind::Stage => "stage",
            Kind::Eval => "eval",
            Kind::Review => "review",
            Kind::Sweep => "sweep",
        }
    }
}

/// `KIND NAME [from BASE] [: VARIANT] { fields }`.
#[derive(Clone, PartialEq, Debug)]
pub struct Decl {
    pub kind: Spanned<Kind>,
    pub name: Name,
    /// A dotted path: `llama.tiny`.
    pub base: Option<Expr>,
    /// A schema; of a module that is used under a name, `module.schema`.
    pub variant: Option<Name>,
    pub fields: Vec<Field>,
    /// From `{` to `}`.
    pub body: Span,
}

/// `a.b = EXPR` or `a += EXPR`.
#[derive(Clone, PartialEq, Debug)]
pub struct Field {
    pub docs: Option<Docs>,
    /// Never empty.
    pub path: Vec<Name>,
    pub op: FieldOp,
    /// [`ExprKind::Error`] when the field could not be read.
    pub value: Expr,
    pub span: Span,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldOp {
    /// `=`
    Set,
    /// `+=`
    Add,
}

/// `claim NAME = EXPR [with confidence = 95%, …]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Claim {
    pub name: Name,
    pub statement: Expr,
    pub with: Vec<Field>,
}

/// `sweep NAME { over { axes } fields }`.
#[derive(Clone, PartialEq, Debug)]
pub struct Sweep {
    pub name: Name,
    pub axes: Vec<Axis>,
    /// From `over` to its `}`; absent when the block is missing.
    pub over: Option<Span>,
    /// Whether its axes could not be read, which has been reported.
    pub lost: bool,
    pub fields: Vec<Field>,
    pub body: Span,
}

/// `teller.layers in [4, 6, 8] [when CONDITION]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Axis {
    pub path: Vec<Name>,
    pub values: Expr,
    pub when: Option<Expr>,
    pub span: Span,
}

/// A type as written.
#[derive(Clone, PartialEq, Debug)]
pub struct TypeExpr {
    pub kind: TypeKind,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum TypeKind {
    /// `Int`, `Ratio`, `optimizer`.
    Name(Arc<str>),
    /// `List[T]`, `Map[T]`.
    Apply(Name, Vec<TypeExpr>),
    /// `one of [a, b]`.
    OneOf(Vec<Name>),
    /// `A | B`.
    Union(Vec<TypeExpr>),
    /// `T?`
    Optional(Box<TypeExpr>),
    /// `Document => Bool`.
    Function(Vec<TypeExpr>, Box<TypeExpr>),
    /// `Int in 1..=512`.
    Within(Box<TypeExpr>, Box<Expr>),
    /// The problem has been reported.
    Error,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Expr {
    pub kind: Box<ExprKind>,
    pub span: Span,
}

impl Expr {
    pub fn new(kind: ExprKind, span: Span) -> Expr {
        Expr { kind: Box::new(kind), span }
    }

    /// The dotted names, if the expression is nothing else: `a.b.c`.
    pub fn as_path(&self) -> Option<Vec<Name>> {
        match &*self.kind {
            ExprKind::Name(name) => Some(vec![Spanned::new(name.clone(), self.span)]),
            ExprKind::Field(base, name) => {
                let mut path = base.as_path()?;
                path.push(name.clone());
                Some(path)
            }
            _ => None,
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub enum ExprKind {
    /// `none`
    None,
    Bool(bool),
    Number(Number),
    /// Text with holes; a plain string has at most one part.
    Text(Vec<TextPart>),
    Name(Arc<str>),
    /// `base.name`
    Field(Expr, Name),
    /// `base[index]`
    Index(Expr, Expr),
    Call(Expr, Vec<Arg>),
    List(Vec<Expr>),
    /// `[element for name in list if condition]`
    Comprehension {
        element: Expr,
        name: Name,
        list: Expr,
        condition: Option<Expr>,
    },
    If {
        condition: Expr,
        then: Expr,
        otherwise: Expr,
    },
    /// `doc => body`, `(a, b) => body`
    Lambda(Vec<Name>, Expr),
    Unary(Spanned<UnaryOp>, Expr),
    Binary(Spanned<BinaryOp>, Expr, Expr),
    /// `a..b`, `a..=b`
    Range {
        low: Expr,
        high: Expr,
        inclusive: bool,
    },
    /// `left |> right`, where `right` is a call
    Pipe(Expr, Expr),
    /// `( … )`, kept for the formatter.
    Paren(Expr),
    /// The problem has been reported.
    Error,
}

/// An argument of a call.
#[derive(Clone, PartialEq, Debug)]
pub struct Arg {
    pub name: Option<Name>,
    pub value: Expr,
}

/// A number with what follows it: `10M tokens`, `96%`, `$5`, `3e-4`, `1.5h`.
#[derive(Clone, PartialEq, Debug)]
pub struct Number {
    /// The digits as written, with `_`, without multiplier and unit.
    pub digits: Arc<str>,
    /// `k M B T Ki Mi Gi Ti`.
    pub multiplier: Option<Name>,
    /// `tokens`, `h`, `GiB`, `%`, `$`: as written.
    pub unit: Option<Name>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum TextPart {
    /// Text with its escapes resolved.
    Plain(Arc<str>),
    /// `{expr}`
    Hole(Expr),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnaryOp {
    Minus,
    Not,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BinaryOp {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    NotIn,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
}

impl BinaryOp {
    /// How the operator is written.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Or => "or",
            BinaryOp::And => "and",
            BinaryOp::Equal => "==",
            BinaryOp::NotEqual => "!=",
            BinaryOp::Less => "<",
            BinaryOp::LessEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterEqual => ">=",
            BinaryOp::In => "in",
            BinaryOp::NotIn => "not in",
            BinaryOp::Add => "+",
            BinaryOp::Subtract => "-",
            BinaryOp::Multiply => "*",
            BinaryOp::Divide => "/",
            BinaryOp::Remainder => "%",
            BinaryOp::Power => "**",
        }
    }
}
