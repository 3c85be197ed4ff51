//! GPUs through wgpu: Vulkan, Metal, DX12.

use super::Format;
use super::choose::{Chosen, DeviceError, Found, Kind};
use burn::tensor::wgpu::{WgpuBackend, wgpu};
use burn::tensor::{Device, DeviceKind};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Devices already started, by name: burn refuses to set the same one up twice.
static STARTED: Mutex<BTreeMap<String, Device>> = Mutex::new(BTreeMap::new());

/// The graphics interfaces asked, in the order of preference.
const INTERFACES: [(&str, wgpu::Backend, WgpuBackend); 3] = [
    ("vulkan", wgpu::Backend::Vulkan, WgpuBackend::Vulkan),
    ("metal", wgpu::Backend::Metal, WgpuBackend::Metal),
    ("dx12", wgpu::Backend::Dx12, WgpuBackend::Dx12),
];

/// Every adapter of every interface this machine has. An interface that cannot be asked counts as having none.
pub(super) fn list() -> Vec<Found> {
    adapters().into_iter().map(|(found, _, _)| found).collect()
}

/// Starts an adapter of [`list`].
pub(super) fn start(found: &Found, reason: &str) -> Result<Chosen, DeviceError> {
    let failed = |cause: String| DeviceError::Start { name: found.name.clone(), adapter: found.adapter.clone(), cause };
    let chosen = |device: Device| Chosen {
        name: found.name.clone(),
        kind: found.kind,
        adapter: found.adapter.clone(),
        driver: found.driver.clone(),
        formats: Format::of(&device),
        reason: reason.to_owned(),
        device,
    };
    let mut started = STARTED.lock().map_err(|_| failed("an earlier start panicked".into()))?;
    if let Some(device) = started.get(&found.name) {
        return Ok(chosen(device.clone()));
    }
    let (_, kind, api) = adapters()
        .into_iter()
        .find(|(other, _, _)| other.name == found.name)
        .ok_or_else(|| failed("it has gone".into()))?;
    let start = || Device::wgpu_options().device_kind(kind).graphics_api(api).init();
    let device = std::panic::catch_unwind(start)
        .map_err(|_| failed(super::take_panic().unwrap_or_else(|| "its driver panicked".into())))?
        .map_err(|error| failed(error.to_string()))?;
    started.insert(found.name.clone(), device.clone());
    Ok(chosen(device))
}

fn adapters() -> Vec<(Found, DeviceKind, WgpuBackend)> {
    let mut all = Vec::new();
    for (name, backend, api) in INTERFACES {
        let infos = std::panic::catch_unwind(|| probe(backend)).unwrap_or_default();
        // burn numbers the adapters of each kind from zero.
        let mut counts = [0usize; 3];
        let mut number = 0;
        for info in infos {
            let mut next = |at: usize| {
                counts[at] += 1;
                counts[at] - 1
            };
            let (kind, device) = match info.device_type {
                wgpu::DeviceType::DiscreteGpu => (Kind::DiscreteGpu, DeviceKind::DiscreteGpu(next(0))),
                wgpu::DeviceType::IntegratedGpu => (Kind::IntegratedGpu, DeviceKind::IntegratedGpu(next(1))),
                wgpu::DeviceType::VirtualGpu => (Kind::VirtualGpu, DeviceKind::VirtualGpu(next(2))),
                wgpu::DeviceType::Cpu => (Kind::SoftwareGpu, DeviceKind::Cpu),
                wgpu::DeviceType::Other => (Kind::OtherGpu, DeviceKind::DefaultDevice),
            };
            let label = if kind == Kind::SoftwareGpu {
                format!("{name}:software")
            } else {
                number += 1;
                format!("{name}:{}", number - 1)
            };
            let driver = format!("{} {}", info.driver, info.driver_info).trim().to_owned();
            let found =
                Found { name: label, kind, adapter: info.name, driver, automatic: false, reason: String::new() };
            if all.iter().all(|(other, _, _): &(Found, _, _)| other.name != found.name) {
                all.push((found, device, api));
            }
        }
    }
    all
}

fn probe(backend: wgpu::Backend) -> Vec<wgpu::AdapterInfo> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: backend.into(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    block_on(instance.enumerate_adapters(backend.into())).iter().map(wgpu::Adapter::get_info).collect()
}

/// Waits for a future that wgpu resolves at once on native machines.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::yield_now();
    }
}
