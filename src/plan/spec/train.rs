//! Training stages, optimisers, schedules.

use super::{Dataset, Measured, Quantity, Ref};
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Stage {
    Pretrained(Pretrained),
    NextToken(NextToken),
    Sft(Sft),
    RewardModel(RewardModel),
    Dpo(Dpo),
    Ppo(Ppo),
    Grpo(Grpo),
}

/// A published network in the layout of Hugging Face.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pretrained {
    /// Where its `config.json`, weights and tokenizer lie.
    pub folder: String,
}

/// What every training stage has.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// The network to start from fresh weights; exactly one of `model` and `init` is given.
    pub model: Option<Ref>,
    /// The stage whose weights to start from.
    pub init: Option<Ref>,
    /// Absent: that of the `init` stage.
    pub tokenizer: Option<Ref>,
    pub data: Dataset,
    /// When to stop: tokens, steps, epochs, documents, seconds, FLOPs.
    pub budget: Quantity,
    /// Per optimiser step: tokens, or documents (sequences).
    pub batch: Quantity,
    /// Sequences per forward pass; absent: chosen to fit.
    pub micro_batch: Option<i64>,
    /// Whether blocks are computed again on the way back instead of kept.
    pub recompute: bool,
    /// What goes into matrix products; absent: f32.
    pub precision: Option<Precision>,
    /// Tokens in a sequence; absent: the model's context.
    pub sequence: Option<i64>,
    pub optimizer: Optimizer,
    /// What parts of the network do differently.
    pub groups: Groups,
    pub schedule: Schedule,
    /// What is trained in the place of the network's own weights; absent: those.
    pub adapter: Option<Adapter>,
    /// Largest global gradient norm; absent: no clipping.
    pub clip: Option<f64>,
    /// Weight of the squared logarithm of the softmax's normaliser.
    pub z_loss: f64,
    /// Decay of the average of the weights that is handed on; absent: the weights themselves are.
    pub ema: Option<f64>,
    /// How the batch grows; absent: it is the same from the first step.
    pub growth: Option<Growth>,
    /// What to do when the loss leaps; absent: only numbers that are not finite end the stage.
    pub on_spike: Option<Spike>,
    pub validate: Option<Every>,
    pub keep: Keeping,
    /// Ends the stage early once it holds.
    pub until: Option<Measured>,
    /// Steps between checkpoints that a stopped run resumes from.
    pub checkpoint: i64,
    /// Checkpoints that are kept.
    pub checkpoints: i64,
    /// Added to the experiment's seed.
    pub seed: i64,
}

/// What goes into matrix products; everything else is f32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    #[default]
    F32,
    /// f16, with a loss that is scaled up so that small gradients do not vanish (Micikevicius et al. 2018).
    MixedF16,
    MixedBf16,
}

impl Precision {
    pub const ALL: [Precision; 3] = [Precision::F32, Precision::MixedF16, Precision::MixedBf16];

    /// As the language writes it.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::MixedF16 => "mixed_f16",
            Precision::MixedBf16 => "mixed_bf16",
        }
    }

    /// The format of 16 bits that it needs of a device.
    pub fn half(self) -> Option<&'static str> {
        match self {
            Precision::F32 => None,
            Precision::MixedF16 => Some("f16"),
            Precision::MixedBf16 => Some("bf16"),
        }
    }
}

/// Pretraining: every token predicts the next.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextToken {
    pub training: Training,
    /// Whether documents that share a row are kept from seeing each other.
    pub apart: bool,
}

/// Supervised fine-tuning: only responses carry loss.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sft {
    pub training: Training,
    pub template: Template,
    /// Whether samples of a step share rows.
    pub packed: bool,
}

/// A scalar reward learnt from preferences (Bradley–Terry).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardModel {
    pub training: Training,
    pub template: Template,
    pub center: f64,
}

/// Direct preference optimisation (Rafailov et al. 2023).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dpo {
    pub training: Training,
    pub template: Template,
    pub beta: f64,
    pub loss: DpoLoss,
    pub label_smoothing: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DpoLoss {
    Sigmoid,
    Hinge,
    Ipo,
}

/// Proximal policy optimisation against a reward model (Schulman et al. 2017).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ppo {
    pub training: Training,
    pub template: Template,
    pub reward: Ref,
    pub kl: f64,
    pub clip_range: f64,
    pub value_clip: f64,
    pub gamma: f64,
    pub lambda: f64,
    pub inner_epochs: i64,
    pub temperature: f64,
    pub max_tokens: i64,
}

/// Group-relative policy optimisation (DeepSeekMath 2024).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grpo {
    pub training: Training,
    pub template: Template,
    pub reward: Ref,
    pub group: i64,
    pub kl: f64,
    pub clip_range: f64,
    pub temperature: f64,
    pub max_tokens: i64,
}

/// What is trained beside a network that stays as it is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Adapter {
    Lora(Lora),
}

