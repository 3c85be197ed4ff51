//! The catalogue of codes.

use super::Severity;

macro_rules! catalogue {
    ($($code:ident $severity:ident $title:literal)*) => {
        /// A stable name for one kind of problem.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum Code { $(#[doc = $title] $code),* }

        impl Code {
            /// Every code, in order.
            pub const ALL: &[Code] = &[$(Code::$code),*];

            /// `E0312`.
            pub fn name(self) -> &'static str {
                match self { $(Code::$code => stringify!($code)),* }
            }

            /// What it is about, in one line that names nothing of the user's.
            pub fn title(self) -> &'static str {
                match self { $(Code::$code => $title),* }
            }

            pub fn severity(self) -> Severity {
                match self { $(Code::$code => Severity::$severity),* }
            }

            /// What it means, an example that yields it, and how to fix it, in Markdown.
            pub fn explanation(self) -> &'static str {
                match self { $(Code::$code => include_str!(concat!("codes/", stringify!($code), ".md"))),* }
            }
        }
    };
}

catalogue! {
    // E00: files and limits.
    E0001 Error "file cannot be read"
    E0002 Error "file is too large"
    E0003 Error "too deeply nested"
    E0004 Error "expression is too expensive"
    // E01: form.
    E0101 Error "unexpected text"
    E0102 Error "unclosed bracket"
    E0103 Error "stray closing bracket"
    E0104 Error "field has no value"
    E0105 Error "`:` or `==` where `=` belongs"
    E0106 Error "missing comma"
    E0107 Error "item keyword expected"
    E0108 Error "malformed number"
    E0109 Error "unterminated text"
    E0110 Error "unknown escape in text"
    E0111 Error "Python, YAML or HCL spelling"
    E0112 Error "keyword used as a name"
    E0113 Error "name is not in snake_case"
    E0114 Error "malformed type"
    E0115 Error "documentation without an item"
    E0116 Error "field or item in the wrong place"
    E0117 Error "missing line break between fields"
    // E02: names and modules.
    E0201 Error "unknown name"
    E0202 Error "name defined twice"
    E0203 Error "module not found"
    E0204 Error "no such name in module"
    E0205 Error "modules import each other"
    E0206 Error "definition refers to itself"
    E0207 Error "ambiguous name"
    E0208 Error "nothing to amend"
    E0209 Error "unknown kind of item"
    E0210 Error "unknown type"
    E0211 Error "malformed path of a module"
    E0212 Error "override does not name anything"
    // E03: fields and types.
    E0301 Error "unknown field"
    E0302 Error "missing field"
    E0303 Error "field set twice"
    E0304 Error "wrong type"
    E0305 Error "not one of the allowed symbols"
    E0306 Error "field is final"
    E0307 Error "wrong number of arguments"
    E0308 Error "unknown argument"
    E0309 Error "not callable"
    E0310 Error "no such field on this value"
    E0311 Error "operator does not fit its operands"
    E0312 Error "dimensions do not agree"
    E0313 Error "unit expected"
    E0314 Error "unknown unit"
    E0315 Error "whole number expected"
    E0316 Error "`+=` on something that is not a list"
    E0317 Error "branches have different types"
    E0318 Error "field belongs to another item"
    E0319 Error "not a dataset step"
    // E04: values and constraints.
    E0401 Error "value outside its range"
    E0402 Error "constraint does not hold"
    E0403 Error "division by zero"
    E0404 Error "number is too large"
    E0406 Error "no such split"
    E0407 Error "unsupported edition of the language"
    E0408 Error "malformed file pattern"
    // E05: what is known when.
    E0501 Error "measured value where a known one is needed"
    E0502 Error "known value where a measured one is needed"
    E0503 Error "nothing measures this"
    // E06: the shape of the experiment.
    E0601 Error "stage has neither model nor init"
    E0602 Error "stage has both model and init"
    E0603 Error "stages depend on each other"
    E0604 Error "tokenizer is missing"
    E0605 Error "data does not fit the stage"
    E0606 Error "metric does not fit the data"
    E0607 Error "tokenizer and model disagree"
    E0608 Error "experiment declared twice"
    E0609 Error "sequence is longer than the context"
    E0610 Error "budget is less than one step"
    E0611 Error "stage starts from or learns from the wrong kind of stage"
    E0612 Error "warm-up is longer than the stage"
    E0613 Error "nothing to run"
    E0614 Error "setting does not fit the stage"
    E0615 Error "files of a published model are missing or damaged"
    E0616 Error "network of a published model cannot be computed"
    E0617 Error "weights do not fit the network"
    E0618 Error "tokenizer of a published model cannot be used"
    E0619 Error "device does not compute with this precision"
    // E08: sweeps.
    E0801 Error "sweep has no axes"
    E0802 Error "axis does not name a field"
    E0803 Error "no point of the sweep is valid"
    E0804 Error "search does not fit the axes"
    E0805 Error "sweep has no objective"
    // W: legal, and surely or probably not meant.
    W1001 Pedantic "large learning rate without warm-up"
    W1002 Pedantic "budget far from compute-optimal"
    W1003 Pedantic "evaluation data overlaps training data"
    W1004 Pedantic "batch is not a whole number of sequences"
    W1005 Pedantic "unused item"
    W1006 Pedantic "sample too small for the metric"
    W1007 Pedantic "experiment has no seed"
    W1008 Pedantic "tokenizer training is not reproducible"
    W1009 Pedantic "dataset without a licence"
    W1010 Warning "validation only at the end"
    W1011 Warning "data file is missing"
    W1012 Warning "doubtful field in the configuration of a model"
    W1013 Warning "published model without a chat template"
    W1014 Warning "setting has no effect"
    W1015 Warning "muP with heads that grow"
    W1016 Warning "tokenizer is not that of the weights"
    W1017 Warning "too few documents for a split"
    W1018 Warning "condition decided before anything is measured"
}

impl Code {
    /// The code with this name, in any case: `e0312`.
    pub fn parse(name: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|c| c.name().eq_ignore_ascii_case(name.trim()))
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
