//! What a run was made with: program, machine, device, and the revision of the experiment.

use super::git::{self, Revision};
use super::process;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The device a run computes on. A figure without it means nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Device {
    /// What `--device` calls it: `cpu`, `vulkan:0`.
    pub name: String,
    /// The library below: `flex`, `wgpu`.
    pub backend: String,
    /// The adapter's own name.
    pub adapter: String,
    /// Driver and its version; empty on the CPU.
    pub driver: String,
    /// Precisions that it computed with, as the language writes them: `f32`, `mixed_f16`.
    pub dtype: String,
}

impl Device {
    /// The same device with another precision.
    pub fn computing(self, dtype: &str) -> Device {
        Device { dtype: dtype.to_owned(), ..self }
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        let known = [&self.adapter, &self.driver, &self.dtype].map(String::as_str);
        let known: Vec<&str> = known.into_iter().filter(|part| !part.is_empty()).collect();
        if known.is_empty() { Ok(()) } else { write!(f, " ({})", known.join(", ")) }
    }
}

/// How far the device repeats a computation, run to run.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Reproducible {
    /// What is promised: `bitwise`, or `rounding`.
    pub level: String,
    /// What is held fixed for it.
    pub pinned: Vec<String>,
}

/// `environment.json`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Environment {
    pub schema_version: u32,
    /// Version of this program.
    pub version: String,
    /// Edition of the language.
    pub language: i64,
    pub os: String,
    pub arch: String,
    pub cpu: String,
    pub threads: usize,
    pub host: String,
    pub device: Device,
    /// Absent in environments that earlier versions wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reproducible: Option<Reproducible>,
    /// Revision of the folder that holds the experiment, if it is under git.
    pub revision: Option<Revision>,
}

impl Environment {
    /// The environment of this process, for an experiment in `folder`.
    pub fn of(folder: &Path, language: i64, device: Device) -> Environment {
        Environment {
            schema_version: 1,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            language,
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            cpu: cpu().unwrap_or_else(|| "unknown".to_owned()),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            host: process::host(),
            device,
            reproducible: None,
            revision: git::revision(folder),
        }
    }
}

/// Name of the processor, where the system tells without running a program.
fn cpu() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("model name") || l.starts_with("Model"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_told_with_all_that_a_figure_depends_on() {
        let device = Device {
            name: "vulkan:0".into(),
            backend: "wgpu".into(),
            adapter: "llvmpipe".into(),
            driver: "Mesa 25.1".into(),
            dtype: "f32".into(),
        };
        assert_eq!(device.to_string(), "vulkan:0 (llvmpipe, Mesa 25.1, f32)");
        let environment = Environment::of(Path::new("."), 1, device.clone());
        assert!(environment.threads >= 1 && environment.device == device);
    }
}