/// Low-rank adapters of matrices (Hu et al. 2022).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lora {
    pub rank: i64,
    /// What the product is multiplied with, divided by the rank.
    pub alpha: f64,
    /// Which matrices of every block.
    pub on: Vec<LoraTarget>,
    /// Whether it is divided by the root of the rank instead (rsLoRA, Kalajdzievski 2023).
    pub rank_stabilized: bool,
    /// Whether the lengths of rows are trained apart from their directions (DoRA, Liu et al. 2024).
    pub magnitude: bool,
}

/// A matrix of a block.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoraTarget {
    Query,
    Key,
    Value,
    Output,
    Gate,
    Up,
    Down,
}

impl LoraTarget {
    /// Its name within a block, as Llama's modules are called.
    pub fn module(self) -> &'static str {
        match self {
            LoraTarget::Query => "self_attn.q_proj",
            LoraTarget::Key => "self_attn.k_proj",
            LoraTarget::Value => "self_attn.v_proj",
            LoraTarget::Output => "self_attn.o_proj",
            LoraTarget::Gate => "mlp.gate_proj",
            LoraTarget::Up => "mlp.up_proj",
            LoraTarget::Down => "mlp.down_proj",
        }
    }
}

/// How a prompt and a response become text. Jinja, as chat templates of published models are.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Jinja source over `messages` (each with `role` and `content`) and `add_generation_prompt`.
    pub jinja: String,
    /// Text after which generation stops, besides the end-of-text token.
    pub stop: Vec<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Optimizer {
    Adamw(Adamw),
    Sgd(Sgd),
    Lion(Lion),
    Muon(Muon),
    Adafactor(Adafactor),
    Soap(Soap),
}

/// AdamW with decoupled decay (Loshchilov & Hutter 2019).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adamw {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    pub weight_decay: f64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sgd {
    pub lr: f64,
    pub momentum: f64,
    pub weight_decay: f64,
}

/// Steps of one size, by the sign of a mean of gradients (Chen et al. 2023).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lion {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub weight_decay: f64,
}

/// Orthogonal steps for the matrices of the blocks (Jordan et al. 2024).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Muon {
    pub lr: f64,
    pub momentum: f64,
    pub nesterov: bool,
    /// Of Newton and Schulz.
    pub iterations: i64,
    pub scale: MuonScale,
    pub weight_decay: f64,
    /// For embeddings, the output matrix and vectors.
    pub rest: Rest,
}

/// What an orthogonal step is multiplied with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MuonScale {
    /// √max(1, rows / columns).
    Shape,
    /// 0.2·√max(rows, columns): about the size of AdamW's steps.
    Rms,
}

/// What steps the weights that another optimiser leaves.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Rest {
    Adamw(Adamw),
}

/// Adam without momentum and with factored squares (Shazeer & Stern 2018).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adafactor {
    pub lr: f64,
    pub decay_rate: f64,
    pub threshold: f64,
    pub min_scale: f64,
    pub weight_decay: f64,
}

/// Adam in the eigenbasis of Shampoo's preconditioner, for matrices; AdamW for vectors (Vyas et al. 2024).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Soap {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    /// Decay of the preconditioner; absent: `beta2`.
    pub shampoo_beta: Option<f64>,
    pub epsilon: f64,
    pub weight_decay: f64,
    /// Steps from one eigenbasis to the next.
    pub precondition_frequency: i64,
    /// Longest side of a matrix that has a preconditioner.
    pub max_precond_dim: i64,
}

/// What the parts of a network do differently.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Groups {
    pub embedding: Group,
    pub hidden: Group,
    pub head: Group,
    pub vectors: Group,
}

/// What one part does differently.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Times the learning rate.
    pub rate: f64,
    /// Times the weight decay.
    pub decay: f64,
}

impl Default for Group {
    fn default() -> Group {
        Group { rate: 1.0, decay: 1.0 }
    }
}

