//! The ladder: a named device if one was asked for, else a GPU, else the CPU.

use super::Format;
use burn::tensor::Device;

/// What a device is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    DiscreteGpu,
    IntegratedGpu,
    VirtualGpu,
    OtherGpu,
    Cpu,
    /// A GPU interface drawn by the CPU: right, and slow.
    SoftwareGpu,
}

/// A device of this machine that this build can use.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct Found {
    /// What `--device` calls it, such as `cpu`, `vulkan:0` or `vulkan:software`.
    pub name: String,
    pub kind: Kind,
    /// The hardware, in its driver's words.
    pub adapter: String,
    /// The driver and its version, or the backend's name for the CPU.
    pub driver: String,
    /// Whether `auto` takes it on this machine.
    pub automatic: bool,
    /// Why `auto` takes it or passes it by.
    pub reason: String,
}

/// The device a run computes on.
#[derive(Clone, Debug)]
pub struct Chosen {
    pub name: String,
    pub kind: Kind,
    pub adapter: String,
    pub driver: String,
    /// The formats of 16 bits it computes with, besides f32.
    pub formats: Vec<Format>,
    /// Why this one.
    pub reason: String,
    /// Without autodiff; training adds it.
    pub device: Device,
}

/// Why no device could be had.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    #[error("this machine has no device named `{asked}`; it has {}", names(.found))]
    Unknown { asked: String, found: Vec<String> },
    #[error(
        "this build has no GPU support, so `{asked}` cannot be used; build with `--features wgpu`, or use `--device cpu`"
    )]
    NotBuilt { asked: String },
    #[error("`{asked}` asks for a GPU and this machine shows none; it has {}", names(.found))]
    NoGpu { asked: String, found: Vec<String> },
    #[error(
        "one device per run: data parallel training is not built, so `{asked}` cannot be used together; name one of them"
    )]
    Several { asked: String },
    #[error("the device `{name}` ({adapter}) did not start: {cause}; `--device cpu` always works")]
    Start { name: String, adapter: String, cause: String },
}

/// Every device this build can use here, best first: GPUs, the CPU, software rasterisers.
pub fn list() -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    #[cfg(feature = "wgpu")]
    found.extend(super::gpu::list());
    found.push(cpu());
    found.sort_by_key(|device| device.kind);
    let mut taken = false;
    for device in &mut found {
        let software = device.kind == Kind::SoftwareGpu;
        device.automatic = !taken && !software;
        device.reason = match (device.automatic, software) {
            (_, true) => "a GPU interface drawn by the CPU is slower than the CPU itself; name it to use it".into(),
            (true, _) if device.kind == Kind::Cpu => no_gpu().into(),
            (true, _) => "the first GPU".into(),
            (false, _) => "a device before it is taken first".into(),
        };
        taken |= device.automatic;
    }
    found
}

/// Takes a device: `auto` (or nothing), `cpu`, `gpu`, `lavapipe`, a name of [`list`], or a graphics interface such
/// as `vulkan` for the first device that has it.
///
/// # Errors
/// When nothing on this machine has that name, or it does not start.
pub fn choose(request: Option<&str>) -> Result<Chosen, DeviceError> {
    super::record_panics();
    let asked = request.unwrap_or("auto").trim().to_ascii_lowercase();
    let several = |c: char| matches!(c, ',' | ';' | '+' | ' ');
    if asked.contains(several) || asked.parse::<u64>().is_ok_and(|count| count > 1) {
        return Err(DeviceError::Several { asked });
    }
    if asked == "cpu" {
        return Ok(start_cpu("asked for by name"));
    }
    let found = list();
    let names = || found.iter().map(|device| device.name.clone()).collect::<Vec<_>>();
    let software = |device: &Found| device.kind == Kind::SoftwareGpu;
    let pick = match asked.as_str() {
        "auto" => found.iter().find(|device| device.automatic),
        "gpu" => found.iter().find(|device| device.kind != Kind::Cpu && !software(device)),
        "lavapipe" | "software" => found.iter().find(|device| software(device)),
        name => found.iter().find(|device| device.name == name).or_else(|| {
            let of = |device: &&Found| device.name.split(':').next() == Some(name);
            found.iter().filter(of).find(|device| !software(device))
        }),
    };
    let Some(pick) = pick else {
        let graphics = ["gpu", "vulkan", "metal", "dx12", "gl", "lavapipe", "software", "wgpu"];
        let graphic = graphics.contains(&asked.split(':').next().unwrap_or_default());
        return Err(match (graphic, cfg!(feature = "wgpu"), asked.as_str()) {
            (true, false, _) => DeviceError::NotBuilt { asked },
            (true, true, "gpu") => DeviceError::NoGpu { asked, found: names() },
            _ => DeviceError::Unknown { asked, found: names() },
        });
    };
    let reason = if asked == "auto" { pick.reason.clone() } else { "asked for by name".to_owned() };
    if pick.kind == Kind::Cpu {
        return Ok(start_cpu(&reason));
    }
    start_gpu(pick, &reason)
}

