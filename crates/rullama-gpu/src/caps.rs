//! What an adapter offers, reduced to what kernels choose by.

/// Which limits and features a device is opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AdapterProfile {
    /// Everything the adapter reports.
    #[default]
    Native,
    /// WebGPU's guaranteed limits and no optional feature, whatever the adapter has:
    /// 128 MiB bindings, 256 MiB buffers, 16 KiB workgroup memory, 256 invocations,
    /// 8 storage buffers, 256-byte offsets, no subgroups. Tests run under it.
    WebGpuDefaults,
}

/// How to open a device.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    pub profile: AdapterProfile,
    /// The browser granted the `subgroups` feature outside of wgpu's knowledge.
    pub browser_subgroups: bool,
    /// Treat a CPU adapter as a GPU when kernels are chosen: tests without a GPU run what GPUs run.
    pub as_gpu: bool,
}

/// The capabilities that choose a kernel variant. Never derived from the vendor; `software` alone reads a name, since a browser
/// tells no adapter's type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caps {
    /// Smallest and largest subgroup size, when subgroup operations may be used.
    pub subgroups: Option<(u32, u32)>,
    /// Bytes of the largest storage binding.
    pub max_binding: u64,
    /// Bytes of the largest buffer.
    pub max_buffer: u64,
    /// Bytes of workgroup memory.
    pub workgroup_memory: u32,
    /// Of a workgroup, at most: a power of two, since kernels halve what they add up.
    pub invocations: u32,
    pub storage_buffers: u32,
    pub max_groups: u32,
    /// Bytes to which storage and uniform offsets are aligned.
    pub offset_alignment: u64,
    pub timestamps: bool,
    /// A CPU implementation: barriers are costly, throughput is low.
    pub software: bool,
    /// Kernels are compiled by a browser, which wants `enable` directives that naga refuses.
    pub browser: bool,
}

impl Caps {
    pub(crate) fn new(info: &wgpu::AdapterInfo, limits: &wgpu::Limits, features: wgpu::Features, options: &OpenOptions) -> Self {
        let browser = cfg!(target_arch = "wasm32");
        let granted = features.contains(wgpu::Features::SUBGROUP) || (browser && options.browser_subgroups);
        let sizes = (info.subgroup_min_size, info.subgroup_max_size);
        let usable = granted && options.profile == AdapterProfile::Native && sizes.0 >= 4 && sizes.0 <= sizes.1;
        Caps {
            subgroups: usable.then_some(sizes),
            max_binding: limits.max_storage_buffer_binding_size & !3,
            max_buffer: limits.max_buffer_size,
            workgroup_memory: limits.max_compute_workgroup_storage_size,
            invocations: 1 << limits.max_compute_invocations_per_workgroup.max(1).ilog2(),
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
            max_groups: limits.max_compute_workgroups_per_dimension,
            offset_alignment: u64::from(limits.min_storage_buffer_offset_alignment.max(limits.min_uniform_buffer_offset_alignment)),
            timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
            software: (info.device_type == wgpu::DeviceType::Cpu || info.name.contains("SwiftShader")) && !options.as_gpu,
            browser,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workgroups_are_of_powers_of_two() {
        let info = wgpu::AdapterInfo::new(wgpu::DeviceType::IntegratedGpu, wgpu::Backend::Vulkan);
        for (limit, most) in [(128, 128), (256, 256), (384, 256), (1023, 512), (1024, 1024), (1536, 1024)] {
            let limits = wgpu::Limits { max_compute_invocations_per_workgroup: limit, ..Default::default() };
            let caps = Caps::new(&info, &limits, wgpu::Features::empty(), &OpenOptions::default());
            assert_eq!(caps.invocations, most);
        }
    }
}