impl Default for Groups {
    /// Vectors do not decay.
    fn default() -> Groups {
        let vectors = Group { decay: 0.0, ..Group::default() };
        Groups { embedding: Group::default(), hidden: Group::default(), head: Group::default(), vectors }
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Schedule {
    Constant(ConstantSchedule),
    Linear(LinearSchedule),
    Cosine(CosineSchedule),
    Wsd(WsdSchedule),
    InverseSqrt(InverseSqrtSchedule),
    Piecewise(PiecewiseSchedule),
}

impl Schedule {
    /// How long the rate rises, of a schedule that has a warm-up.
    pub fn warmup(&self) -> Option<Quantity> {
        match self {
            Schedule::Constant(s) => Some(s.warmup),
            Schedule::Linear(s) => Some(s.warmup),
            Schedule::Cosine(s) => Some(s.warmup),
            Schedule::Wsd(s) => Some(s.warmup),
            Schedule::InverseSqrt(s) => Some(s.warmup),
            Schedule::Piecewise(_) => None,
        }
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConstantSchedule {
    /// A share of the stage, or steps or tokens.
    pub warmup: Quantity,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearSchedule {
    pub warmup: Quantity,
    /// Share of the peak rate that the end keeps.
    pub floor: f64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CosineSchedule {
    pub warmup: Quantity,
    pub floor: f64,
}

/// A batch that grows from step to step, up to the stage's.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    /// Of the first step: tokens, or documents (sequences).
    pub from: Quantity,
    /// Steps or tokens until the batch is full.
    pub over: Quantity,
}

/// Steps between two looks at how a stage goes (its median loss, and whether it ends early), besides those after validations.
pub const WATCHED_EVERY: u64 = 8;

/// What a leap of the loss is, and what to do about it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spike {
    /// Times the median of the steps before it.
    pub factor: f64,
    /// How many steps that median is over.
    pub window: i64,
    pub action: OnSpike,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnSpike {
    Stop,
    Skip,
    RollBack,
}

/// Warm-up, the peak, and a fall at the end.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WsdSchedule {
    pub warmup: Quantity,
    /// How long the rate falls, at the end of the stage.
    pub decay: Quantity,
    pub shape: Fall,
    pub floor: f64,
}

/// How a rate falls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fall {
    Linear,
    /// 1 − √progress.
    Sqrt,
    Cosine,
}

/// Falls with the root of the steps (Vaswani et al. 2017).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InverseSqrtSchedule {
    pub warmup: Quantity,
    /// Steps over which the rate falls to the root of a half, after the warm-up; absent: as many as the warm-up.
    pub timescale: Option<i64>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PiecewiseSchedule {
    pub points: Vec<Point>,
}

/// A place in a stage and the share of the peak rate there.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    pub at: Quantity,
    pub share: f64,
}

/// `every(100 steps, on = stories.valid)`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Every {
    /// Steps, tokens or epochs.
    pub period: Quantity,
    pub on: Dataset,
    /// At most so many tokens of it; absent: all.
    pub tokens: Option<i64>,
}

/// Which weights a stage hands on.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Keeping {
    Best(Best),
    Last(Last),
}

/// The checkpoint at which a measurement was best.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// What to compare; lower is better.
    pub by: Measured,
}

/// The final weights.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Last {}

impl Training {
    /// What goes into its matrix products.
    pub fn products(&self) -> Precision {
        self.precision.unwrap_or_default()
    }
}

impl Stage {
    /// What a stage that trains has; nothing of one that does not.
    pub fn training(&self) -> Option<&Training> {
        match self {
            Stage::Pretrained(_) => None,
            Stage::NextToken(s) => Some(&s.training),
            Stage::Sft(s) => Some(&s.training),
            Stage::RewardModel(s) => Some(&s.training),
            Stage::Dpo(s) => Some(&s.training),
            Stage::Ppo(s) => Some(&s.training),
            Stage::Grpo(s) => Some(&s.training),
        }
    }

    /// The same, to be changed.
    pub fn training_mut(&mut self) -> Option<&mut Training> {
        match self {
            Stage::Pretrained(_) => None,
            Stage::NextToken(s) => Some(&mut s.training),
            Stage::Sft(s) => Some(&mut s.training),
            Stage::RewardModel(s) => Some(&mut s.training),
            Stage::Dpo(s) => Some(&mut s.training),
            Stage::Ppo(s) => Some(&mut s.training),
            Stage::Grpo(s) => Some(&mut s.training),
        }
    }

    /// The stage whose weights it starts from.
    pub fn init(&self) -> Option<&Ref> {
        self.training().and_then(|t| t.init.as_ref())
    }

    /// The name of the variant, as the language writes it.
    pub fn kind(&self) -> &'static str {
        match self {
            Stage::Pretrained(_) => "pretrained",
            Stage::NextToken(_) => "next_token",
            Stage::Sft(_) => "sft",
            Stage::RewardModel(_) => "reward_model",
            Stage::Dpo(_) => "dpo",
            Stage::Ppo(_) => "ppo",
            Stage::Grpo(_) => "grpo",
        }
    }

    /// The chat template of a stage that has one.
    pub fn template(&self) -> Option<&Template> {
        match self {
            Stage::Pretrained(_) | Stage::NextToken(_) => None,
            Stage::Sft(s) => Some(&s.template),
            Stage::RewardModel(s) => Some(&s.template),
            Stage::Dpo(s) => Some(&s.template),
            Stage::Ppo(s) => Some(&s.template),
            Stage::Grpo(s) => Some(&s.template),
        }
    }

    /// The same, to be changed.
    pub fn template_mut(&mut self) -> Option<&mut Template> {
        match self {
            Stage::Pretrained(_) | Stage::NextToken(_) => None,
            Stage::Sft(s) => Some(&mut s.template),
            Stage::RewardModel(s) => Some(&mut s.template),
            Stage::Dpo(s) => Some(&mut s.template),
            Stage::Ppo(s) => Some(&mut s.template),
            Stage::Grpo(s) => Some(&mut s.template),
        }
    }
}