/// The formats of 16 bits that a device of [`list`] computes with, besides f32. A GPU is started for it.
///
/// # Errors
/// When it does not start.
pub fn formats(found: &Found) -> Result<Vec<Format>, DeviceError> {
    choose(Some(&found.name)).map(|chosen| chosen.formats)
}

fn start_cpu(reason: &str) -> Chosen {
    let (found, device) = (cpu(), super::cpu_device());
    Chosen {
        name: found.name,
        kind: Kind::Cpu,
        adapter: found.adapter,
        driver: found.driver,
        formats: Format::of(&device),
        reason: reason.to_owned(),
        device,
    }
}

#[cfg(feature = "wgpu")]
fn start_gpu(found: &Found, reason: &str) -> Result<Chosen, DeviceError> {
    super::gpu::start(found, reason)
}

#[cfg(not(feature = "wgpu"))]
fn start_gpu(found: &Found, _reason: &str) -> Result<Chosen, DeviceError> {
    Err(DeviceError::NotBuilt { asked: found.name.clone() })
}

fn cpu() -> Found {
    let threads = std::thread::available_parallelism().map(usize::from).unwrap_or(1);
    Found {
        name: "cpu".into(),
        kind: Kind::Cpu,
        adapter: format!("{} CPU, {threads} threads", std::env::consts::ARCH),
        driver: "burn flex".into(),
        automatic: false,
        reason: String::new(),
    }
}

fn no_gpu() -> &'static str {
    if cfg!(feature = "wgpu") { "this machine shows no GPU" } else { "this build has no GPU support" }
}

fn names(found: &[String]) -> String {
    found.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there_and_one_device_is_automatic() {
        let found = list();
        assert!(found.iter().any(|device| device.name == "cpu"));
        assert_eq!(found.iter().filter(|device| device.automatic).count(), 1);
        assert!(found.iter().all(|device| !(device.automatic && device.kind == Kind::SoftwareGpu)));
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_that_exist() {
        let error = choose(Some("abacus")).unwrap_err().to_string();
        assert!(error.contains("no device named `abacus`") && error.contains("`cpu`"), "{error}");
    }

    #[test]
    fn several_devices_are_told_from_unknown_ones() {
        for asked in ["vulkan:0,vulkan:1", "cpu+cpu", "cpu, vulkan:0", "2"] {
            let error = choose(Some(asked)).unwrap_err().to_string();
            assert!(error.contains("one device per run: data parallel training is not built"), "{error}");
        }
    }

    #[test]
    fn the_cpu_computes_with_both_formats() {
        let cpu = list().into_iter().find(|device| device.kind == Kind::Cpu).unwrap();
        assert_eq!(formats(&cpu).unwrap(), Format::ALL);
    }

    #[cfg(not(feature = "wgpu"))]
    #[test]
    fn a_gpu_is_refused_by_a_build_without_one() {
        let error = choose(Some("vulkan:0")).unwrap_err().to_string();
        assert!(error.contains("no GPU support"), "{error}");
        assert_eq!(choose(Some("auto")).unwrap().name, "cpu");
    }
}
