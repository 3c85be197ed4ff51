//! What of a configuration differs from block to block: windows, and where there are no positions.

use super::fields::Fields;
use crate::plan::spec::Decoder;
use serde_json::Value as Json;

const SLIDES: &str = "sliding_attention";
const FULL: &str = "full_attention";

impl Fields<'_> {
    /// The network with the windows that its blocks have. `on` is whether a window is used, `assumed` the one of a
    /// configuration that does not say, and `slides` says which blocks have it where `layer_types` does not.
    pub(super) fn windows(
        &mut self,
        network: Decoder,
        on: bool,
        assumed: Option<i64>,
        slides: impl Fn(usize) -> bool,
    ) -> Decoder {
        let stated = self.window(assumed);
        let window = stated.filter(|_| on);
        let layers = usize::try_from(network.layers).unwrap_or(0);
        let said = self.kinds(layers);
        if self.stands_in {
            return network;
        }
        let kinds: Vec<bool> = match &said {
            Some(kinds) => kinds.clone(),
            None => (0..layers).map(|layer| window.is_some() && slides(layer)).collect(),
        };
        let first = kinds.iter().position(|slides| *slides);
        // A window as long as the context hides nothing.
        let (Some(first), false) = (first, stated.is_some_and(|window| window >= network.context)) else {
            return network;
        };
        let Some(window) = window else {
            let which = if on { "`sliding_window`" } else { "`use_sliding_window`" };
            self.contrary(format!("`layer_types` says that blocks have a window, and {which} that there is none"));
            return network;
        };
        let Some(full) = kinds.iter().position(|slides| !slides) else {
            return Decoder { window: Some(window), ..network };
        };
        let regular = kinds.iter().enumerate().all(|(layer, slides)| *slides == ((layer + 1) % (full + 1) != 0));
        if regular {
            return Decoder { window: Some(window), global_every: i64::try_from(full + 1).ok(), ..network };
        }
        self.unsupported(match said {
            Some(_) => "`layer_types` has blocks with full attention that do not come at regular distances".to_owned(),
            None => format!("`sliding_window` is {window} and used from block {} on", first + 1),
        });
        network
    }

    /// Tells of a window in families that have none: `transformers` computes without it, but for its cache, which forgets
    /// what lies beyond the window while it writes.
    pub(super) fn no_window(&mut self) {
        if self.is_set("sliding_window") {
            let (shown, model_type) = (self.shown("sliding_window"), self.model_type);
            self.notes.push(format!(
                "`sliding_window` is {shown}, and blocks of a `{model_type}` see everything, here and in the forward pass of \
                 `transformers`"
            ));
        }
    }

    /// Windows from the block `max_window_layers` on (Qwen).
    pub(super) fn windows_from(&mut self, network: Decoder) -> Decoder {
        let on = self.flag("use_sliding_window", false);
        let first = match self.get("max_window_layers").map(Json::as_u64) {
            None => 28,
            Some(Some(first)) => first,
            Some(None) => {
                let shown = self.shown("max_window_layers");
                self.malformed(format!("`max_window_layers` is {shown}, and must be a whole number"));
                0
            }
        };
        self.windows(network, on, Some(4096), |layer| layer as u64 >= first)
    }

    /// The window that is stated, or `assumed`.
    pub(super) fn window(&mut self, assumed: Option<i64>) -> Option<i64> {
        self.used.insert("sliding_window");
        match self.config.get("sliding_window") {
            None => assumed,
            Some(Json::Null) => None,
            Some(_) => Some(self.size("sliding_window", i64::MAX)),
        }
    }

    /// Which blocks have a window, as `layer_types` says it; an entry for each of them.
    fn kinds(&mut self, layers: usize) -> Option<Vec<bool>> {
        let value = self.get("layer_types")?;
        let Some(all) = value.as_array() else {
            let shown = self.shown("layer_types");
            self.malformed(format!("`layer_types` is {shown}, and must be a list"));
            return None;
        };
        if let Some(other) = all.iter().find(|kind| *kind != SLIDES && *kind != FULL) {
            let other = super::fields::cut(other.to_string());
            self.unsupported(format!("`layer_types` has {other}"));
            return None;
        }
        if !self.stands_in && all.len() != layers {
            self.malformed(format!("`layer_types` has {} entries, for {layers} blocks", all.len()));
            return None;
        }
        Some(all.iter().map(|kind| kind == SLIDES).collect())
    }

    /// Tells of `layer_types` in families where `transformers` does not read them, if they differ from what it computes.
    pub(super) fn ignored_kinds(&mut self, network: &Decoder) {
        let computed = if network.window.is_some() { SLIDES } else { FULL };
        let differ = |all: &Vec<Json>| all.iter().any(|kind| kind != computed);
        if self.get("layer_types").and_then(Json::as_array).is_some_and(differ) {
            self.ignored("layer_types");
        }
        self.used.insert("use_sliding_window");
        self.used.insert("max_window_layers");
    }

    /// Every so many blocks one has no positions (SmolLM 3): as `no_rope_layers` says, or else the interval.
    pub(super) fn nope(&mut self, layers: i64) -> Option<i64> {
        let list = self.get("no_rope_layers");
        let stated = self.is_set("no_rope_layer_interval");
        let Some(list) = list else {
            return Some(if stated { self.size("no_rope_layer_interval", 512) } else { 4 });
        };
        let Some(all) = list.as_array() else {
            let shown = self.shown("no_rope_layers");
            self.malformed(format!("`no_rope_layers` is {shown}, and must be a list"));
            return None;
        };
        let layers = usize::try_from(layers).unwrap_or(0);
        // Those beyond the last block are of a longer network.
        let Some(turned) = all.get(..layers) else {
            if !self.stands_in {
                self.malformed(format!("`no_rope_layers` has {} entries, for {layers} blocks", all.len()));
            }
            return None;
        };
        let turned: Vec<bool> =
            turned.iter().map(|on| on.as_f64() != Some(0.0) && *on != Json::Bool(false) && !on.is_null()).collect();
        let repeats = |period: usize| turned.iter().enumerate().all(|(at, on)| *on == ((at + 1) % period != 0));
        let interval = self.config.get("no_rope_layer_interval").and_then(Json::as_u64).unwrap_or(4);
        let interval = usize::try_from(interval).ok().filter(|period| *period > 0 && repeats(*period));
        let period = match (interval, turned.iter().position(|on| !on)) {
            (Some(interval), _) => interval,
            (None, None) => return None,
            (None, Some(first)) if repeats(first + 1) => first + 1,
            (None, Some(_)) => {
                self.unsupported("`no_rope_layers` does not repeat at a regular distance".to_owned());
                return None;
            }
        };
        i64::try_from(period).ok()
    }
}
